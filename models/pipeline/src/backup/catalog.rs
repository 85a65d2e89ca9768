//! The catalog of one backup: every day that it holds, with the hashes of its segments.

use crate::zone::Day;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Prefix of the keys of catalogs.
pub const CATALOGS: &str = "catalogs/";
/// Prefix of the keys of segments.
pub const SEGMENTS: &str = "segments/";

/// The format that this release writes and reads.
pub const FORMAT: u32 = 1;

/// One backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    /// [`FORMAT`].
    pub format: u32,
    /// Every event acknowledged before this time is in the backup.
    pub position_ms: i64,
    /// When the backup was finished.
    pub taken_ms: i64,
    /// Sorted by (project, day).
    pub days: Vec<CatalogDay>,
}

/// A project's day in a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogDay {
    /// The project.
    pub project: u32,
    /// The day.
    pub day: Day,
    /// Sorted by hash.
    pub segments: Vec<CatalogSegment>,
}

/// A segment file in a backup.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogSegment {
    /// BLAKE3 of the file, in hex.
    pub hash: String,
    /// Its length.
    pub bytes: u64,
    /// Events in it.
    pub records: u64,
}

impl CatalogDay {
    /// A day of which a backup holds nothing.
    #[must_use]
    pub fn empty((project, day): (u32, Day)) -> CatalogDay {
        CatalogDay { project, day, segments: Vec::new() }
    }
}

impl Catalog {
    /// The catalog's text and the key it is kept under.
    ///
    /// # Errors
    /// When serde_json cannot write it.
    pub fn to_object(&self) -> Result<(String, Vec<u8>), serde_json::Error> {
        let text = serde_json::to_vec(self)?;
        let key = format!("{CATALOGS}{:016}-{}.json", self.position_ms, blake3::hash(&text).to_hex());
        Ok((key, text))
    }

    /// Reads a catalog back; the text must have the hash that its key says.
    ///
    /// # Errors
    /// A sentence that names the key and what is wrong with it.
    pub fn from_object(key: &str, text: &[u8]) -> Result<Catalog, String> {
        let said = key.rsplit_once('-').and_then(|(_, rest)| rest.strip_suffix(".json"));
        if said != Some(blake3::hash(text).to_hex().as_str()) {
            return Err(format!("catalog {key}: its bytes do not have the hash of its name"));
        }
        let catalog: Catalog = serde_json::from_slice(text).map_err(|e| format!("catalog {key}: {e}"))?;
        if catalog.format == FORMAT {
            Ok(catalog)
        } else {
            Err(format!("catalog {key}: format {}", catalog.format))
        }
    }

    /// The position in a catalog's key.
    #[must_use]
    pub fn position_of_key(key: &str) -> Option<i64> {
        key.strip_prefix(CATALOGS)?.split_once('-')?.0.parse().ok()
    }

    /// The segments that it needs.
    #[must_use]
    pub fn hashes(&self) -> BTreeSet<&str> {
        self.days.iter().flat_map(|day| day.segments.iter().map(|s| s.hash.as_str())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalog_reads_back_and_a_damaged_one_is_refused() {
        let segments = vec![CatalogSegment { hash: "00".repeat(32), bytes: 9, records: 1 }];
        let days = vec![CatalogDay { project: 17, day: Day(16_853), segments }];
        let catalog =
            Catalog { format: FORMAT, position_ms: 1_456_185_600_000, taken_ms: 1_456_186_203_000, days };
        let (key, mut text) = catalog.to_object().unwrap();
        assert_eq!(Catalog::position_of_key(&key), Some(1_456_185_600_000));
        assert_eq!(Catalog::from_object(&key, &text), Ok(catalog));
        text[20] ^= 1;
        assert!(Catalog::from_object(&key, &text).unwrap_err().contains("hash"));
    }
}
