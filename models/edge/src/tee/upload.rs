//! Upload of tee files to the tee store.
//!
//! An own file is uploaded some time after its hour; a copy of another edge's file when its owner confirms its own
//! upload, or two hours after the hour without confirmation. Both are uploaded, so that each record is in two objects.
//! An edge writes to an object of its own, reads it back, and only then removes the local file. An upload never removes
//! records from an object: it merges what the edge stored earlier. Local damage is repaired from the other edges'
//! copies and objects, and the merged file is uploaded. While bytes are still missing, the file is kept until it
//! reaches its maximum age, and is retried if that can help: a failed read may succeed later, and an edge may return.
//!
//! A failed upload is retried after ten minutes. The task does not wake while nothing is pending.

use super::gaps::{GAPS_DIR, GapStore};
use super::merge::{CopyIntegrity, TeeMerge};
use super::object::{ObjectWriter, TeeObject};
use super::peer_copies::PeerCopies;
use super::peers::Peers;
use super::record::TeeName;
use super::upload_queue::{FileSource, PendingUpload, UploadQueue};
use super::writer::TeeHandle;
use super::{OWN_DIR, PEER_DIR};
use crate::config::TeeConfig;
use crate::marks;
use latent_ports::{Clock, Disk, DiskError, Env, Mark, MarkName, UnixMs, race_timeout};
use latent_storekit::files::{file_len, read_file, remove_if_exists};
use latent_storekit::object_store::{ObjectStore, StoreError};
use std::sync::Arc;
use std::time::Duration;

/// Maximum sleep, because the wall clock may step.
const MAX_SLEEP: Duration = Duration::from_secs(3600);

/// Error of an upload. The file may or may not be in the store.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error("this copy is damaged, and the others do not make up for it: {0}")]
    Damaged(String),
}

/// State of the local copy of a file.
#[derive(Clone, Copy)]
struct LocalCopy {
    integrity: CopyIntegrity,
    /// Length in bytes; `None` when the file is missing or its length unknown.
    len_bytes: Option<usize>,
    /// Whether the disk returned the bytes, right or wrong, or reported that the file does not exist.
    was_read: bool,
}

/// Uploads the files of one edge's disk.
pub(crate) struct Uploader<E: Env> {
    env: E,
    edge: u16,
    config: TeeConfig,
    store: ObjectStore<E>,
    peers: Peers<E>,
    copies: Arc<PeerCopies<E>>,
    gaps: Arc<GapStore<E>>,
    uploads: Arc<UploadQueue>,
    tee: TeeHandle,
    /// Serializes uploads: the flush and the loop must not upload the same file concurrently.
    busy: tokio::sync::Mutex<()>,
}

/// Dependencies of an uploader.
pub(crate) struct UploaderDeps<E: Env> {
    /// Number of this edge.
    pub(crate) edge: u16,
    pub(crate) config: TeeConfig,
    pub(crate) store: ObjectStore<E>,
    pub(crate) peers: Peers<E>,
    pub(crate) copies: Arc<PeerCopies<E>>,
    pub(crate) gaps: Arc<GapStore<E>>,
    pub(crate) uploads: Arc<UploadQueue>,
    pub(crate) tee: TeeHandle,
}

impl<E: Env> Uploader<E> {
    pub(crate) fn new(env: E, deps: UploaderDeps<E>) -> Uploader<E> {
        let UploaderDeps { edge, config, store, peers, copies, gaps, uploads, tee } = deps;
        let busy = tokio::sync::Mutex::new(());
        Uploader { env, edge, config, store, peers, copies, gaps, uploads, tee, busy }
    }

