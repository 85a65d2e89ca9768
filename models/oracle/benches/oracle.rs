//! Benchmarks of the oracle: a ledger of 130,000 events, and eight replicas of a week checked every day.
//!
//! Events are spread over 20 projects, 50 to a request. Disks share the payloads of raw blocks, as simulated disks do.
//! Each disk compacts separately, so compacted bytes are equal but not shared.

#![expect(
    clippy::unwrap_used,
    reason = "made-up data is known to be good, and a benchmark that is wrong should stop"
)]

use bytes::Bytes;
use divan::{AllocProfiler, Bencher, black_box};
use latent_oracle::day::format_day;
use latent_oracle::invariants::{i8_compaction, i9_manifests, incremental};
use latent_oracle::*;
use std::collections::BTreeMap;

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

const EVENTS_A_DAY: u64 = 20_000;
const PROJECTS: u64 = 20;
const IN_A_REQUEST: u64 = 50;
const FIRST_DAY: i32 = 16_850;
const DAY_MS: i64 = 86_400_000;

struct Event {
    json: String,
    insert_id: String,
    time_ms: i64,
}

fn event(number: u64) -> Event {
    let day = FIRST_DAY + i32::try_from(number / EVENTS_A_DAY).unwrap();
    let time_ms = i64::from(day) * DAY_MS + i64::try_from(number % EVENTS_A_DAY).unwrap() * 4_000;
    let insert_id = format!("{:08x}-{:04x}", number.wrapping_mul(2_654_435_761) as u32, number % 65_521);
    let json = format!(
        r#"{{"event":"Signed up","properties":{{"time":{},"distinct_id":"user-{}","$insert_id":"{insert_id}","token":"0123456789abcdef","$browser":"Firefox","$city":"Santa Cruz","$os":"Linux","plan":"starter","cart":[{{"sku":"a-1","n":2}}],"amount":12.50,"referrer":"https://example.org/a/b"}}}}"#,
        time_ms / 1000,
        number % 977
    );
    Event { json, insert_id, time_ms }
}

/// Numbers of the events of one request; a request is of one project and one day.
fn request(number: u64) -> impl Iterator<Item = u64> {
    (0..IN_A_REQUEST).map(move |item| number * IN_A_REQUEST + item)
}

fn project_of(request: u64) -> u32 {
    (request % PROJECTS) as u32
}

fn zones() -> ProjectZones {
    let mut zones = ProjectZones::default();
    (0..PROJECTS).for_each(|project| zones.set(project as u32, 0, "UTC").unwrap());
    zones
}

fn send(ledger: &mut Ledger, requests: std::ops::Range<u64>) {
    for number in requests {
        let events: Vec<Event> = request(number).map(event).collect();
        let at_ms = events[0].time_ms;
        let distinct: Vec<String> = request(number).map(|number| format!("user-{}", number % 977)).collect();
        let sent: Vec<SentEvent<'_>> = events
            .iter()
            .zip(&distinct)
            .map(|(event, distinct_id)| SentEvent {
                json: event.json.as_bytes(),
                name: "Signed up",
                distinct_id,
                insert_id: Some(&event.insert_id),
                time_ms: Some(event.time_ms),
            })
            .collect();
        let request = ClientRequest {
            id: number,
            project: project_of(number),
            sent_at_ms: at_ms,
            digest: 0,
            events: &sent,
        };
        ledger.record_sent(&request).unwrap();
        ledger.record_acked(number, &[], at_ms + 50).unwrap();
    }
}

#[divan::bench]
fn ledger_of_130_000_events(bencher: Bencher<'_, '_>) {
    // The measurement includes generating the events: about a third of it.
    bencher.bench(|| {
        let mut ledger = Ledger::new(ledger::LedgerConfig::default(), zones());
        send(&mut ledger, 0..130_000 / IN_A_REQUEST);
        ledger
    });
}

fn frame(payload: &[u8]) -> Vec<u8> {
    salted_frame(payload, 0)
}

