//! A run: build the world, inject faults, heal, and check the final state.
//!
//! The main task executes the plan (deploys, drills) and hourly checks the days of production that were compacted or
//! ended since the last check. Clients stop when the scenario ends; the world continues to heal; then everything is
//! checked once more.
//!
//! A run has phases, each of which is a type: [`WorldRun`] executes the plan with a judge that observes, and becomes a
//! [`FinishedRun`], which has a judgement and no judge.
//!
//! - `state`: the world and what is recorded of it. `expectations`: the oracle's settings before a run.
//! - `drills`, `drill_triggers`: recovery drills on copies, and marks that trigger them.
//! - `finished_run`: the final checks. `detection`: detectors that reported a loss. `summary`: the result of the run.
//!   `findings`: the results that a report shows. `diff`: the events of a damaged day.

mod detection;
mod diff;
mod drill_triggers;
mod drills;
mod expectations;
pub(crate) mod findings;
mod finished_run;
#[cfg(test)]
mod guard_tests;
#[cfg(test)]
mod mark_tests;
mod state;
mod summary;
#[cfg(test)]
mod tests;

use crate::actors::recovery_task::RecoveryTask;
use crate::cluster::deploys::deploy_targets;
use crate::cluster::node_env::MarkPolicy;
use crate::cluster::releases::{DeployedRelease, releases};
use crate::judge::inputs::HourlyObservations;
use crate::judge::phases::Judge;
use crate::mutex::lock;
use crate::plan::{DrillTrigger, WorldPlan};
use crate::scenario::{AbsentDisk, OperatorAction, WorldConfig};
use findings::Findings;
use finished_run::FinishedRun;
use latent_engine::sim::World;
use latent_engine::{PhaseReporter, Scenario, SystemRun, Verdict};
use latent_oracle::ProjectDay;
use latent_pipeline::config::Cluster;
use latent_pipeline::zone::ZoneHistory;
use latent_ports::{NodeId, UnixMs};
use state::RunState;
use std::collections::{BTreeMap, BTreeSet};
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
    /// The faults end; the clients have stopped.
    Heal,
    /// The last check.
    End,
}

/// One run of the world, until its end.
pub struct WorldRun<'a> {
    pub(crate) state: RunState<'a>,
    steps: BTreeSet<(i64, RunStep)>,
    judge: Judge,
    releases: BTreeMap<String, DeployedRelease>,
    zones: Vec<(u32, ZoneHistory)>,
    last_check_at: UnixMs,
    is_checking: bool,
}

impl SystemRun for WorldRun<'_> {
    type Findings = Findings;

    async fn execute(&mut self) {
        self.execute_until(RunStep::Heal).await;
    }

    async fn finish(mut self) -> Verdict<Findings> {
        self.heal().await;
        self.verdict()
    }
}

