//! Backlogs: the state when faults end, and the work that is still late afterwards.

use super::OracleChecker;
use crate::cluster::node_ids::NodeIds;
use crate::judge::disk_views::{durable_view, view, views_of_days};
use crate::judge::liveness::LivenessTracker;
use crate::mutex::lock;
use latent_engine::sim::World;
use latent_oracle::invariants::l5_divergence::ReplicaDivergence;
use latent_oracle::invariants::{l1_backlogs, l3_backup, l4_recovery};
use latent_oracle::{ClusterSnapshot, DiskView, ProjectDay};
use latent_ports::NodeId;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

impl OracleChecker {
    /// Records the state at the end of faults, from which the time limits of the liveness laws count.
    pub fn faults_ended(
        &mut self,
        world: &World,
        nodes: &NodeIds,
        time_limits: Vec<Duration>,
    ) -> LivenessTracker {
        let now = self.check_context(world, "healing", false);
        let views: Vec<DiskView> = nodes.disks.iter().map(|node| durable_view(world, *node)).collect();
        let snapshot = ClusterSnapshot::of(&mut self.decode_cache, &views);
        let client_state = self.client_state.clone();
        self.dirty.update(&snapshot, lock(&client_state.ledger).zones(), now.at_ms);
        let divergence = ReplicaDivergence::at_end_of_faults(&snapshot, &now);
        // What exceeds the budget is repaired by an operator, who comes later.
        let ended_ms = self.excuses.repaired_by_operator_ms().map_or(now.at_ms, |ms| ms.max(now.at_ms));
        LivenessTracker::since_faults_ended(ended_ms, divergence, time_limits)
    }

    /// Checks for late work that is visible from names, catalogs and late days.
    pub fn check_backlogs(&mut self, world: &World, nodes: &NodeIds, liveness: &mut LivenessTracker) {
        let (ended_ms, now_ms) = (liveness.ended_ms(), world.now().0);
        let clients = self.client_state.active_clients.load(Ordering::Relaxed);
        let views = |nodes: &mut dyn Iterator<Item = &NodeId>| -> Vec<DiskView> {
            nodes.map(|node| view(world, *node)).collect()
        };
        let stores = nodes.data_centers.iter().filter(|node| !self.store_log.is_tampered(**node));
        let stores = views(&mut stores.into_iter());
        let mut backlogs = views(&mut nodes.ingest.iter().chain(&nodes.edges).chain(&nodes.tee_store));
        if let Some(abandoned_disk) = self.abandoned_disk {
            let prefix = format!("hints/{}-", abandoned_disk.0);
            backlogs.iter_mut().for_each(|view| view.files.retain(|file| !file.path.starts_with(&prefix)));
        }
        let interval_ms = self.backup.as_ref().map_or(i64::MAX, |promise| promise.interval_ms);
        liveness.report(l3_backup::check(&stores, interval_ms, ended_ms, now_ms));
        backlogs.extend(stores);
        liveness.report(l1_backlogs::check(&backlogs, clients, ended_ms, now_ms));
        // Earlier results may be outdated: a day that was quarantined and filled again has other segments.
        let late = self.dirty.late_days(ended_ms, now_ms);
        if !late.is_empty() {
            self.recheck_dirty_days(world, nodes, late);
        }
        liveness.report(self.dirty.waiting(ended_ms, now_ms));
        liveness.report(l4_recovery::check(&self.operator.unfinished, ended_ms, now_ms));
    }

    /// Checks again which segments of some days are uncompacted, as the disks' processes see them: an edit that a
    /// disk confirmed and lost is visible to its process until it dies, so it is not pending work.
    fn recheck_dirty_days(&mut self, world: &World, nodes: &NodeIds, days: BTreeSet<ProjectDay>) {
        let views = views_of_days(world, &nodes.disks, &days, false);
        let snapshot = ClusterSnapshot::of_days(&mut self.decode_cache, &views, days);
        let client_state = self.client_state.clone();
        self.dirty.update(&snapshot, lock(&client_state.ledger).zones(), world.now().0);
    }
}
