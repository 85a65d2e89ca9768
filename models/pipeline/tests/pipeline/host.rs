//! The same disk node on a real file system: results of the simulation hold on real files too. One directory, real
//! threads; the network is one function call.

use bytes::Bytes;
use futures_util::future::{BoxFuture, join_all, pending};
use latent_host::HostDisk;
use latent_pipeline::Role;
use latent_pipeline::arb::api::{ArbError, ArbRequest, ArbResponse, call};
use latent_pipeline::arb::manifest::Tier;
use latent_pipeline::arb::write_call::encode_write;
use latent_pipeline::config::{BootConfig, Cluster, CompactionConfig, ReplicationConfig};
use latent_pipeline::record::{ArrivalId, Record, decode_block, scan_blocks};
use latent_pipeline::release::Release;
use latent_pipeline::zone::Day;
use latent_ports::{
    Clock, Env, Mark, Message, Net, NetError, NetErrorKind, NodeId, Request, UnixMs, race_timeout,
};
use latent_storekit::frame::ScanEnd;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const NOON: UnixMs = UnixMs(1_456_142_400_000);
const DISK: NodeId = NodeId(1);
const DAY: Day = Day(16_853);
const TIMEOUT: Duration = Duration::from_secs(60);

type Handler = Arc<dyn Fn(Request) -> BoxFuture<'static, Message> + Send + Sync>;

/// Network with one server.
#[derive(Clone, Default)]
struct InProcessNet(Arc<Mutex<Option<Handler>>>);

impl Net for InProcessNet {
    async fn call(&self, to: NodeId, message: Message, timeout: Duration) -> Result<Message, NetError> {
        let server = self.0.lock().unwrap().clone();
        let server = server.ok_or(NetError { kind: NetErrorKind::Refused, to })?;
        let answer = server(Request { from: NodeId(2), message });
        race_timeout(&HostClock::new(), timeout, answer)
            .await
            .ok_or(NetError { kind: NetErrorKind::Timeout, to })
    }

    async fn serve<H, F>(&self, _limit: usize, handler: H)
    where
        H: Fn(Request) -> F + Send + Sync + 'static,
        F: Future<Output = Message> + Send + 'static,
    {
        *self.0.lock().unwrap() = Some(Arc::new(move |request| Box::pin(handler(request))));
        pending::<()>().await;
    }
}

/// Wall clock that stands at noon, and a real monotonic clock.
#[derive(Clone)]
struct HostClock(Instant);

impl HostClock {
    #[expect(clippy::disallowed_methods, reason = "this test runs on the real machine")]
    fn new() -> HostClock {
        HostClock(Instant::now())
    }
}

impl Clock for HostClock {
    fn wall(&self) -> UnixMs {
        NOON
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }

    #[expect(clippy::disallowed_methods, reason = "this test runs on the real machine")]
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

#[derive(Clone)]
struct HostEnv {
    disk: HostDisk,
    wire: InProcessNet,
    clock: HostClock,
}

impl Env for HostEnv {
    type Disk = HostDisk;
    type Net = InProcessNet;
    type Clock = HostClock;

    fn node(&self) -> NodeId {
        DISK
    }
    fn disk(&self) -> &HostDisk {
        &self.disk
    }
    fn net(&self) -> &InProcessNet {
        &self.wire
    }
    fn clock(&self) -> &HostClock {
        &self.clock
    }
    fn draw(&self, _stream: &'static str, _key: u128) -> u64 {
        unreachable!("a disk draws nothing")
    }
    #[expect(clippy::disallowed_methods, reason = "this test runs on the real machine")]
    fn spawn<F: Future<Output = ()> + Send + 'static>(&self, task: F) {
        drop(tokio::spawn(task));
    }
    fn mark(&self, _mark: Mark<'_>) {}
}

fn config() -> BootConfig {
    let cluster = Cluster {
        projects: BTreeMap::new(),
        by_token: BTreeMap::new(),
        disks: vec![DISK],
        ingest: vec![],
        workers: vec![],
        edges: vec![],
        replication: ReplicationConfig::default(),
        compaction: CompactionConfig { output_max_bytes: 4_000, ..CompactionConfig::default() },
        backup: None,
        tee: None,
        audit: None,
        scrub_after_midnight: TIMEOUT,
    };
    BootConfig { cluster: Arc::new(cluster), release: Arc::new(Release::good()) }
}

/// Boots the disk on `root`, runs `script`, and kills the process without a clean shutdown.
fn on_machine<F: Future<Output = ()>>(root: &Path, script: impl FnOnce(HostEnv) -> F) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    runtime.block_on(async {
        let (disk, wire) = (HostDisk::new(root).unwrap(), InProcessNet::default());
        let machine = HostEnv { disk, wire, clock: HostClock::new() };
        let process = machine.clone();
        machine.spawn(async move {
            latent_pipeline::boot(process, Role::Disk, &config().encode()).await.unwrap();
        });
        while machine.wire.0.lock().unwrap().is_none() {
            machine.clock.sleep(Duration::from_millis(1)).await;
        }
        script(machine).await;
    });
}

