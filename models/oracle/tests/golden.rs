//! Golden files of `models/golden`, written by the pipeline's code and read by the oracle's own readers: each must
//! decode to the values in `values.json`. The two sides share no code, only formats.md.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use bytes::Bytes;
use latent_oracle::backup::{DecodedBackup, ObjectStoreView};
use latent_oracle::reader::catalog::{Catalog, CatalogDay, CatalogSegment};
use latent_oracle::reader::segment::{StoredRecord, Tier};
use latent_oracle::reader::{FileTail, catalog, tee};
use latent_oracle::{ClusterSnapshot, DecodeCache, DiskView, EventDigest, FileView, ProjectDay, local_day};
use serde_json::{Value, json};
use std::path::Path;

const PROJECT_DAY: ProjectDay = ProjectDay { project: 17, day: 16_853 };

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../golden")
}

/// Returns everything below `models/golden/<root>` as a disk.
fn disk(root: &str) -> DiskView {
    let root_path = folder().join(root);
    let mut files = Vec::new();
    let mut to_see = vec![root_path.clone()];
    while let Some(directory) = to_see.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                to_see.push(path);
            } else {
                let name = path.strip_prefix(&root_path).unwrap().to_str().unwrap().to_owned();
                files.push(FileView::whole(name, std::fs::read(&path).unwrap().into()));
            }
        }
    }
    files.sort_by(|one, next| one.path.cmp(&next.path));
    DiskView { name: root.to_owned(), files }
}

fn values() -> Value {
    serde_json::from_slice(&std::fs::read(folder().join("values.json")).unwrap()).unwrap()
}

fn file<'a>(disk: &'a DiskView, ending: &str) -> &'a FileView {
    disk.files.iter().find(|file| file.path.ends_with(ending)).unwrap()
}

/// Returns a segment's records through a catalog that names it alone, so that files in no manifest are read as well.
fn records_of(segment: &FileView, records: usize) -> Vec<StoredRecord> {
    let bytes = Bytes::from(segment.chunks.concat());
    let hash = blake3::hash(&bytes).to_hex().to_string();
    let store = DiskView {
        name: "store".to_owned(),
        files: vec![FileView::whole(format!("objects/segments/{hash}"), bytes.clone())],
    };
    let segments = vec![CatalogSegment { hash, bytes: bytes.len() as u64, records: records as u64 }];
    let days = vec![CatalogDay { project: PROJECT_DAY.project, day: PROJECT_DAY.day, segments }];
    let one = Catalog { format: 2, position_ms: 0, taken_ms: 0, behind: vec![], days };
    let backup = DecodedBackup::read(&mut DecodeCache::default(), &ObjectStoreView::of(&store), &one);
    assert_eq!(backup.problems, []);
    backup.days[&PROJECT_DAY].records().copied().collect()
}

fn assert_is(stored: &StoredRecord, value: &Value) {
    let arrival = stored.arrival();
    assert_eq!(
        json!([arrival.edge, arrival.sequence, arrival.item]),
        json!([value["edge"], value["sequence"], value["item"]])
    );
    assert_eq!(json!([stored.arrived_ms, stored.time_ms]), json!([value["arrived_ms"], value["time_ms"]]));
    assert_eq!(value["key"], stored.key.to_string());
    assert_eq!(stored.content, EventDigest::of(value["json"].as_str().unwrap().as_bytes()));
    assert!(!stored.key_is_wrong() && !stored.time_is_wrong(), "{value}");
    assert_eq!(local_day("America/Los_Angeles", stored.time_ms).unwrap(), PROJECT_DAY.day);
}

#[test]
fn segments_decode_to_the_written_records() {
    let (disk, values) = (disk("disk"), values());
    for id in 1..=4 {
        let expected = values["segments"][id.to_string()]["records"].as_array().unwrap();
        let found = records_of(file(&disk, &format!("/{id}.seg")), expected.len());
        assert_eq!(found.len(), expected.len(), "segment {id}");
        found.iter().zip(expected).for_each(|(stored, value)| assert_is(stored, value));
    }
}

