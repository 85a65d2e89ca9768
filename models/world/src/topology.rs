//! The nodes of a world, what they run, and how they are linked.
//!
//! Production is ingest, Arb and the workers. Edges, tee store, data centers, audit, operator and clients are
//! outside of it: "production gone" leaves them. Each Arb disk is a node of its own; a data center is one object
//! store. Not modelled: racks, load balancing among edges other than by the client's choice.

use crate::credentials::StoreKind;
use crate::plan::{WorldPlan, between};
use crate::scenario::{DeployTo, OnTeeFailure, Topic};
use crate::store_faults::{self, StoreDoor, StoreLog};
use latent_edge::{EdgeConfig, TeeConfig};
use latent_engine::sim::{
    ClockSpec, DiskImage, FaultAction, LatencyTail, LinkSpec, NodeSpec, SimEnv, World, keyed_draw,
};
use latent_engine::{Problem, Scenario};
use latent_pipeline::config::{
    AuditConfig, BackupConfig, BootConfig, Cluster, CompactionConfig, Project, ReplicationConfig,
    TeeStoreConfig,
};
use latent_pipeline::release::{Bug, Release};
use latent_pipeline::zone::ZoneHistory;
use latent_pipeline::{Role, boot_with_interceptor};
use latent_ports::{Env, NodeId};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// Hours after a project's midnight at which its copies are compared.
pub(crate) const SCRUB_AFTER_MIDNIGHT: Duration = Duration::from_secs(6 * 3600);

/// Why a node's configuration decodes.
const DECODES: &str = "world and node are built from one version of latent-pipeline";

/// Node numbers, by role.
#[derive(Clone, Debug, Default)]
pub(crate) struct Nodes {
    pub edges: Vec<NodeId>,
    pub ingest: Vec<NodeId>,
    pub disks: Vec<NodeId>,
    pub workers: Vec<NodeId>,
    pub data_centers: Vec<NodeId>,
    pub tee_store: Option<NodeId>,
    pub backup: Option<NodeId>,
    pub audit: Option<NodeId>,
    pub operator: Option<NodeId>,
}

impl Nodes {
    /// What is gone when production is gone.
    pub fn production(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.disks.iter().chain(&self.ingest).chain(&self.workers).copied()
    }
}

/// What every node is booted with. Filled in once all nodes have their numbers, read when a node boots.
#[derive(Default)]
pub(crate) struct Switchboard {
    cluster: OnceLock<Arc<Cluster>>,
    nodes: OnceLock<Nodes>,
    /// What production did to the object stores.
    pub store_log: Arc<StoreLog>,
    releases: Mutex<BTreeMap<NodeId, Arc<Release>>>,
    /// Of nodes that somebody configured otherwise than the rest.
    configured: Mutex<BTreeMap<NodeId, Arc<Cluster>>>,
}

impl Switchboard {
    pub fn cluster(&self) -> Arc<Cluster> {
        self.cluster.get().expect("nodes boot after the cluster is complete: boots are tasks").clone()
    }

    fn nodes(&self) -> &Nodes {
        self.nodes.get().expect("nodes boot after the cluster is complete: boots are tasks")
    }

    fn boot(&self, node: NodeId) -> BootConfig {
        let releases = crate::lock(&self.releases);
        let release = releases.get(&node).cloned().unwrap_or_else(|| Arc::new(Release::good()));
        let configured = crate::lock(&self.configured).get(&node).cloned();
        BootConfig { cluster: configured.unwrap_or_else(|| self.cluster()), release }
    }

    /// From its next boot on, `node` has a configuration of its own; `None`: that of the rest again.
    pub fn configure(&self, node: NodeId, cluster: Option<Cluster>) {
        let mut configured = crate::lock(&self.configured);
        match cluster {
            Some(cluster) => configured.insert(node, Arc::new(cluster)),
            None => configured.remove(&node),
        };
    }

    /// Nodes with a configuration of their own.
    pub fn configured(&self) -> Vec<NodeId> {
        crate::lock(&self.configured).keys().copied().collect()
    }

    /// From its next boot on, `node` runs `release`.
    pub fn set_release(&self, node: NodeId, release: &Arc<Release>) {
        crate::lock(&self.releases).insert(node, release.clone());
    }
}

/// Disks to begin with: those of a fork.
pub(crate) type Images = BTreeMap<String, DiskImage>;

