//! Small durable log: a header, then checksummed frames, each durable once `append` returns.
//!
//! After a failed append or sync the end of the file is unknown. The log is then truncated to its last durable length,
//! and the truncation is synced, before anything else is written: a failed sync is never retried and trusted. If this
//! happened while the log was opened, it is rewritten.

use super::api::ArbFailure;
use bytes::Bytes;
use latent_ports::{Disk, DiskErrorKind, File, OpenMode, read_full};
use latent_storekit::frame::{self, ScanEnd};
use latent_storekit::replace_file::{Leftover, NameSync, replace_file};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Paths of logs that this process failed to open. A failed sync may have left data in the cache that looks written but
/// is on no disk, and later syncs would not write it. Such a log is rewritten under a temporary name first.
#[derive(Clone, Debug, Default)]
pub struct UntrustedLogs(Arc<Mutex<BTreeSet<String>>>);

impl UntrustedLogs {
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

/// Rewrites a log and replaces it, so durable data stays durable. A torn tail stays, for the log's owner to judge. A log
/// that does not exist, or fails verification, is left unchanged.
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
    if matches!(scan.end, ScanEnd::CorruptMiddle { .. }) {
        return Ok(());
    }
    replace_file(disk, path, bytes, Leftover::Remove, NameSync::Now).await?;
    Ok(())
}

/// Creates a log with its header if it does not exist. The log receives its name only after the header is durable: a
/// crash may leave arbitrary bytes in a file that was never synced, and those could not be distinguished from a rotten
/// header. The caller syncs the directory.
async fn create_if_absent<D: Disk>(disk: &D, path: &str, header: &'static [u8]) -> Result<(), ArbFailure> {
    match disk.open(path, OpenMode::Read).await {
        Err(error) if error.kind == DiskErrorKind::NotFound => {
            let header = Bytes::from_static(header);
            replace_file(disk, path, header, Leftover::Remove, NameSync::ByCaller).await?;
            Ok(())
        }
        Err(error) => Err(error.into()),
        Ok(_) => Ok(()),
    }
}

/// When a log gets its header, which decides what a missing one means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderTime {
    /// Before its name ([`create_if_absent`]): a log that is longer than its header and has none has lost it. A shorter
    /// one holds nothing, wherever its header went.
    BeforeName,
    /// After its name: a crash may come between.
    AfterName,
}

/// A log as it was found.
pub(super) struct OpenedLog<F> {
    pub log: DurableLog<F>,
    /// Payloads of its frames.
    pub payloads: Vec<Bytes>,
    /// Number of bytes at its end that are no frame: a write torn by a crash, or frames that rotted.
    pub torn_bytes: u64,
}

impl<F: File> OpenedLog<F> {
    /// Truncates the torn tail, and writes the header of a new log.
    pub async fn repair(&mut self, untrusted: &UntrustedLogs) -> Result<(), ArbFailure> {
        let repaired = self.log.repair_tail().await;
        if let Err(ArbFailure::Disk(_)) = &repaired {
            untrusted.insert(&self.log.path);
        }
        repaired
    }
}

/// An open log.
pub struct DurableLog<F> {
    file: F,
    path: String,
    header: &'static [u8],
    durable_bytes: u64,
    is_tail_unknown: bool,
    /// Whether the tail is unknown because the disk was full.
    is_cut_by_full_disk: bool,
}

impl<F: File> DurableLog<F> {
    /// Opens or creates a log. Returns the payloads of its frames. A torn tail is truncated; a corrupt middle is an
    /// error. The caller syncs the directory when the log is new.
    ///
    /// # Errors
    /// The disk fails, or the log fails verification.
    pub async fn open<D: Disk<File = F>>(
        disk: &D,
        path: &str,
        header: &'static [u8],
        untrusted: &UntrustedLogs,
    ) -> Result<(Self, Vec<Bytes>), ArbFailure> {
        Self::open_repaired(disk, path, header, HeaderTime::AfterName, untrusted).await
    }

    /// As [`DurableLog::open`], for a log that gets its name only with its header.
    pub(super) async fn open_named<D: Disk<File = F>>(
        disk: &D,
        path: &str,
        header: &'static [u8],
        untrusted: &UntrustedLogs,
    ) -> Result<(Self, Vec<Bytes>), ArbFailure> {
        create_if_absent(disk, path, header).await?;
        Self::open_repaired(disk, path, header, HeaderTime::BeforeName, untrusted).await
    }

    async fn open_repaired<D: Disk<File = F>>(
        disk: &D,
        path: &str,
        header: &'static [u8],
        header_time: HeaderTime,
        untrusted: &UntrustedLogs,
    ) -> Result<(Self, Vec<Bytes>), ArbFailure> {
        let mut opened = Self::open_with_tail(disk, path, header, header_time, untrusted).await?;
        opened.repair(untrusted).await?;
        Ok((opened.log, opened.payloads))
    }

