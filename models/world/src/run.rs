//! A run: build the world, inject faults, heal, and check the final state.
//!
//! The main task executes the plan (deploys, drills) and hourly checks the days of production that were compacted or
//! ended since the last check. Clients stop when the scenario ends; the world continues to heal; then everything is
//! checked once more.
//!
//! - `drills`, `drill_triggers`: recovery drills on copies, and marks that trigger them. `expectations`: the oracle's settings before a run.
//! - `detection`: detectors that reported a loss. `summary`: the result of the run. `findings`: the
//!   results that a report shows. `diff`: the events of a damaged day.

mod detection;
mod diff;
mod drill_triggers;
mod drills;
mod expectations;
pub(crate) mod findings;
#[cfg(test)]
mod mark_tests;
mod summary;
#[cfg(test)]
mod tests;

use crate::actors::clients;
use crate::actors::operator::{self, OperatorState};
use crate::actors::recovery_task::RecoveryTask;
use crate::cluster::deploys::deploy_targets;
use crate::cluster::node_env::MarkPolicy;
use crate::cluster::node_ids::NodeIds;
use crate::cluster::releases::{DeployedRelease, releases};
use crate::cluster::topology::{ClusterBuilder, ClusterRegistry, DiskImages};
use crate::judge::checker::OracleChecker;
use crate::judge::durability_sampler::DurabilitySampler;
use crate::mutex::lock;
use crate::observe::client_state::ClientState;
use crate::observe::disk_activity::{self, DiskActivity};
use crate::observe::fault_log::{self, FaultLog};
use crate::plan::streams::send_window_ms;
use crate::plan::{DrillTrigger, WorldPlan};
use crate::scenario::{AbsentDisk, OperatorAction, WorldConfig};
use drill_triggers::DrillTriggers;
use expectations::{ledger_settings, oracle_zones};
use findings::{DrillFindings, Findings};
use latent_engine::sim::{NodeSpec, SimEnv, World};
use latent_engine::{PhaseReporter, Scenario, Verdict};
use latent_oracle::invariants::l4_recovery::UnfinishedRecovery;
use latent_oracle::{Ledger, ProjectDay};
use latent_pipeline::config::Cluster;
use latent_pipeline::zone::ZoneHistory;
use latent_ports::{NodeId, UnixMs};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const HOUR_MS: i64 = 3_600_000;

/// A step of the main task. The order of the variants is the order of steps at one time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum RunStep {
    /// Moves a node to a release.
    Deploy(NodeId, String),
    /// Executes the planned operator action with this index.
    Operate(usize),
    /// Reverts the operator action with this index.
    Revert(usize),
    /// Checks the days that changed.
    Check,
    /// Runs a recovery drill on copies.
    Drill,
    /// Ends the faults; the clients have stopped.
    Heal,
}

/// One run of the world.
pub(crate) struct WorldRun<'a> {
    plan: &'a WorldPlan,
    scenario: &'a Scenario<WorldConfig>,
    pub(crate) world: World,
    progress: PhaseReporter,
    cluster_registry: Arc<ClusterRegistry>,
    marks: MarkPolicy,
    pub(crate) nodes: NodeIds,
    operator_state: Arc<Mutex<OperatorState>>,
    client_state: Arc<ClientState>,
    durability_sampler: Arc<Mutex<DurabilitySampler>>,
    disk_activity: Arc<Mutex<DiskActivity>>,
    fault_log: Arc<Mutex<FaultLog>>,
    releases: BTreeMap<String, DeployedRelease>,
    zones: Vec<(u32, ZoneHistory)>,
    checker: OracleChecker,
    drill_triggers: DrillTriggers,
    drills: Vec<DrillFindings>,
    drill_marks: BTreeMap<String, u64>,
    last_check_at: UnixMs,
    is_checking: bool,
}

pub(crate) async fn run(
    plan: &WorldPlan,
    scenario: &Scenario<WorldConfig>,
    world: World,
    progress: PhaseReporter,
) -> Verdict<Findings> {
    let mut run = WorldRun::new(plan, scenario, world, progress, MarkPolicy::Record);
    run.execute().await;
    run.finish()
}

