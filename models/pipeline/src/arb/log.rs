//! A small durable log: a header, then checksummed frames, each durable once `append` returns.
//!
//! A failed append or sync leaves the end of the file unknown. Such a log is cut back to its last durable length
//! (and that cut is synced) before anything else is written: a failed sync is never tried again and believed. Where
//! that happened while it was opened, it is written anew.

use super::api::ArbFailure;
use bytes::Bytes;
use latent_edge::frame::{self, End};
use latent_ports::{Disk, DiskErrorKind, File, OpenMode, read_full};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Paths of logs that this process failed to open: a sync that failed may have left in the cache, as if it were written,
/// what is on no disk, and no later sync would write it. Such a log is written anew, under another name first.
#[derive(Clone, Debug, Default)]
pub struct Distrusted(Arc<Mutex<BTreeSet<String>>>);

impl Distrusted {
    fn paths(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn contains(&self, path: &str) -> bool {
        self.paths().contains(path)
    }

    fn insert(&self, path: &str) {
        self.paths().insert(path.to_owned());
    }

    fn remove(&self, path: &str) {
        self.paths().remove(path);
    }
}

/// Writes what can be read of a log anew, whole frames only, and puts that in its place: what was durable stays so
/// until then. A log that is not there yet, or does not verify, is left alone.
async fn rewrite<D: Disk>(disk: &D, path: &str, header: &'static [u8]) -> Result<(), ArbFailure> {
    let file = match disk.open(path, OpenMode::Read).await {
        Err(error) if error.kind == DiskErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let size = file.size_bytes().await?;
    let bytes = read_full(&file, 0, size).await?;
    if bytes.len() < header.len() || !bytes.starts_with(header) {
        return Ok(());
    }
    let scan = frame::scan(&bytes, header.len());
    if matches!(scan.end, End::CorruptMiddle { .. }) {
        return Ok(());
    }
    put_whole(disk, path, bytes.slice(..scan.valid_bytes)).await?;
    disk.sync_dir(path.rsplit_once('/').map_or("", |(dir, _)| dir)).await?;
    Ok(())
}

/// Creates a log that is not there, with its header, under its name only once that is durable: what a crash leaves in a
/// file that was never synced may be anything, and could not be told from a header that has rotted.
pub(super) async fn create_if_absent<D: Disk>(
    disk: &D,
    path: &str,
    header: &'static [u8],
) -> Result<(), ArbFailure> {
    match disk.open(path, OpenMode::Read).await {
        Err(error) if error.kind == DiskErrorKind::NotFound => {
            put_whole(disk, path, Bytes::from_static(header)).await
        }
        Err(error) => Err(error.into()),
        Ok(_) => Ok(()),
    }
}

/// Puts a durable file of these bytes in the place of `path`. The caller syncs the directory.
pub(super) async fn put_whole<D: Disk>(disk: &D, path: &str, bytes: Bytes) -> Result<(), ArbFailure> {
    let unfinished = format!("{path}.tmp");
    match disk.remove(&unfinished).await {
        Err(error) if error.kind != DiskErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let file = disk.open(&unfinished, OpenMode::CreateNew).await?;
    file.append(bytes).await?;
    file.sync().await?;
    disk.rename(&unfinished, path).await?;
    Ok(())
}

/// An open log.
pub struct DurableLog<F> {
    file: F,
    path: String,
    header: &'static [u8],
    durable_bytes: u64,
    end_unknown: bool,
    cut_bytes: u64,
}

impl<F: File> DurableLog<F> {
    /// Opens or creates a log. Returns the payloads of its frames. A torn tail is cut; a corrupt middle is an error.
    /// The caller syncs the directory when the log is new.
    ///
    /// # Errors
    /// When the disk fails, or the log does not verify.
    pub async fn open<D: Disk<File = F>>(
        disk: &D,
        path: &str,
        header: &'static [u8],
        distrusted: &Distrusted,
    ) -> Result<(Self, Vec<Bytes>), ArbFailure> {
        if distrusted.contains(path) {
            rewrite(disk, path, header).await?;
            distrusted.remove(path);
        }
        let opened = Self::open_trusted(disk, path, header).await;
        if let Err(ArbFailure::Disk(_)) = &opened {
            distrusted.insert(path);
        }
        opened
    }

    async fn open_trusted<D: Disk<File = F>>(
        disk: &D,
        path: &str,
        header: &'static [u8],
    ) -> Result<(Self, Vec<Bytes>), ArbFailure> {
        let file = disk.open(path, OpenMode::Create).await.map_err(ArbFailure::from)?;
        let size = file.size_bytes().await?;
        let bytes = read_full(&file, 0, size).await?;
        let mut log = DurableLog {
            file,
            path: path.to_owned(),
            header,
            durable_bytes: 0,
            end_unknown: false,
            cut_bytes: 0,
        };
        let unwritten = bytes.iter().all(|byte| *byte == 0);
        if bytes.len() < header.len() || unwritten {
            // Cut off while it was created: nothing in it was ever acknowledged.
            log.end_unknown = size > 0;
            log.cut_bytes = size;
            log.put(Bytes::from_static(header)).await?;
            return Ok((log, Vec::new()));
        }
        if !bytes.starts_with(header) {
            return Err(ArbFailure::Corrupt(format!("header of {path}")));
        }
        let scan = frame::scan(&bytes, header.len());
        log.durable_bytes = scan.valid_bytes as u64;
        match scan.end {
            // What an earlier process wrote and never synced reads well and may still be lost.
            End::Clean => log.file.sync().await?,
            End::TornTail { .. } => {
                log.end_unknown = true;
                log.cut_bytes = size - log.durable_bytes;
            }
            End::CorruptMiddle { .. } => {
                return Err(ArbFailure::Corrupt(format!("{path} at byte {}", scan.valid_bytes)));
            }
        }
        log.settle_end().await?;
        Ok((log, scan.payloads))
    }

    /// Appends one frame and makes it durable.
    pub async fn append(&mut self, payload: &[u8]) -> Result<(), ArbFailure> {
        let framed = frame::encode_frame(payload)
            .map_err(|error| ArbFailure::Refused(format!("{}: {error}", self.path)))?;
        self.put(framed).await
    }

    async fn put(&mut self, bytes: Bytes) -> Result<(), ArbFailure> {
        self.settle_end().await?;
        let len = bytes.len() as u64;
        self.end_unknown = true;
        self.file.append(bytes).await?;
        self.file.sync().await?;
        self.end_unknown = false;
        self.durable_bytes += len;
        Ok(())
    }

    /// Reads back what is durable: a log that could not be read at the next boot is found today.
    ///
    /// # Errors
    /// When the device cannot read it, or it does not verify.
    pub async fn verify(&self) -> Result<(), ArbFailure> {
        let bytes = read_full(&self.file, 0, self.durable_bytes).await?;
        if !bytes.starts_with(self.header) {
            return Err(ArbFailure::Corrupt(format!("header of {}", self.path)));
        }
        let scan = frame::scan(&bytes, self.header.len());
        if bytes.len() as u64 == self.durable_bytes && scan.end == End::Clean {
            return Ok(());
        }
        Err(ArbFailure::Corrupt(format!("{} at byte {}", self.path, scan.valid_bytes)))
    }

    /// Cuts off what a failed append may have left behind the last durable frame.
    ///
    /// # Errors
    /// When the disk fails: the end is then still unknown.
    pub async fn settle_end(&mut self) -> Result<(), ArbFailure> {
        if self.end_unknown {
            self.file.truncate(self.durable_bytes).await?;
            self.file.sync().await?;
            self.end_unknown = false;
        }
        Ok(())
    }

    /// How many bytes were cut off when it was opened: a write that a crash tore, or frames that rotted at the end.
    pub fn cut_bytes(&self) -> u64 {
        self.cut_bytes
    }

    /// Its path.
    pub fn path(&self) -> &str {
        &self.path
    }
}
