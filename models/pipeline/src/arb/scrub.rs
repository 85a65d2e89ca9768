//! Scrubs: before a day is compared, all its data is read again from time to time, since a cached digest does not reveal
//! what has rotted.

use super::api::{ArbFailure, DayFiles};
use super::day_store::DayStore;
use super::manifest::Tier;
use super::store::{ArbStore, SharedDay};
use crate::marks;
use crate::record::SetDigest;
use crate::release::Bug;
use crate::zone::Day;
use latent_ports::{Clock, Env, Mark};
use std::collections::BTreeSet;
use std::time::Duration;

/// Interval after which all data of a day is read again. Copies are compared every night, so this is every third
/// comparison.
const SCRUB_INTERVAL: Duration = Duration::from_secs(60 * 3600);
/// Maximum number of a project's days that are read again for one comparison, oldest first. This bounds the cost of a
/// night however much a disk holds. Up to 18 days are read within three nights, a year within 61.
const MAX_SCRUB_DAYS: usize = 6;

impl<E: Env> ArbStore<E> {
    /// Returns the days of a project that are due to be read again before they are compared.
    async fn due_for_scrub(&self, days: &[SharedDay<E>]) -> BTreeSet<Day> {
        let now = self.env.clock().monotonic();
        let mut due = Vec::new();
        for day in days {
            let day = day.lock().await;
            // Days that may be damaged are always read.
            if day.verified.is_none_or(|verified| now.saturating_sub(verified) >= SCRUB_INTERVAL) {
                due.push((day.verified, day.day));
            }
        }
        due.sort_unstable();
        let suspected = due.iter().filter(|(verified, _)| verified.is_none()).count();
        due.truncate(suspected.max(MAX_SCRUB_DAYS));
        due.into_iter().map(|(_, day)| day).collect()
    }

    /// Returns the digest of a day, which is read again first if it is `due`: a cached digest does not reveal blocks
    /// that rotted since. If all bytes verify, the cached digest is valid.
    async fn verified_digest(
        &self,
        day: &mut DayStore<E>,
        before_ms: i64,
        due: bool,
    ) -> Result<SetDigest, ArbFailure> {
        if due {
            let verified = self.verify_day(day).await;
            if verified.is_err()
                && self.boot.release.has(Bug::ScrubSkipsCompacted)
                && self.late_part_verifies(day).await
            {
                let digest = self.digest_of(day, before_ms).await?;
                self.boot.release.reached(&self.env, Bug::ScrubSkipsCompacted);
                day.verified = Some(self.env.clock().monotonic());
                return Ok(digest);
            }
            if verified.is_err() {
                day.digest = None;
            }
            verified?;
            day.verified = Some(self.env.clock().monotonic());
        }
        self.digest_of(day, before_ms).await
    }

    /// Reads and verifies all of a day, including the manifest. The checksums of header and frames and the lengths in
    /// the manifest detect every rotten or misplaced block, at a fraction of the cost of a sealed file's hash. The hash
    /// is compared when bytes leave the disk.
    pub(super) async fn verify_day(&self, day: &DayStore<E>) -> Result<(), ArbFailure> {
        day.log.verify().await?;
        for entry in day.manifest.live.values() {
            self.read_segment(day, entry).await?;
        }
        Ok(())
    }

    /// Planted bug: whether the manifest and the late segments verify.
    async fn late_part_verifies(&self, day: &DayStore<E>) -> bool {
        let mut verifies = day.log.verify().await.is_ok();
        for entry in day.manifest.live.values().filter(|entry| entry.tier == Tier::Late) {
            verifies &= self.read_segment(day, entry).await.is_ok();
        }
        verifies
    }

    /// Returns the digests of every day of a project.
    pub async fn digests(&self, project: u32, before_ms: i64) -> Result<Vec<DayFiles>, ArbFailure> {
        self.note_missing_dirs(project).await?;
        let mut out = Vec::new();
        let days = self.intact_days_of(project);
        let due = self.due_for_scrub(&days).await;
        for day in days {
            let mut day = day.lock().await;
            let is_due = due.contains(&day.day);
            let digest = match self.verified_digest(&mut day, before_ms, is_due).await {
                Ok(digest) => Some(digest),
                Err(ArbFailure::Corrupt(what)) => {
                    self.note_corrupt(project, day.day, what);
                    None
                }
                // The day cannot be verified now. The comparing node asks this disk to quarantine the day, and the disk
                // then reads it again.
                Err(ArbFailure::Disk(what)) => {
                    self.env.mark(Mark { name: marks::ARB_DAY_UNREADABLE, subject: &what });
                    None
                }
                Err(other) => return Err(other),
            };
            out.push(DayFiles { day: day.day, version: day.manifest.version, files: Vec::new(), digest });
        }
        for day in self.corrupt_days(project) {
            if !out.iter().any(|known| known.day == day) {
                out.push(DayFiles { day, version: 0, files: Vec::new(), digest: None });
            }
        }
        Ok(out)
    }
}