impl<'a> WorldRun<'a> {
    pub(crate) fn new(
        plan: &'a WorldPlan,
        scenario: &'a Scenario<WorldConfig>,
        world: World,
        progress: PhaseReporter,
        marks: MarkPolicy,
    ) -> WorldRun<'a> {
        let state = RunState::new(plan, scenario, world, progress, marks);
        let zones = plan.tenants.iter().map(|tenant| (tenant.workload.project, plan.zone_history(tenant)));
        let zones = zones.collect();
        WorldRun {
            judge: Judge::new(state.judge_inputs()),
            releases: releases(&scenario.config),
            zones,
            last_check_at: state.world.now(),
            steps: timeline(&state),
            state,
            is_checking: true,
        }
    }

    /// Lets the system heal for as long as the scenario says.
    pub(crate) async fn heal(&mut self) {
        self.begin_healing();
        self.execute_until(RunStep::End).await;
    }

    /// Executes the scenario and heals, as the engine does.
    #[cfg(test)]
    pub(crate) async fn execute_and_heal(&mut self) {
        SystemRun::execute(self).await;
        self.state.world.end_faults();
        self.heal().await;
    }

    /// Executes the steps before `last`, and waits for its time.
    async fn execute_until(&mut self, last: RunStep) {
        while let Some((at, step)) = self.steps.pop_first() {
            if let Some(due_ms) = self.state.drill_triggers.wait(&self.state.world, UnixMs(at)).await {
                self.steps.extend([(at, step), (due_ms, RunStep::Drill)]);
                continue;
            }
            match step {
                step if step == last => return,
                RunStep::Check | RunStep::Drill if !self.is_checking => {}
                RunStep::Drill if !self.state.scenario.config.checks.is_full() => {}
                step => self.step(step),
            }
        }
    }

    fn step(&mut self, step: RunStep) {
        if self.is_checking {
            // Exports come first: a later check may see events that were not there when the export was read.
            let exports = std::mem::take(&mut *lock(&self.state.client_state.exports));
            self.judge.check_exports(&self.state.world, &self.state.nodes, exports);
        }
        match step {
            RunStep::Deploy(node, release) => self.deploy(node, &release),
            RunStep::Operate(index) => self.operate(index),
            RunStep::Revert(index) => self.revert_operation(index),
            RunStep::Check => self.check_hour(),
            RunStep::Drill => self.drill(),
            RunStep::Heal | RunStep::End => {}
        }
    }

    /// Starts healing, once the faults have ended.
    fn begin_healing(&mut self) {
        let RunState { progress, cluster_registry, drill_triggers, .. } = &mut self.state;
        progress.phase("healing");
        drill_triggers.stop();
        for node in cluster_registry.configured() {
            self.configure(node, None);
        }
        lock(&self.state.fault_log).faults_ended_ms = Some(self.state.world.now().0);
        self.abandon_disk();
        if self.is_checking {
            self.judge.faults_ended(&self.state.world, &self.state.nodes);
        }
    }

    /// Removes the disk without which the other nodes must heal. It is not checked any more.
    fn abandon_disk(&mut self) {
        let Some(without) = &self.state.scenario.config.heal_without else { return };
        let RunState { world, nodes, .. } = &mut self.state;
        let disk = world.node_named(without.disk()).expect("the disk was checked with the scenario");
        world.note(&format!("{} does not come back", without.disk()));
        match without {
            AbsentDisk::Down(_) => world.kill(disk),
            AbsentDisk::CutOff(_) => {
                for other in world.nodes().into_iter().filter(|node| *node != disk) {
                    world.cut_link(disk, other);
                    world.cut_link(other, disk);
                }
            }
        }
        nodes.disks.retain(|node| *node != disk);
        self.judge.disk_abandoned(disk, without.disk(), world.now().0);
    }

    /// Executes an operator action: a recovery or a mistake.
    fn operate(&mut self, index: usize) {
        let RunState { plan, world, nodes, cluster_registry, operator_state, .. } = &self.state;
        let action = &plan.operations[index].action;
        world.note(&format!("an operator {}", action.describe()));
        if let OperatorAction::Recover(recover) = action {
            lock(operator_state).recovery_tasks.push(RecoveryTask::new(recover.clone()));
        } else if let Some((node, cluster)) = action.configure(&cluster_registry.cluster(), nodes) {
            self.configure(node, Some(cluster));
        }
    }

    fn revert_operation(&mut self, index: usize) {
        let RunState { plan, nodes, cluster_registry, .. } = &self.state;
        let action = &plan.operations[index].action;
        if let Some((node, _)) = action.configure(&cluster_registry.cluster(), nodes) {
            self.configure(node, None);
        }
    }

    /// Restarts a node with a changed configuration; `None` restores the common one.
    fn configure(&mut self, node: NodeId, cluster: Option<Cluster>) {
        self.state.cluster_registry.configure(node, cluster);
        self.restart(node);
    }

    fn restart(&mut self, node: NodeId) {
        let world = &self.state.world;
        self.judge.node_restarted(&world.node_name(node), world.now().0);
        world.restart(node);
    }

    fn deploy(&mut self, node: NodeId, release: &str) {
        let release = self.releases.get(release).cloned().expect("releases of deploys were checked");
        let RunState { world, cluster_registry, fault_log, .. } = &self.state;
        let name = world.node_name(node);
        world.note(&format!("deploy {} to {name}", release.release.name));
        cluster_registry.set_release(node, &release);
        if release.is_hostile {
            self.judge.disk_compromised(&name);
            let mut fault_log = lock(fault_log);
            fault_log.unsound.insert(name.to_string(), world.now().0);
            fault_log.compromised.insert(name.to_string());
        }
        self.restart(node);
        let is_checked = self.is_checking && self.state.scenario.config.checks.is_full();
        if !release.is_hostile && self.judge.disk_restored(&name) && is_checked {
            // Missing events are recorded here, so that no later backup is blamed for them.
            self.judge.check_production(&self.state.world, &self.state.nodes, "after-destruction");
        }
    }

    /// Checks what changed since the last check, and the days whose local day ended an hour ago.
    fn check_hour(&mut self) {
        let now = self.state.world.now();
        let (written, is_catalog_stored) = {
            let mut activity = lock(&self.state.disk_activity);
            (activity.take_manifests(), activity.take_catalog_stored())
        };
        let mut ended_days = BTreeSet::new();
        for (project, zones) in &self.zones {
            let day_an_hour_before =
                |moment: UnixMs| zones.day(moment - Duration::from_millis(HOUR_MS as u64), moment);
            let ended = day_an_hour_before(self.last_check_at);
            if day_an_hour_before(now) != ended {
                ended_days.insert(ProjectDay { project: *project, day: ended.0 });
            }
        }
        let operator = self.state.operator_progress();
        let hour = HourlyObservations { written, ended_days, is_catalog_stored, operator };
        self.judge.check_hour(&self.state.world, &self.state.nodes, hour);
        self.last_check_at = now;
    }

    /// Runs a recovery drill on copies of the surviving disks.
    fn drill(&mut self) {
        let RunState { world, nodes, .. } = &self.state;
        let read_view = self.judge.check_production(world, nodes, "day-end");
        self.state
            .drill(|drilled, now_ms, promised| self.judge.check_drill(drilled, &read_view, now_ms, promised));
    }

    /// Checks the final state.
    pub(crate) fn verdict(self) -> Verdict<Findings> {
        FinishedRun::new(self.state, self.judge).verdict()
    }
}

