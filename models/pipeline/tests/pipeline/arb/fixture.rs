//! Test fixture: a disk node, a client node, and a log of the responses that the client received.

use bytes::Bytes;
use latent_pipeline::Role;
use latent_pipeline::arb::api::{ArbError, ArbRequest, ArbResponse, call};
use latent_pipeline::arb::manifest::{Manifest, ManifestEdit, Tier};
use latent_pipeline::arb::write_call::encode_write;
use latent_pipeline::config::{BootConfig, Cluster, CompactionConfig, Project, ReplicationConfig};
use latent_pipeline::record::{ArrivalId, Record, decode_block, scan_blocks};
use latent_pipeline::release::Release;
use latent_pipeline::zone::{Day, ZoneHistory};
use latent_ports::{Clock, Env, NodeId};
use latent_sim::{DiskImage, NodeSpec, SimEnv, World, WorldSpec, run_fork};
use latent_storekit::frame::{ScanEnd, scan};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub const DISK: NodeId = NodeId(1);
pub const PROJECT: u32 = 17;
pub const DAYS: [Day; 2] = [Day(16_853), Day(16_854)];
pub const SECOND: Duration = Duration::from_secs(1);
pub const HOUR: Duration = Duration::from_secs(3600);
const TIMEOUT: Duration = Duration::from_secs(30);

/// Responses that the client received.
#[derive(Debug, Default)]
pub struct ClientLog {
    /// Arrivals answered `Written`.
    pub written: BTreeMap<Day, BTreeSet<ArrivalId>>,
    /// Arrivals that a read returned.
    pub seen: BTreeMap<Day, BTreeSet<ArrivalId>>,
    /// Fencing tokens, in the order granted.
    pub tokens: Vec<u64>,
    /// Failed calls.
    pub failures: Vec<String>,
    /// Compaction runs that were confirmed as committed.
    pub runs: u32,
}

#[derive(Clone)]
pub struct ArbFixture {
    pub world: World,
    pub log: Arc<Mutex<ClientLog>>,
}

fn cluster() -> Cluster {
    let zones = ZoneHistory::constant("UTC").unwrap();
    let project = Project { id: PROJECT, token: "t".into(), secret: "s".into(), zones };
    Cluster {
        projects: BTreeMap::from([(PROJECT, project)]),
        by_token: BTreeMap::from([("t".into(), PROJECT)]),
        disks: vec![DISK],
        ingest: vec![],
        workers: vec![],
        edges: vec![],
        replication: ReplicationConfig::default(),
        compaction: CompactionConfig {
            two_runs_from_events: 5,
            // Small enough that segments are rolled and outputs split.
            output_max_bytes: 500,
            grace: Duration::from_secs(20 * 60),
            ..CompactionConfig::default()
        },
        backup: None,
        tee: None,
        audit: None,
        scrub_after_midnight: HOUR,
    }
}

/// Runs one world with a disk of `image` and passes the fixture to `main`.
pub fn with_disk<T: Send, F: Future<Output = T>>(
    seed: u64,
    image: Option<DiskImage>,
    main: impl FnOnce(ArbFixture) -> F + Send,
) -> T {
    let run = async move |world: World| {
        let boot = BootConfig { cluster: Arc::new(cluster()), release: Arc::new(Release::good()) };
        let spec = NodeSpec { image, ..NodeSpec::named("disk") };
        let disk = world.add_node(spec, move |env: SimEnv| {
            let config = boot.encode();
            async move { latent_pipeline::boot(env, Role::Disk, &config).await.unwrap() }
        });
        assert_eq!(disk, DISK);
        world.sleep(SECOND).await;
        main(ArbFixture { world, log: Arc::default() }).await
    };
    run_fork(WorldSpec::seeded(seed), run).output
}

impl ArbFixture {
    /// Runs `script` on a node of its own, to its end.
    pub async fn run<T: Send + 'static, F>(
        &self,
        name: &str,
        script: impl Fn(ArbClient) -> F + Send + Sync + 'static,
    ) -> T
    where
        F: Future<Output = T> + Send + 'static,
    {
        let done: Arc<Mutex<Option<T>>> = Arc::default();
        let (result, log) = (done.clone(), self.log.clone());
        let script = Arc::new(script);
        self.world.add_node(NodeSpec::named(name), move |env| {
            let (client, result) = (ArbClient { env, log: log.clone() }, result.clone());
            let script = script.clone();
            async move {
                let output = script(client).await;
                *result.lock().unwrap() = Some(output);
            }
        });
        loop {
            self.world.sleep(SECOND).await;
            if let Some(output) = done.lock().unwrap().take() {
                return output;
            }
        }
    }

    /// Checks the manifest of a day on the disk: every edit must follow the one before, and every live file must exist.
    /// Returns the names of files that no manifest names.
    pub fn check_manifests(&self, image: &DiskImage) -> Vec<String> {
        let mut orphans = Vec::new();
        for day in DAYS {
            let dir = format!("arb/{PROJECT}/{day}");
            let Some(bytes) = image.read(&format!("{dir}/manifest")) else { continue };
            let found = scan(&bytes, 8);
            assert_eq!(found.end, ScanEnd::Clean, "{dir}/manifest");
            let mut manifest = Manifest::default();
            for edit in &found.payloads {
                manifest.apply(&serde_json::from_slice::<ManifestEdit>(edit).unwrap()).unwrap();
            }
            let live: BTreeSet<String> = manifest.live.keys().map(|id| format!("{dir}/{id}.seg")).collect();
            for entry in manifest.live.values() {
                let path = format!("{dir}/{}.seg", entry.id);
                let bytes = image.read(&path).unwrap_or_else(|| panic!("{path} is live and missing"));
                if entry.sealed {
                    assert_eq!(blake3::hash(&bytes).to_hex().as_str(), entry.hash, "{path}");
                }
            }
            let files = image.list(&dir).map(|(path, _)| path.to_owned());
            orphans.extend(files.filter(|path| path.contains(".seg") && !live.contains(path)));
        }
        orphans
    }
}

