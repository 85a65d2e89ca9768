//! Backups as an object store holds them: catalogs and the segments that they name, read as a restore reads them.

use crate::content::DayContents;
use crate::decode_cache::DecodeCache;
use crate::identity::ProjectDay;
use crate::reader::catalog::{self, Catalog, CatalogDay, CatalogSegment};
use crate::reader::segment::Segment;
use crate::reader::{ReadError, ReadErrorKind};
use crate::view::{DiskView, FileView};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Objects of a store's disk, by key.
#[derive(Clone, Debug)]
pub struct ObjectStoreView<'a> {
    by_key: BTreeMap<&'a str, &'a FileView>,
}

impl<'a> ObjectStoreView<'a> {
    /// Indexes the files under `objects/`. Uploads in flight are not objects yet.
    #[must_use]
    pub fn of(store: &'a DiskView) -> ObjectStoreView<'a> {
        let object = |file: &'a FileView| Some((file.path.strip_prefix("objects/")?, file));
        ObjectStoreView { by_key: store.files.iter().filter_map(object).collect() }
    }

    /// Returns one object.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&'a FileView> {
        self.by_key.get(key).copied()
    }

    /// Returns the objects whose keys begin with `prefix`, by key.
    pub fn under(&self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a FileView)> {
        let from = self.by_key.range(prefix..);
        from.take_while(move |(key, _)| key.starts_with(prefix)).map(|(key, file)| (*key, *file))
    }

    /// Returns every readable catalog, oldest position first, and the errors of the unreadable ones.
    #[must_use]
    pub fn catalogs(&self) -> (Vec<Catalog>, Vec<ReadError>) {
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for (_, file) in self.under("catalogs/") {
            match catalog::read(file) {
                Ok(catalog) => good.push(catalog),
                Err(error) => bad.push(error),
            }
        }
        good.sort_by_key(|catalog| (catalog.position_ms, catalog.taken_ms));
        (good, bad)
    }
}

/// One backup, fully decoded.
#[derive(Clone, Debug, Default)]
pub struct DecodedBackup {
    /// Every event acknowledged before this time must be in the backup, except for the projects in `behind`.
    pub position_ms: i64,
    /// Projects covered only up to an earlier position: position in ms, by project.
    pub behind: BTreeMap<u32, i64>,
    /// Time at which the backup was taken.
    pub taken_ms: i64,
    /// Decoded contents, by project-day.
    pub days: DayContents,
    /// Segments that are missing or differ from what the catalog states.
    pub problems: Vec<(ProjectDay, ReadError)>,
}

impl DecodedBackup {
    /// Reads every segment that the catalog names, and compares it with the stated hash, length, record count and day.
    #[must_use]
    pub fn read(cache: &mut DecodeCache, objects: &ObjectStoreView<'_>, catalog: &Catalog) -> DecodedBackup {
        let mut backup = DecodedBackup {
            position_ms: catalog.position_ms,
            behind: catalog.behind.iter().map(|behind| (behind.project, behind.position_ms)).collect(),
            taken_ms: catalog.taken_ms,
            ..DecodedBackup::default()
        };
        for day in &catalog.days {
            let project_day = ProjectDay { project: day.project, day: day.day };
            let segments = backup.segments(cache, objects, project_day, day);
            backup.days.insert(project_day, cache.day(segments.iter()));
        }
        backup
    }

    /// Returns the position up to which the backup must cover a project.
    #[must_use]
    pub fn position_of(&self, project: u32) -> i64 {
        self.behind.get(&project).copied().unwrap_or(self.position_ms)
    }

    fn segments(
        &mut self,
        cache: &mut DecodeCache,
        objects: &ObjectStoreView<'_>,
        project_day: ProjectDay,
        day: &CatalogDay,
    ) -> Vec<Arc<Segment>> {
        let mut segments = Vec::with_capacity(day.segments.len());
        for stated in &day.segments {
            match segment(cache, objects, project_day, stated) {
                Ok(segment) => segments.push(segment),
                Err(error) => self.problems.push((project_day, error)),
            }
        }
        segments
    }
}

fn segment(
    cache: &mut DecodeCache,
    objects: &ObjectStoreView<'_>,
    project_day: ProjectDay,
    stated: &CatalogSegment,
) -> Result<Arc<Segment>, ReadError> {
    let key = format!("segments/{}", stated.hash);
    let Some(file) = objects.get(&key) else {
        return Err(ReadError { path: format!("objects/{key}"), offset: 0, kind: ReadErrorKind::Missing });
    };
    let segment = file.read().and_then(|chunks| cache.segment(chunks, true));
    let segment = segment.map_err(|wrong| ReadError::new(&file.path, wrong))?;
    let differs = |what, found: String, stated: String| {
        Err(ReadError::new(&file.path, (0, ReadErrorKind::Mismatch { what, found, stated })))
    };
    if segment.hash.as_deref() != Some(stated.hash.as_str()) {
        return differs("hash", segment.hash.clone().unwrap_or_default(), stated.hash.clone());
    }
    if (segment.len_bytes, segment.records) != (stated.bytes, stated.records) {
        let text = |bytes, records| format!("{bytes} bytes, {records} records");
        return differs("size", text(segment.len_bytes, segment.records), text(stated.bytes, stated.records));
    }
    if segment.project_day != project_day {
        return differs("project and day", segment.project_day.to_string(), project_day.to_string());
    }
    Ok(segment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{self, DAY, NOON_MS, TestRecord, TestStore};

    const PROJECT_DAY: ProjectDay = ProjectDay { project: 17, day: DAY };

    fn file() -> bytes::Bytes {
        test_support::compacted(
            PROJECT_DAY,
            3,
            vec![TestRecord::new("a", "i1", NOON_MS), TestRecord::new("a", "i2", NOON_MS)],
        )
    }

    fn read(store: &TestStore) -> DecodedBackup {
        let view = store.view("dc-1");
        let objects = ObjectStoreView::of(&view);
        let (catalogs, bad) = objects.catalogs();
        assert_eq!(bad, []);
        DecodedBackup::read(&mut DecodeCache::default(), &objects, catalogs.last().unwrap())
    }

    #[test]
    fn a_backup_decodes_its_catalog_and_the_named_segments() {
        let store = TestStore::default().with_backup(NOON_MS, &[(PROJECT_DAY, vec![(file(), 2)])]);
        let backup = read(&store);
        assert_eq!((backup.position_ms, backup.problems.len()), (NOON_MS, 0));
        assert_eq!(backup.days[&PROJECT_DAY].digest.count, 2);
    }

    #[test]
    fn objects_must_match_their_catalog_entries() {
        let good = TestStore::default().with_backup(NOON_MS, &[(PROJECT_DAY, vec![(file(), 2)])]);
        let key = format!("objects/segments/{}", blake3::hash(&file()).to_hex());
        let flaw = |store: &TestStore| read(store).problems[0].1.kind.to_string();
        let mut gone = good.clone();
        gone.files.remove(&key);
        assert_eq!(flaw(&gone), "file is missing");
        let mut cut = good;
        cut.files.insert(key, file().slice(..32));
        assert!(flaw(&cut).starts_with("hash is "), "a truncated upload");
        assert!(
            flaw(&TestStore::default().with_backup(NOON_MS, &[(PROJECT_DAY, vec![(file(), 3)])]))
                .starts_with("size is ")
        );
        let elsewhere = ProjectDay { day: DAY + 1, ..PROJECT_DAY };
        assert!(
            flaw(&TestStore::default().with_backup(NOON_MS, &[(elsewhere, vec![(file(), 2)])]))
                .starts_with("project")
        );
    }
}
