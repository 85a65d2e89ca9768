//! Minimal encoders for tests: they build valid and invalid files from formats.md.

use crate::day::{ProjectZones, format_day};
use crate::decode_cache::DecodeCache;
use crate::identity::{ArrivalId, DedupKey, ProjectDay};
use crate::ledger::{ClientRequest, Ledger, LedgerConfig, SentEvent, request_digest};
use crate::read_view::ReadView;
use crate::snapshot::ClusterSnapshot;
use crate::view::{DiskView, FileView};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const DAY: i32 = 16_853; // 2016-02-22
pub(crate) const NOON_MS: i64 = 1_456_142_400_000; // 2016-02-22T12:00Z

pub(crate) fn frame(payload: &[u8]) -> Vec<u8> {
    salted_frame(payload, 0)
}

pub(crate) fn salted_frame(payload: &[u8], salt: u32) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap();
    [&len.to_le_bytes()[..], &(crc_fast::crc32_iscsi(payload) ^ salt).to_le_bytes(), payload].concat()
}

/// Encodes the frame of a block of a project-day.
pub(crate) fn block_frame(project_day: ProjectDay, records: &[TestRecord]) -> Vec<u8> {
    salted_frame(
        &block(records),
        crc_fast::crc32_iscsi(&[project_day.project.to_le_bytes(), project_day.day.to_le_bytes()].concat()),
    )
}

/// A record to be stored.
#[derive(Clone, Debug)]
pub(crate) struct TestRecord {
    pub name: String,
    pub insert_id: Option<String>,
    pub time_ms: Option<i64>,
    pub stored_time_ms: Option<i64>,
    pub arrived_ms: i64,
    pub sequence: u64,
    pub item: u32,
    pub note: String,
}

impl TestRecord {
    pub(crate) fn new(name: &str, insert_id: &str, time_ms: i64) -> TestRecord {
        TestRecord {
            name: name.into(),
            insert_id: Some(insert_id.into()),
            time_ms: Some(time_ms),
            stored_time_ms: None,
            arrived_ms: time_ms + 1_000,
            sequence: 1,
            item: 0,
            note: String::new(),
        }
    }

    pub(crate) fn json(&self) -> String {
        let mut json = format!("{{\"event\":\"{}\",\"properties\":{{\"distinct_id\":\"u1\"", self.name);
        if let Some(id) = &self.insert_id {
            json += &format!(",\"$insert_id\":\"{id}\"");
        }
        if let Some(time) = self.time_ms {
            json += &format!(",\"time\":{time}");
        }
        json + &format!(",\"note\":\"{}\"}}}}", self.note)
    }

    pub(crate) fn key(&self) -> DedupKey {
        match &self.insert_id {
            Some(id) => DedupKey::of(&self.name, "u1", id),
            None => DedupKey::of_anonymous(ArrivalId { edge: 0, sequence: self.sequence, item: self.item }),
        }
    }

    fn time(&self) -> i64 {
        self.stored_time_ms.or(self.time_ms).unwrap_or(self.arrived_ms)
    }

    fn encode(&self) -> Vec<u8> {
        let json = self.json();
        [
            &0u16.to_le_bytes()[..],
            &self.sequence.to_le_bytes(),
            &self.item.to_le_bytes(),
            &0u16.to_le_bytes(),
            &self.arrived_ms.to_le_bytes(),
            &self.time().to_le_bytes(),
            &self.key().0.to_be_bytes(),
            &u32::try_from(json.len()).unwrap().to_le_bytes(),
            json.as_bytes(),
        ]
        .concat()
    }
}

pub(crate) fn block(records: &[TestRecord]) -> Vec<u8> {
    let mut bytes = u32::try_from(records.len()).unwrap().to_le_bytes().to_vec();
    records.iter().for_each(|record| bytes.extend(record.encode()));
    bytes
}

pub(crate) fn segment(tier: u16, project_day: ProjectDay, id: u64, blocks: &[Vec<TestRecord>]) -> Bytes {
    let mut bytes = [
        &b"LARBSEG1"[..],
        &tier.to_le_bytes(),
        &[0, 0],
        &project_day.project.to_le_bytes(),
        &project_day.day.to_le_bytes(),
        &id.to_le_bytes(),
    ]
    .concat();
    bytes.extend(crc_fast::crc32_iscsi(&bytes).to_le_bytes());
    blocks.iter().for_each(|records| bytes.extend(block_frame(project_day, records)));
    bytes.into()
}

/// Encodes a compacted segment, sorted as required.
pub(crate) fn compacted(project_day: ProjectDay, id: u64, mut records: Vec<TestRecord>) -> Bytes {
    records.sort_by_key(|record| (record.time(), record.key(), record.sequence, record.item));
    segment(2, project_day, id, &[records])
}