    /// As [`DurableLog::open`], but leaves a torn tail, and a header that is missing, to [`OpenedLog::repair`].
    pub(super) async fn open_with_tail<D: Disk<File = F>>(
        disk: &D,
        path: &str,
        header: &'static [u8],
        header_time: HeaderTime,
        untrusted: &UntrustedLogs,
    ) -> Result<OpenedLog<F>, ArbFailure> {
        if untrusted.contains(path) {
            rewrite(disk, path, header).await?;
            untrusted.remove(path);
        }
        let opened = Self::open_trusted(disk, path, header, header_time).await;
        if let Err(ArbFailure::Disk(_)) = &opened {
            untrusted.insert(path);
        }
        opened
    }

    async fn open_trusted<D: Disk<File = F>>(
        disk: &D,
        path: &str,
        header: &'static [u8],
        header_time: HeaderTime,
    ) -> Result<OpenedLog<F>, ArbFailure> {
        let file = disk.open(path, OpenMode::Create).await.map_err(ArbFailure::from)?;
        let size = file.size_bytes().await?;
        let bytes = read_full(&file, 0, size).await?;
        let mut log = DurableLog {
            file,
            path: path.to_owned(),
            header,
            durable_bytes: 0,
            is_tail_unknown: false,
            is_cut_by_full_disk: false,
        };
        let unwritten = bytes.iter().all(|byte| *byte == 0);
        let has_no_header = bytes.len() < header.len() || unwritten;
        if has_no_header && (header_time == HeaderTime::AfterName || bytes.len() <= header.len()) {
            // Interrupted while it was created: nothing in it was ever acknowledged.
            log.is_tail_unknown = size > 0;
            return Ok(OpenedLog { log, payloads: Vec::new(), torn_bytes: size });
        }
        if !bytes.starts_with(header) {
            return Err(ArbFailure::Corrupt(format!("header of {path}")));
        }
        let scan = frame::scan(&bytes, header.len());
        log.durable_bytes = scan.valid_bytes as u64;
        let torn_bytes = size - log.durable_bytes;
        match scan.end {
            // Data that an earlier process wrote and never synced is readable and may still be lost.
            ScanEnd::Clean => log.file.sync().await?,
            ScanEnd::TornTail { .. } => {
                log.is_tail_unknown = true;
            }
            ScanEnd::CorruptMiddle { .. } => {
                return Err(ArbFailure::Corrupt(format!("{path} at byte {}", scan.valid_bytes)));
            }
        }
        Ok(OpenedLog { log, payloads: scan.payloads, torn_bytes })
    }

    /// Appends one frame and makes it durable.
    pub async fn append(&mut self, payload: &[u8]) -> Result<(), ArbFailure> {
        let framed = frame::encode_frame(payload)
            .map_err(|error| ArbFailure::Refused(format!("{}: {error}", self.path)))?;
        self.put(framed).await
    }

    async fn put(&mut self, bytes: Bytes) -> Result<(), ArbFailure> {
        self.repair_tail().await?;
        self.put_at_end(bytes).await
    }

    async fn put_at_end(&mut self, bytes: Bytes) -> Result<(), ArbFailure> {
        let len = bytes.len() as u64;
        self.is_tail_unknown = true;
        let appended = self.file.append(bytes).await;
        self.is_cut_by_full_disk = appended.as_ref().is_err_and(|e| e.kind == DiskErrorKind::NoSpace);
        appended?;
        self.file.sync().await?;
        self.is_tail_unknown = false;
        self.durable_bytes += len;
        Ok(())
    }

    /// Whether a failed append may have left something after the last durable frame.
    pub(super) fn is_tail_unknown(&self) -> bool {
        self.is_tail_unknown
    }

    /// Counts what a full disk left of an append as durable, for a planted bug. Returns whether it left something.
    pub(super) async fn accept_cut_append(&mut self) -> Result<bool, ArbFailure> {
        if !self.is_tail_unknown || !self.is_cut_by_full_disk {
            return Ok(false);
        }
        let before = std::mem::replace(&mut self.durable_bytes, self.file.size_bytes().await?);
        self.is_tail_unknown = false;
        Ok(before < self.durable_bytes)
    }

    /// Reads back the durable part, so that a log that would be unreadable at the next boot is found now.
    ///
    /// # Errors
    /// The device cannot read it, or it fails verification.
    pub async fn verify(&self) -> Result<(), ArbFailure> {
        let bytes = read_full(&self.file, 0, self.durable_bytes).await?;
        if !bytes.starts_with(self.header) {
            return Err(ArbFailure::Corrupt(format!("header of {}", self.path)));
        }
        let scan = frame::scan(&bytes, self.header.len());
        if bytes.len() as u64 == self.durable_bytes && scan.end == ScanEnd::Clean {
            return Ok(());
        }
        Err(ArbFailure::Corrupt(format!("{} at byte {}", self.path, scan.valid_bytes)))
    }

    /// Truncates what a failed append may have left after the last durable frame. Writes the header of a new log.
    ///
    /// # Errors
    /// The disk fails; the end is then still unknown.
    pub async fn repair_tail(&mut self) -> Result<(), ArbFailure> {
        if self.is_tail_unknown {
            self.file.truncate(self.durable_bytes).await?;
            self.file.sync().await?;
            self.is_tail_unknown = false;
        }
        if self.durable_bytes == 0 {
            self.put_at_end(Bytes::from_static(self.header)).await?;
        }
        Ok(())
    }
}
