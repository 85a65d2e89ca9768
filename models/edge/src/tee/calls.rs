//! Calls between edges about tee files; the tags are in [`latent_storekit::message::tag`].

use super::record::TeeName;
use serde::{Deserialize, Serialize};

/// Call to store a chunk of a tee file. The message body is the chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeeCopy {
    /// Name of the file.
    pub name: TeeName,
    /// Offset of the chunk in the file, in bytes.
    pub offset: u64,
}

/// Response to a [`TeeCopy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TeeCopyResponse {
    /// The copy is durable up to the end of the chunk.
    Durable,
    /// Nothing was written: the copy ends before the chunk begins. The sender must continue from `have_bytes`.
    Behind {
        /// Length of the copy, in bytes.
        have_bytes: u64,
    },
    /// The copy cannot take more bytes, because its disk failed or its bytes differ. The sender must start a new file.
    Closed,
    /// Temporary failure, such as a full disk.
    Failed,
}

/// Notice that the owner of a file has uploaded and verified it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeeUploaded {
    /// Name of the file.
    pub name: TeeName,
}

/// Call to read a part of the receiver's copy of a file, or of its own file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeeFetch {
    /// Name of the file.
    pub name: TeeName,
    /// Offset of the first byte.
    pub offset: u64,
    /// Maximum number of bytes.
    pub len_bytes: u64,
}

/// Response to a [`TeeFetch`]. The message body holds the bytes; it is empty at the end of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TeeFetchResponse {
    /// The body holds the bytes.
    Bytes,
    /// The receiver does not have the file.
    Missing,
    /// The receiver's disk could not read the bytes.
    Failed,
}