    /// Enqueues the files that an earlier process left on this disk.
    pub(crate) async fn enqueue_existing(&self) -> Result<(), DiskError> {
        for (dir, source) in
            [(OWN_DIR, FileSource::Own), (PEER_DIR, FileSource::Peer), (GAPS_DIR, FileSource::Gap)]
        {
            for entry in self.env.disk().list(dir).await? {
                match entry.name.parse() {
                    Ok(name) => self.uploads.update(source, name, |_| {}),
                    // Unfinished replacement of a copy.
                    Err(_) => remove_if_exists(self.env.disk(), &format!("{dir}/{}", entry.name)).await?,
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
                Some((wait, key)) if wait.is_zero() => self.process(key).await,
                Some((wait, _)) => {
                    race_timeout(self.env.clock(), wait.min(MAX_SLEEP), changed).await;
                }
            }
        }
    }

    fn due_in(&self, (source, name): (FileSource, TeeName), file: PendingUpload) -> Duration {
        let not_before = file.not_before.saturating_sub(self.env.clock().monotonic());
        let after = match source {
            FileSource::Own => self.config.upload_after,
            FileSource::Gap => return not_before,
            FileSource::Peer if file.owner_uploaded => return not_before,
            FileSource::Peer => self.config.takeover_after,
        };
        (UnixMs(name.hour_end_ms()) + after).since(self.env.clock().wall()).max(not_before)
    }

    async fn process(&self, key: (FileSource, TeeName)) {
        let (source, name) = key;
        let _upload_lock = self.busy.lock().await;
        if source == FileSource::Own {
            self.tee.close(Some(name.hour + 1)).await;
        }
        let age = self.env.clock().wall().since(UnixMs(name.hour_end_ms()));
        let result = match self.upload(source, name).await {
            Ok(()) => self.remove_local(source, name).await,
            Err(error) if age > self.config.give_up_after => {
                let subject = format!("{name}: {error}");
                self.env.mark(Mark { name: marks::TEE_DROPPED, subject: &subject });
                match source {
                    FileSource::Gap => self.gaps.discard(name).await.map_err(UploadError::from),
                    _ => self.remove_local(source, name).await,
                }
            }
            Err(error) => Err(error),
        };
        match result {
            Ok(()) => self.done(key),
            Err(error) => {
                let subject = format!("{name}: {error}");
                self.env.mark(Mark { name: marks::TEE_UPLOAD_FAILED, subject: &subject });
                let not_before = self.env.clock().monotonic() + self.config.retry_after;
                self.uploads.update(source, name, |file| file.not_before = not_before);
            }
        }
    }

    fn done(&self, key: (FileSource, TeeName)) {
        // More requests of the gap may have been buffered during the upload.
        if key.0 != FileSource::Gap || !self.gaps.contains(key.1) {
            self.uploads.remove(key);
        }
    }

    /// Closes the open file and uploads all local files: own files, and copies whose owner has not uploaded. Own files
    /// are then removed as usual; copies stay until their time.
    pub(crate) async fn flush(&self) -> Result<(), String> {
        self.tee.close(None).await;
        let _upload_lock = self.busy.lock().await;
        let mut failed = Vec::new();
        for ((source, name), file) in self.uploads.all() {
            // An open file was created after the close, for a request that arrived after the flush was requested.
            if file.is_open {
                continue;
            }
            let uploaded = match self.upload(source, name).await {
                Ok(()) if source == FileSource::Own => self.remove_local(source, name).await,
                uploaded => uploaded,
            };
            match uploaded {
                Ok(()) if source != FileSource::Peer => self.done((source, name)),
                Ok(()) => {}
                Err(error) => failed.push(format!("{name}: {error}")),
            }
        }
        self.env.mark(Mark { name: marks::TEE_FLUSHED, subject: "" });
        if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
    }

    /// Uploads the union of the local file, the edge's earlier object and, if the local file may be incomplete, the
    /// copies of the other edges.
    async fn upload(&self, source: FileSource, name: TeeName) -> Result<(), UploadError> {
        let mut merge = TeeMerge::new(name);
        if source == FileSource::Gap {
            return self.upload_gap(name, merge).await;
        }
        let complete = match self.merge_local(source, name, &mut merge).await {
            LocalCopy { integrity: CopyIntegrity::Intact, .. } => Ok(()),
            incomplete => self.merge_peers(name, &mut merge, incomplete).await,
        };
        let mark = match source {
            FileSource::Peer if self.uploads.is_owner_uploaded(source, name) => marks::TEE_COPY_UPLOADED,
            FileSource::Peer => marks::TEE_TAKEN_OVER,
            _ => marks::TEE_UPLOADED,
        };
        self.put(name, merge, mark).await?;
        complete
    }

    /// Uploads buffered gap requests and closes their gaps.
    async fn upload_gap(&self, name: TeeName, mut merge: TeeMerge) -> Result<(), UploadError> {
        self.gaps.merge_into(name, &mut merge).await?;
        let sequences: Vec<u64> = merge.sequences().collect();
        if let Err(error) = self.put(name, merge, marks::TEE_GAP_UPLOADED).await {
            self.env.mark(Mark { name: marks::EDGE_TEE_GAP_OPEN, subject: &name.to_string() });
            return Err(error.into());
        }
        self.gaps.close(name, &sequences).await?;
        self.env.mark(Mark { name: marks::EDGE_TEE_GAP_CLOSED, subject: &name.to_string() });
        Ok(())
    }

    /// Merges the edge's earlier object into `merge`, writes the result to the edge's object and reads it back. `mark`
    /// is set when the object is new.
    async fn put(&self, name: TeeName, mut merge: TeeMerge, mark: MarkName) -> Result<(), StoreError> {
        let key = TeeObject { file: name, writer: ObjectWriter::Edge(self.edge) }.key();
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
            let mark = stored.map_or(mark, |_| marks::TEE_OBJECT_COMPLETED);
            self.env.mark(Mark { name: mark, subject: &key });
        }
        Ok(())
    }

