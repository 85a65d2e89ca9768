//! What this edge keeps for its peer: the second copy of the peer's tee files.
//!
//! A piece is answered `Durable` only when the copy is known to be durable up to its end. Doubled and late pieces
//! are compared with what is there. When a copy's state is in doubt (it was begun before this boot, or an append
//! or sync failed), what can be read of it is written to a new file that replaces it: a failed sync is never tried
//! again and believed.

use super::record::TeeName;
use super::{PEER_DIR, merge};
use crate::local::{read_exactly, read_file, replace};
use crate::message::{TeeCopy, TeeCopyAnswer};
use bytes::Bytes;
use latent_ports::{Disk, DiskError, DiskErrorKind, Env, File, Mark, OpenMode};
use std::collections::BTreeMap;
use tokio::sync::Mutex;

type FileOf<E> = <<E as Env>::Disk as Disk>::File;

/// The peer's files, as far as they were touched since this boot.
pub(crate) struct Copies<E: Env> {
    env: E,
    open: Mutex<BTreeMap<TeeName, Open<FileOf<E>>>>,
}

/// A copy whose bytes up to `durable_bytes` are known to be durable, and which has no others.
struct Open<F> {
    file: F,
    durable_bytes: u64,
}

impl<E: Env> Copies<E> {
    pub(crate) fn new(env: E) -> Copies<E> {
        Copies { env, open: Mutex::new(BTreeMap::new()) }
    }

    /// Keeps a piece. `true` beside the answer when the copy is new on this disk.
    pub(crate) async fn keep(&self, piece: TeeCopy, bytes: Bytes) -> (TeeCopyAnswer, bool) {
        let mut all = self.open.lock().await;
        let known = all.contains_key(&piece.name);
        // Taken out while it is written: after an error nothing is known of it, and it is rewritten next time.
        let kept = match all.remove(&piece.name) {
            Some(copy) => Ok(copy),
            None => self.open(piece.name).await,
        };
        let kept = match kept {
            Ok(copy) => self.keep_in(copy, piece, bytes).await,
            Err(error) => Err(error),
        };
        match kept {
            Ok((copy, answer)) => {
                all.insert(piece.name, copy);
                (answer, !known)
            }
            Err(error) => {
                self.env.mark(Mark { name: "tee.copy-failed", subject: &error.to_string() });
                (TeeCopyAnswer::Failed, !known)
            }
        }
    }

    async fn keep_in(
        &self,
        mut copy: Open<FileOf<E>>,
        piece: TeeCopy,
        bytes: Bytes,
    ) -> Result<(Open<FileOf<E>>, TeeCopyAnswer), DiskError> {
        if piece.offset > copy.durable_bytes {
            let have_bytes = copy.durable_bytes;
            return Ok((copy, TeeCopyAnswer::Behind { have_bytes }));
        }
        let overlap = (copy.durable_bytes - piece.offset).min(bytes.len() as u64);
        if overlap > 0 {
            let here = read_exactly(&copy.file, &path(piece.name), piece.offset, overlap).await?;
            if here != bytes.slice(..overlap as usize) {
                self.env.mark(Mark { name: "tee.copy-differs", subject: &piece.name.to_string() });
                return Ok((copy, TeeCopyAnswer::Closed));
            }
        }
        let new = bytes.slice(overlap as usize..);
        if !new.is_empty() {
            let len = new.len() as u64;
            let at = copy.file.append(new).await?;
            copy.file.sync().await?;
            if at != copy.durable_bytes {
                // Someone else wrote to it: what stands there is not known.
                return Err(DiskError {
                    kind: DiskErrorKind::Io,
                    op: latent_ports::DiskOp::Append,
                    path: path(piece.name),
                });
            }
            copy.durable_bytes += len;
        }
        Ok((copy, TeeCopyAnswer::Durable))
    }

    /// Begins a copy, or replaces one whose state is in doubt by what can be read of it.
    async fn open(&self, name: TeeName) -> Result<Open<FileOf<E>>, DiskError> {
        let disk = self.env.disk();
        let path = path(name);
        match disk.open(&path, OpenMode::CreateNew).await {
            Ok(file) => {
                // Durable before the first piece is: the name must not vanish from under durable bytes.
                disk.sync_dir(PEER_DIR).await?;
                return Ok(Open { file, durable_bytes: 0 });
            }
            Err(error) if error.kind != DiskErrorKind::AlreadyExists => return Err(error),
            Err(_) => {}
        }
        let doubtful = read_file(disk, &path).await?.unwrap_or_default();
        let keep = merge::valid_prefix(name, &doubtful);
        let durable_bytes = keep.len() as u64;
        self.env.mark(Mark { name: "tee.copy-rewritten", subject: &name.to_string() });
        let file = replace(disk, PEER_DIR, &name.to_string(), keep).await?;
        Ok(Open { file, durable_bytes })
    }

    /// Removes a copy, durably.
    pub(crate) async fn remove(&self, name: TeeName) -> Result<(), DiskError> {
        let mut all = self.open.lock().await;
        all.remove(&name);
        crate::local::remove_if_there(self.env.disk(), &path(name)).await?;
        self.env.disk().sync_dir(PEER_DIR).await
    }
}

fn path(name: TeeName) -> String {
    format!("{PEER_DIR}/{name}")
}
