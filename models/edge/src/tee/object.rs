//! Name of a tee object: the file's name and the node that wrote the object.
//!
//! Each object has a single writer. If two writers read, extended and replaced the same object, each could overwrite
//! what the other had just verified. So each writer uses an object of its own, and readers merge the objects of a file
//! by sequence number.

use super::record::{TeeError, TeeName};
use std::fmt;
use std::str::FromStr;

/// Prefix of the keys of tee objects.
const PREFIX: &str = "tee/";

/// The single writer of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectWriter {
    /// The edge with this number: its own file, or its copy of another edge's file.
    Edge(u16),
    /// The tee store's scrub, which adds objects for records that are in fewer than two. Its objects are numbered from
    /// 1.
    Scrub(u16),
}

/// One object of a tee file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TeeObject {
    /// File whose records the object holds, all or some of them.
    pub file: TeeName,
    /// The object's only writer.
    pub writer: ObjectWriter,
}

impl TeeObject {
    /// Returns the key: `tee/<hour>-<edge>-<boot>.by-<writer>.tee`.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{PREFIX}{self}")
    }

    /// Returns the common key prefix of a file's objects.
    #[must_use]
    pub fn key_prefix(file: TeeName) -> String {
        let TeeName { hour, edge, boot } = file;
        format!("{PREFIX}{hour}-{edge}-{boot}.by-")
    }

    /// Parses the object from its key.
    ///
    /// # Errors
    /// The key is not one of a tee object.
    pub fn from_key(key: &str) -> Result<TeeObject, TeeError> {
        key.strip_prefix(PREFIX).ok_or_else(|| TeeError::ObjectName(key.to_owned()))?.parse()
    }
}

impl fmt::Display for TeeObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TeeName { hour, edge, boot } = self.file;
        match self.writer {
            ObjectWriter::Edge(by) => write!(f, "{hour}-{edge}-{boot}.by-{by}.tee"),
            ObjectWriter::Scrub(n) => write!(f, "{hour}-{edge}-{boot}.by-k{n}.tee"),
        }
    }
}

impl FromStr for TeeObject {
    type Err = TeeError;
    fn from_str(name: &str) -> Result<TeeObject, TeeError> {
        let parse = || {
            let (file, by) = name.strip_suffix(".tee")?.split_once(".by-")?;
            let writer = match by.strip_prefix('k') {
                Some(n) => ObjectWriter::Scrub(n.parse().ok()?),
                None => ObjectWriter::Edge(by.parse().ok()?),
            };
            Some(TeeObject { file: format!("{file}.tee").parse().ok()?, writer })
        };
        parse()
            .filter(|parsed| parsed.to_string() == name)
            .ok_or_else(|| TeeError::ObjectName(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_invalid_names_are_rejected() {
        let file = TeeName { hour: 404_497, edge: 2, boot: 2_427_000 };
        let object = TeeObject { file, writer: ObjectWriter::Edge(1) };
        assert_eq!(object.key(), "tee/404497-2-2427000.by-1.tee");
        assert_eq!(TeeObject::from_key(&object.key()), Ok(object));
        let added = TeeObject { file, writer: ObjectWriter::Scrub(2) };
        assert_eq!(added.key(), "tee/404497-2-2427000.by-k2.tee");
        assert_eq!(TeeObject::from_key(&added.key()), Ok(added));
        for wrong in
            ["1-2-3.tee", "1-2-3.by-.tee", "1-2-3.by-01.tee", "1-2-3.by-k.tee", "1-2.by-1.tee", "1-2-3.by-1"]
        {
            assert!(TeeObject::from_key(&format!("tee/{wrong}")).is_err(), "{wrong}");
        }
        assert!(TeeObject::from_key("other/1-2-3.by-1.tee").is_err());
    }
}