    async fn merge_local(&self, source: FileSource, name: TeeName, merge: &mut TeeMerge) -> LocalCopy {
        match read_file(self.env.disk(), &path(source, name)).await {
            Ok(Some(file)) => {
                LocalCopy { integrity: merge.add(&file), len_bytes: Some(file.len()), was_read: true }
            }
            // Either nothing was ever durable here, or the file was removed by mistake. The other copies decide.
            Ok(None) => LocalCopy { integrity: CopyIntegrity::Torn, len_bytes: None, was_read: true },
            Err(_) => {
                let len_bytes = file_len(self.env.disk(), &path(source, name)).await.ok();
                LocalCopy { integrity: CopyIntegrity::Damaged, len_bytes, was_read: false }
            }
        }
    }

    /// Completes a torn or damaged local file. A torn tail is what a crash leaves, and no request in it was
    /// acknowledged; so other copies are used if available, but not waited for: their edges upload them too. Damage is
    /// waited for until the merged file has at least as many bytes as the damaged one.
    async fn merge_peers(
        &self,
        name: TeeName,
        merge: &mut TeeMerge,
        local: LocalCopy,
    ) -> Result<(), UploadError> {
        let is_damaged = local.integrity == CopyIntegrity::Damaged;
        if is_damaged {
            self.env.mark(Mark { name: marks::TEE_DAMAGED, subject: &name.to_string() });
        }
        let before = merge.records();
        let fetched = self.peers.fetch(name).await;
        fetched.copies.iter().for_each(|copy| _ = merge.add(copy));
        let lacks_bytes = |merge: &TeeMerge| local.len_bytes.is_none_or(|len| merge.file().len() < len);
        let mut why = fetched.failure.map(|why| why.to_string());
        if is_damaged && lacks_bytes(merge) {
            // Another edge may have uploaded its copy already.
            why = self.merge_objects(name, merge).await.err().map(|error| error.to_string()).or(why);
        }
        if merge.records() > before {
            self.env.mark(Mark { name: marks::TEE_REPAIRED, subject: &name.to_string() });
        }
        // Wrong bytes do not become right by waiting: once all other edges have responded, waiting does not help.
        let unread = (!local.was_read).then(|| "no other edge and no object holds all of it".to_owned());
        match why.or(unread) {
            Some(why) if is_damaged && lacks_bytes(merge) => Err(UploadError::Damaged(why)),
            _ => Ok(()),
        }
    }

    /// Merges the objects of other writers.
    async fn merge_objects(&self, name: TeeName, merge: &mut TeeMerge) -> Result<(), StoreError> {
        for object in self.store.list(&TeeObject::key_prefix(name)).await? {
            merge.add(&self.store.get(&object.key).await?);
        }
        Ok(())
    }

    /// Removes the local file, and notifies the other edges if it was this edge's file.
    async fn remove_local(&self, source: FileSource, name: TeeName) -> Result<(), UploadError> {
        match source {
            FileSource::Own => {
                remove_if_exists(self.env.disk(), &path(source, name)).await?;
                self.env.disk().sync_dir(OWN_DIR).await?;
                if !self.peers.notify_uploaded(name).await {
                    // A peer that holds a copy uploads it two hours after the hour.
                    self.env.mark(Mark { name: marks::TEE_PEER_NOTIFY_FAILED, subject: "" });
                }
            }
            FileSource::Peer => self.copies.remove(name).await?,
            // Closed by its upload.
            FileSource::Gap => {}
        }
        Ok(())
    }
}

fn path(source: FileSource, name: TeeName) -> String {
    match source {
        FileSource::Own => format!("{OWN_DIR}/{name}"),
        FileSource::Peer => format!("{PEER_DIR}/{name}"),
        FileSource::Gap => format!("{GAPS_DIR}/{name}"),
    }
}
