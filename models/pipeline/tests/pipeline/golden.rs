//! Golden files: the files that the pipeline's code leaves on a disk and in a store for three fixed requests, kept byte
//! for byte in `models/golden`, with their decoded values in `values.json`.
//!
//! This side checks that today's code writes the same bytes and decodes them to the same values. The oracle's test of
//! the same name decodes them with independent readers. After an intended change of a format (amend formats.md first)
//! `LATENT_BLESS=1 cargo test -p latent-pipeline --test pipeline golden` rewrites them, to be reviewed.

use bytes::Bytes;
use latent_edge::tee::{ObjectWriter, TeeFile, TeeName, TeeObject, TeeRecord};
use latent_pipeline::arb::api::WriteBlock;
use latent_pipeline::arb::lease::Leases;
use latent_pipeline::arb::log::UntrustedLogs;
use latent_pipeline::arb::manifest::{Manifest, ManifestEdit};
use latent_pipeline::arb::segment::{SEGMENT_HEADER_BYTES, check_segment_header};
use latent_pipeline::arb::store::ArbStore;
use latent_pipeline::backup::catalog::{Catalog, CatalogDay, CatalogSegment, FORMAT, LaggingProject};
use latent_pipeline::config::{BootConfig, Cluster, CompactionConfig, Project, ReplicationConfig};
use latent_pipeline::ingest::classify::accepted_of_tee;
use latent_pipeline::record::{Record, decode_block, encode_framed_block, scan_blocks};
use latent_pipeline::release::Release;
use latent_pipeline::zone::{Day, ZoneHistory};
use latent_ports::{Clock, Env, NodeId, UnixMs};
use latent_sim::{DiskSpec, NodeSpec, SimEnv, WorldSpec, run_fork};
use latent_storekit::frame::{ScanEnd, scan};
use latent_storekit::http_message::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const PROJECT: u32 = 17;
/// 2016-02-22, the day of all events.
const DAY: Day = Day(16_853);
/// 2016-02-23T08:03:00Z: three minutes after midnight in Los Angeles.
const JOB_MS: i64 = 1_456_214_580_000;
/// Hour of all tee records: 2016-02-23T06:00:00Z to 07:00:00Z.
const TEE: TeeName = TeeName { hour: 404_502, edge: 1, boot: 3 };
/// The two objects that hold them, of the edge that received the requests and of the one with the second copy.
const TEE_OBJECTS: [TeeObject; 2] = [
    TeeObject { file: TEE, writer: ObjectWriter::Edge(1) },
    TeeObject { file: TEE, writer: ObjectWriter::Edge(2) },
];

/// Files by path below `models/golden`.
type GoldenFiles = BTreeMap<String, Bytes>;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../golden")
}

fn cluster() -> Cluster {
    let zones = ZoneHistory::constant("America/Los_Angeles").unwrap();
    let (token, secret) = ("token-17".to_owned(), "secret-17".to_owned());
    let project = Project { id: PROJECT, token: token.clone(), secret, zones };
    Cluster {
        projects: BTreeMap::from([(PROJECT, project)]),
        by_token: BTreeMap::from([(token, PROJECT)]),
        disks: Vec::new(),
        ingest: Vec::new(),
        workers: Vec::new(),
        edges: Vec::new(),
        replication: ReplicationConfig::default(),
        compaction: CompactionConfig::default(),
        backup: None,
        tee: None,
        audit: None,
        scrub_after_midnight: Duration::from_secs(6 * 3600),
    }
}

/// Three requests: events in time; the first of them again with two late ones, one without identity; and one that
/// arrives after the job has run.
fn requests() -> Vec<TeeRecord> {
    let request = |count: u64, minute: i64, target: &str, headers: &[(&str, &str)], body: &str| TeeRecord {
        edge: TEE.edge,
        sequence: u64::from(TEE.boot) << 40 | count,
        arrived_ms: TEE.hour * 3_600_000 + minute * 60_000 + 7,
        method: Method::Post,
        target: target.to_owned(),
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
            .collect(),
        body: Bytes::copy_from_slice(body.as_bytes()),
    };
    let json = ("content-type", "application/json");
    let basic = ("authorization", "Basic c2VjcmV0LTE3Og=="); // secret-17 and no password
    vec![
        request(
            1,
            1,
            "/track?verbose=1",
            &[json],
            r#"[{"event":"Signed up","properties":{"token":"token-17","distinct_id":"anna","$insert_id":"a-1","time":1456207200,"plan":"größer \u2713"}},{"event":"Opened","properties":{"token":"token-17","distinct_id":42,"$insert_id":"o-1","time":1456207210500,"n":[1,2.50]}}]"#,
        ),
        request(
            2,
            2,
            "/import?project_id=17",
            &[json, basic],
            r#"[{"event":"Signed up","properties":{"distinct_id":"anna","$insert_id":"a-1","time":1456185600,"plan":"again"}},{"event":"Paid","properties":{"distinct_id":"ben","$insert_id":"p-1","time":1456185600}},{"event":"Seen","properties":{"distinct_id":"","time":1456171200}}]"#,
        ),
        request(
            3,
            3,
            "/import?project_id=17",
            &[json, basic],
            r#"[{"event":"Closed","properties":{"distinct_id":"anna","$insert_id":"c-1","time":1456142400}}]"#,
        ),
    ]
}