impl<'a> WorldRun<'a> {
    pub(crate) fn new(
        plan: &'a WorldPlan,
        scenario: &'a Scenario<WorldConfig>,
        world: World,
        progress: PhaseReporter,
        marks: MarkPolicy,
    ) -> WorldRun<'a> {
        let cluster_registry = Arc::new(ClusterRegistry::default());
        let operator_state: Arc<Mutex<OperatorState>> = Arc::default();
        let start = scenario.start.0;
        let disk_activity = disk_activity::attach(&world);
        let drill_triggers = DrillTriggers::attach(&world, &plan.drills);
        let fault_log = fault_log::attach(&world);
        let images = DiskImages::new();
        let builder = ClusterBuilder {
            world: &world,
            scenario,
            plan,
            cluster_registry: &cluster_registry,
            images: &images,
            marks,
            drill: false,
        };
        let reaction = scenario.config.operator.as_ref().map(|operator| operator.reaction.0);
        let has_recovery_tasks =
            plan.operations.iter().any(|it| matches!(it.action, OperatorAction::Recover(_)));
        let (world_of, operator_registry, task_state) =
            (world.clone(), cluster_registry.clone(), operator_state.clone());
        let nodes = builder.build(move |env| {
            let cluster_registry = operator_registry.clone();
            let cluster = move || cluster_registry.cluster();
            operator::run(env, world_of.clone(), cluster, task_state.clone(), reaction, has_recovery_tasks)
        });
        let client_state =
            ClientState::new(Ledger::new(ledger_settings(&world, &nodes, scenario), oracle_zones(plan)));
        let min_disks = u32::from(scenario.config.topology.ack_copies);
        let durability_sampler =
            DurabilitySampler::new(world.clone(), nodes.disks.clone(), min_disks, fault_log.clone());
        let durability_sampler = Arc::new(Mutex::new(durability_sampler));
        let asked = durability_sampler.clone();
        *lock(&client_state.on_acknowledged) =
            Some(Box::new(move |request, accepted| lock(&asked).acknowledged(request, accepted)));
        let sends_ms = send_window_ms(scenario);
        let (clients_state, edges, clients_plan, world_of) =
            (client_state.clone(), nodes.edges.clone(), plan.clone(), world.clone());
        world.add_node(NodeSpec::named("clients"), move |env: SimEnv| {
            clients::start(&env, &world_of, &clients_plan, &clients_state, &edges, sends_ms.clone());
            std::future::ready(())
        });
        let mut checker = OracleChecker::new(
            scenario,
            &world,
            client_state.clone(),
            start.0,
            fault_log.clone(),
            &plan.operations,
        );
        checker.store_log = cluster_registry.store_log.clone();
        let zones = plan
            .tenants
            .iter()
            .map(|tenant| {
                let zones = ZoneHistory::constant(&tenant.zone);
                (tenant.workload.project, zones.expect("zones were checked with the scenario"))
            })
            .collect();
        WorldRun {
            plan,
            scenario,
            releases: releases(&scenario.config),
            last_check_at: world.now(),
            world,
            progress,
            cluster_registry,
            marks,
            nodes,
            operator_state,
            client_state,
            durability_sampler,
            disk_activity,
            fault_log,
            zones,
            checker,
            drill_triggers,
            drills: Vec::new(),
            drill_marks: BTreeMap::new(),
            is_checking: true,
        }
    }

    /// Executes the scenario: faults, then healing.
    pub(crate) async fn execute(&mut self) {
        let mut steps = self.timeline(self.scenario.start.0, self.scenario.end().0);
        while let Some((at, step)) = steps.pop_first() {
            if let Some(due_ms) = self.drill_triggers.wait(&self.world, UnixMs(at)).await {
                steps.extend([(at, step), (due_ms, RunStep::Drill)]);
                continue;
            }
            match step {
                RunStep::Check | RunStep::Drill if !self.is_checking => {}
                step => self.step(step),
            }
        }
    }

    fn timeline(&self, start: UnixMs, end: UnixMs) -> BTreeSet<(i64, RunStep)> {
        let mut steps = BTreeSet::new();
        for deploy in &self.scenario.config.deploys {
            let (targets, pause) = deploy_targets(&deploy.to, &self.world, &self.nodes);
            for (turn, node) in targets.into_iter().enumerate() {
                let at = deploy.at.0 + pause * turn as u32;
                steps.insert((at.0, RunStep::Deploy(node, deploy.release.clone())));
            }
        }
        for (index, operation) in self.plan.operations.iter().enumerate() {
            steps.insert((operation.at.0.0, RunStep::Operate(index)));
            if let Some(duration) = operation.action.duration() {
                // Mistakes are fixed at the latest when faults end.
                let reverted = (operation.at.0 + duration.0).min(end);
                steps.insert((reverted.0, RunStep::Revert(index)));
            }
        }
        steps.extend(self.plan.drills.iter().filter_map(|drill| match drill.trigger {
            DrillTrigger::AtMs(at) => Some((at, RunStep::Drill)),
            DrillTrigger::Mark { .. } => None,
        }));
        steps.insert((end.0, RunStep::Heal));
        let last = end + self.scenario.config.healing.0;
        // Checks avoid the full hour, at which jobs start.
        let mut at = start.0 + HOUR_MS - HOUR_MS / 4;
        while at < last.0 {
            steps.insert((at, RunStep::Check));
            at += HOUR_MS;
        }
        steps.insert((last.0, RunStep::Check));
        steps
    }

    fn step(&mut self, step: RunStep) {
        if self.is_checking {
            // Exports come first: a later check may see events that were not there when the export was read.
            let exports = std::mem::take(&mut *lock(&self.client_state.exports));
            self.checker.check_exports(&self.world, &self.nodes, exports);
        }
        match step {
            RunStep::Deploy(node, release) => self.deploy(node, &release),
            RunStep::Operate(index) => self.operate(index),
            RunStep::Revert(index) => self.revert_operation(index),
            RunStep::Check => self.check_due_days(),
            RunStep::Drill => self.drill(),
            RunStep::Heal => self.heal(),
        }
    }

    /// Ends the faults and starts healing.
    fn heal(&mut self) {
        self.progress.phase("healing");
        self.drill_triggers.stop();
        self.world.end_faults();
        for node in self.cluster_registry.configured() {
            self.configure(node, None);
        }
        lock(&self.fault_log).faults_ended_ms = Some(self.world.now().0);
        self.abandon_disk();
        if self.is_checking {
            self.checker.faults_ended(&self.world, &self.nodes);
        }
    }

    /// Removes the disk without which the other nodes must heal. It is not checked any more.
    fn abandon_disk(&mut self) {
        let Some(without) = &self.scenario.config.heal_without else { return };
        let disk = self.world.node_named(without.disk()).expect("the disk was checked with the scenario");
        self.world.note(&format!("{} does not come back", without.disk()));
        match without {
            AbsentDisk::Down(_) => self.world.kill(disk),
            AbsentDisk::CutOff(_) => {
                for other in self.world.nodes().into_iter().filter(|node| *node != disk) {
                    self.world.cut_link(disk, other);
                    self.world.cut_link(other, disk);
                }
            }
        }
        self.nodes.disks.retain(|node| *node != disk);
        self.checker.excuses.record_permanent_loss(without.disk(), self.world.now().0);
        self.checker.abandon_disk(disk, without.disk());
    }

    /// Executes an operator action: a recovery or a mistake.
    fn operate(&mut self, index: usize) {
        let action = &self.plan.operations[index].action;
        self.world.note(&format!("an operator {}", action.describe()));
        if let OperatorAction::Recover(recover) = action {
            lock(&self.operator_state).recovery_tasks.push(RecoveryTask::new(recover.clone()));
        } else if let Some((node, cluster)) = action.configure(&self.cluster_registry.cluster(), &self.nodes)
        {
            self.configure(node, Some(cluster));
        }
    }

    fn revert_operation(&mut self, index: usize) {
        if let Some((node, _)) =
            self.plan.operations[index].action.configure(&self.cluster_registry.cluster(), &self.nodes)
        {
            self.configure(node, None);
        }
    }

    /// Restarts a node with a changed configuration; `None` restores the common one.
    fn configure(&mut self, node: NodeId, cluster: Option<Cluster>) {
        self.cluster_registry.configure(node, cluster);
        self.restart(node);
    }

    fn restart(&mut self, node: NodeId) {
        self.checker.excuses.record_restart(&self.world.node_name(node), self.world.now().0);
        self.world.restart(node);
    }

    fn deploy(&mut self, node: NodeId, release: &str) {
        let release = self.releases.get(release).cloned().expect("releases of deploys were checked");
        let name = self.world.node_name(node);
        self.world.note(&format!("deploy {} to {name}", release.release.name));
        self.cluster_registry.set_release(node, &release);
        if release.is_hostile {
            self.checker.disk_compromised(&name);
            lock(&self.fault_log).unsound.insert(name.to_string(), self.world.now().0);
        }
        self.restart(node);
        if !release.is_hostile && self.checker.disk_restored(&name) && self.is_checking {
            // Missing events are recorded here, so that no later backup is blamed for them.
            self.checker.check_all(&self.world, &self.nodes, "after-destruction", false);
        }
    }

    /// Passes what the operator started to the checker.
    fn use_operator_state(&mut self) {
        let operator_state = lock(&self.operator_state);
        self.checker.replays = operator_state.started;
        self.checker.is_recovering = operator_state.recovery_log.is_active();
        let node = self.nodes.operator.map(|node| self.world.node_name(node).to_string()).unwrap_or_default();
        let unfinished = operator_state.recovery_log.unfinished_ms();
        self.checker.unfinished_recoveries =
            unfinished.map(|at_ms| UnfinishedRecovery { node: node.clone(), at_ms }).collect();
    }

    /// Checks the project-days that were compacted since the last check, and those whose local day ended an hour ago.
    fn check_due_days(&mut self) {
        let now = self.world.now();
        let (written, is_catalog_stored) = {
            let mut activity = lock(&self.disk_activity);
            (activity.take_manifests(), activity.take_catalog_stored())
        };
        let mut scope = self.checker.changed_days(&self.world, &self.nodes, &written);
        for (project, zones) in &self.zones {
            let day_an_hour_before =
                |moment: UnixMs| zones.day(moment - Duration::from_millis(HOUR_MS as u64), moment);
            if day_an_hour_before(now) != day_an_hour_before(self.last_check_at) {
                let ended = day_an_hour_before(self.last_check_at);
                scope.insert(ProjectDay { project: *project, day: ended.0 });
            }
        }
        scope.extend(self.checker.newly_quarantined_days(&self.world, &self.nodes));
        self.use_operator_state();
        let lacking = self.checker.lacking();
        if !scope.is_empty() {
            self.checker.check_days(&self.world, &self.nodes, scope, "day-end");
        }
        // Also checked when backups stop: that case matters most.
        if is_catalog_stored || self.checker.backups_overdue(now) {
            let read_view = self.checker.check_all(&self.world, &self.nodes, "day-end", false);
            self.checker.check_backups(&self.world, &self.nodes, &read_view, &lacking, "after-backup");
        }
        self.checker.check_deadlines(&self.world, &self.nodes);
        if now.0.div_euclid(HOUR_MS) % 6 == 0 {
            self.checker.check_tee(&self.world, &self.nodes, "hourly");
        }
        let is_due = self.checker.liveness.is_due(&self.scenario.config, &lock(&self.fault_log), now.0);
        if is_due {
            self.checker.check_backlogs(&self.world, &self.nodes);
        }
        self.last_check_at = now;
    }
}
