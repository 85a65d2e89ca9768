//! Readers accept any input: they return records or an error, and never panic.

use super::*;
use crate::identity::ProjectDay;
use crate::test_support::{self, DAY, NOON_MS, TestRecord, TestTeeRecord};
use crate::{DecodeCache, FileView};
use bytes::Bytes;
use proptest::prelude::*;

const PROJECT_DAY: ProjectDay = ProjectDay { project: 17, day: DAY };

fn recs() -> Vec<TestRecord> {
    vec![
        TestRecord::new("a", "i1", NOON_MS),
        TestRecord { insert_id: None, item: 1, ..TestRecord::new("b", "", NOON_MS) },
        TestRecord { time_ms: None, item: 2, ..TestRecord::new("c", "i3", NOON_MS) },
    ]
}

/// Returns one valid file of each kind, by path.
fn files() -> Vec<(String, Bytes)> {
    let hour = NOON_MS as u64 / 3_600_000;
    let tee = |sequence| TestTeeRecord { sequence, arrived_ms: NOON_MS, body: b"[]".to_vec() };
    let lease = [&b"LARBLSE1"[..], &test_support::frame(&[1; 26]), &test_support::frame(&[1; 26])].concat();
    let compacted = test_support::compacted(PROJECT_DAY, 2, recs());
    let edits = [
        test_support::edit(1, &[test_support::open_entry(1, "late")], &[], 2, 0),
        test_support::edit(2, &[test_support::sealed_entry(2, "compacted", &compacted, 3)], &[1], 3, 1),
    ];
    let store = test_support::TestStore::default()
        .with_backup(NOON_MS, &[(PROJECT_DAY, vec![(compacted.clone(), 3)])]);
    let mut files = vec![
        (
            "arb/17/2016-02-22/1.seg".to_owned(),
            test_support::segment(1, PROJECT_DAY, 1, &[recs(), vec![], recs()]),
        ),
        ("arb/17/2016-02-22/2.seg".to_owned(), compacted),
        ("arb/17/2016-02-22/manifest".to_owned(), test_support::manifest(&edits)),
        ("arb/17/lease".to_owned(), lease.into()),
        (format!("tee/{hour}-0-1.tee"), test_support::tee_file(hour, 0, &[tee(1), tee(2)])),
    ];
    files.extend(store.files);
    files
}

/// Whether the file is readable as the kind that its path names.
fn reads(path: &str, chunks: Vec<Bytes>) -> bool {
    let file = FileView { chunks, ..FileView::whole(path, Bytes::new()) };
    let mut cache = DecodeCache::default();
    match path {
        _ if path.ends_with(".seg") => cache.segment(&file.chunks, true).is_ok(),
        _ if path.ends_with("manifest") => cache.manifest(&file.chunks).is_ok(),
        _ if path.ends_with("lease") => lease::read(&file.chunks).is_ok(),
        _ if path.ends_with(".tee") => tee::read(&file).is_ok(),
        _ if path.contains("/catalogs/") => catalog::read(&file).is_ok(),
        _ => cache.segment(&file.chunks, true).is_ok(),
    }
}

#[test]
fn valid_files_decode_for_every_split_into_chunks() {
    for (path, bytes) in files() {
        for cut in 0..=bytes.len() {
            assert!(reads(&path, vec![bytes.slice(..cut), bytes.slice(cut..)]), "{path} cut at {cut}");
        }
    }
}

/// Every byte of a sealed file, catalog or header is checked; a torn file may have lost its tail.
#[test]
fn every_flipped_bit_is_detected() {
    for (path, bytes) in files() {
        let whole = tails(&path, &bytes);
        for at in 0..bytes.len() {
            let mut flipped = bytes.to_vec();
            flipped[at] ^= 1 << (at % 8);
            let flipped = Bytes::from(flipped);
            let noticed = !reads(&path, vec![flipped.clone()]) || tails(&path, &flipped) != whole;
            assert!(noticed, "{path} with byte {at} flipped");
        }
    }
}

/// Returns the tail of an append-only file: the offset at which it is torn, if it is.
fn tails(path: &str, bytes: &Bytes) -> Option<FileTail> {
    let chunks = [bytes.clone()];
    match path {
        _ if path.ends_with("manifest") => {
            DecodeCache::default().manifest(&chunks).ok().map(|manifest| manifest.tail)
        }
        _ if path.ends_with("lease") => lease::read(&chunks).ok().map(|(_, tail)| tail),
        _ if path.ends_with(".tee") => {
            tee::read(&FileView::whole(path, bytes.clone())).ok().map(|file| file.tail)
        }
        _ => None,
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for (path, good) in files() {
            reads(&path, vec![Bytes::from(bytes.clone())]);
            // The bytes after a valid header.
            reads(&path, vec![good.slice(..good.len().min(32)), Bytes::from(bytes.clone())]);
            // The bytes as the payload of a valid frame.
            if !bytes.is_empty() {
                let salt = if path.ends_with(".seg") { segment::salt(PROJECT_DAY) } else { 0 };
                reads(&path, vec![good.slice(..good.len().min(32)), Bytes::from(test_support::salted_frame(&bytes, salt))]);
            }
        }
        let _ = event::EventFields::of(&bytes);
        let _ = export::read("export", &bytes);
    }

    #[test]
    fn arbitrary_text_never_makes_the_export_reader_panic(time in "[-0-9.eE]{0,12}", tail in ".{0,20}") {
        let line = format!("{{\"event\":\"a\",\"properties\":{{\"time\":{time},\"mp_processing_time_ms\":5}}}}{tail}");
        let _ = export::read("export", line.as_bytes());
    }
}
