//! Tee files on their way to the tee store.
//!
//! An own file goes when its hour is over and a while more has passed; a peer's copy when the peer says that its
//! file is there (then it is only compared), or two hours after the hour if it never said so. Every upload takes
//! in what the store has of the file already, puts what all copies together hold, and reads it back; only then
//! does the copy here go. Damage here is mended from the peer's copy; while the peer cannot be asked, what is
//! left is uploaded, and the damaged copy stays and is tried again.
//!
//! What failed is tried again after ten minutes. When nothing is pending nothing wakes.

use super::copies::Copies;
use super::merge::{Merge, Shape};
use super::peer::Peer;
use super::record::TeeName;
use super::writer::Tee;
use super::{OWN_DIR, PEER_DIR};
use crate::config::TeeConfig;
use crate::local::{read_file, remove_if_there};
use crate::object_api::{ObjectStore, StoreError};
use latent_ports::{Clock, Disk, DiskError, Env, Mark, UnixMs, race_timeout};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// The longest sleep: the wall clock may step while it lasts.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

/// Whose file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    This,
    Peer,
}

#[derive(Clone, Copy, Debug, Default)]
struct Pending {
    /// The writer still appends to it.
    open: bool,
    /// Its owner has put it into the store.
    confirmed: bool,
    /// Not to be tried before this monotonic time.
    not_before: Duration,
}

/// Which files wait for their upload.
#[derive(Debug, Default)]
pub(crate) struct Uploads {
    pending: Mutex<BTreeMap<(Owner, TeeName), Pending>>,
    changed: Notify,
}

impl Uploads {
    fn update(&self, owner: Owner, name: TeeName, change: impl FnOnce(&mut Pending)) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        change(pending.entry((owner, name)).or_default());
        drop(pending);
        self.changed.notify_one();
    }

    /// The writer has begun a file.
    pub(crate) fn own_opened(&self, name: TeeName) {
        self.update(Owner::This, name, |file| file.open = true);
    }

    /// The writer will not write to the file again.
    pub(crate) fn own_closed(&self, name: TeeName) {
        self.update(Owner::This, name, |file| file.open = false);
    }

    /// A copy of a peer's file is on this disk.
    pub(crate) fn copy_begun(&self, name: TeeName) {
        self.update(Owner::Peer, name, |_| {});
    }

    /// The peer says that its file is in the store. What is not here needs nothing.
    pub(crate) fn copy_confirmed(&self, name: TeeName) {
        let known = self.all().iter().any(|(key, _)| *key == (Owner::Peer, name));
        if known {
            self.update(Owner::Peer, name, |file| file.confirmed = true);
        }
    }

    fn all(&self) -> Vec<((Owner, TeeName), Pending)> {
        let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.iter().map(|(key, file)| (*key, *file)).collect()
    }

    fn done(&self, key: (Owner, TeeName)) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }
}

/// Why a file is not in the store, or not known to be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotUploaded {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error("this copy is damaged, and the other could not be had: {0}")]
    Damaged(String),
}

/// Uploads the files of one edge's disk.
pub(crate) struct Uploader<E: Env> {
    env: E,
    config: TeeConfig,
    store: ObjectStore<E>,
    peer: Option<Peer<E>>,
    copies: Arc<Copies<E>>,
    uploads: Arc<Uploads>,
    tee: Tee,
    /// One at a time: the flush and the loop must not upload the same file at once.
    busy: tokio::sync::Mutex<()>,
}

/// What an uploader works with.
pub(crate) struct Parts<E: Env> {
    pub(crate) config: TeeConfig,
    pub(crate) store: ObjectStore<E>,
    pub(crate) peer: Option<Peer<E>>,
    pub(crate) copies: Arc<Copies<E>>,
    pub(crate) uploads: Arc<Uploads>,
    pub(crate) tee: Tee,
}

impl<E: Env> Uploader<E> {
    pub(crate) fn new(env: E, parts: Parts<E>) -> Uploader<E> {
        let Parts { config, store, peer, copies, uploads, tee } = parts;
        Uploader { env, config, store, peer, copies, uploads, tee, busy: tokio::sync::Mutex::new(()) }
    }

    /// Takes in what an earlier process left on this disk.
    pub(crate) async fn find_leftovers(&self) -> Result<(), DiskError> {
        for (dir, owner) in [(OWN_DIR, Owner::This), (PEER_DIR, Owner::Peer)] {
            for entry in self.env.disk().list(dir).await? {
                match entry.name.parse() {
                    Ok(name) => self.uploads.update(owner, name, |_| {}),
                    // A copy's replacement that was not finished.
                    Err(_) => remove_if_there(self.env.disk(), &format!("{dir}/{}", entry.name)).await?,
                }
            }
        }
        Ok(())
    }

    /// Uploads files when they are due, for ever.
    pub(crate) async fn run(&self) {
        loop {
            let next = self.uploads.all().into_iter().map(|(key, file)| (self.due_in(key, file), key)).min();
            let changed = self.uploads.changed.notified();
            match next {
                None => changed.await,
                Some((wait, key)) if wait.is_zero() => self.try_one(key).await,
                Some((wait, _)) => {
                    race_timeout(self.env.clock(), wait.min(LONGEST_SLEEP), changed).await;
                }
            }
        }
    }

    fn due_in(&self, (owner, name): (Owner, TeeName), file: Pending) -> Duration {
        let after = match owner {
            Owner::This => self.config.upload_after,
            Owner::Peer if file.confirmed => Duration::ZERO,
            Owner::Peer => self.config.take_over_after,
        };
        let by_wall = (UnixMs(name.ends_ms()) + after).since(self.env.clock().wall());
        let by_wall = if file.confirmed { Duration::ZERO } else { by_wall };
        by_wall.max(file.not_before.saturating_sub(self.env.clock().monotonic()))
    }