fn event(n: u64) -> Record {
    let arrival = ArrivalId { edge: 1, sequence: n, item: 0 };
    let mut key = [0; 16];
    key[..8].copy_from_slice(&n.to_le_bytes());
    let json = Bytes::from(format!("{{\"n\":{n}}}"));
    Record { arrival, repair: 0, arrived_ms: n as i64, time_ms: n as i64, key, json }
}

async fn order(machine: &HostEnv, order: ArbRequest, body: Bytes) -> Result<(ArbResponse, Bytes), ArbError> {
    call(machine, DISK, &order, body, TIMEOUT).await
}

async fn write(machine: &HostEnv, n: u64) {
    let tier = if n.is_multiple_of(5) { Tier::Late } else { Tier::OnTime };
    let write = encode_write(17, [(DAY, tier, [event(n)].as_slice())].into_iter(), false).unwrap();
    let (answer, _) = order(machine, write.call, write.body).await.unwrap();
    assert_eq!(answer, ArbResponse::Written { skipped: 0 });
}

async fn read(machine: &HostEnv) -> Vec<Record> {
    let (answer, body) =
        order(machine, ArbRequest::Read { project: 17, day: DAY }, Bytes::new()).await.unwrap();
    assert_eq!(answer, ArbResponse::Bytes);
    let found = scan_blocks(&body, 0, 17, DAY);
    assert_eq!(found.end, ScanEnd::Clean);
    let mut records = Vec::new();
    for block in &found.payloads {
        decode_block(block, &mut records).unwrap();
    }
    records.sort_by_key(|record| record.arrival);
    records
}

/// Merges everything under a fresh lease. Returns the lease's token.
async fn compact(machine: &HostEnv) -> u64 {
    let lease = ArbRequest::Lease { project: 17, for_ms: 1_000 };
    let (lease, _) = order(machine, lease, Bytes::new()).await.unwrap();
    let days = ArbRequest::Days { project: 17, dirty_only: true };
    let (days, _) = order(machine, days, Bytes::new()).await.unwrap();
    let (ArbResponse::Leased { token }, ArbResponse::Days(days)) = (lease, days) else { panic!() };
    let inputs = days[0].files.iter().map(|file| file.id).collect();
    let run = ArbRequest::Run { project: 17, day: DAY, token, inputs, keep: vec![] };
    let (ran, _) = order(machine, run, Bytes::new()).await.unwrap();
    assert!(
        matches!(ran, ArbResponse::RunCommitted { compacted } if compacted.len() > 1),
        "outputs are split"
    );
    token
}

#[test]
fn a_day_survives_killed_processes_and_compactions_on_real_files() {
    let dir = tempfile::tempdir().unwrap();
    let all = |upto: u64| (0..upto).map(event).collect::<Vec<_>>();
    on_machine(dir.path(), async |machine| {
        join_all((0..100).map(|n| write(&machine, n))).await;
        assert_eq!(compact(&machine).await, 1);
        assert_eq!(read(&machine).await, all(100));
        join_all((100..150).map(|n| write(&machine, n))).await;
    });
    // A process that died in the middle of an append left half a frame.
    let torn = newest_segment(dir.path());
    let bytes = std::fs::read(&torn).unwrap();
    std::fs::write(&torn, [bytes.as_slice(), &bytes[32..60]].concat()).unwrap();
    on_machine(dir.path(), async |machine| {
        assert_eq!(read(&machine).await, all(150));
        assert_eq!(compact(&machine).await, 2, "a token was granted twice");
        assert_eq!(read(&machine).await, all(150));
    });
    assert_eq!(std::fs::read(&torn).unwrap(), bytes, "the torn tail was not cut");
    on_machine(dir.path(), async |machine| assert_eq!(read(&machine).await, all(150)));
}

fn newest_segment(root: &Path) -> std::path::PathBuf {
    let day = root.join(format!("arb/17/{DAY}"));
    let names =
        std::fs::read_dir(&day).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let newest = names.filter_map(|name| name.strip_suffix(".seg")?.parse::<u64>().ok()).max().unwrap();
    day.join(format!("{newest}.seg"))
}
