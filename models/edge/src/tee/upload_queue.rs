//! Files that are waiting for upload. The writer and the receiver of copies add to the queue, and the uploader takes
//! from it. In memory only: at boot the uploader enqueues what is on the disk.

use super::record::TeeName;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Origin of a file on this disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum FileSource {
    Own,
    Peer,
    /// Requests of this edge that the tee lacked when they were forwarded.
    Gap,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PendingUpload {
    /// The writer still appends to the file.
    pub(super) is_open: bool,
    /// The file's owner has uploaded it.
    pub(super) owner_uploaded: bool,
    /// Monotonic time of the next attempt at the earliest.
    pub(super) not_before: Duration,
}

/// Files that are waiting for upload.
#[derive(Debug, Default)]
pub(crate) struct UploadQueue {
    pending: Mutex<BTreeMap<(FileSource, TeeName), PendingUpload>>,
    pub(super) changed: Notify,
}

impl UploadQueue {
    pub(super) fn update(&self, source: FileSource, name: TeeName, change: impl FnOnce(&mut PendingUpload)) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        change(pending.entry((source, name)).or_default());
        drop(pending);
        self.changed.notify_one();
    }

    /// Adds a file that the writer created.
    pub(crate) fn file_opened(&self, name: TeeName) {
        self.update(FileSource::Own, name, |file| file.is_open = true);
    }

    /// Records that the writer will not write to the file again.
    pub(crate) fn file_closed(&self, name: TeeName) {
        self.update(FileSource::Own, name, |file| file.is_open = false);
    }

    /// Adds a copy of another edge's file.
    pub(crate) fn copy_started(&self, name: TeeName) {
        self.update(FileSource::Peer, name, |_| {});
    }

    /// Adds a file of buffered gap requests.
    pub(crate) fn gap_buffered(&self, name: TeeName) {
        self.update(FileSource::Gap, name, |_| {});
    }

    /// Records that the owner has uploaded the file. Has no effect for a file that is not on this disk.
    pub(crate) fn owner_uploaded(&self, name: TeeName) {
        let known = self.all().iter().any(|(key, _)| *key == (FileSource::Peer, name));
        if known {
            self.update(FileSource::Peer, name, |file| file.owner_uploaded = true);
        }
    }

    pub(super) fn all(&self) -> Vec<((FileSource, TeeName), PendingUpload)> {
        let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.iter().map(|(key, file)| (*key, *file)).collect()
    }

    /// Whether the owner has confirmed its upload of the file.
    pub(super) fn is_owner_uploaded(&self, source: FileSource, name: TeeName) -> bool {
        let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.get(&(source, name)).is_some_and(|file| file.owner_uploaded)
    }

    pub(super) fn remove(&self, key: (FileSource, TeeName)) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }
}
