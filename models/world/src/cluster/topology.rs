//! The nodes of a world, the services that they run, and their links.
//!
//! Production consists of ingest, Arb and the workers. Edges, tee store, data centers, audit, operator and clients
//! are outside of it and survive its loss. Each Arb disk is a node; a data center is one object store. Not modelled:
//! racks; load balancing among edges other than by the client's choice.

use crate::cluster::node_env::{MarkPolicy, NodeEnv};
use crate::cluster::node_ids::NodeIds;
use crate::cluster::releases::DeployedRelease;
use crate::cluster::store_access::StoreKind;
use crate::cluster::store_faults::{StoreFaultInterceptor, StoreLog};
use crate::mutex::lock;
use crate::plan::WorldPlan;
use crate::plan::draws::clock_offset_ms;
use crate::scenario::{NodeNames, SCRUB_AFTER_MIDNIGHT, TeeFailurePolicy, WorldConfig};
use latent_edge::{EdgeConfig, TeeConfig};
use latent_engine::Scenario;
use latent_engine::sim::{ClockSpec, DiskImage, LatencyTail, LinkSpec, NodeSpec, SimEnv, World};
use latent_pipeline::config::{
    AuditConfig, BackupConfig, BootConfig, Cluster, CompactionConfig, Project, ReplicationConfig,
    TeeStoreConfig,
};
use latent_pipeline::{Role, boot_with_interceptor};
use latent_ports::{Env, NodeId};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock};

/// Why a node's configuration decodes.
const DECODES: &str = "world and node are built from one version of latent-pipeline";

/// Registry of the cluster configuration and release with which each node boots. It is complete once all nodes have
/// ids, and is read when a node boots.
#[derive(Default)]
pub(crate) struct ClusterRegistry {
    cluster: OnceLock<Arc<Cluster>>,
    nodes: OnceLock<NodeIds>,
    /// Changes that production made at the object stores.
    pub store_log: Arc<StoreLog>,
    releases: Mutex<BTreeMap<NodeId, DeployedRelease>>,
    /// Configurations of nodes that an operator changed.
    configured: Mutex<BTreeMap<NodeId, Arc<Cluster>>>,
}

impl ClusterRegistry {
    pub fn cluster(&self) -> Arc<Cluster> {
        self.cluster.get().expect("nodes boot after the cluster is complete: boots are tasks").clone()
    }

    fn nodes(&self) -> &NodeIds {
        self.nodes.get().expect("nodes boot after the cluster is complete: boots are tasks")
    }

    /// Returns the release of `node` from its next boot on.
    pub fn release(&self, node: NodeId) -> DeployedRelease {
        lock(&self.releases).get(&node).cloned().unwrap_or_else(DeployedRelease::good)
    }

    /// Returns the configuration and release with which `node` boots next.
    pub fn boot(&self, node: NodeId) -> BootConfig {
        let configured = lock(&self.configured).get(&node).cloned();
        let cluster = configured.unwrap_or_else(|| self.cluster());
        BootConfig { cluster, release: self.release(node).release }
    }

    /// Sets the configuration of `node` from its next boot on; `None` restores the common one.
    pub fn configure(&self, node: NodeId, cluster: Option<Cluster>) {
        let mut configured = lock(&self.configured);
        match cluster {
            Some(cluster) => configured.insert(node, Arc::new(cluster)),
            None => configured.remove(&node),
        };
    }

    /// Returns the nodes with a changed configuration.
    pub fn configured(&self) -> Vec<NodeId> {
        lock(&self.configured).keys().copied().collect()
    }

    /// Sets the release of `node` from its next boot on.
    pub fn set_release(&self, node: NodeId, release: &DeployedRelease) {
        lock(&self.releases).insert(node, release.clone());
    }
}

/// Initial disk images by node name, used by a fork.
pub(crate) type DiskImages = BTreeMap<String, DiskImage>;

/// Adds all nodes of a world except the clients. `images` supplies initial disks; a drill boots only the nodes that a
/// recovery needs.
pub(crate) struct ClusterBuilder<'a> {
    pub world: &'a World,
    pub scenario: &'a Scenario<WorldConfig>,
    pub plan: &'a WorldPlan,
    pub cluster_registry: &'a Arc<ClusterRegistry>,
    pub images: &'a DiskImages,
    pub marks: MarkPolicy,
    pub drill: bool,
}