/// Returns the steps of a run, by time.
fn timeline(state: &RunState<'_>) -> BTreeSet<(i64, RunStep)> {
    let (start, end) = (state.scenario.start.0, state.scenario.end().0);
    let mut steps = BTreeSet::new();
    for deploy in &state.scenario.config.deploys {
        let (targets, pause) = deploy_targets(&deploy.to, &state.world, &state.nodes);
        for (turn, node) in targets.into_iter().enumerate() {
            let at = deploy.at.0 + pause * turn as u32;
            steps.insert((at.0, RunStep::Deploy(node, deploy.release.clone())));
        }
    }
    for (index, operation) in state.plan.operations.iter().enumerate() {
        steps.insert((operation.at.0.0, RunStep::Operate(index)));
        if let Some(duration) = operation.action.duration() {
            // Mistakes are fixed at the latest when faults end.
            let reverted = (operation.at.0 + duration.0).min(end);
            steps.insert((reverted.0, RunStep::Revert(index)));
        }
    }
    steps.extend(state.plan.drills.iter().filter_map(|drill| match drill.trigger {
        DrillTrigger::AtMs(at) => Some((at, RunStep::Drill)),
        DrillTrigger::Mark { .. } => None,
    }));
    steps.insert((end.0, RunStep::Heal));
    let last = end + state.scenario.config.healing.0;
    // Checks avoid the full hour, at which jobs start.
    let mut at = start.0 + HOUR_MS - HOUR_MS / 4;
    while at < last.0 {
        steps.insert((at, RunStep::Check));
        at += HOUR_MS;
    }
    steps.insert((last.0, RunStep::Check));
    steps.insert((last.0, RunStep::End));
    steps
}