/// Passes a request's events to the disk as ingest does.
async fn store(store: &ArbStore<SimEnv>, cluster: &Cluster, request: &TeeRecord) {
    for ((project, day, tier), records) in accepted_of_tee(cluster, request) {
        let body = encode_framed_block(project, day, &records).unwrap();
        let part = WriteBlock { day, tier, frame_bytes: body.len() as u32 };
        assert_eq!(store.write(project, &[part], false, &body).await.unwrap(), 0);
    }
}

/// Two requests, a lease that expires, another holder's lease, one run that merges both tiers, one more request.
async fn work(env: SimEnv) {
    let boot = BootConfig { cluster: Arc::new(cluster()), release: Arc::new(Release::good()) };
    let cluster = boot.cluster.clone();
    let requests = requests();
    let before = ArbStore::recover(env.clone(), boot.clone(), true, &UntrustedLogs::default()).await.unwrap();
    store(&before, &cluster, &requests[0]).await;
    store(&before, &cluster, &requests[1]).await;
    let leases = Leases::<SimEnv>::new(&UntrustedLogs::default());
    leases.take(&env, PROJECT, NodeId(5), 600_000).await.unwrap();
    env.clock().sleep(Duration::from_secs(660)).await;
    leases.take(&env, PROJECT, NodeId(6), 600_000).await.unwrap();
    let after = ArbStore::recover(env.clone(), boot, true, &UntrustedLogs::default()).await.unwrap();
    assert_eq!(after.run(PROJECT, DAY, 2, &[1, 2], &[]).await.unwrap(), [3]);
    store(&after, &cluster, &requests[2]).await;
}

/// All golden files, as today's code writes them.
fn written() -> GoldenFiles {
    let spec = WorldSpec { start: UnixMs(JOB_MS), ..WorldSpec::seeded(1) };
    let image = run_fork(spec, async |world| {
        // Syncs take no time, so that the lease's times are fixed.
        let disk = DiskSpec { sync_latency_us: (0, 0), ..DiskSpec::default() };
        let node = world.add_node(NodeSpec { disk, ..NodeSpec::named("arb-1") }, work);
        world.sleep(Duration::from_secs(3600)).await;
        world.disk_image(node)
    })
    .output;
    let mut files: GoldenFiles =
        image.files().map(|(path, file)| (format!("disk/{path}"), file.bytes())).collect();
    let compacted = files[&segment_path(3)].clone();
    let hash = blake3::hash(&compacted).to_hex().to_string();
    let segments = vec![CatalogSegment { hash: hash.clone(), bytes: compacted.len() as u64, records: 4 }];
    let days = vec![CatalogDay { project: PROJECT, day: DAY, segments }];
    let behind = vec![LaggingProject { project: PROJECT + 1, position_ms: JOB_MS - 86_400_000 }];
    let catalog = Catalog { format: FORMAT, position_ms: JOB_MS, taken_ms: JOB_MS + 3_000, behind, days };
    let (key, text) = catalog.to_object().unwrap();
    files.insert(format!("store/objects/{key}"), text.into());
    files.insert(format!("store/objects/segments/{hash}"), compacted);
    let mut tee = TEE.header().to_vec();
    requests().iter().for_each(|request| tee.extend_from_slice(&request.encode_frame().unwrap()));
    let tee = Bytes::from(tee);
    files.extend(TEE_OBJECTS.map(|object| (format!("store/objects/{}", object.key()), tee.clone())));
    files
}

fn segment_path(id: u64) -> String {
    format!("disk/arb/{PROJECT}/{DAY}/{id}.seg")
}