/// The names of a topology's nodes, by role, in the order in which they are added.
pub(crate) struct Names {
    pub edges: Vec<String>,
    pub ingest: Vec<String>,
    pub disks: Vec<String>,
    pub workers: Vec<String>,
    pub data_centers: Vec<String>,
    pub tee_store: Option<String>,
    pub backup: Option<String>,
    pub audit: Option<String>,
    pub operator: Option<String>,
}

impl Names {
    pub fn of(topic: &Topic) -> Names {
        let numbered = |what: &str, count: u16| (1..=count).map(|n| format!("{what}-{n}")).collect();
        let (topology, protection) = (&topic.topology, &topic.protection);
        let backup = protection.backup.is_some();
        Names {
            edges: numbered("edge", topology.edges),
            ingest: numbered("ingest", topology.ingest),
            disks: numbered("disk", topology.copies),
            workers: numbered("worker", topology.workers),
            data_centers: numbered("dc", if backup { topology.data_centers } else { 0 }),
            tee_store: protection.tee.as_ref().map(|_| "tee-store".to_owned()),
            backup: backup.then(|| "backup".to_owned()),
            audit: protection.audit.as_ref().map(|_| "audit".to_owned()),
            operator: protection.audit.as_ref().map(|_| "operator".to_owned()),
        }
    }

    /// Every node that belongs to the system, operator and auditors' machines left out: those are people's own.
    pub fn system(&self) -> Vec<String> {
        let many = [&self.edges, &self.ingest, &self.disks, &self.workers, &self.data_centers];
        let single = [&self.tee_store, &self.backup, &self.audit];
        many.into_iter().flatten().chain(single.into_iter().flatten()).cloned().collect()
    }

    /// Every object store.
    pub fn stores(&self) -> Vec<String> {
        self.data_centers.iter().chain(&self.tee_store).cloned().collect()
    }

    fn all(&self) -> impl Iterator<Item = &String> {
        let many = [&self.edges, &self.ingest, &self.disks, &self.workers, &self.data_centers];
        let single = [&self.tee_store, &self.backup, &self.audit, &self.operator];
        many.into_iter().flatten().chain(single.into_iter().flatten())
    }
}

/// Adds all nodes of a world but its clients. `images` gives some of them a disk to begin with; in a drill only
/// what recovery needs is booted.
pub(crate) struct Builder<'a> {
    pub world: &'a World,
    pub scenario: &'a Scenario<Topic>,
    pub plan: &'a WorldPlan,
    pub switchboard: &'a Arc<Switchboard>,
    pub images: &'a Images,
    pub drill: bool,
}

