//! The name of a tee file in the tee store: the file's own name, and the uploader that put it there.
//!
//! An object has one writer. Two that read it, added what they hold and put it back could each replace what the other
//! had just verified; so each puts what it holds under a name of its own, and readers merge the objects of one file
//! by the records' numbers.

use super::record::{TeeError, TeeName};
use std::fmt;
use std::str::FromStr;

/// Prefix of the keys of tee objects.
const PREFIX: &str = "tee/";

/// The one that writes an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Uploader {
    /// The edge of this number: its own file, or the copy that it keeps of another edge's.
    Edge(u16),
    /// The tee store's keeper, which adds objects where records are in fewer than two. It numbers them from 1.
    Keeper(u16),
}

/// One object of a tee file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TeeObject {
    /// The file whose records it holds, all or some of them.
    pub file: TeeName,
    /// Its only writer.
    pub by: Uploader,
}

impl TeeObject {
    /// The key: `tee/<hour>-<edge>-<boot>.by-<uploader>.tee`.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{PREFIX}{self}")
    }

    /// What the keys of a file's objects begin with.
    #[must_use]
    pub fn keys_of(file: TeeName) -> String {
        let TeeName { hour, edge, boot } = file;
        format!("{PREFIX}{hour}-{edge}-{boot}.by-")
    }

    /// The object from its key.
    ///
    /// # Errors
    /// When no tee object has this key.
    pub fn from_key(key: &str) -> Result<TeeObject, TeeError> {
        key.strip_prefix(PREFIX).ok_or_else(|| TeeError::ObjectName(key.to_owned()))?.parse()
    }
}

impl fmt::Display for TeeObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TeeName { hour, edge, boot } = self.file;
        match self.by {
            Uploader::Edge(by) => write!(f, "{hour}-{edge}-{boot}.by-{by}.tee"),
            Uploader::Keeper(n) => write!(f, "{hour}-{edge}-{boot}.by-k{n}.tee"),
        }
    }
}

impl FromStr for TeeObject {
    type Err = TeeError;
    fn from_str(name: &str) -> Result<TeeObject, TeeError> {
        let parse = || {
            let (file, by) = name.strip_suffix(".tee")?.split_once(".by-")?;
            let by = match by.strip_prefix('k') {
                Some(n) => Uploader::Keeper(n.parse().ok()?),
                None => Uploader::Edge(by.parse().ok()?),
            };
            Some(TeeObject { file: format!("{file}.tee").parse().ok()?, by })
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
    fn names_are_read_back_and_others_refused() {
        let file = TeeName { hour: 404_497, edge: 2, boot: 2_427_000 };
        let object = TeeObject { file, by: Uploader::Edge(1) };
        assert_eq!(object.key(), "tee/404497-2-2427000.by-1.tee");
        assert_eq!(TeeObject::from_key(&object.key()), Ok(object));
        let added = TeeObject { file, by: Uploader::Keeper(2) };
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
