//! Test cluster: 2 edges with their tee, 2 ingest nodes, 8 disks, 2 workers, 2 data centers, tee store, backup, audit,
//! an operator who records alarms, and a client whose acknowledged events are the only trusted state.

use bytes::Bytes;
use http::{Request, StatusCode};
use latent_edge::{EdgeConfig, TeeConfig};
use latent_pipeline::alarms::Alarm;
use latent_pipeline::codec::{self, tag};
use latent_pipeline::config::{
    AuditConfig, BackupConfig, BootConfig, Cluster, CompactionConfig, Project, ReplicationConfig,
    TeeStoreConfig,
};
use latent_pipeline::marks;
use latent_pipeline::recovery::run::{RecoveryReport, RecoveryTargets, recover_with_steps};
use latent_pipeline::recovery::runbook::RecoveryStep;
use latent_pipeline::release::Release;
use latent_pipeline::zone::{Day, ZoneHistory};
use latent_pipeline::{Role, arb, objects};
use latent_ports::{Clock, Env, Net, NodeId};
use latent_sim::{DiskImage, Event, NodeSpec, Observer, Record, SimEnv, World, WorldSpec, run_fork};
use latent_storekit::http_message::http_call;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

pub const MINUTE: Duration = Duration::from_secs(60);
pub const HOUR: Duration = Duration::from_secs(3600);
pub const PROJECT: u32 = 1;
/// 2016-02-20, on which every world begins, and the day after.
pub const FIRST_DAY: Day = Day(16_851);
const TIMEOUT: Duration = Duration::from_secs(60);

type Shared<T> = Arc<Mutex<T>>;

/// Initial disks, by name.
pub type DiskImages = BTreeMap<String, DiskImage>;

#[derive(Clone)]
pub struct ClusterFixture {
    pub world: World,
    pub cluster: Arc<Cluster>,
    /// Acknowledged insert ids.
    pub acked: Shared<BTreeSet<String>>,
    pub alarms: Shared<Vec<Alarm>>,
    /// Errors of failed compaction jobs.
    pub failures: Shared<Vec<String>>,
    clients: Shared<u64>,
}

struct DiskFailures(Shared<Vec<String>>);

impl Observer for DiskFailures {
    fn on_record(&mut self, record: &Record<'_>, _world: &World) {
        if let Event::Mark { name, subject } = record.event
            && name == marks::COMPACTION_JOB_FAILED
        {
            self.0.lock().unwrap().push(subject.to_owned());
        }
    }
}

/// Runs a world with a whole cluster.
pub fn with_fixture<T: Send, F: Future<Output = T>>(
    seed: u64,
    main: impl FnOnce(ClusterFixture) -> F + Send,
) -> (T, BTreeMap<&'static str, u64>) {
    let run =
        async move |world: World| main(ClusterFixture::build(world, &DiskImages::new(), true).await).await;
    let finished = run_fork(WorldSpec::seeded(seed), run);
    (finished.output, finished.mark_counts)
}

fn add<F>(
    world: &World,
    images: &DiskImages,
    name: &str,
    known: &Arc<OnceLock<Arc<Cluster>>>,
    run: impl Fn(SimEnv, BootConfig) -> F + Send + Sync + 'static,
) -> NodeId
where
    F: Future<Output = ()> + Send + 'static,
{
    let known = known.clone();
    let spec = NodeSpec { image: images.get(name).cloned(), ..NodeSpec::named(name) };
    world.add_node(spec, move |env| {
        let cluster = known.get().unwrap().clone();
        run(env, BootConfig { cluster, release: Arc::new(Release::good()) })
    })
}

fn add_role(
    world: &World,
    images: &DiskImages,
    name: &str,
    known: &Arc<OnceLock<Arc<Cluster>>>,
    role: Role,
) -> NodeId {
    add(world, images, name, known, move |env, config| {
        let role = role.clone();
        async move { latent_pipeline::boot(env, role, &config.encode()).await.unwrap() }
    })
}

