//! Days that the device could not read at boot.
//!
//! Such a day is refused like a corrupt one, so that the other days are served. But its bytes may be intact: a device
//! that failed for an hour has lost nothing. So the day is read again until the device returns it, and served from then
//! on. A comparison that comes first quarantines the day and fills it from the other copies.

use super::api::ArbFailure;
use super::store::{ArbStore, lock};
use crate::marks;
use crate::zone::Day;
use latent_ports::{Clock, Env, Mark};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// Interval at which unreadable days are read again: the longest pause between two attempts to boot.
const REREAD_INTERVAL: Duration = Duration::from_secs(600);

impl<E: Env> ArbStore<E> {
    /// Refuses a day that the device cannot read now.
    pub(super) fn note_unreadable(&self, project: u32, day: Day, what: String) {
        lock(&self.unreadable).insert((project, day));
        self.note_corrupt(project, day, what);
    }

    /// Whether the boot found days that the device could not read.
    pub fn has_unreadable_days(&self) -> bool {
        !lock(&self.unreadable).is_empty()
    }

    /// Reads unreadable days again until each of them is served, is found to be corrupt, or is quarantined.
    pub async fn reread_days(&self) {
        while self.has_unreadable_days() {
            self.env.clock().sleep(REREAD_INTERVAL).await;
            let days = lock(&self.unreadable).clone();
            for (project, day) in days {
                self.reread_day(project, day).await;
            }
        }
    }

    async fn reread_day(&self, project: u32, day: Day) {
        let _creation_lock = self.creating.lock().await;
        // A quarantine holds the same lock and may have moved the day meanwhile.
        if !lock(&self.unreadable).contains(&(project, day)) {
            return;
        }
        self.cancel_removals(project, day);
        match self.recover_day(project, day).await {
            Ok(store) => {
                self.leases.raise_floor(project, store.manifest.token).await;
                self.days().insert((project, day), Arc::new(Mutex::new(store)));
                lock(&self.corrupt).remove(&(project, day));
                lock(&self.unreadable).remove(&(project, day));
                self.env.mark(Mark {
                    name: marks::ARB_DAY_READABLE_AGAIN,
                    subject: &format!("p{project}/{day}"),
                });
            }
            Err(ArbFailure::Corrupt(what)) => {
                lock(&self.corrupt).insert((project, day), what);
                lock(&self.unreadable).remove(&(project, day));
            }
            Err(_) => {}
        }
    }
}
