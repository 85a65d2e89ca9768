//! Files on the edge's own disk: whole reads, durable replacement.

use bytes::{Bytes, BytesMut};
use latent_ports::{Disk, DiskError, DiskErrorKind, DiskOp, File, OpenMode, read_full};

/// One read asks for at most so much, in bytes.
const PIECE_BYTES: u64 = 8 << 20;

/// The whole file; `None` when there is no such file.
///
/// A read that gives fewer bytes than were asked for is asked again; a file that ends too early is an error.
pub(crate) async fn read_file<D: Disk>(disk: &D, path: &str) -> Result<Option<Bytes>, DiskError> {
    let file = match disk.open(path, OpenMode::Read).await {
        Ok(file) => file,
        Err(error) if error.kind == DiskErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let size = file.size_bytes().await?;
    Ok(Some(read_exactly(&file, path, 0, size).await?))
}

/// Length of the file, which may be known where its bytes cannot be read.
pub(crate) async fn file_bytes<D: Disk>(disk: &D, path: &str) -> Result<usize, DiskError> {
    let len_bytes = disk.open(path, OpenMode::Read).await?.size_bytes().await?;
    Ok(usize::try_from(len_bytes).unwrap_or(usize::MAX))
}

/// `len_bytes` of the file from `offset`, all of them.
pub(crate) async fn read_exactly<F: File>(
    file: &F,
    path: &str,
    offset: u64,
    len_bytes: u64,
) -> Result<Bytes, DiskError> {
    let mut out = BytesMut::new();
    while (out.len() as u64) < len_bytes {
        let missing = len_bytes - out.len() as u64;
        let wanted = missing.min(PIECE_BYTES);
        let piece = read_full(file, offset + out.len() as u64, wanted).await?;
        if (piece.len() as u64) < wanted {
            return Err(DiskError { kind: DiskErrorKind::Io, op: DiskOp::Read, path: path.to_owned() });
        }
        if piece.len() as u64 == len_bytes {
            return Ok(piece);
        }
        out.extend_from_slice(&piece);
    }
    Ok(out.freeze())
}

/// Makes a directory at the root, if it is not there. The caller syncs the root.
pub(crate) async fn ensure_dir<D: Disk>(disk: &D, dir: &str) -> Result<(), DiskError> {
    match disk.create_dir(dir).await {
        Err(error) if error.kind != DiskErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Removes a file, if it is there. The caller syncs the directory.
pub(crate) async fn remove_if_there<D: Disk>(disk: &D, path: &str) -> Result<(), DiskError> {
    match disk.remove(path).await {
        Err(error) if error.kind != DiskErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Replaces `dir/name` by `bytes`: a new file, synced, renamed, its directory synced. After an error the old file
/// or the new one is there. Returns the new file, open.
pub(crate) async fn replace<D: Disk>(
    disk: &D,
    dir: &str,
    name: &str,
    bytes: Bytes,
) -> Result<D::File, DiskError> {
    let path = format!("{dir}/{name}");
    let temporary = format!("{path}.tmp");
    // A leftover is removed, not overwritten: what its failed sync left in the cache stays out of the new file.
    remove_if_there(disk, &temporary).await?;
    let file = disk.open(&temporary, OpenMode::CreateNew).await?;
    file.append(bytes).await?;
    file.sync().await?;
    disk.rename(&temporary, &path).await?;
    disk.sync_dir(dir).await?;
    Ok(file)
}
