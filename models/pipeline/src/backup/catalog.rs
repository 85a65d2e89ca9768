//! Catalog of one backup: every day that it holds, with the hashes of its segments.

use crate::zone::Day;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Prefix of the keys of catalogs.
pub const CATALOGS: &str = "catalogs/";
/// Prefix of the keys of segments.
pub const SEGMENTS: &str = "segments/";

/// Format that this release writes.
pub const FORMAT: u32 = 2;
/// Oldest format that it reads. Format 1 has no `behind`.
const OLDEST_FORMAT: u32 = 1;

/// Catalog of one backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    /// [`FORMAT`].
    pub format: u32,
    /// Every event acknowledged before this time is in the backup, except for the projects in `behind`.
    pub position_ms: i64,
    /// Time when the backup was finished.
    pub taken_ms: i64,
    /// Projects that could not be copied and stay at an earlier position. Sorted by project.
    #[serde(default)]
    pub behind: Vec<LaggingProject>,
    /// Sorted by (project, day).
    pub days: Vec<CatalogDay>,
}

/// Project that a backup holds only up to an earlier position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LaggingProject {
    /// The project.
    pub project: u32,
    /// Every event of the project acknowledged before this time is in the backup; 0 if nothing is guaranteed.
    pub position_ms: i64,
}

/// A project's day in a backup.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogDay {
    /// The project.
    pub project: u32,
    /// The day.
    pub day: Day,
    /// Sorted by hash.
    pub segments: Vec<CatalogSegment>,
}

/// Segment file in a backup.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogSegment {
    /// BLAKE3 of the file, in hex.
    pub hash: String,
    /// Length, in bytes.
    pub bytes: u64,
    /// Number of events.
    pub records: u64,
}

impl CatalogDay {
    /// Returns a day without segments.
    #[must_use]
    pub fn empty((project, day): (u32, Day)) -> CatalogDay {
        CatalogDay { project, day, segments: Vec::new() }
    }
}

impl Catalog {
    /// Encodes the catalog. Returns its key and text.
    ///
    /// # Errors
    /// serde_json cannot write it.
    pub fn to_object(&self) -> Result<(String, Vec<u8>), serde_json::Error> {
        let text = serde_json::to_vec(self)?;
        let key = format!("{CATALOGS}{:016}-{}.json", self.position_ms, blake3::hash(&text).to_hex());
        Ok((key, text))
    }

    /// Decodes a catalog. The text must match the hash in its key.
    ///
    /// # Errors
    /// A message that names the key and the error.
    pub fn from_object(key: &str, text: &[u8]) -> Result<Catalog, String> {
        if !Catalog::has_hash_of(key, text) {
            return Err(format!("catalog {key}: its bytes do not have the hash of its name"));
        }
        let catalog: Catalog = serde_json::from_slice(text).map_err(|e| format!("catalog {key}: {e}"))?;
        if (OLDEST_FORMAT..=FORMAT).contains(&catalog.format) {
            Ok(catalog)
        } else {
            Err(format!("catalog {key}: format {} is unknown, {FORMAT} is the newest known", catalog.format))
        }
    }

    /// Whether a catalog's text matches the hash in its key.
    #[must_use]
    pub fn has_hash_of(key: &str, text: &[u8]) -> bool {
        let stated = key.rsplit_once('-').and_then(|(_, rest)| rest.strip_suffix(".json"));
        stated == Some(blake3::hash(text).to_hex().as_str())
    }

    /// Returns the position up to which the catalog holds a project.
    #[must_use]
    pub fn position_of(&self, project: u32) -> i64 {
        let behind = self.behind.iter().find(|behind| behind.project == project);
        behind.map_or(self.position_ms, |behind| behind.position_ms)
    }

    /// Returns a key that orders catalogs by age; the greater is the newer. One position has several catalogs if
    /// projects that were behind were copied later.
    #[must_use]
    pub fn age_key(&self) -> (i64, i64) {
        (self.position_ms, self.taken_ms)
    }

    /// Parses the position from a catalog's key.
    #[must_use]
    pub fn position_of_key(key: &str) -> Option<i64> {
        key.strip_prefix(CATALOGS)?.split_once('-')?.0.parse().ok()
    }

    /// Returns the hashes of the segments that the catalog needs.
    #[must_use]
    pub fn hashes(&self) -> BTreeSet<&str> {
        self.days.iter().flat_map(|day| day.segments.iter().map(|s| s.hash.as_str())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalog_round_trips_and_a_damaged_one_is_rejected() {
        let segments = vec![CatalogSegment { hash: "00".repeat(32), bytes: 9, records: 1 }];
        let days = vec![CatalogDay { project: 17, day: Day(16_853), segments }];
        let catalog = Catalog {
            format: FORMAT,
            position_ms: 1_456_185_600_000,
            taken_ms: 1_456_186_203_000,
            behind: vec![LaggingProject { project: 9, position_ms: 5 }],
            days,
        };
        assert_eq!((catalog.position_of(9), catalog.position_of(17)), (5, 1_456_185_600_000));
        let (key, mut text) = catalog.to_object().unwrap();
        assert_eq!(Catalog::position_of_key(&key), Some(1_456_185_600_000));
        assert_eq!(Catalog::from_object(&key, &text), Ok(catalog));
        text[20] ^= 1;
        assert!(Catalog::from_object(&key, &text).unwrap_err().contains("hash"));
    }

    #[test]
    fn a_catalog_of_format_1_holds_every_project_up_to_its_position() {
        let text = br#"{"format":1,"position_ms":7,"taken_ms":9,"days":[]}"#;
        let key = format!("{CATALOGS}{:016}-{}.json", 7, blake3::hash(text).to_hex());
        assert_eq!(Catalog::from_object(&key, text).unwrap().position_of(17), 7);
    }
}
