//! Checks of production's disks: some days after a compaction or at the end of a local day, and everything.

use super::{HealedState, OracleChecker};
use crate::cluster::node_ids::NodeIds;
use crate::judge::disk_views::{day_dir, durable_view, view_of};
use crate::mutex::lock;
use latent_engine::sim::World;
use latent_engine::verdict::Violation;
use latent_oracle::invariants::{
    i1_readable, i2_provenance, i3_duplicates, i4_day_sets, i5_content, i6_replicas,
};
use latent_oracle::{CheckContext, ClusterSnapshot, DiskView, ProjectDay, ReadView};
use latent_ports::NodeId;
use std::collections::BTreeSet;

/// Number of checks after which the decode cache drops unused entries, so that bytes of removed files are freed.
const CHECKS_PER_CACHE_ROUND: u64 = 24;
const HOUR_MS: i64 = 3_600_000;

impl OracleChecker {
    /// Checks some project-days on all disks: after compactions, and at the end of local days.
    pub fn check_days(&mut self, world: &World, nodes: &NodeIds, scope: BTreeSet<ProjectDay>, stage: &str) {
        self.apply_fault_log(world, nodes);
        let now = self.check_context(world, stage, false);
        let days: Vec<String> = scope.iter().copied().map(day_dir).collect();
        let dirs = |node: NodeId| {
            let aside = self.quarantined_dirs.iter().filter(move |(at, _)| *at == node).map(|(_, path)| path);
            days.iter().chain(aside).map(String::as_str)
        };
        let view = |node: &NodeId| {
            let image = world.durable_image_under(*node, dirs(*node));
            view_of(&world.node_name(*node), image.files())
        };
        let views: Vec<DiskView> = nodes.disks.iter().map(view).collect();
        if self.checks.is_multiple_of(CHECKS_PER_CACHE_ROUND) {
            self.decode_cache.next_round();
        }
        let snapshot = ClusterSnapshot::of_days(&mut self.decode_cache, &views, scope);
        self.check_production(&snapshot, &now);
    }

    /// Checks everything on all disks; `healed` is there after healing.
    pub fn check_all(
        &mut self,
        world: &World,
        nodes: &NodeIds,
        stage: &str,
        healed: Option<HealedState<'_>>,
    ) -> ReadView {
        self.apply_fault_log(world, nodes);
        let now = self.check_context(world, stage, healed.is_some());
        let views: Vec<DiskView> = nodes.disks.iter().map(|node| durable_view(world, *node)).collect();
        let snapshot = ClusterSnapshot::of(&mut self.decode_cache, &views);
        let read_view = self.check_production(&snapshot, &now);
        self.copies_held =
            snapshot.disks.iter().flat_map(|disk| disk.days.values()).map(|day| day.content.records).sum();
        let accountable_disks = self.accountable_disks(&snapshot);
        if let Some(at_ms) = lock(&self.fault_log).last_fault_ms() {
            self.space.record_disturbance(at_ms);
        }
        let is_excused = |disk: &str| {
            let excused = self.excuses.for_job(&self.job_dependencies.copy(disk));
            !excused.covers_none_of(now.at_ms - HOUR_MS, now.at_ms)
        };
        let unnoticed = self.corruption.check(&accountable_disks, is_excused, &now);
        self.report(unnoticed);
        let unread = {
            let reads = lock(&self.observed_reads);
            let read_ms =
                |disk: &str, project_day, id| reads.since_ms(world.node_named(disk)?, project_day, id);
            let excused = |disk: &str| self.excuses.for_job(&self.job_dependencies.copy(disk));
            self.scrubs.check(&accountable_disks, read_ms, excused, &now)
        };
        self.report(unread);
        let space = self.space.check(&accountable_disks, self.limits, &now);
        self.report(space);
        if let Some(HealedState { liveness, alarmed }) = healed {
            let differ = i6_replicas::check(&snapshot, now.at_ms, &now);
            self.report(differ);
            liveness.check_divergence(alarmed, &snapshot, &now);
        }
        read_view
    }

    fn check_production(&mut self, snapshot: &ClusterSnapshot, now: &CheckContext) -> ReadView {
        self.checks += 1;
        let read_view = snapshot.read_view(self.read_disks);
        let client_state = self.client_state.clone();
        let mut ledger = lock(&client_state.ledger);
        let mut found = i1_readable::check(&ledger, &read_view, now);
        found.extend(i2_provenance::check(&ledger, &read_view, now));
        found.extend(i4_day_sets::check(&ledger, &read_view, now));
        found.extend(i5_content::check(&ledger, &read_view, now));
        found.extend(i3_duplicates::check(&ledger, &read_view, now));
        let accountable_disks = self.accountable_disks(snapshot);
        let runs = self.runs.check(&mut self.decode_cache, &accountable_disks, now);
        self.runs_compared += runs.compared;
        found.extend(runs.violations);
        found.extend(not_compared(&runs.uncomparable, now));
        found.extend(self.manifests.check(&accountable_disks, now));
        let fault_log = self.fault_log.clone();
        let has_booted = |disk: &str, since_ms| lock(&fault_log).has_booted_damaged(disk, since_ms);
        found.extend(self.copies.check(&mut self.decode_cache, &accountable_disks, has_booted, now));
        self.dirty.update(&accountable_disks, ledger.zones(), now.at_ms);
        self.deadlines.nightly.update(&accountable_disks, ledger.zones(), now.at_ms);
        let is_altered = |violation: &Violation| {
            (violation.invariant.as_str(), violation.kind.as_str()) == ("I5", "altered")
        };
        let altered = match found.iter().any(is_altered) {
            true => i5_content::altered(&ledger, &read_view),
            false => BTreeSet::new(),
        };
        self.loss.record_check(&ledger, &read_view, &altered, now);
        ledger.record_observed(&read_view);
        drop(ledger);
        self.keep_smallest_loss(&found, &read_view);
        self.report(found);
        read_view
    }
}

/// Reports runs whose files were removed before they were compared: a check that could not run has failed.
fn not_compared(paths: &[String], now: &CheckContext) -> Option<Violation> {
    let first = paths.first()?;
    let violation = Violation::new("I13", "run-not-compared", now.stage.as_str());
    Some(
        violation
            .of("", paths.len() as u64)
            .at(now.at_ms)
            .because(format!("inputs or output are gone: {first}")),
    )
}
