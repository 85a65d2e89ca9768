//! Tee files on their way to the tee store.
//!
//! An own file goes when its hour is over and a while more has passed; a copy of another edge's file when its owner
//! says that the file is there, or two hours after the hour if it never said so. Both are uploaded, so that each record
//! is in two objects: an edge puts what it holds under a name of its own, which no other node writes, and reads it back;
//! only then does what is here go. Nothing is taken away from an object: the upload adds to what this edge put before.
//! Damage here is repaired from the other edges' copies and from their objects. What is left is uploaded; while bytes are
//! still missing the damaged file stays, until its time is over, and is tried again: a disk that fails a read may answer
//! the next one, and an edge that is away may come back.
//!
//! What failed is tried again after ten minutes. When nothing is pending nothing wakes.

use super::copies::Copies;
use super::gaps::{GAPS_DIR, Gaps};
use super::merge::{Merge, Shape};
use super::object::{TeeObject, Uploader as By};
use super::peers::Peers;
use super::record::TeeName;
use super::writer::Tee;
use super::{OWN_DIR, PEER_DIR};
use crate::config::TeeConfig;
use crate::local::{file_bytes, read_file, remove_if_there};
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
    Other,
    /// This edge's, of requests that the tee lacked when they were let through.
    Gap,
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

    /// A copy of another edge's file is on this disk.
    pub(crate) fn copy_begun(&self, name: TeeName) {
        self.update(Owner::Other, name, |_| {});
    }

    /// Requests of this file are kept that the tee lacks.
    pub(crate) fn gap_kept(&self, name: TeeName) {
        self.update(Owner::Gap, name, |_| {});
    }

    /// Its owner says that the file is in the store. What is not here needs nothing.
    pub(crate) fn copy_confirmed(&self, name: TeeName) {
        let known = self.all().iter().any(|(key, _)| *key == (Owner::Other, name));
        if known {
            self.update(Owner::Other, name, |file| file.confirmed = true);
        }
    }

    fn all(&self) -> Vec<((Owner, TeeName), Pending)> {
        let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.iter().map(|(key, file)| (*key, *file)).collect()
    }

    /// Whether the owner has said that the file is in the store.
    fn is_confirmed(&self, owner: Owner, name: TeeName) -> bool {
        let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.get(&(owner, name)).is_some_and(|file| file.confirmed)
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
    #[error("this copy is damaged, and the others do not make up for it: {0}")]
    Damaged(String),
}

/// The state of what this disk has of a file.
#[derive(Clone, Copy)]
struct Local {
    shape: Shape,
    /// Its length; `None` when it is not there or not known.
    len_bytes: Option<usize>,
}

/// Uploads the files of one edge's disk.
pub(crate) struct Uploader<E: Env> {
    env: E,
    edge: u16,
    config: TeeConfig,
    store: ObjectStore<E>,
    peers: Peers<E>,
    copies: Arc<Copies<E>>,
    gaps: Arc<Gaps<E>>,
    uploads: Arc<Uploads>,
    tee: Tee,
    /// One at a time: the flush and the loop must not upload the same file at once.
    busy: tokio::sync::Mutex<()>,
}

/// What an uploader works with.
pub(crate) struct Parts<E: Env> {
    /// This edge's number.
    pub(crate) edge: u16,
    pub(crate) config: TeeConfig,
    pub(crate) store: ObjectStore<E>,
    pub(crate) peers: Peers<E>,
    pub(crate) copies: Arc<Copies<E>>,
    pub(crate) gaps: Arc<Gaps<E>>,
    pub(crate) uploads: Arc<Uploads>,
    pub(crate) tee: Tee,
}

impl<E: Env> Uploader<E> {
    pub(crate) fn new(env: E, parts: Parts<E>) -> Uploader<E> {
        let Parts { edge, config, store, peers, copies, gaps, uploads, tee } = parts;
        let busy = tokio::sync::Mutex::new(());
        Uploader { env, edge, config, store, peers, copies, gaps, uploads, tee, busy }
    }

