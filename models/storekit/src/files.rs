//! Whole reads of files, and creation and removal that may be repeated.

use bytes::{Bytes, BytesMut};
use latent_ports::{Disk, DiskError, DiskErrorKind, DiskOp, File, OpenMode, read_full};

/// Maximum size of one read, in bytes.
const CHUNK_BYTES: u64 = 8 << 20;

/// Reads a whole file; `None` when the file does not exist.
///
/// Short reads are continued.
///
/// # Errors
/// The disk fails, or the file ends before its reported size.
pub async fn read_file<D: Disk>(disk: &D, path: &str) -> Result<Option<Bytes>, DiskError> {
    let file = match disk.open(path, OpenMode::Read).await {
        Ok(file) => file,
        Err(error) if error.kind == DiskErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let size = file.size_bytes().await?;
    Ok(Some(read_exactly(&file, path, 0, size).await?))
}

/// Returns the length of a file. It may be known even if the bytes cannot be read.
///
/// # Errors
/// The file does not exist, or the disk fails.
pub async fn file_len<D: Disk>(disk: &D, path: &str) -> Result<usize, DiskError> {
    let len_bytes = disk.open(path, OpenMode::Read).await?.size_bytes().await?;
    Ok(usize::try_from(len_bytes).unwrap_or(usize::MAX))
}

/// Reads exactly `len_bytes` of the file from `offset`.
///
/// # Errors
/// The disk fails, or the file ends early; `path` is named in the error.
pub async fn read_exactly<F: File>(
    file: &F,
    path: &str,
    offset: u64,
    len_bytes: u64,
) -> Result<Bytes, DiskError> {
    let mut out = BytesMut::new();
    while (out.len() as u64) < len_bytes {
        let missing = len_bytes - out.len() as u64;
        let chunk_bytes = missing.min(CHUNK_BYTES);
        let chunk = read_full(file, offset + out.len() as u64, chunk_bytes).await?;
        if (chunk.len() as u64) < chunk_bytes {
            return Err(DiskError { kind: DiskErrorKind::Io, op: DiskOp::Read, path: path.to_owned() });
        }
        if chunk.len() as u64 == len_bytes {
            return Ok(chunk);
        }
        out.extend_from_slice(&chunk);
    }
    Ok(out.freeze())
}

/// Creates a directory at the root if it does not exist. The caller syncs the root.
///
/// # Errors
/// The disk fails.
pub async fn ensure_dir<D: Disk>(disk: &D, dir: &str) -> Result<(), DiskError> {
    match disk.create_dir(dir).await {
        Err(error) if error.kind != DiskErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Removes a file if it exists. The caller syncs the directory.
///
/// # Errors
/// The disk fails.
pub async fn remove_if_exists<D: Disk>(disk: &D, path: &str) -> Result<(), DiskError> {
    match disk.remove(path).await {
        Err(error) if error.kind != DiskErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