impl ClusterFixture {
    /// Builds the cluster. With `production` false, only disks, data centers, tee store and edges: what a recovery
    /// needs.
    pub async fn build(world: World, images: &DiskImages, production: bool) -> ClusterFixture {
        let known: Arc<OnceLock<Arc<Cluster>>> = Arc::default();
        let alarms: Shared<Vec<Alarm>> = Arc::default();
        // Node numbers are assigned in the order in which nodes are added.
        let numbered = |first: u16, count: u16| (first..first + count).map(NodeId).collect::<Vec<_>>();
        let zones = ZoneHistory::constant("UTC").unwrap();
        let project = Project { id: PROJECT, token: "token".into(), secret: "secret".into(), zones };
        let cluster = Arc::new(Cluster {
            projects: BTreeMap::from([(PROJECT, project)]),
            by_token: BTreeMap::from([("token".into(), PROJECT)]),
            disks: numbered(1, 8),
            edges: numbered(12, 2),
            ingest: if production { numbered(14, 2) } else { vec![] },
            workers: if production { numbered(16, 2) } else { vec![] },
            replication: ReplicationConfig::default(),
            compaction: CompactionConfig { two_runs_from_events: 20, ..CompactionConfig::default() },
            backup: Some(BackupConfig {
                interval: 24 * HOUR,
                first_after: 26 * HOUR,
                retention: 20 * 24 * HOUR,
                min_retention: 20 * 24 * HOUR,
                data_centers: numbered(9, 2),
            }),
            tee: Some(TeeStoreConfig {
                store: NodeId(11),
                retention: 7 * 24 * HOUR,
                min_retention: 7 * 24 * HOUR,
            }),
            audit: Some(AuditConfig {
                after_midnight: 4 * HOUR,
                operator: NodeId(20),
                node: Some(NodeId(19)),
            }),
            scrub_after_midnight: 6 * HOUR,
        });
        assert!(known.set(cluster.clone()).is_ok());
        for n in 1..=8 {
            add_role(&world, images, &format!("disk-{n}"), &known, Role::Disk);
        }
        for name in ["dc-1", "dc-2", "tee-store"] {
            add(&world, images, name, &known, |env, _| objects::run(env));
        }
        for n in [0, 1] {
            add(&world, images, &format!("edge-{}", n + 1), &known, move |env, boot| {
                let peer = boot.cluster.edges[1 - usize::from(n)];
                let config = EdgeConfig::new(n, vec![peer], boot.cluster.ingest.clone());
                latent_edge::run(env, config.with_tee(TeeConfig::new(NodeId(11))))
            });
        }
        if production {
            for n in [1, 2] {
                add_role(&world, images, &format!("ingest-{n}"), &known, Role::Ingest);
            }
            for n in [1, 2] {
                add_role(&world, images, &format!("worker-{n}"), &known, Role::Worker);
            }
            add_role(&world, images, "backup", &known, Role::Backup);
            add_role(&world, images, "audit", &known, Role::Audit);
            let recorded = alarms.clone();
            let operator =
                add(&world, images, "operator", &known, move |env, _| note_alarms(env, recorded.clone()));
            assert_eq!(operator, NodeId(20));
        }
        world.sleep(Duration::from_secs(1)).await;
        let failures: Shared<Vec<String>> = Arc::default();
        world.observe(Box::new(DiskFailures(failures.clone())));
        ClusterFixture { world, cluster, acked: Arc::default(), alarms, failures, clients: Arc::default() }
    }

    pub fn node(&self, name: &str) -> NodeId {
        self.world.node_named(name).unwrap()
    }

