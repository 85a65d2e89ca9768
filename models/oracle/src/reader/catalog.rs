//! Backup catalogs: `catalogs/<position_ms>-<hash>.json`, the contents of one backup.

use super::{ReadError, ReadErrorKind, is_hash};
use crate::view::FileView;
use serde::Deserialize;

/// One backup: with its segments, sufficient for a restore.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    /// Format version, 1 or 2.
    pub format: u32,
    /// Every event acknowledged before this time, by the edges' clocks, is in this backup, except for the projects in
    /// `behind`.
    pub position_ms: i64,
    /// Time at which the backup was taken.
    pub taken_ms: i64,
    /// Projects covered only up to an earlier position, by project. Format 1 has none.
    #[serde(default)]
    pub behind: Vec<LaggingProject>,
    /// Every project-day in the backup, sorted.
    pub days: Vec<CatalogDay>,
}

impl Catalog {
    /// Returns the position up to which the backup states that it covers a project, in ms.
    #[must_use]
    pub fn position_of(&self, project: u32) -> i64 {
        let behind = self.behind.iter().find(|behind| behind.project == project);
        behind.map_or(self.position_ms, |behind| behind.position_ms)
    }
}

/// A project covered only up to an earlier position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LaggingProject {
    /// Project number.
    pub project: u32,
    /// Every event of the project acknowledged before this time is in this backup.
    pub position_ms: i64,
}

/// One project-day.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogDay {
    /// Project number.
    pub project: u32,
    /// Day, counted from 1970-01-01.
    pub day: i32,
    /// Segments, sorted by hash.
    pub segments: Vec<CatalogSegment>,
}

/// One segment's object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogSegment {
    /// BLAKE3-256 of the file, which names the object.
    pub hash: String,
    /// Length of the file.
    pub bytes: u64,
    /// Number of records.
    pub records: u64,
}

/// Returns the position that the key of a catalog names, in milliseconds since 1970: `catalogs/<position_ms>-<hash>.json`.
#[must_use]
pub fn position_of_key(key: &str) -> Option<i64> {
    key.strip_prefix("catalogs/")?.split_once('-')?.0.parse().ok()
}

/// Reads a catalog from its object's file.
///
/// # Errors
/// Text of another shape, a name that does not match the position and the text's hash, lists out of order.
pub fn read(file: &FileView) -> Result<Catalog, ReadError> {
    read_at(file).map_err(|flaw| ReadError::new(&file.path, (0, flaw)))
}

fn read_at(file: &FileView) -> Result<Catalog, ReadErrorKind> {
    let text = file.read().map_err(|(_, flaw)| flaw)?.concat();
    let catalog: Catalog =
        serde_json::from_slice(&text).map_err(|e| ReadErrorKind::MalformedJson(e.to_string()))?;
    if !(1..=2).contains(&catalog.format) {
        return Err(ReadErrorKind::UnknownCode { field: "format", value: u64::from(catalog.format) });
    }
    let name = file.path.rsplit('/').next().unwrap_or_default();
    let expected = format!("{:016}-{}.json", catalog.position_ms, blake3::hash(&text).to_hex());
    if name != expected {
        return Err(ReadErrorKind::Misplaced {
            field: "name by position and hash",
            found: expected,
            expected: name.into(),
        });
    }
    if !catalog.behind.is_sorted_by(|one, next| one.project < next.project) {
        return Err(ReadErrorKind::RuleViolated("projects in `behind` are not sorted and unique"));
    }
    if catalog.behind.iter().any(|behind| behind.position_ms >= catalog.position_ms) {
        return Err(ReadErrorKind::RuleViolated(
            "a position in `behind` is not before the catalog's position",
        ));
    }
    if !catalog.days.is_sorted_by(|one, next| (one.project, one.day) < (next.project, next.day)) {
        return Err(ReadErrorKind::RuleViolated("days are not sorted by project and day, or not unique"));
    }
    for day in &catalog.days {
        if !day.segments.is_sorted_by(|one, next| one.hash <= next.hash) {
            return Err(ReadErrorKind::RuleViolated("segments are not sorted by hash"));
        }
        if !day.segments.iter().all(|segment| is_hash(&segment.hash)) {
            return Err(ReadErrorKind::RuleViolated("a segment's hash is not 64 lower-case hex digits"));
        }
    }
    Ok(catalog)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn file(text: &str, position: &str) -> FileView {
        let name = format!("objects/catalogs/{position}-{}.json", blake3::hash(text.as_bytes()).to_hex());
        FileView::whole(name, Bytes::copy_from_slice(text.as_bytes()))
    }

    fn text(days: &str) -> String {
        format!(r#"{{"format":1,"position_ms":1456185600000,"taken_ms":1456186203000,"days":[{days}]}}"#)
    }

    #[test]
    fn a_catalog_is_named_by_its_position_and_hash() {
        let day = format!(
            r#"{{"project":17,"day":16853,"segments":[{{"hash":"{}","bytes":8,"records":4}}]}}"#,
            "b".repeat(64)
        );
        let catalog = read(&file(&text(&day), "0001456185600000")).unwrap();
        assert_eq!((catalog.position_ms, catalog.days[0].segments[0].records), (1_456_185_600_000, 4));
        let wrong = read(&file(&text(&day), "0001456185600001")).unwrap_err();
        assert!(matches!(wrong.kind, ReadErrorKind::Misplaced { .. }), "{wrong}");
    }

    #[test]
    fn projects_behind_are_sorted_and_before_the_position() {
        let read_with = |behind: &str| {
            let text = text("").replace("\"format\":1", &format!("\"format\":2,\"behind\":[{behind}]"));
            read(&file(&text, "0001456185600000")).map(|catalog| catalog.behind)
        };
        let (early, late) =
            (r#"{"project":9,"position_ms":5}"#, r#"{"project":9,"position_ms":1456185600000}"#);
        assert_eq!(read_with(early), Ok(vec![LaggingProject { project: 9, position_ms: 5 }]));
        assert!(matches!(read_with(late).unwrap_err().kind, ReadErrorKind::RuleViolated(_)));
        assert!(matches!(
            read_with(&[early, early].join(",")).unwrap_err().kind,
            ReadErrorKind::RuleViolated(_)
        ));
    }

    #[test]
    fn lists_are_sorted_and_days_are_unique() {
        let days = [r#"{"project":17,"day":5,"segments":[]}"#, r#"{"project":17,"day":5,"segments":[]}"#];
        let flaw = read(&file(&text(&days.join(",")), "0001456185600000")).unwrap_err().kind;
        assert_eq!(
            flaw,
            ReadErrorKind::RuleViolated("days are not sorted by project and day, or not unique")
        );
        let format = text("").replace("\"format\":1", "\"format\":3");
        assert!(
            read(&file(&format, "0001456185600000")).unwrap_err().to_string().contains("format 3 is unknown")
        );
    }
}