impl Builder<'_> {
    pub fn build<F>(&self, operator: impl Fn(SimEnv) -> F + Send + Sync + 'static) -> Nodes
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let names = Names::of(&self.scenario.topic);
        let mut nodes = Nodes::default();
        for name in &names.disks {
            nodes.disks.push(self.add_role(name, Role::Disk));
        }
        for name in &names.data_centers {
            nodes.data_centers.push(self.add_store(name, StoreKind::Backups));
        }
        nodes.tee_store = names.tee_store.as_ref().map(|name| self.add_store(name, StoreKind::Tee));
        for (number, name) in names.edges.iter().enumerate() {
            nodes.edges.push(self.add_edge(number as u16, name));
        }
        if !self.drill {
            for name in &names.ingest {
                nodes.ingest.push(self.add_role(name, Role::Ingest));
            }
            for name in &names.workers {
                nodes.workers.push(self.add_role(name, Role::Worker));
            }
            nodes.backup = names.backup.as_ref().map(|name| self.add_role(name, Role::Backup));
            nodes.audit = names.audit.as_ref().map(|name| self.add_role(name, Role::Audit));
        }
        if self.drill || names.operator.is_some() {
            let name = names.operator.as_deref().unwrap_or("operator");
            nodes.operator = Some(self.world.add_node(self.spec(name), operator));
        }
        self.link(&nodes);
        assert!(self.switchboard.nodes.set(nodes.clone()).is_ok(), "one switchboard serves one world");
        let cluster = Arc::new(cluster(self.scenario, self.plan, &nodes));
        assert!(self.switchboard.cluster.set(cluster).is_ok(), "one switchboard serves one world");
        nodes
    }

    fn spec(&self, name: &str) -> NodeSpec {
        let offset_ms = clock_offset_ms(self.plan.seed, name, self.plan.clock_offset_ms);
        NodeSpec {
            clock: ClockSpec { offset_ms, drift_ppm: 0 },
            image: self.images.get(name).cloned(),
            ..NodeSpec::named(name)
        }
    }

    fn add<F>(&self, name: &str, run: impl Fn(SimEnv, BootConfig) -> F + Send + Sync + 'static) -> NodeId
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let switchboard = self.switchboard.clone();
        let run = Arc::new(run);
        self.world.add_node(self.spec(name), move |env: SimEnv| {
            let (switchboard, run) = (switchboard.clone(), run.clone());
            async move {
                let boot = switchboard.boot(env.node());
                run(env, boot).await;
            }
        })
    }

    /// A node of the system under test, without faults inside its process.
    fn add_role(&self, name: &str, role: Role) -> NodeId {
        self.add(name, move |env, boot| {
            let role = role.clone();
            async move { latent_pipeline::boot(env, role, &boot.encode()).await.expect(DECODES) }
        })
    }

    /// An object store behind its door; the tee store also lets files go when they are old enough.
    fn add_store(&self, name: &str, kind: StoreKind) -> NodeId {
        let (world, switchboard) = (self.world.clone(), self.switchboard.clone());
        let credentials = self.scenario.topic.topology.credentials.clone();
        self.add(name, move |env, boot| {
            let nodes = switchboard.nodes();
            let access = credentials.access(kind, nodes);
            let log = switchboard.store_log.clone();
            let door = StoreDoor::new(world.clone(), env.node(), kind, nodes.production(), log);
            let role = match kind {
                StoreKind::Backups => Role::DataCenter(access),
                StoreKind::Tee => Role::TeeStore(access),
            };
            async move { boot_with_interceptor(env, role, &boot.encode(), door).await.expect(DECODES) }
        })
    }

    fn add_edge(&self, number: u16, name: &str) -> NodeId {
        let on_failure = self.scenario.topic.protection.tee.as_ref().map(|tee| match tee.on_failure {
            OnTeeFailure::Reject => latent_edge::OnTeeFailure::Reject,
            OnTeeFailure::AcceptAndRecordGap => latent_edge::OnTeeFailure::AcceptAndRecordGap,
        });
        let switchboard = self.switchboard.clone();
        self.add(name, move |env, boot| {
            let cluster = &boot.cluster;
            // Each edge prefers the next one: no two have theirs in one place.
            let mut peers = cluster.edges.clone();
            peers.rotate_left(usize::from(number));
            peers.retain(|edge| *edge != env.node());
            let mut config = EdgeConfig::new(number, peers, cluster.ingest.clone());
            config.flush_allowed = Some(switchboard.nodes().operator.into_iter().collect());
            if let Some((tee, on_failure)) = cluster.tee.as_ref().zip(on_failure) {
                config = config.with_tee(TeeConfig { on_failure, ..TeeConfig::new(tee.store) });
            }
            latent_edge::run(env, config)
        })
    }

    /// Data centers and tee store lie 20 to 40 ms away, 100 MB/s; everything else is in one place.
    fn link(&self, nodes: &Nodes) {
        let far = LinkSpec {
            latency_us: (20_000, 40_000),
            tail: LatencyTail { one_in: 1_000, multiplier: 5 },
            loss_ppm: 0,
            bandwidth_bytes_per_s: Some(100_000_000),
        };
        let near = nodes.edges.iter().chain(&nodes.operator).chain(&nodes.backup).chain(&nodes.disks);
        for here in near {
            for there in nodes.data_centers.iter().chain(&nodes.tee_store) {
                self.world.set_link(*here, *there, far);
                self.world.set_link(*there, *here, far);
            }
        }
    }
}

/// How far the wall clock of the node called `name` is ahead of true time, ms: drawn, up to `most` either way.
pub(crate) fn clock_offset_ms(seed: u64, name: &str, most: i64) -> i64 {
    let key = u128::from_le_bytes(blake3_16(name));
    between(keyed_draw(seed, "world.clock-offset", key), -most, most)
}

fn blake3_16(text: &str) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(&blake3::hash(text.as_bytes()).as_bytes()[..16]);
    out
}