    /// Runs `script` on a node of its own, to its end.
    pub async fn run<T: Send + 'static, F>(&self, script: impl Fn(SimEnv) -> F + Send + Sync + 'static) -> T
    where
        F: Future<Output = T> + Send + 'static,
    {
        let number = {
            let mut clients = self.clients.lock().unwrap();
            *clients += 1;
            *clients
        };
        let done: Shared<Option<T>> = Arc::default();
        let (result, script) = (done.clone(), Arc::new(script));
        self.world.add_node(NodeSpec::named(format!("client-{number}")), move |env| {
            let (result, script) = (result.clone(), script.clone());
            async move {
                let output = script(env).await;
                *result.lock().unwrap() = Some(output);
            }
        });
        loop {
            self.world.sleep(Duration::from_secs(1)).await;
            if let Some(output) = done.lock().unwrap().take() {
                return output;
            }
        }
    }

    /// Sends an hour of traffic, an event every 2 minutes, by the edges in turn; every fifth is 3 hours late. A request
    /// without a response is not retried: it may or may not be stored.
    pub async fn traffic(&self, hours: u32) {
        let (acked, edges) = (self.acked.clone(), self.cluster.edges.clone());
        self.run(move |env| send(env, edges.clone(), acked.clone(), hours * 30)).await;
    }

    /// Returns the insert ids in an export of the first days, each once.
    pub async fn exported(&self) -> BTreeSet<String> {
        let edges = self.cluster.edges.clone();
        let text = self.run(move |env| export(env, edges.clone())).await;
        let mut ids = BTreeSet::new();
        for line in text.lines() {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            let id = event["properties"]["$insert_id"].as_str().unwrap().to_owned();
            assert!(ids.insert(id.clone()), "{id} stands twice in the export");
        }
        ids
    }

    pub async fn everything_acknowledged_is_exported(&self) {
        let exported = self.exported().await;
        let acked = self.acked.lock().unwrap();
        let missing: Vec<_> = acked.difference(&exported).collect();
        assert!(
            missing.is_empty(),
            "{} of {} acknowledged events are gone: {missing:?}",
            missing.len(),
            acked.len()
        );
    }

    /// Returns the digests of the first days on each disk.
    pub async fn digests(&self) -> Vec<BTreeMap<Day, arb::api::ArbResponse>> {
        let disks = self.cluster.disks.clone();
        self.run(move |env| {
            let disks = disks.clone();
            async move {
                let mut all = Vec::new();
                for disk in disks {
                    let mut of_disk = BTreeMap::new();
                    for day in (FIRST_DAY.0 - 1..FIRST_DAY.0 + 4).map(Day) {
                        let ask = arb::api::ArbRequest::Digest {
                            project: PROJECT,
                            day,
                            arrived_before_ms: i64::MAX,
                        };
                        let answer = arb::api::call(&env, disk, &ask, Bytes::new(), TIMEOUT).await;
                        of_disk.insert(day, answer.unwrap().0);
                    }
                    all.push(of_disk);
                }
                all
            }
        })
        .await
    }

    pub async fn recover(&self, targets: RecoveryTargets) -> RecoveryReport {
        self.recover_with_steps(targets, &RecoveryStep::ALL).await
    }

    pub async fn recover_with_steps(
        &self,
        targets: RecoveryTargets,
        steps: &[RecoveryStep],
    ) -> RecoveryReport {
        let boot = BootConfig { cluster: self.cluster.clone(), release: Arc::new(Release::good()) };
        let steps = steps.to_vec();
        self.run(move |env| {
            let (boot, targets, steps) = (boot.clone(), targets.clone(), steps.clone());
            async move { recover_with_steps(&env, &boot, &targets, &steps).await }
        })
        .await
    }
}

async fn note_alarms(env: SimEnv, recorded: Shared<Vec<Alarm>>) {
    env.net()
        .serve(16, move |request| {
            recorded.lock().unwrap().push(codec::decode(tag::OPERATOR, &request.message).unwrap());
            std::future::ready(codec::message(tag::OPERATOR, &()))
        })
        .await;
}

async fn send(env: SimEnv, edges: Vec<NodeId>, acked: Shared<BTreeSet<String>>, count: u32) {
    for n in 0..count {
        let now_ms = env.clock().wall().0;
        let time_ms = if n % 5 == 4 { now_ms - 3 * 3_600_000 } else { now_ms };
        let id = format!("i-{now_ms}");
        let body = format!(
            r#"{{"event":"e","properties":{{"token":"token","distinct_id":"d{}","$insert_id":"{id}","time":{time_ms}}}}}"#,
            n % 7
        );
        let request = Request::post("/track").body(Bytes::from(body)).unwrap();
        let answer = http_call(&env, edges[n as usize % edges.len()], request, TIMEOUT).await;
        if answer.is_ok_and(|answer| answer.status() == StatusCode::OK && answer.body().as_ref() == b"1") {
            acked.lock().unwrap().insert(id);
        }
        env.clock().sleep(2 * MINUTE).await;
    }
}

async fn export(env: SimEnv, edges: Vec<NodeId>) -> String {
    let (from, to) = (Day(FIRST_DAY.0 - 1), Day(FIRST_DAY.0 + 6));
    let mut last = String::new();
    for edge in edges.iter().cycle().take(20) {
        let target = format!("/api/2.0/export?project_id={PROJECT}&from_date={from}&to_date={to}");
        // User name `secret`, without a password.
        let request = Request::get(target).header("authorization", "Basic c2VjcmV0Og==");
        match http_call(&env, *edge, request.body(Bytes::new()).unwrap(), TIMEOUT).await {
            Ok(response) if response.status() == StatusCode::OK => {
                return String::from_utf8(response.into_body().to_vec()).unwrap();
            }
            other => last = format!("{other:?}"),
        }
        env.clock().sleep(MINUTE).await;
    }
    panic!("no export: {last}");
}
