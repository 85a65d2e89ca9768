//! Copies of other edges' tee files.
//!
//! A chunk is answered with `Durable` only when the copy is known to be durable up to the chunk's end. Duplicate and
//! late chunks are compared with the existing bytes. If a copy's state is uncertain (it was started before this boot,
//! or an append or sync failed), its readable prefix is written to a new file that replaces it: a failed sync is never
//! retried and trusted.

use super::record::TeeName;
use super::{PEER_DIR, merge};
use crate::marks;
use crate::tee::calls::{TeeCopy, TeeCopyResponse};
use bytes::Bytes;
use latent_ports::{Disk, DiskError, DiskErrorKind, Env, File, Mark, OpenMode};
use latent_storekit::files::{read_exactly, read_file, remove_if_exists};
use latent_storekit::replace_file::{Leftover, NameSync, replace_file};
use std::collections::BTreeMap;
use tokio::sync::Mutex;

type DiskFile<E> = <<E as Env>::Disk as Disk>::File;

/// Copies that were written since boot.
pub(crate) struct PeerCopies<E: Env> {
    env: E,
    open: Mutex<BTreeMap<TeeName, OpenCopy<DiskFile<E>>>>,
}

/// Copy whose first `durable_bytes` bytes are durable, and which has no further bytes.
struct OpenCopy<F> {
    file: F,
    durable_bytes: u64,
}

impl<E: Env> PeerCopies<E> {
    pub(crate) fn new(env: E) -> PeerCopies<E> {
        PeerCopies { env, open: Mutex::new(BTreeMap::new()) }
    }

    /// Stores a chunk. Returns the response, and whether the copy is new on this disk.
    pub(crate) async fn store(&self, chunk: TeeCopy, bytes: Bytes) -> (TeeCopyResponse, bool) {
        let mut all = self.open.lock().await;
        let known = all.contains_key(&chunk.name);
        // The copy is removed from the map while it is written: after an error its state is unknown, and it is
        // rewritten next time.
        let stored = match all.remove(&chunk.name) {
            Some(copy) => Ok(copy),
            None => self.open(chunk.name).await,
        };
        let stored = match stored {
            Ok(copy) => self.append_chunk(copy, chunk, bytes).await,
            Err(error) => Err(error),
        };
        match stored {
            Ok((copy, answer)) => {
                all.insert(chunk.name, copy);
                (answer, !known)
            }
            Err(error) => {
                self.env.mark(Mark { name: marks::TEE_COPY_FAILED, subject: &error.to_string() });
                (TeeCopyResponse::Failed, !known)
            }
        }
    }

    async fn append_chunk(
        &self,
        mut copy: OpenCopy<DiskFile<E>>,
        chunk: TeeCopy,
        bytes: Bytes,
    ) -> Result<(OpenCopy<DiskFile<E>>, TeeCopyResponse), DiskError> {
        if chunk.offset > copy.durable_bytes {
            let have_bytes = copy.durable_bytes;
            return Ok((copy, TeeCopyResponse::Behind { have_bytes }));
        }
        let overlap = (copy.durable_bytes - chunk.offset).min(bytes.len() as u64);
        if overlap > 0 {
            let existing = read_exactly(&copy.file, &path(chunk.name), chunk.offset, overlap).await?;
            if existing != bytes.slice(..overlap as usize) {
                self.env.mark(Mark { name: marks::TEE_COPY_DIFFERS, subject: &chunk.name.to_string() });
                return Ok((copy, TeeCopyResponse::Closed));
            }
        }
        let new = bytes.slice(overlap as usize..);
        if !new.is_empty() {
            let len = new.len() as u64;
            let at = copy.file.append(new).await?;
            copy.file.sync().await?;
            if at != copy.durable_bytes {
                // Another writer appended to the file, so its contents are unknown.
                return Err(DiskError {
                    kind: DiskErrorKind::Io,
                    op: latent_ports::DiskOp::Append,
                    path: path(chunk.name),
                });
            }
            copy.durable_bytes += len;
        }
        Ok((copy, TeeCopyResponse::Durable))
    }

    /// Starts a copy, or replaces one in uncertain state with its readable prefix.
    async fn open(&self, name: TeeName) -> Result<OpenCopy<DiskFile<E>>, DiskError> {
        let disk = self.env.disk();
        let path = path(name);
        match disk.open(&path, OpenMode::CreateNew).await {
            Ok(file) => {
                // The name must be durable before the first chunk, or a crash could lose durable bytes.
                disk.sync_dir(PEER_DIR).await?;
                return Ok(OpenCopy { file, durable_bytes: 0 });
            }
            Err(error) if error.kind != DiskErrorKind::AlreadyExists => return Err(error),
            Err(_) => {}
        }
        let doubtful = read_file(disk, &path).await?.unwrap_or_default();
        let keep = merge::valid_prefix(name, &doubtful);
        let durable_bytes = keep.len() as u64;
        self.env.mark(Mark { name: marks::TEE_COPY_REWRITTEN, subject: &name.to_string() });
        let file = replace_file(disk, &path, keep, Leftover::Remove, NameSync::Now).await?;
        Ok(OpenCopy { file, durable_bytes })
    }

    /// Removes a copy, durably.
    pub(crate) async fn remove(&self, name: TeeName) -> Result<(), DiskError> {
        let mut all = self.open.lock().await;
        all.remove(&name);
        remove_if_exists(self.env.disk(), &path(name)).await?;
        self.env.disk().sync_dir(PEER_DIR).await
    }
}

fn path(name: TeeName) -> String {
    format!("{PEER_DIR}/{name}")
}
