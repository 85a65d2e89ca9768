//! Readers for everything that the system leaves on disks and in stores, written from formats.md alone.
//!
//! They share no code with the system under test and are stricter: they verify every length, checksum, count, order,
//! version and hash that formats.md states. They repair nothing and skip nothing.

pub mod arb_path;
pub mod catalog;
pub mod event;
pub(crate) mod event_cache;
pub mod export;
pub mod frame;
pub mod gaps;
pub mod hint;
pub mod hold;
pub mod lease;
pub mod manifest;
pub mod segment;
pub mod tee;
pub mod teed_request;

pub use frame::FileTail;

/// A file that violates formats.md: path, offset and error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} at byte {offset}: {kind}")]
pub struct ReadError {
    /// Path of the file, from its disk's root.
    pub path: String,
    /// Offset of the error.
    pub offset: u64,
    /// Kind of the error.
    pub kind: ReadErrorKind,
}

impl ReadError {
    pub(crate) fn new(path: &str, (offset, kind): (u64, ReadErrorKind)) -> ReadError {
        ReadError { path: path.to_owned(), offset, kind }
    }
}

/// Kinds of errors in a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadErrorKind {
    /// The file ends within its header.
    #[error("header cut off: {has_bytes} of {needs_bytes} bytes")]
    ShortHeader {
        /// Bytes present.
        has_bytes: u64,
        /// Bytes of a complete header.
        needs_bytes: u64,
    },
    /// The file begins with another magic.
    #[error("wrong magic '{found}'")]
    BadMagic {
        /// First eight bytes, escaped.
        found: String,
    },
    /// The header's checksum does not match.
    #[error("header checksum does not match")]
    HeaderChecksum,
    /// A reserved field is not zero.
    #[error("reserved field is {0}, not zero")]
    ReservedNotZero(u32),
    /// A header or record contradicts its path or header.
    #[error("{field} is {found}, its path states {expected}")]
    Misplaced {
        /// Name of the field.
        field: &'static str,
        /// Value of the field.
        found: String,
        /// Value stated by the path or header.
        expected: String,
    },
    /// A bad frame with a valid one after it.
    #[error("corrupt frame with valid frames after it")]
    CorruptFrame,
    /// A sealed file ends with bytes that are not a frame.
    #[error("sealed file has a torn tail")]
    TornSealedFile,
    /// A field extends past the end of its container.
    #[error("field of {needs_bytes} bytes with {has_bytes} left")]
    TruncatedField {
        /// Bytes the field needs.
        needs_bytes: u64,
        /// Bytes that are left.
        has_bytes: u64,
    },
    /// Bytes after the last field.
    #[error("{0} bytes after the last field")]
    TrailingBytes(u64),
    /// An undefined code.
    #[error("{field} {value} is unknown")]
    UnknownCode {
        /// Name of the field.
        field: &'static str,
        /// Value of the field.
        value: u64,
    },
    /// An event that is not a JSON object with a name and properties.
    #[error("event is malformed: {0}")]
    MalformedEvent(String),
    /// JSON of a manifest, catalog or export of another shape.
    #[error("JSON is malformed: {0}")]
    MalformedJson(String),
    /// A compacted segment's records are out of order, or a key appears twice.
    #[error("compacted record {record} is out of order or repeats a key")]
    Unsorted {
        /// Index of the later record of the two, from 0.
        record: u64,
    },
    /// A manifest edit's version does not follow its predecessor's.
    #[error("version is {found}, expected {expected}")]
    VersionGap {
        /// Version in the file.
        found: u64,
        /// Expected version.
        expected: u64,
    },
    /// A size, count, hash or number differs from the value stated elsewhere.
    #[error("{what} is {found}, expected {stated}")]
    Mismatch {
        /// Name of the property.
        what: &'static str,
        /// Value in the file.
        found: String,
        /// Value stated by manifest, catalog or name.
        stated: String,
    },
    /// An entry or list breaks a rule of its format.
    #[error("{0}")]
    RuleViolated(&'static str),
    /// The device cannot read a block of the file: a device fault, not the writer's.
    #[error("a block of the file cannot be read")]
    Unreadable,
    /// A referenced file does not exist.
    #[error("file is missing")]
    Missing,
}

/// Parses a number as paths contain it: decimal, without sign or leading zeros.
pub(crate) fn decimal<T: std::str::FromStr + std::fmt::Display>(text: &str) -> Option<T> {
    let value: T = text.parse().ok()?;
    (value.to_string() == text).then_some(value)
}

/// Whether `text` is a BLAKE3-256 hash: 64 lower-case hex digits.
pub(crate) fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests;