/// Values in the files, decoded by the pipeline's code.
fn values(files: &GoldenFiles) -> Value {
    let frames = |path: &str, header_bytes: usize| {
        let scan = scan(&files[path], header_bytes);
        assert_eq!(scan.end, ScanEnd::Clean, "{path}");
        scan.payloads
    };
    let segments: serde_json::Map<String, Value> = (1..=4)
        .map(|id| {
            let path = segment_path(id);
            let tier = check_segment_header(&files[&path], PROJECT, DAY, &path).unwrap();
            let mut records = Vec::new();
            let scan = scan_blocks(&files[&path], SEGMENT_HEADER_BYTES, PROJECT, DAY);
            assert_eq!(scan.end, ScanEnd::Clean, "{path}");
            for block in scan.payloads {
                decode_block(&block, &mut records).unwrap();
            }
            let records: Vec<Value> = records.iter().map(record).collect();
            (id.to_string(), json!({ "tier": tier, "records": records }))
        })
        .collect();
    let edits: Vec<ManifestEdit> = frames(&format!("disk/arb/{PROJECT}/{DAY}/manifest"), 8)
        .iter()
        .map(|edit| serde_json::from_slice(edit).unwrap())
        .collect();
    let mut manifest = Manifest::default();
    edits.iter().for_each(|edit| manifest.apply(edit).unwrap());
    let grants: Vec<Value> =
        frames(&format!("disk/arb/{PROJECT}/lease"), 8).iter().map(|frame| grant(frame)).collect();
    let [tee, second] = TEE_OBJECTS
        .map(|object| TeeFile::decode(&files[&format!("store/objects/{}", object.key())]).unwrap());
    assert_eq!((&tee.records, &second.records), (&requests(), &requests()));
    let (key, text) = files.iter().find(|(path, _)| path.contains("/catalogs/")).unwrap();
    let catalog = Catalog::from_object(key.strip_prefix("store/objects/").unwrap(), text).unwrap();
    json!({
        "segments": segments,
        "edits": edits,
        "live": manifest.live.keys().collect::<Vec<_>>(),
        "grants": grants,
        "tee": tee.records.iter().map(teed).collect::<Vec<_>>(),
        "catalog": catalog,
    })
}

fn record(record: &Record) -> Value {
    let key: String = record.key.iter().map(|byte| format!("{byte:02x}")).collect();
    json!({
        "edge": record.arrival.edge, "sequence": record.arrival.sequence, "item": record.arrival.item, "repair": record.repair,
        "arrived_ms": record.arrived_ms, "time_ms": record.time_ms, "key": key,
        "json": std::str::from_utf8(&record.json).unwrap(),
    })
}

fn grant(frame: &[u8]) -> Value {
    let number = |at: usize| i64::from_le_bytes(frame[at..at + 8].try_into().unwrap());
    let holder = u16::from_le_bytes([frame[8], frame[9]]);
    assert_eq!(frame.len(), 26);
    json!({ "token": number(0), "holder": holder, "granted_ms": number(10), "expires_ms": number(18) })
}

fn teed(record: &TeeRecord) -> Value {
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).unwrap().to_owned();
    let headers: Vec<_> = record.headers.iter().map(|(name, value)| (name, text(value))).collect();
    json!({
        "edge": record.edge, "sequence": record.sequence, "arrived_ms": record.arrived_ms,
        "method": format!("{:?}", record.method), "target": record.target, "headers": headers,
        "body": text(&record.body),
    })
}

/// Every file below `folder`, by relative path.
fn read_below(folder: &Path) -> GoldenFiles {
    let mut files = GoldenFiles::new();
    let mut to_see = vec![folder.to_owned()];
    while let Some(directory) = to_see.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                to_see.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                files.insert(name, std::fs::read(&path).unwrap().into());
            }
        }
    }
    files
}

#[test]
fn the_pipeline_writes_and_decodes_the_golden_files() {
    let mut written = written();
    let values = values(&written);
    // The incident in small: the record that the run kept of one key is its earliest arrival.
    assert_eq!(values["segments"]["3"]["records"].as_array().unwrap().len(), 4);
    assert_eq!(values["live"], json!([3, 4]));
    written.insert("values.json".to_owned(), format!("{values:#}\n").into());
    #[expect(
        clippy::disallowed_methods,
        reason = "an intended change of a format is declared with this variable"
    )]
    if std::env::var("LATENT_BLESS").is_ok() {
        if folder().exists() {
            std::fs::remove_dir_all(folder()).unwrap();
        }
        for (path, bytes) in &written {
            let path = folder().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
    }
    let golden = read_below(&folder());
    assert_eq!(golden.keys().collect::<Vec<_>>(), written.keys().collect::<Vec<_>>());
    for (path, bytes) in &written {
        assert!(golden[path] == *bytes, "{path} is not what models/golden keeps: see the head of this test");
    }
}
