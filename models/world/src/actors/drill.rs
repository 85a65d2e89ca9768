//! The drill: assumes that production is lost and recovers everything from copies of the surviving disks.
//!
//! It runs in a separate world on a separate thread, with copies of the disks of data centers, tee store and edges,
//! and eight empty disks. The recovery is the pipeline's; the oracle compares its result with the ledger. No time
//! passes in the outer world.

use crate::cluster::node_env::MarkPolicy;
use crate::cluster::node_ids::NodeIds;
use crate::cluster::releases::DeployedRelease;
use crate::cluster::topology::{ClusterBuilder, ClusterRegistry, DiskImages};
use crate::mutex::lock;
use crate::plan::WorldPlan;
use crate::scenario::WorldConfig;
use latent_engine::Scenario;
use latent_engine::sim::{DiskImage, World, WorldSpec, run_fork};
use latent_pipeline::recovery::run::{RecoveryReport, RecoveryTargets, recover};
use latent_ports::{Env, NodeId, UnixMs};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Time limit of a recovery, in the drill's virtual time.
const LIMIT: Duration = Duration::from_secs(7 * 86_400);

/// Result of a drill.
pub(crate) struct DrillResult {
    /// Disks of the recovered cluster, by name.
    pub disks: Vec<(String, DiskImage)>,
    /// Disks of the edges, after they uploaded everything that they held to the tee store.
    pub edges: Vec<(String, DiskImage)>,
    /// Report of the recovery; `None` if it did not end within a week.
    pub report: Option<RecoveryReport>,
    /// Number of times that each mark was reached.
    pub marks: BTreeMap<&'static str, u64>,
}

impl DrillResult {
    /// Returns the position of the newest backup used. Projects may differ; the earliest of their newest positions is
    /// returned.
    pub fn newest_backup_ms(&self) -> Option<i64> {
        let mut newest: BTreeMap<u32, i64> = BTreeMap::new();
        for day in self.report.iter().flat_map(|report| &report.days) {
            if let Some(position_ms) = day.backup_position_ms {
                let known = newest.entry(day.project).or_insert(position_ms);
                *known = position_ms.max(*known);
            }
        }
        newest.into_values().min()
    }
}

/// Copies the disks that survive the loss of production: data centers, tee store, edges.
pub(crate) fn survivors(world: &World, nodes: &NodeIds) -> DiskImages {
    let left = nodes.data_centers.iter().chain(&nodes.tee_store).chain(&nodes.edges);
    left.map(|node| (world.node_name(*node).to_string(), world.disk_image(*node))).collect()
}

/// Runs a drill on the given copies. The nodes that survive, and the recovery, run `release`.
pub(crate) fn run(
    scenario: &Scenario<WorldConfig>,
    plan: &WorldPlan,
    images: &DiskImages,
    (now, number): (UnixMs, u64),
    release: &DeployedRelease,
    marks: MarkPolicy,
) -> DrillResult {
    let seed = plan.seed ^ (0xd2111 + number).rotate_left(32);
    let spec = WorldSpec { scheduler_seed: seed, draw_seed: seed, start: now, keep_log: false };
    let finished =
        run_fork(
            spec,
            |world| async move { recover_all(scenario, plan, images, release, marks, world).await },
        );
    DrillResult { marks: finished.mark_counts, ..finished.output }
}

/// Recovers everything and returns the disks and the report; the caller counts the marks.
async fn recover_all(
    scenario: &Scenario<WorldConfig>,
    plan: &WorldPlan,
    images: &DiskImages,
    release: &DeployedRelease,
    marks: MarkPolicy,
    world: World,
) -> DrillResult {
    let cluster_registry = Arc::new(ClusterRegistry::default());
    let report: Arc<Mutex<Option<RecoveryReport>>> = Arc::default();
    let (to_report, cluster_of) = (report.clone(), cluster_registry.clone());
    let builder = ClusterBuilder {
        world: &world,
        scenario,
        plan,
        cluster_registry: &cluster_registry,
        images,
        marks,
        drill: true,
    };
    let nodes = builder.build(move |env| {
        let (report, cluster_registry) = (to_report.clone(), cluster_of.clone());
        async move {
            let boot = cluster_registry.boot(env.node());
            let done = recover(&env, &boot, &RecoveryTargets::Everything).await;
            *lock(&report) = Some(done);
        }
    });
    for node in nodes.protection() {
        cluster_registry.set_release(node, release);
    }
    let mut waited = Duration::ZERO;
    let step = Duration::from_secs(60);
    while lock(&report).is_none() && waited < LIMIT {
        world.sleep(step).await;
        waited += step;
    }
    let images = |nodes: &[NodeId]| {
        nodes.iter().map(|node| (world.node_name(*node).to_string(), world.disk_image(*node))).collect()
    };
    let report = lock(&report).take();
    let marks = BTreeMap::new();
    DrillResult { disks: images(&nodes.disks), edges: images(&nodes.edges), report, marks }
}
