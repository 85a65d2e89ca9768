//! Readers of everything that the system leaves on disks and in stores, written from formats.md alone.
//!
//! They share no line with the code under test, and are stricter than it: every length, checksum, count, order,
//! version and hash that formats.md states is compared. They repair nothing and skip nothing.

pub mod catalog;
pub mod event;
pub(crate) mod event_cache;
pub mod export;
pub mod frame;
pub mod gaps;
pub mod hold;
pub mod lease;
pub mod manifest;
pub mod segment;
pub mod tee;

pub use frame::FileTail;

/// A file that does not read as formats.md says: which file, where, and what is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} at byte {at}: {kind}")]
pub struct ReadError {
    /// Path of the file, from its disk's root.
    pub path: String,
    /// Offset of what is wrong.
    pub at: u64,
    /// What is wrong.
    pub kind: ReadErrorKind,
}

impl ReadError {
    pub(crate) fn new(path: &str, (at, kind): (u64, ReadErrorKind)) -> ReadError {
        ReadError { path: path.to_owned(), at, kind }
    }
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadErrorKind {
    /// The file ends within its header.
    #[error("header cut off: {has_bytes} of {needs_bytes} bytes")]
    ShortHeader {
        /// Bytes that are there.
        has_bytes: u64,
        /// Bytes of a header.
        needs_bytes: u64,
    },
    /// The file begins with something else.
    #[error("wrong magic '{found}'")]
    BadMagic {
        /// The first eight bytes, escaped.
        found: String,
    },
    /// The header's checksum does not match.
    #[error("header checksum does not match")]
    HeaderChecksum,
    /// A field that must be zero is not.
    #[error("reserved field is {0}, not zero")]
    ReservedNotZero(u32),
    /// The header or record says one thing, the path or header another.
    #[error("{field} is {found}, its place says {expected}")]
    Misplaced {
        /// Which field.
        field: &'static str,
        /// Its value.
        found: String,
        /// The value that path or header state.
        expected: String,
    },
    /// A bad frame with a valid one behind it.
    #[error("corrupt frame in the middle: valid frames follow it")]
    CorruptFrame,
    /// A sealed file ends with something that is no frame.
    #[error("sealed file has a torn tail")]
    TornSealedFile,
    /// A field reaches beyond what holds it.
    #[error("field of {needs_bytes} bytes with {has_bytes} left")]
    TruncatedField {
        /// Bytes the field needs.
        needs_bytes: u64,
        /// Bytes that are left.
        has_bytes: u64,
    },
    /// Bytes behind the last field.
    #[error("{0} bytes behind the last field")]
    TrailingBytes(u64),
    /// A code that stands for nothing.
    #[error("{field} {value} is unknown")]
    UnknownCode {
        /// Which field.
        field: &'static str,
        /// Its value.
        value: u64,
    },
    /// An event that is no JSON object with a name and properties.
    #[error("event is malformed: {0}")]
    MalformedEvent(String),
    /// JSON of a manifest, catalog or export that does not fit its shape.
    #[error("JSON is malformed: {0}")]
    MalformedJson(String),
    /// A compacted segment's records are out of order, or a key stands twice.
    #[error("compacted record {record} is out of order or has the key of another")]
    Unsorted {
        /// The later record of the two, from 0.
        record: u64,
    },
    /// A manifest edit's version is not the one after its predecessor's.
    #[error("version {found} stands where {expected} belongs")]
    VersionGap {
        /// What is there.
        found: u64,
        /// What belongs there.
        expected: u64,
    },
    /// A size, count, hash or number differs from what is stated elsewhere.
    #[error("{what} is {found}, stated is {stated}")]
    Mismatch {
        /// Which property.
        what: &'static str,
        /// Found in the file.
        found: String,
        /// Stated by manifest, catalog or name.
        stated: String,
    },
    /// An entry or list breaks a rule of its format.
    #[error("{0}")]
    RuleViolated(&'static str),
    /// The device cannot read a block of the file: no doing of whoever wrote it.
    #[error("a block of the file cannot be read")]
    Unreadable,
    /// A file that something refers to is not there.
    #[error("file is missing")]
    Missing,
}

/// A number as paths have them: decimal, without sign or leading zeros.
pub(crate) fn decimal<T: std::str::FromStr + std::fmt::Display>(text: &str) -> Option<T> {
    let value: T = text.parse().ok()?;
    (value.to_string() == text).then_some(value)
}

/// Whether `text` is a BLAKE3-256 hash as texts have it: 64 lower-case hex digits.
pub(crate) fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests;