    /// Takes in what an earlier process left on this disk.
    pub(crate) async fn find_leftovers(&self) -> Result<(), DiskError> {
        for (dir, owner) in [(OWN_DIR, Owner::This), (PEER_DIR, Owner::Other), (GAPS_DIR, Owner::Gap)] {
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

    /// Uploads files when they are due, until the node dies.
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
        let not_before = file.not_before.saturating_sub(self.env.clock().monotonic());
        let after = match owner {
            Owner::This => self.config.upload_after,
            Owner::Gap => return not_before,
            Owner::Other if file.confirmed => return not_before,
            Owner::Other => self.config.take_over_after,
        };
        (UnixMs(name.ends_ms()) + after).since(self.env.clock().wall()).max(not_before)
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
                match owner {
                    Owner::Gap => self.gaps.drop_all(name).await.map_err(NotUploaded::from),
                    _ => self.forget(owner, name).await,
                }
            }
            Err(error) => Err(error),
        };
        match result {
            Ok(()) => self.done(key),
            Err(error) => {
                let subject = format!("{name}: {error}");
                self.env.mark(Mark { name: "tee.upload-failed", subject: &subject });
                let not_before = self.env.clock().monotonic() + self.config.retry_after;
                self.uploads.update(owner, name, |file| file.not_before = not_before);
            }
        }
    }

    fn done(&self, key: (Owner, TeeName)) {
        // Of a gap more may have been kept while this was uploaded.
        if key.0 != Owner::Gap || !self.gaps.has(key.1) {
            self.uploads.done(key);
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
                uploaded => uploaded,
            };
            match uploaded {
                Ok(()) if owner != Owner::Other => self.done((owner, name)),
                Ok(()) => {}
                Err(error) => failed.push(format!("{name}: {error}")),
            }
        }
        self.env.mark(Mark { name: "tee.flushed", subject: "" });
        if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
    }

    /// Puts the union of what is here, what this edge put before, and, where that may lack something, what the other
    /// edges hold.
    async fn upload(&self, owner: Owner, name: TeeName) -> Result<(), NotUploaded> {
        let mut merge = Merge::new(name);
        if owner == Owner::Gap {
            return self.upload_gap(name, merge).await;
        }
        let complete = match self.take_in_local(owner, name, &mut merge).await {
            Local { shape: Shape::Whole, .. } => Ok(()),
            lacking => self.take_in_others(name, &mut merge, lacking).await,
        };
        let mark = match owner {
            Owner::Other if self.uploads.is_confirmed(owner, name) => "tee.copy-uploaded",
            Owner::Other => "tee.taken-over",
            _ => "tee.uploaded",
        };
        self.put(name, merge, mark).await?;
        complete
    }

    /// Puts requests that were let through into the store, and closes their gaps.
    async fn upload_gap(&self, name: TeeName, mut merge: Merge) -> Result<(), NotUploaded> {
        self.gaps.take_in(name, &mut merge).await?;
        let sequences: Vec<u64> = merge.sequences().collect();
        if let Err(error) = self.put(name, merge, "tee.gap-uploaded").await {
            self.env.mark(Mark { name: "edge.tee-gap-open", subject: &name.to_string() });
            return Err(error.into());
        }
        self.gaps.close(name, &sequences).await?;
        self.env.mark(Mark { name: "edge.tee-gap-closed", subject: &name.to_string() });
        Ok(())
    }

    /// Puts what was merged, and what this edge put before, into its object of a file, and reads it back. `mark` says that the
    /// object is new.
    async fn put(&self, name: TeeName, mut merge: Merge, mark: &'static str) -> Result<(), StoreError> {
        let key = TeeObject { file: name, by: By::Edge(self.edge) }.key();
        let stored = match self.store.get(&key).await {
            Ok(object) => Some(object),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error),
        };
        if let Some(object) = &stored {
            merge.add(object);
        }
        let file = merge.file();
        if merge.records() > 0 && stored.as_ref() != Some(&file) {
            self.store.put_verified(&key, file).await?;
            let mark = stored.map_or(mark, |_| "tee.object-completed");
            self.env.mark(Mark { name: mark, subject: &key });
        }
        Ok(())
    }

    async fn take_in_local(&self, owner: Owner, name: TeeName, merge: &mut Merge) -> Local {
        match read_file(self.env.disk(), &path(owner, name)).await {
            Ok(Some(file)) => Local { shape: merge.add(&file), len_bytes: Some(file.len()) },
            // Nothing of it was ever durable here, or it was removed by mistake: the other copies decide.
            Ok(None) => Local { shape: Shape::Torn, len_bytes: None },
            Err(_) => {
                let len_bytes = file_bytes(self.env.disk(), &path(owner, name)).await.ok();
                Local { shape: Shape::Damaged, len_bytes }
            }
        }
    }

    /// A torn tail is what a crash leaves, and nothing behind it was answered; so the other copies help, but are not
    /// waited for: their edges upload them too. Damage is waited for until as many bytes are there as the damaged file
    /// has.
    async fn take_in_others(
        &self,
        name: TeeName,
        merge: &mut Merge,
        local: Local,
    ) -> Result<(), NotUploaded> {
        let is_damaged = local.shape == Shape::Damaged;
        if is_damaged {
            self.env.mark(Mark { name: "tee.damaged", subject: &name.to_string() });
        }
        let before = merge.records();
        let fetched = self.peers.fetch(name).await;
        fetched.copies.iter().for_each(|copy| _ = merge.add(copy));
        let lacks_bytes = |merge: &Merge| local.len_bytes.is_none_or(|len| merge.file().len() < len);
        let mut why = fetched.failure.map(|why| why.to_string());
        if is_damaged && lacks_bytes(merge) {
            // Another edge that had a copy may have uploaded it already.
            why = self.take_in_objects(name, merge).await.err().map(|error| error.to_string()).or(why);
        }
        if merge.records() > before {
            self.env.mark(Mark { name: "tee.repaired", subject: &name.to_string() });
        }
        if is_damaged && lacks_bytes(merge) {
            let why = why.unwrap_or_else(|| "no other edge and no object holds all of it".to_owned());
            return Err(NotUploaded::Damaged(why));
        }
        Ok(())
    }

    /// Takes in what others put into the store of a file.
    async fn take_in_objects(&self, name: TeeName, merge: &mut Merge) -> Result<(), StoreError> {
        for object in self.store.list(&TeeObject::keys_of(name)).await? {
            merge.add(&self.store.get(&object.key).await?);
        }
        Ok(())
    }

    /// Removes what is here, and tells the other edges if it was this edge's file.
    async fn forget(&self, owner: Owner, name: TeeName) -> Result<(), NotUploaded> {
        match owner {
            Owner::This => {
                remove_if_there(self.env.disk(), &path(owner, name)).await?;
                self.env.disk().sync_dir(OWN_DIR).await?;
                if !self.peers.uploaded(name).await {
                    // Should it hold a copy, it uploads that two hours after the hour.
                    self.env.mark(Mark { name: "tee.peer-not-told", subject: "" });
                }
            }
            Owner::Other => self.copies.remove(name).await?,
            // Its upload has closed it.
            Owner::Gap => {}
        }
        Ok(())
    }
}

fn path(owner: Owner, name: TeeName) -> String {
    match owner {
        Owner::This => format!("{OWN_DIR}/{name}"),
        Owner::Other => format!("{PEER_DIR}/{name}"),
        Owner::Gap => format!("{GAPS_DIR}/{name}"),
    }
}
