//! The phases of judging a run. Each phase is a type that only the previous one can become, with the data that it
//! needs, so no check runs before its data exists.
//!
//! - [`Judge`] observes the run, from its [`JudgeInputs`] to the end of healing. Its liveness checks exist once faults
//!   have ended ([`Judge::faults_ended`]).
//! - [`HealedJudge`] has checked the final state, with the [`FinalObservations`]; a drill may follow.
//! - [`Judgement`] is the result, and accepts no further checks.

use super::checker::{HealedState, OracleChecker};
use super::inputs::{FinalObservations, HourlyObservations, JudgeInputs};
use super::judgement::Judgement;
use super::liveness::LivenessTracker;
use crate::actors::drill::DrillResult;
use crate::cluster::node_ids::NodeIds;
use crate::observe::client_state::ExportResult;
use crate::plan::time_limits::bounds;
use crate::scenario::CheckSet;
use latent_engine::sim::World;
use latent_engine::verdict::Violation;
use latent_oracle::ReadView;
use latent_ports::NodeId;
use std::time::Duration;

const HOUR_MS: i64 = 3_600_000;

/// The judge of a run that has not ended.
pub(crate) struct Judge {
    checker: OracleChecker,
    /// What is checked. A limited set has its own checks, and none of the others runs.
    checks: CheckSet,
    /// Time limits of the liveness laws.
    time_limits: Vec<Duration>,
    /// `None` until faults end.
    liveness: Option<LivenessTracker>,
}

impl Judge {
    pub fn new(inputs: JudgeInputs<'_>) -> Judge {
        let time_limits = bounds(&inputs.scenario.config).into_iter().map(|(_, within)| within).collect();
        let checks = inputs.scenario.config.checks;
        Judge { checker: OracleChecker::new(inputs), checks, time_limits, liveness: None }
    }

    /// Records a restart of a node by an operator.
    pub fn node_restarted(&mut self, node: &str, at_ms: i64) {
        self.checker.node_restarted(node, at_ms);
    }

    /// Marks a disk as compromised.
    pub fn disk_compromised(&mut self, disk: &str) {
        self.checker.disk_compromised(disk);
    }

    /// Marks a disk as sound. Returns true if it was the last compromised disk.
    pub fn disk_restored(&mut self, disk: &str) -> bool {
        self.checker.disk_restored(disk)
    }

    /// Handles a disk that stays unavailable.
    pub fn disk_abandoned(&mut self, node: NodeId, disk: &str, at_ms: i64) {
        self.checker.abandon_disk(node, disk, at_ms);
    }

    /// Records the state at the end of faults, from which the time limits of liveness count.
    pub fn faults_ended(&mut self, world: &World, nodes: &NodeIds) {
        self.liveness = Some(self.checker.faults_ended(world, nodes, self.time_limits.clone()));
    }

    /// Checks the exports that customers read.
    pub fn check_exports(&mut self, world: &World, nodes: &NodeIds, exports: Vec<ExportResult>) {
        if self.checks.is_full() {
            self.checker.check_exports(world, nodes, exports);
        }
    }

    /// Checks everything on all disks.
    pub fn check_production(&mut self, world: &World, nodes: &NodeIds, stage: &str) -> ReadView {
        self.checker.check_all(world, nodes, stage, None)
    }

    /// Checks a drill; returns the number of events that it lacks.
    pub fn check_drill(
        &mut self,
        drilled: &DrillResult,
        production: &ReadView,
        now_ms: i64,
        promised: bool,
    ) -> u64 {
        self.checker.check_drill(drilled, production, now_ms, promised)
    }

    /// Checks what changed since the last hour: the days that were compacted or ended, backups, tee and deadlines.
    pub fn check_hour(&mut self, world: &World, nodes: &NodeIds, hour: HourlyObservations) {
        let now = world.now();
        let HourlyObservations { written, ended_days, is_catalog_stored, operator } = hour;
        let mut scope = self.checker.changed_days(world, nodes, &written);
        scope.extend(ended_days);
        scope.extend(self.checker.newly_quarantined_days(world, nodes));
        if !self.checks.is_full() {
            return self.checker.check_limited(world, nodes, self.checks, Some(scope), "day-end");
        }
        self.checker.set_operator_progress(operator);
        self.checker.report_removals(world);
        let lacking = self.checker.lacking();
        if !scope.is_empty() {
            self.checker.check_days(world, nodes, scope, "day-end");
        }
        // Also checked when backups stop: that case matters most.
        if self.checker.are_backups_due(world, nodes, is_catalog_stored) {
            let read_view = self.checker.check_all(world, nodes, "day-end", None);
            self.checker.check_backups(world, nodes, &read_view, &lacking, "after-backup");
        }
        self.checker.check_deadlines(world, nodes);
        if now.0.div_euclid(HOUR_MS) % 6 == 0 {
            self.checker.check_tee(world, nodes, "hourly");
        }
        if let Some(liveness) = &mut self.liveness
            && liveness.is_due(now.0)
        {
            self.checker.check_backlogs(world, nodes, liveness);
        }
    }

    /// Checks the final state. Also returns production as readers see it.
    pub fn healed(
        mut self,
        world: &World,
        nodes: &NodeIds,
        last: FinalObservations,
    ) -> (HealedJudge, ReadView) {
        let FinalObservations { operator, alarmed } = last;
        let (checker, checks) = (&mut self.checker, self.checks);
        checker.set_operator_progress(operator);
        if checks.is_full() {
            checker.report_removals(world);
        }
        // Tests run some worlds without checks until here: for these, healing starts now.
        let mut liveness =
            self.liveness.unwrap_or_else(|| checker.faults_ended(world, nodes, self.time_limits));
        if !checks.is_full() {
            checker.check_limited(world, nodes, checks, None, "after-healing");
            return (HealedJudge { checker: self.checker, checks, liveness }, ReadView::default());
        }
        let lacking = checker.lacking();
        let healed = HealedState { liveness: &mut liveness, alarmed: &alarmed };
        let read_view = checker.check_all(world, nodes, "after-healing", Some(healed));
        checker.check_backups(world, nodes, &read_view, &lacking, "after-healing");
        checker.check_tee(world, nodes, "after-healing");
        (HealedJudge { checker: self.checker, checks, liveness }, read_view)
    }
}

/// The judge of a run whose final state was checked.
pub(crate) struct HealedJudge {
    checker: OracleChecker,
    checks: CheckSet,
    liveness: LivenessTracker,
}

impl HealedJudge {
    /// Returns true if production lacks events at the end.
    pub fn is_short(&self) -> bool {
        self.checker.is_short_now()
    }

    /// Checks a drill; returns the number of events that it lacks.
    pub fn check_drill(
        &mut self,
        drilled: &DrillResult,
        production: &ReadView,
        now_ms: i64,
        promised: bool,
    ) -> u64 {
        self.checker.check_drill(drilled, production, now_ms, promised)
    }

    /// Checks for work that is still late, and adds the violations that others found.
    pub fn judgement(mut self, world: &World, nodes: &NodeIds, others: Vec<Violation>) -> Judgement {
        if self.checks.is_full() {
            self.checker.check_backlogs(world, nodes, &mut self.liveness);
            self.checker.report(others);
        }
        self.checker.into_judgement(self.liveness.hung())
    }
}
