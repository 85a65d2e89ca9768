//! Limited checks, as the company's own tests made them before the incident of 2016. Both are parts of the real checks, on
//! the real disks: what they do not look at is not judged.
//!
//! Modelled: tests that repeat runs and look for files only, and tests that look at contents and run a day once. Not
//! modelled: that a test has its own small data; these look at all of production.

use super::OracleChecker;
use crate::cluster::node_ids::NodeIds;
use crate::judge::disk_views::{durable_view, views_of_days};
use crate::mutex::lock;
use crate::scenario::CheckSet;
use latent_engine::sim::World;
use latent_oracle::invariants::{
    i1_readable, i2_provenance, i3_duplicates, i4_day_sets, i5_content, i9_manifests,
};
use latent_oracle::{ClusterSnapshot, ProjectDay};
use std::collections::BTreeSet;

impl OracleChecker {
    /// Checks project-days as `checks` does: `None` checks all of them.
    pub fn check_limited(
        &mut self,
        world: &World,
        nodes: &NodeIds,
        checks: CheckSet,
        days: Option<BTreeSet<ProjectDay>>,
        stage: &str,
    ) {
        self.apply_fault_log(world, nodes);
        let now = self.check_context(world, stage, false);
        let views = match &days {
            Some(days) => views_of_days(world, &nodes.disks, days, true),
            None => nodes.disks.iter().map(|node| durable_view(world, *node)).collect(),
        };
        let snapshot = match days {
            Some(days) => ClusterSnapshot::of_days(&mut self.decode_cache, &views, days),
            None => ClusterSnapshot::of(&mut self.decode_cache, &views),
        };
        self.checks += 1;
        self.copies_held =
            snapshot.disks.iter().flat_map(|disk| disk.days.values()).map(|day| day.content.records).sum();
        if checks == CheckSet::Existence {
            let missing = i9_manifests::missing_files(&snapshot, &now);
            return self.report(missing);
        }
        let once: BTreeSet<ProjectDay> =
            snapshot.runs().into_iter().filter(|(_, runs)| *runs == 1).map(|(day, _)| day).collect();
        let snapshot = ClusterSnapshot::of_days(&mut self.decode_cache, &views, once);
        let read_view = snapshot.read_view(self.read_disks);
        let client_state = self.client_state.clone();
        let ledger = lock(&client_state.ledger);
        let mut found = i1_readable::check(&ledger, &read_view, &now);
        found.extend(i2_provenance::check(&ledger, &read_view, &now));
        found.extend(i4_day_sets::check(&ledger, &read_view, &now));
        found.extend(i5_content::check(&ledger, &read_view, &now));
        found.extend(i3_duplicates::check(&ledger, &read_view, &now));
        drop(ledger);
        let runs = self.runs.check(&mut self.decode_cache, &snapshot, &now);
        self.runs_compared += runs.compared;
        found.extend(runs.violations);
        self.report(found);
    }
}