fn salted_frame(payload: &[u8], salt: u32) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap();
    [&len.to_le_bytes()[..], &(crc_fast::crc32_iscsi(payload) ^ salt).to_le_bytes(), payload].concat()
}

fn record(number: u64) -> (i64, DedupKey, Vec<u8>) {
    let event = event(number);
    let key = DedupKey::of("Signed up", &format!("user-{}", number % 977), &event.insert_id);
    let bytes = [
        &0u16.to_le_bytes()[..],
        &(number / IN_A_REQUEST).to_le_bytes(),
        &((number % IN_A_REQUEST) as u32).to_le_bytes(),
        &0u16.to_le_bytes(),
        &(event.time_ms + 50).to_le_bytes(),
        &event.time_ms.to_le_bytes(),
        &key.0.to_be_bytes(),
        &(event.json.len() as u32).to_le_bytes(),
        event.json.as_bytes(),
    ]
    .concat();
    (event.time_ms, key, bytes)
}

fn header(tier: u16, project_day: ProjectDay, id: u64) -> Vec<u8> {
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
    bytes
}

fn block(project_day: ProjectDay, records: &[Vec<u8>]) -> Bytes {
    let count = u32::try_from(records.len()).unwrap().to_le_bytes();
    let salt =
        crc_fast::crc32_iscsi(&[project_day.project.to_le_bytes(), project_day.day.to_le_bytes()].concat());
    salted_frame(&[&count[..], &records.concat()].concat(), salt).into()
}

/// Files of one project-day, equal on every disk: raw while the day runs, then compacted.
struct Day {
    project_day: ProjectDay,
    raw: Vec<Bytes>,
    compacted: Vec<u8>,
    opened: Bytes,
    merged: Bytes,
}

fn day(project_day: ProjectDay) -> Day {
    let first = u64::try_from(project_day.day - FIRST_DAY).unwrap() * EVENTS_A_DAY / IN_A_REQUEST;
    let requests = first..first + EVENTS_A_DAY / IN_A_REQUEST;
    let mut all = Vec::new();
    let mut raw = vec![Bytes::from(header(1, project_day, 1))];
    for number in requests.filter(|number| project_of(*number) == project_day.project) {
        let mut records: Vec<_> = request(number).map(record).collect();
        raw.push(block(project_day, &records.iter().map(|(_, _, bytes)| bytes.clone()).collect::<Vec<_>>()));
        all.append(&mut records);
    }
    all.sort();
    let all: Vec<Vec<u8>> = all.into_iter().map(|(_, _, bytes)| bytes).collect();
    let compacted = all
        .chunks(500)
        .fold(header(2, project_day, 2), |file, chunk| [file, block(project_day, chunk).to_vec()].concat());
    let opened = r#"{"version":1,"token":0,"add":[{"id":1,"tier":"on-time","sealed":false,"bytes":0,"records":0,"hash":""}],"remove":[],"next_id":2,"compactions":0}"#;
    let merged = format!(
        r#"{{"version":2,"token":1,"add":[{{"id":2,"tier":"compacted","sealed":true,"bytes":{},"records":{},"hash":"{}"}}],"remove":[1],"next_id":3,"compactions":1}}"#,
        compacted.len(),
        all.len(),
        blake3::hash(&compacted).to_hex()
    );
    let opened = Bytes::from([&b"LARBMAN1"[..], &frame(opened.as_bytes())].concat());
    let merged = Bytes::from([&opened, &frame(merged.as_bytes())[..]].concat());
    Day { project_day, raw, compacted, opened, merged }
}