/// Client of the disk.
#[derive(Clone)]
pub struct ArbClient {
    pub env: SimEnv,
    pub log: Arc<Mutex<ClientLog>>,
}

impl ArbClient {
    pub async fn sleep(&self, time: Duration) {
        self.env.clock().sleep(time).await;
    }

    pub async fn call_with_body(
        &self,
        request: &ArbRequest,
        body: Bytes,
    ) -> Result<(ArbResponse, Bytes), ArbError> {
        let answer = call(&self.env, DISK, request, body, TIMEOUT).await;
        if let Err(error) = &answer {
            self.log.lock().unwrap().failures.push(format!("{request:?}: {error}"));
        }
        answer
    }

    /// Returns the raw records of a day, which must be readable from now on.
    pub async fn read(&self, day: Day) -> Result<Vec<Record>, ArbError> {
        let (_, body) =
            self.call_with_body(&ArbRequest::Read { project: PROJECT, day }, Bytes::new()).await?;
        let found = scan_blocks(&body, 0, PROJECT, day);
        assert_eq!(found.end, ScanEnd::Clean);
        let mut records = Vec::new();
        for block in &found.payloads {
            decode_block(block, &mut records).unwrap();
        }
        let mut log = self.log.lock().unwrap();
        log.seen.entry(day).or_default().extend(records.iter().map(|record| record.arrival));
        Ok(records)
    }
}

impl ArbClient {
    /// Reads until the disk responds.
    pub async fn read_until_ok(&self, day: Day) -> Vec<Record> {
        for _ in 0..20 {
            if let Ok(records) = self.read(day).await {
                return records;
            }
            self.sleep(10 * SECOND).await;
        }
        panic!("{day} cannot be read: {:?}", self.log.lock().unwrap().failures.last());
    }
}

/// Event `n`: its own key, arrival id and text.
pub fn event(n: u64) -> Record {
    let arrival = ArrivalId { edge: 1, sequence: n, item: 0 };
    let json = Bytes::from(format!("{{\"event\":\"e{n}\",\"properties\":{{\"pad\":\"{:030}\"}}}}", n));
    let mut key = [0; 16];
    key[..8].copy_from_slice(&n.to_le_bytes());
    Record { arrival, repair: 0, arrived_ms: n as i64, time_ms: n as i64, key, json }
}

impl ArbClient {
    pub async fn put(&self, tier: Tier, range: Range<u64>) -> Result<(), ArbError> {
        self.put_on(DAYS[0], tier, range).await
    }

    pub async fn put_on(&self, day: Day, tier: Tier, range: Range<u64>) -> Result<(), ArbError> {
        let events: Vec<Record> = range.map(event).collect();
        let write = encode_write(PROJECT, [(day, tier, events.as_slice())].into_iter(), false).unwrap();
        let (answer, _) = self.call_with_body(&write.call, write.body).await?;
        assert!(matches!(answer, ArbResponse::Written { .. }));
        Ok(())
    }

    pub async fn call(&self, call: ArbRequest) -> Result<ArbResponse, ArbError> {
        Ok(self.call_with_body(&call, Bytes::new()).await?.0)
    }

    /// Takes the lease and plans one run over everything of the day.
    pub async fn plan_all(&self) -> ArbRequest {
        let lease = self.call(ArbRequest::Lease { project: PROJECT, for_ms: 1_000 }).await.unwrap();
        let days = self.call(ArbRequest::Days { project: PROJECT, dirty_only: false }).await.unwrap();
        let (ArbResponse::Leased { token }, ArbResponse::Days(days)) = (lease, days) else { panic!() };
        let inputs = days[0].files.iter().map(|file| file.id).collect();
        ArbRequest::Run { project: PROJECT, day: DAYS[0], token, inputs, keep: vec![] }
    }

    pub async fn merge_all(&self) -> Result<ArbResponse, ArbError> {
        let run = self.plan_all().await;
        self.call(run).await
    }

    pub async fn sequences(&self) -> Vec<u64> {
        let mut all: Vec<u64> =
            self.read_until_ok(DAYS[0]).await.iter().map(|r| r.arrival.sequence).collect();
        all.sort_unstable();
        all
    }
}

pub fn pin() -> ArbRequest {
    ArbRequest::Pin { project: PROJECT, for_ms: 1_000, arrived_before_ms: i64::MAX }
}

pub async fn lease(client: &ArbClient) -> u64 {
    match client.call(ArbRequest::Lease { project: PROJECT, for_ms: 1_000 }).await {
        Ok(ArbResponse::Leased { token }) => token,
        other => panic!("no lease: {other:?}"),
    }
}