    async fn try_one(&self, key: (Owner, TeeName)) {
        let (owner, name) = key;
        let _alone = self.busy.lock().await;
        if owner == Owner::This {
            self.tee.close(Some(name.hour + 1)).await;
        }
        let age = self.env.clock().wall().since(UnixMs(name.ends_ms()));
        let result = match self.upload(owner, name).await {
            Ok(()) => self.forget(owner, name).await,
            Err(error) if age > self.config.keep => {
                let subject = format!("{name}: {error}");
                self.env.mark(Mark { name: "tee.dropped", subject: &subject });
                self.forget(owner, name).await
            }
            Err(error) => Err(error),
        };
        match result {
            Ok(()) => self.uploads.done(key),
            Err(error) => {
                let subject = format!("{name}: {error}");
                self.env.mark(Mark { name: "tee.upload-failed", subject: &subject });
                let not_before = self.env.clock().monotonic() + self.config.retry_after;
                self.uploads.update(owner, name, |file| file.not_before = not_before);
            }
        }
    }

    /// Closes the open file and uploads all that is here: own files, and copies whose owner has not uploaded. Own
    /// files leave the disk as they would in the end; copies stay until their time.
    pub(crate) async fn flush(&self) -> Result<(), String> {
        self.tee.close(None).await;
        let _alone = self.busy.lock().await;
        let mut failed = Vec::new();
        for ((owner, name), file) in self.uploads.all() {
            // What is open was begun after the close, by a request that came after the flush was asked for.
            if file.open {
                continue;
            }
            let uploaded = match self.upload(owner, name).await {
                Ok(()) if owner == Owner::This => self.forget(owner, name).await,
                other => other,
            };
            match uploaded {
                Ok(()) if owner == Owner::This => self.uploads.done((owner, name)),
                Ok(()) => {}
                Err(error) => failed.push(format!("{name}: {error}")),
            }
        }
        self.env.mark(Mark { name: "tee.flushed", subject: "" });
        if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
    }

    /// Puts the union of this copy, the store's object, and, if this copy is not whole, the other edge's.
    async fn upload(&self, owner: Owner, name: TeeName) -> Result<(), NotUploaded> {
        let key = name.object_key();
        let mut merge = Merge::new(name);
        let shape = self.take_in_local(owner, name, &mut merge).await;
        let complete = match shape {
            Shape::Whole => Ok(()),
            Shape::Torn | Shape::Damaged => self.take_in_other(name, &mut merge, shape).await,
        };
        let stored = match self.store.get(&key).await {
            Ok(object) => Some(object),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error.into()),
        };
        if let Some(object) = &stored {
            merge.add(object);
        }
        let file = merge.file();
        if merge.records() > 0 && stored.as_ref() != Some(&file) {
            self.store.put_verified(&key, file).await?;
            let mark = match (owner, &stored) {
                (_, Some(_)) => "tee.object-completed",
                (Owner::This, None) => "tee.uploaded",
                (Owner::Peer, None) => "tee.taken-over",
            };
            self.env.mark(Mark { name: mark, subject: &key });
        }
        complete
    }

    async fn take_in_local(&self, owner: Owner, name: TeeName, merge: &mut Merge) -> Shape {
        match read_file(self.env.disk(), &path(owner, name)).await {
            Ok(Some(file)) => merge.add(&file),
            // Nothing of it was ever durable here, or it was removed by mistake: the other copy decides.
            Ok(None) => Shape::Torn,
            Err(_) => Shape::Damaged,
        }
    }

    /// A torn tail is what a crash leaves, and nothing behind it was answered; so the other copy helps, but is
    /// not waited for. It still comes: its edge compares it with the store before it goes. Damage must be mended.
    async fn take_in_other(&self, name: TeeName, merge: &mut Merge, shape: Shape) -> Result<(), NotUploaded> {
        if shape == Shape::Damaged {
            self.env.mark(Mark { name: "tee.damaged", subject: &name.to_string() });
        }
        let fetched = match &self.peer {
            Some(peer) => peer.fetch(name).await.map_err(|error| error.to_string()),
            None => Ok(None),
        };
        match fetched {
            Ok(Some(copy)) => {
                let before = merge.records();
                merge.add(&copy);
                if merge.records() > before {
                    self.env.mark(Mark { name: "tee.mended", subject: &name.to_string() });
                }
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(_) if shape == Shape::Torn => Ok(()),
            Err(why) => Err(NotUploaded::Damaged(why)),
        }
    }

    /// Removes the copy here, and tells the peer if it was this edge's file.
    async fn forget(&self, owner: Owner, name: TeeName) -> Result<(), NotUploaded> {
        match owner {
            Owner::This => {
                remove_if_there(self.env.disk(), &path(owner, name)).await?;
                self.env.disk().sync_dir(OWN_DIR).await?;
                if let Some(peer) = &self.peer
                    && peer.uploaded(name).await.is_err()
                {
                    // It will look into the store itself, two hours after the hour.
                    self.env.mark(Mark { name: "tee.peer-not-told", subject: "" });
                }
            }
            Owner::Peer => self.copies.remove(name).await?,
        }
        Ok(())
    }
}

fn path(owner: Owner, name: TeeName) -> String {
    match owner {
        Owner::This => format!("{OWN_DIR}/{name}"),
        Owner::Peer => format!("{PEER_DIR}/{name}"),
    }
}