fn cluster(scenario: &Scenario<Topic>, plan: &WorldPlan, nodes: &Nodes) -> Cluster {
    let topic = &scenario.topic;
    let mut projects = BTreeMap::new();
    let mut by_token = BTreeMap::new();
    for tenant in &plan.tenants {
        let id = tenant.law.project;
        let zones = ZoneHistory::constant(&tenant.zone).expect("zones were checked with the scenario");
        let (token, secret) = (tenant.law.token.clone(), tenant.law.secret.clone());
        by_token.insert(token.clone(), id);
        projects.insert(id, Project { id, token, secret, zones });
    }
    let topology = &topic.topology;
    let ack_disks = usize::from(topology.ack_copies);
    let protection = &topic.protection;
    Cluster {
        projects,
        by_token,
        disks: nodes.disks.clone(),
        ingest: nodes.ingest.clone(),
        workers: nodes.workers.clone(),
        edges: nodes.edges.clone(),
        replication: ReplicationConfig {
            ack_disks,
            // Any so many disks include one that acknowledged.
            read_disks: usize::from(topology.copies) - ack_disks + 1,
            ..ReplicationConfig::default()
        },
        compaction: CompactionConfig {
            late_seal_events: topic.compaction.late_seal_events,
            two_runs_from_events: topic.compaction.two_runs_from_events,
            grace: topic.compaction.grace.0,
            ..CompactionConfig::default()
        },
        backup: protection.backup.as_ref().map(|backup| BackupConfig {
            interval: backup.interval.0,
            first_after: backup.first_after.0,
            retention: backup.retention.0,
            min_retention: backup.retention.0,
            data_centers: nodes.data_centers.clone(),
        }),
        tee: protection.tee.as_ref().zip(nodes.tee_store).map(|(tee, store)| TeeStoreConfig {
            store,
            retention: tee.retention.0,
            min_retention: tee.retention.0,
        }),
        audit: protection.audit.as_ref().zip(nodes.operator).map(|(audit, operator)| AuditConfig {
            after_midnight: audit.after_midnight.0,
            operator,
            node: nodes.audit,
        }),
        scrub_after_midnight: SCRUB_AFTER_MIDNIGHT,
    }
}

/// The releases of a scenario by name, `good` among them.
pub(crate) fn releases(topic: &Topic) -> BTreeMap<String, Arc<Release>> {
    let mut releases = BTreeMap::from([("good".to_owned(), Arc::new(Release::good()))]);
    for release in &topic.releases {
        let bugs = Bug::ALL.iter().copied().filter(|bug| release.bugs.iter().any(|name| name == bug.name()));
        let release = Release { name: release.name.clone(), bugs: bugs.collect() };
        releases.insert(release.name.clone(), Arc::new(release));
    }
    releases
}

/// The nodes that a deploy moves, in order, and the pause after each.
pub(crate) fn deploy_targets(to: &DeployTo, world: &World, nodes: &Nodes) -> (Vec<NodeId>, Duration) {
    let production = || nodes.production().collect();
    match to {
        DeployTo::All => (production(), Duration::ZERO),
        DeployTo::Rolling { pause } => (production(), pause.0),
        DeployTo::Canary { replica_set } => {
            let half = nodes.disks.len().div_ceil(2);
            let set = nodes.disks.chunks(half).nth(usize::from(*replica_set)).unwrap_or_default();
            let worker = nodes.workers.get(usize::from(*replica_set));
            (set.iter().chain(worker).copied().collect(), Duration::ZERO)
        }
        DeployTo::Nodes(names) => {
            (names.iter().filter_map(|name| world.node_named(name)).collect(), Duration::ZERO)
        }
    }
}

/// Faults and deploys that name a node which the topology does not have.
pub(crate) fn check_fault_nodes(scenario: &Scenario<Topic>) -> Vec<Problem> {
    let names = Names::of(&scenario.topic);
    let known: Vec<&String> = names.all().collect();
    let is_known = |name: &str| name == "clients" || known.iter().any(|other| *other == name);
    let hint =
        || format!("write one of: {}", known.iter().map(|n| n.as_str()).collect::<Vec<_>>().join(", "));
    let mut problems = Vec::new();
    for (index, fault) in scenario.faults.iter().enumerate() {
        for name in fault.nodes().filter(|name| !is_known(name)) {
            problems.push(Problem::at(
                format!("/faults/{index}"),
                format!("no node is called '{name}'"),
                hint(),
            ));
        }
    }
    let is_store =
        |name: &String| names.data_centers.contains(name) || names.tee_store.as_ref() == Some(name);
    for (index, fault) in scenario.faults.iter().enumerate() {
        let FaultAction::Condition(condition) = &fault.action else { continue };
        if let Some((said, hint)) = store_faults::check(&condition.name, is_store(&condition.node)) {
            problems.push(Problem::at(format!("/faults/{index}/action/condition/name"), said, hint));
        }
    }
    for (index, deploy) in scenario.topic.deploys.iter().enumerate() {
        let DeployTo::Nodes(names) = &deploy.to else { continue };
        for name in names.iter().filter(|name| !is_known(name)) {
            let pointer = format!("/deploys/{index}/to");
            problems.push(Problem::at(pointer, format!("no node is called '{name}'"), hint()));
        }
    }
    problems
}