/// Returns eight disks at the end of each of seven days: the last day is raw, the day before is compacted with its
/// input in its grace time, older days are compacted.
fn week() -> Vec<Vec<DiskView>> {
    let days: Vec<Vec<Day>> = (FIRST_DAY..FIRST_DAY + 7)
        .map(|number| {
            (0..PROJECTS).map(|project| day(ProjectDay { project: project as u32, day: number })).collect()
        })
        .collect();
    let own: Vec<BTreeMap<ProjectDay, Bytes>> = (0..8)
        .map(|_| {
            days.iter().flatten().map(|day| (day.project_day, Bytes::from(day.compacted.clone()))).collect()
        })
        .collect();
    let disk = |disk: usize, evening: usize| {
        let mut files = Vec::new();
        for (at, day) in
            days.iter().enumerate().take(evening + 1).flat_map(|(at, d)| d.iter().map(move |day| (at, day)))
        {
            let dir = format!("arb/{}/{}", day.project_day.project, format_day(day.project_day.day));
            let is_compacted = at < evening;
            if at + 1 >= evening {
                files.push(FileView {
                    path: format!("{dir}/1.seg"),
                    chunks: day.raw.clone(),
                    unreadable: false,
                    corrupted: false,
                    as_written: Vec::new(),
                });
            }
            if is_compacted {
                files.push(FileView::whole(format!("{dir}/2.seg"), own[disk][&day.project_day].clone()));
            }
            let manifest = if is_compacted { &day.merged } else { &day.opened };
            files.push(FileView::whole(format!("{dir}/manifest"), manifest.clone()));
        }
        DiskView { name: format!("disk-{disk}"), files }
    };
    (0..7).map(|evening| (0..8).map(|number| disk(number, evening)).collect()).collect()
}

fn context(evening: usize) -> CheckContext {
    let at_ms = (i64::from(FIRST_DAY) + evening as i64 + 1) * DAY_MS;
    let (stage, damaged_disks) = ("day-end".into(), std::collections::BTreeSet::new());
    CheckContext { at_ms, stage, settled_before_ms: at_ms, faults_active: false, replays: 0, damaged_disks }
}

#[divan::bench]
fn decode_eight_replicas_of_20_000_events_cold(bencher: Bencher<'_, '_>) {
    let evenings = week();
    bencher.bench(|| ClusterSnapshot::of(&mut DecodeCache::default(), &evenings[0]));
}

#[divan::bench]
fn decode_eight_replicas_of_20_000_events_cached(bencher: Bencher<'_, '_>) {
    let evenings = week();
    let mut cache = DecodeCache::default();
    black_box(ClusterSnapshot::of(&mut cache, &evenings[0]));
    bencher.bench_local(|| ClusterSnapshot::of(&mut cache, &evenings[0]));
}

#[divan::bench]
fn read_disks_every_evening_of_a_week(bencher: Bencher<'_, '_>) {
    let evenings = week();
    bencher.bench(|| {
        let mut cache = DecodeCache::default();
        evenings.iter().for_each(|disks| drop(black_box(ClusterSnapshot::of(&mut cache, disks))));
    });
}

#[divan::bench]
fn check_disks_every_evening_of_a_week(bencher: Bencher<'_, '_>) {
    let evenings = week();
    let mut ledgers = Vec::new();
    for evening in 0..7 {
        let mut ledger = Ledger::new(ledger::LedgerConfig::default(), zones());
        send(&mut ledger, 0..(evening + 1) * EVENTS_A_DAY / IN_A_REQUEST);
        ledgers.push(ledger);
    }
    bencher.bench_local(|| {
        let mut cache = DecodeCache::default();
        let mut compactions = i8_compaction::CompactionChecker::default();
        let mut judge = incremental::IncrementalChecker::default();
        let mut manifests = i9_manifests::ManifestChecker::default();
        for (evening, (disks, ledger)) in evenings.iter().zip(&mut ledgers).enumerate() {
            let context = context(evening);
            let snapshot = ClusterSnapshot::of(&mut cache, disks);
            let read_view = snapshot.read_view(5);
            ledger.record_observed(&read_view);
            assert_eq!(judge.check(ledger, &read_view, &context), []);
            let runs = compactions.check(&mut cache, &snapshot, &context);
            assert_eq!((runs.violations.len(), runs.uncomparable.len()), (0, 0));
            assert_eq!(manifests.check(&snapshot, &context), []);
        }
    });
}

fn main() {
    divan::main();
}