impl ClusterBuilder<'_> {
    pub fn build<F>(&self, operator: impl Fn(NodeEnv<SimEnv>) -> F + Send + Sync + 'static) -> NodeIds
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let names = NodeNames::new(&self.scenario.config);
        let mut nodes = NodeIds::default();
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
            let marks = self.marks;
            let operator = move |env: SimEnv| operator(NodeEnv::new(env, marks));
            nodes.operator = Some(self.world.add_node(self.spec(name), operator));
        }
        self.link(&nodes);
        assert!(self.cluster_registry.nodes.set(nodes.clone()).is_ok(), "one switchboard serves one world");
        let cluster = Arc::new(cluster(self.scenario, self.plan, &nodes));
        assert!(self.cluster_registry.cluster.set(cluster).is_ok(), "one switchboard serves one world");
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

    fn add<F>(
        &self,
        name: &str,
        run: impl Fn(NodeEnv<SimEnv>, BootConfig) -> F + Send + Sync + 'static,
    ) -> NodeId
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let cluster_registry = self.cluster_registry.clone();
        let run = Arc::new(run);
        let marks = self.marks;
        self.world.add_node(self.spec(name), move |env: SimEnv| {
            let (cluster_registry, run) = (cluster_registry.clone(), run.clone());
            async move {
                let boot = cluster_registry.boot(env.node());
                run(NodeEnv::new(env, marks), boot).await;
            }
        })
    }

    /// Adds a node of the system under test. A hostile release attacks from nodes of production alone: it holds no
    /// credentials of the backup or the audit.
    fn add_role(&self, name: &str, role: Role) -> NodeId {
        let cluster_registry = self.cluster_registry.clone();
        let is_production = matches!(role, Role::Disk | Role::Ingest | Role::Worker);
        self.add(name, move |env, boot| {
            let role = role.clone();
            let is_hostile = is_production && cluster_registry.release(env.node()).is_hostile;
            async move {
                if is_hostile {
                    env.spawn_adversary(boot.clone());
                }
                latent_pipeline::boot(env, role, &boot.encode()).await.expect(DECODES);
            }
        })
    }

    /// Adds an object store with its fault interceptor; the tee store also removes expired files.
    fn add_store(&self, name: &str, kind: StoreKind) -> NodeId {
        let (world, cluster_registry) = (self.world.clone(), self.cluster_registry.clone());
        let credentials = self.scenario.config.topology.credentials.clone();
        let page_keys = self.scenario.config.topology.list_page_keys;
        self.add(name, move |env, boot| {
            let nodes = cluster_registry.nodes();
            let access = credentials.access(kind, nodes);
            let log = cluster_registry.store_log.clone();
            let interceptor =
                StoreFaultInterceptor::new(world.clone(), env.node(), kind, nodes.production(), log)
                    .with_page_keys(page_keys);
            let role = match kind {
                StoreKind::Backups => Role::DataCenter(access),
                StoreKind::Tee => Role::TeeStore(access),
            };
            async move { boot_with_interceptor(env, role, &boot.encode(), interceptor).await.expect(DECODES) }
        })
    }

    fn add_edge(&self, number: u16, name: &str) -> NodeId {
        let on_failure = self.scenario.config.protection.tee.as_ref().map(|tee| match tee.on_failure {
            TeeFailurePolicy::Reject => latent_edge::OnTeeFailure::Reject,
            TeeFailurePolicy::AcceptAndRecordGap => latent_edge::OnTeeFailure::AcceptAndRecordGap,
        });
        let cluster_registry = self.cluster_registry.clone();
        self.add(name, move |env, boot| {
            let cluster = &boot.cluster;
            // Each edge prefers the next one, so no two edges send their copies to the same edge first.
            let mut peers = cluster.edges.clone();
            peers.rotate_left(usize::from(number));
            peers.retain(|edge| *edge != env.node());
            let mut config = EdgeConfig::new(number, peers, cluster.ingest.clone());
            config.flush_allowed = Some(cluster_registry.nodes().operator.into_iter().collect());
            if let Some((tee, on_failure)) = cluster.tee.as_ref().zip(on_failure) {
                config = config.with_tee(TeeConfig { on_failure, ..TeeConfig::new(tee.store) });
            }
            latent_edge::run(env, config)
        })
    }

    /// Links the nodes: data centers and tee store are 20 to 40 ms away with 100 MB/s; all other nodes are in one
    /// place.
    fn link(&self, nodes: &NodeIds) {
        let far = LinkSpec {
            latency_us: (20_000, 40_000),
            tail: LatencyTail { one_in: 1_000, multiplier: 5 },
            loss_ppm: 0,
            bandwidth_bytes_per_s: Some(100_000_000),
        };
        let local = nodes.edges.iter().chain(&nodes.operator).chain(&nodes.backup).chain(&nodes.disks);
        for from in local {
            for to in nodes.data_centers.iter().chain(&nodes.tee_store) {
                self.world.set_link(*from, *to, far);
                self.world.set_link(*to, *from, far);
            }
        }
    }
}

fn cluster(scenario: &Scenario<WorldConfig>, plan: &WorldPlan, nodes: &NodeIds) -> Cluster {
    let config = &scenario.config;
    let mut projects = BTreeMap::new();
    let mut by_token = BTreeMap::new();
    for tenant in &plan.tenants {
        let id = tenant.workload.project;
        let zones = plan.zone_history(tenant);
        let (token, secret) = (tenant.workload.token.clone(), tenant.workload.secret.clone());
        by_token.insert(token.clone(), id);
        projects.insert(id, Project { id, token, secret, zones });
    }
    let topology = &config.topology;
    let ack_disks = usize::from(topology.ack_copies);
    let protection = &config.protection;
    Cluster {
        projects,
        by_token,
        disks: nodes.disks.clone(),
        ingest: nodes.ingest.clone(),
        workers: nodes.workers.clone(),
        edges: nodes.edges.clone(),
        replication: ReplicationConfig {
            ack_disks,
            // Any this many disks include one that acknowledged.
            read_disks: usize::from(topology.copies) - ack_disks + 1,
            ..ReplicationConfig::default()
        },
        compaction: CompactionConfig {
            late_seal_events: config.compaction.late_seal_events,
            two_runs_from_events: config.compaction.two_runs_from_events,
            grace: config.compaction.grace.0,
            output_max_bytes: config.compaction.output_max_bytes,
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