#[test]
fn manifest_and_lease_decode_to_the_written_values() {
    let values = values();
    let snapshot = ClusterSnapshot::of(&mut DecodeCache::default(), &[disk("disk")]);
    assert_eq!(snapshot.problems().count(), 0, "{:?}", snapshot.disks[0].problems);
    let day = &snapshot.disks[0].days[&PROJECT_DAY];
    let manifest = day.manifest.as_ref().unwrap();
    assert_eq!(manifest.tail, FileTail::Clean);
    assert_eq!(json!(manifest.live.keys().collect::<Vec<_>>()), values["live"]);
    assert_eq!(manifest.edits.len(), values["edits"].as_array().unwrap().len());
    for (edit, value) in manifest.edits.iter().zip(values["edits"].as_array().unwrap()) {
        let plain = json!([edit.version, edit.token, edit.remove, edit.next_id, edit.compactions]);
        assert_eq!(
            plain,
            json!([
                value["version"],
                value["token"],
                value["remove"],
                value["next_id"],
                value["compactions"]
            ])
        );
        let added: Vec<Value> = (edit.add.iter())
            .map(|add| json!({ "id": add.id, "tier": tier_text(add.tier), "sealed": add.sealed, "bytes": add.bytes, "records": add.records, "hash": add.hash }))
            .collect();
        assert_eq!(json!(added), value["add"]);
    }
    for (id, segment) in &day.live {
        assert_eq!(values["segments"][id.to_string()]["tier"], tier_text(segment.tier));
    }
    let last = snapshot.disks[0].leases[&PROJECT_DAY.project].as_ref().unwrap().unwrap();
    let last = json!({ "token": last.token, "holder": last.holder, "granted_ms": last.granted_ms, "expires_ms": last.expires_ms });
    assert_eq!(values["grants"].as_array().unwrap().last(), Some(&last));
}

fn tier_text(tier: Tier) -> &'static str {
    match tier {
        Tier::Late => "late",
        Tier::OnTime => "on-time",
        Tier::Compacted => "compacted",
    }
}

#[test]
fn each_tee_object_decodes_to_the_written_requests() {
    let (store, values) = (disk("store"), values());
    for uploader in [1, 2] {
        let read = tee::read(file(&store, &format!(".by-{uploader}.tee"))).unwrap();
        assert_eq!(read.tail, FileTail::Clean);
        let text = |bytes: &Bytes| std::str::from_utf8(bytes).unwrap().to_owned();
        let found: Vec<Value> = (read.records.iter())
            .map(|record| {
                let headers: Vec<_> =
                    record.headers.iter().map(|(name, value)| (text(name), text(value))).collect();
                json!({
                    "edge": read.edge, "sequence": record.sequence, "arrived_ms": record.arrived_ms,
                    "method": format!("{:?}", record.method), "target": text(&record.target), "headers": headers,
                    "body": text(&record.body),
                })
            })
            .collect();
        assert_eq!(json!(found), values["tee"]);
    }
}

#[test]
fn the_backup_is_complete_and_holds_the_compacted_segment() {
    let (store, values) = (disk("store"), values());
    let read = catalog::read(file(&store, ".json")).unwrap();
    let value = &values["catalog"];
    assert_eq!(
        json!([read.format, read.position_ms, read.taken_ms]),
        json!([value["format"], value["position_ms"], value["taken_ms"]])
    );
    let behind: Vec<Value> = read
        .behind
        .iter()
        .map(|it| json!({ "project": it.project, "position_ms": it.position_ms }))
        .collect();
    assert_eq!(json!(behind), value["behind"]);
    assert_eq!(read.days.len(), 1);
    let backup = DecodedBackup::read(&mut DecodeCache::default(), &ObjectStoreView::of(&store), &read);
    assert_eq!(backup.problems, []);
    let expected = values["segments"]["3"]["records"].as_array().unwrap();
    let found: Vec<StoredRecord> = backup.days[&PROJECT_DAY].records().copied().collect();
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).for_each(|(stored, value)| assert_is(stored, value));
}
