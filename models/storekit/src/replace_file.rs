//! Durable replacement of a whole file.
//!
//! Writes `PATH.tmp`, syncs it, renames it to `PATH` and syncs the directory, so that a crash at any step leaves either
//! the old or the new file under the name, whole. After a failure:
//!
//! - Removal of a leftover temporary file: nothing has changed.
//! - Creation, append or sync of the temporary file: `PATH` has its old bytes. The temporary file stays, with unknown
//!   contents, and uses space until the next replacement removes it. It is never written again: bytes of a failed sync
//!   may still be in the cache and must not get into another file.
//! - Rename: `PATH` has its old bytes, and the temporary file stays.
//! - Sync of the directory: this process sees the new file; a crash may bring the old one back. The caller must not
//!   report the new file as durable before a later sync of the directory succeeds.
//!
//! Not used by the object store's files, which say why, nor where a directory or a log under another name is moved.

use crate::files::remove_if_exists;
use bytes::Bytes;
use latent_ports::{Disk, DiskError, File, OpenMode};

/// Treatment of a temporary file that an earlier replacement left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leftover {
    /// Removes it first.
    Remove,
    /// Fails if it exists. For names that are never used twice: one operation less.
    Refuse,
}

/// Party that makes the new name durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameSync {
    /// This routine syncs the directory. The file is durable on return.
    Now,
    /// The caller syncs the directory, once for several files or together with other names.
    ByCaller,
}

/// Replaces the file `path`, or creates it, with `bytes`. Returns the new file, open.
///
/// # Errors
/// The disk fails; the module's documentation says what is on it then.
pub async fn replace_file<D: Disk>(
    disk: &D,
    path: &str,
    bytes: Bytes,
    leftover: Leftover,
    name_sync: NameSync,
) -> Result<D::File, DiskError> {
    let temporary = format!("{path}.tmp");
    if leftover == Leftover::Remove {
        remove_if_exists(disk, &temporary).await?;
    }
    let file = disk.open(&temporary, OpenMode::CreateNew).await?;
    file.append(bytes).await?;
    file.sync().await?;
    disk.rename(&temporary, path).await?;
    if name_sync == NameSync::Now {
        disk.sync_dir(path.rsplit_once('/').map_or("", |(dir, _)| dir)).await?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::FutureExt;
    use latent_ports::{DirEntry, DiskErrorKind, DiskOp};
    use std::sync::{Arc, Mutex};

    /// Disk that holds nothing, records its operations and fails one of them.
    #[derive(Clone, Default)]
    struct RecordingDisk {
        operations: Arc<Mutex<Vec<String>>>,
        fails: Option<DiskOp>,
        has_leftover: bool,
        opened: String,
    }

    impl RecordingDisk {
        fn record(&self, op: DiskOp, path: &str, kind: DiskErrorKind) -> Result<(), DiskError> {
            self.operations.lock().unwrap().push(format!("{op:?} {path}"));
            if self.fails == Some(op) {
                return Err(DiskError { kind, op, path: path.to_owned() });
            }
            Ok(())
        }

        fn replace(&self, path: &str, leftover: Leftover, name_sync: NameSync) -> (bool, String) {
            let replaced = replace_file(self, path, Bytes::from_static(b"new"), leftover, name_sync);
            let is_ok = replaced.now_or_never().expect("the disk never waits").is_ok();
            (is_ok, std::mem::take(&mut *self.operations.lock().unwrap()).join(", "))
        }
    }

    impl Disk for RecordingDisk {
        type File = RecordingDisk;

        async fn open(&self, path: &str, mode: OpenMode) -> Result<RecordingDisk, DiskError> {
            assert_eq!(mode, OpenMode::CreateNew);
            self.record(DiskOp::Open, path, DiskErrorKind::Io)?;
            Ok(RecordingDisk { opened: path.to_owned(), ..self.clone() })
        }

        async fn create_dir(&self, _: &str) -> Result<(), DiskError> {
            unreachable!("a replacement creates no directory")
        }

        async fn remove_dir(&self, _: &str) -> Result<(), DiskError> {
            unreachable!("a replacement removes no directory")
        }

        async fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
            self.record(DiskOp::Rename, &format!("{from} to {to}"), DiskErrorKind::Io)
        }

        async fn remove(&self, path: &str) -> Result<(), DiskError> {
            self.record(DiskOp::Remove, path, DiskErrorKind::Io)?;
            let (kind, op) = (DiskErrorKind::NotFound, DiskOp::Remove);
            if self.has_leftover { Ok(()) } else { Err(DiskError { kind, op, path: path.to_owned() }) }
        }

        async fn list(&self, _: &str) -> Result<Vec<DirEntry>, DiskError> {
            unreachable!("a replacement lists no directory")
        }

        async fn sync_dir(&self, path: &str) -> Result<(), DiskError> {
            self.record(DiskOp::SyncDir, path, DiskErrorKind::Io)
        }
    }

    impl File for RecordingDisk {
        async fn append(&self, data: Bytes) -> Result<u64, DiskError> {
            assert_eq!(data, "new");
            self.record(DiskOp::Append, &self.opened, DiskErrorKind::NoSpace).map(|()| 0)
        }

        async fn write_at(&self, _: u64, _: Bytes) -> Result<(), DiskError> {
            unreachable!("a replacement only appends")
        }

        async fn truncate(&self, _: u64) -> Result<(), DiskError> {
            unreachable!("a replacement only appends")
        }

        async fn read_at(&self, _: u64, _: u64) -> Result<Bytes, DiskError> {
            unreachable!("a replacement only appends")
        }

        fn path(&self) -> &str {
            &self.opened
        }

        async fn size_bytes(&self) -> Result<u64, DiskError> {
            unreachable!("a replacement only appends")
        }

        async fn sync(&self) -> Result<(), DiskError> {
            self.record(DiskOp::Sync, &self.opened, DiskErrorKind::Io)
        }
    }

    const WRITTEN: &str = "Open d/f.tmp, Append d/f.tmp, Sync d/f.tmp, Rename d/f.tmp to d/f";

    #[test]
    fn the_bytes_are_durable_before_the_name_and_the_name_on_return() {
        for has_leftover in [false, true] {
            let disk = RecordingDisk { has_leftover, ..RecordingDisk::default() };
            let (is_ok, operations) = disk.replace("d/f", Leftover::Remove, NameSync::Now);
            assert_eq!((is_ok, operations), (true, format!("Remove d/f.tmp, {WRITTEN}, SyncDir d")));
        }
        let disk = RecordingDisk::default();
        let fewest = disk.replace("d/f", Leftover::Refuse, NameSync::ByCaller);
        assert_eq!(fewest, (true, WRITTEN.to_owned()));
        assert!(disk.replace("f", Leftover::Refuse, NameSync::Now).1.ends_with(", SyncDir "), "at the root");
    }

    #[test]
    fn nothing_follows_a_failed_operation() {
        let all = format!("Remove d/f.tmp, {WRITTEN}, SyncDir d");
        for fails in
            [DiskOp::Remove, DiskOp::Open, DiskOp::Append, DiskOp::Sync, DiskOp::Rename, DiskOp::SyncDir]
        {
            let disk = RecordingDisk { fails: Some(fails), ..RecordingDisk::default() };
            let (is_ok, operations) = disk.replace("d/f", Leftover::Remove, NameSync::Now);
            assert!(!is_ok && all.starts_with(&operations), "{fails:?}: {operations}");
            let last = operations.split(", ").last().unwrap();
            assert!(last.starts_with(&format!("{fails:?} ")), "{operations}");
        }
    }
}