pub(crate) fn open_entry(id: u64, tier: &str) -> String {
    format!(r#"{{"id":{id},"tier":"{tier}","sealed":false,"bytes":0,"records":0,"hash":""}}"#)
}

pub(crate) fn sealed_entry(id: u64, tier: &str, file: &Bytes, records: usize) -> String {
    let hash = blake3::hash(file).to_hex();
    format!(
        r#"{{"id":{id},"tier":"{tier}","sealed":true,"bytes":{},"records":{records},"hash":"{hash}"}}"#,
        file.len()
    )
}

pub(crate) fn edit(version: u64, add: &[String], remove: &[u64], next_id: u64, compactions: u64) -> String {
    format!(
        r#"{{"version":{version},"token":0,"add":[{}],"remove":{remove:?},"next_id":{next_id},"compactions":{compactions}}}"#,
        add.join(",")
    )
}

pub(crate) fn manifest(edits: &[String]) -> Bytes {
    let mut bytes = b"LARBMAN1".to_vec();
    edits.iter().for_each(|edit| bytes.extend(frame(edit.as_bytes())));
    bytes.into()
}

fn view(name: &str, files: &BTreeMap<String, Bytes>, corrupted: &BTreeSet<String>) -> DiskView {
    let file = |(path, bytes): (&String, &Bytes)| FileView {
        corrupted: corrupted.contains(path),
        ..FileView::whole(path, bytes.clone())
    };
    DiskView { name: name.into(), files: files.iter().map(file).collect() }
}

/// Builder of a disk's files.
#[derive(Clone, Default)]
pub(crate) struct TestDisk {
    pub files: BTreeMap<String, Bytes>,
    /// Paths of files corrupted by a planned fault.
    pub corrupted: BTreeSet<String>,
}

impl TestDisk {
    /// Adds one open on-time segment with these records, one block each.
    pub(crate) fn with_day(mut self, project_day: ProjectDay, records: &[TestRecord]) -> TestDisk {
        let blocks: Vec<Vec<TestRecord>> = records.iter().map(|record| vec![record.clone()]).collect();
        self.put(project_day, "1.seg", segment(1, project_day, 1, &blocks));
        self.put(project_day, "manifest", manifest(&[edit(1, &[open_entry(1, "on-time")], &[], 2, 0)]));
        self
    }

    pub(crate) fn put(&mut self, project_day: ProjectDay, name: &str, bytes: Bytes) {
        self.files
            .insert(format!("arb/{}/{}/{name}", project_day.project, format_day(project_day.day)), bytes);
    }

    /// Marks a file of the day as corrupted by a planned fault.
    pub(crate) fn mark_corrupted(&mut self, project_day: ProjectDay, name: &str) {
        self.corrupted.insert(format!("arb/{}/{}/{name}", project_day.project, format_day(project_day.day)));
    }

    pub(crate) fn view(&self, name: &str) -> DiskView {
        view(name, &self.files, &self.corrupted)
    }
}

/// A request to be teed.
#[derive(Clone, Debug)]
pub(crate) struct TestTeeRecord {
    pub sequence: u64,
    pub arrived_ms: i64,
    pub body: Vec<u8>,
}

pub(crate) fn tee_file(hour: u64, edge: u16, records: &[TestTeeRecord]) -> Bytes {
    let mut bytes = [&b"LTEEREC1"[..], &edge.to_le_bytes(), &[0, 0], &hour.to_le_bytes()].concat();
    bytes.extend(crc_fast::crc32_iscsi(&bytes).to_le_bytes());
    let summaries =
        |text: &str| [&u16::try_from(text.len()).unwrap().to_le_bytes(), text.as_bytes()].concat();
    for record in records {
        let payload = [
            &edge.to_le_bytes()[..],
            &record.sequence.to_le_bytes(),
            &record.arrived_ms.to_le_bytes(),
            &[1],
            &summaries("/track?verbose=1"),
            &1u16.to_le_bytes(),
            &summaries("content-type"),
            &summaries("application/json"),
            &u32::try_from(record.body.len()).unwrap().to_le_bytes(),
            &record.body,
        ]
        .concat();
        bytes.extend(frame(&payload));
    }
    bytes.into()
}

pub(crate) fn sent_event<'a>(rec: &'a TestRecord, json: &'a str) -> SentEvent<'a> {
    SentEvent {
        json: json.as_bytes(),
        name: &rec.name,
        distinct_id: "u1",
        insert_id: rec.insert_id.as_deref(),
        time_ms: rec.time_ms,
    }
}

/// A ledger with two projects, 17 in UTC and 18 in Los Angeles, and helpers that send and answer requests.
pub(crate) struct TestClients {
    pub ledger: Ledger,
    next: u64,
}

pub(crate) enum TestAnswer<'a> {
    Acked(&'a [u32]),
    Rejected,
    Unknown,
}

impl TestClients {
    pub(crate) fn new() -> TestClients {
        TestClients::with(LedgerConfig::default())
    }

    pub(crate) fn with(settings: LedgerConfig) -> TestClients {
        let mut zones = ProjectZones::default();
        zones.set(17, 0, "UTC").unwrap();
        zones.set(18, 0, "America/Los_Angeles").unwrap();
        TestClients { ledger: Ledger::new(settings, zones), next: 1 }
    }

    /// Sends one request at the first event's arrival time and concludes it 10 ms later.
    pub(crate) fn send(mut self, project: u32, recs: &[TestRecord], answer: TestAnswer<'_>) -> TestClients {
        let texts: Vec<String> = recs.iter().map(TestRecord::json).collect();
        let events: Vec<SentEvent<'_>> =
            recs.iter().zip(&texts).map(|(rec, json)| sent_event(rec, json)).collect();
        let (id, at_ms) = (self.next, recs[0].arrived_ms);
        self.next += 1;
        let headers = [(&b"content-type"[..], &b"application/json"[..])].into_iter();
        let digest = request_digest(true, b"/track?verbose=1", headers, texts.concat().as_bytes());
        self.ledger
            .record_sent(&ClientRequest { id, project, sent_at_ms: at_ms, digest, events: &events })
            .unwrap();
        match answer {
            TestAnswer::Acked(rejected) => drop(self.ledger.record_acked(id, rejected, at_ms + 10).unwrap()),
            TestAnswer::Rejected => self.ledger.record_rejected(id).unwrap(),
            TestAnswer::Unknown => self.ledger.record_unknown(id).unwrap(),
        }
        self
    }

    pub(crate) fn acked(self, project: u32, recs: &[TestRecord]) -> TestClients {
        self.send(project, recs, TestAnswer::Acked(&[]))
    }
}

pub(crate) fn snapshot(disks: &[TestDisk]) -> ClusterSnapshot {
    let views: Vec<DiskView> =
        disks.iter().enumerate().map(|(at, disk)| disk.view(&format!("disk-{at}"))).collect();
    ClusterSnapshot::of(&mut DecodeCache::default(), &views)
}

/// Like [`read_view`], with the caller's decode cache.
pub(crate) fn read_view_with(cache: &mut DecodeCache, disks: &[TestDisk]) -> ReadView {
    let views: Vec<DiskView> = disks.iter().map(|disk| disk.view("disk")).collect();
    ClusterSnapshot::of(cache, &views).read_view(disks.len() / 2 + 1)
}

/// Returns the view of a reader of a majority of the disks (5 of 8).
pub(crate) fn read_view(disks: &[TestDisk]) -> ReadView {
    snapshot(disks).read_view(disks.len() / 2 + 1)
}

/// Builder of an object store's files.
#[derive(Clone, Default)]
pub(crate) struct TestStore {
    pub files: BTreeMap<String, Bytes>,
    /// Paths of files corrupted by a planned fault.
    pub corrupted: BTreeSet<String>,
}

impl TestStore {
    /// Adds a backup of these days, each with its segments and their record counts.
    pub(crate) fn with_backup(self, position_ms: i64, days: &[(ProjectDay, Vec<(Bytes, u64)>)]) -> TestStore {
        self.with_backup_behind(position_ms, &[], days)
    }

    /// Like [`TestStore::with_backup`], with projects that are behind, each at its own position.
    pub(crate) fn with_backup_behind(
        mut self,
        position_ms: i64,
        behind: &[(u32, i64)],
        days: &[(ProjectDay, Vec<(Bytes, u64)>)],
    ) -> TestStore {
        let mut texts = Vec::new();
        for (project_day, segments) in days {
            let mut entries = Vec::new();
            for (file, records) in segments {
                let hash = blake3::hash(file).to_hex().to_string();
                entries.push(format!(r#"{{"hash":"{hash}","bytes":{},"records":{records}}}"#, file.len()));
                self.files.insert(format!("objects/segments/{hash}"), file.clone());
            }
            entries.sort();
            texts.push(format!(
                r#"{{"project":{},"day":{},"segments":[{}]}}"#,
                project_day.project,
                project_day.day,
                entries.join(",")
            ));
        }
        let behind: Vec<String> = behind
            .iter()
            .map(|(project, held_ms)| format!(r#"{{"project":{project},"position_ms":{held_ms}}}"#))
            .collect();
        let text = format!(
            r#"{{"format":2,"position_ms":{position_ms},"taken_ms":{},"behind":[{}],"days":[{}]}}"#,
            position_ms + 600_000,
            behind.join(","),
            texts.join(",")
        );
        let name =
            format!("objects/catalogs/{position_ms:016}-{}.json", blake3::hash(text.as_bytes()).to_hex());
        self.files.insert(name, text.into());
        self
    }

    pub(crate) fn view(&self, name: &str) -> DiskView {
        view(name, &self.files, &self.corrupted)
    }
}
