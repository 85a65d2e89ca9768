//! Whether the system comes to rest: what is to be brought in order when trouble ends, and what still waits.

use super::{Judge, durable_view, view, view_of};
use crate::lock;
use crate::topology::Nodes;
use latent_engine::sim::World;
use latent_oracle::invariants::l5_divergence::ReplicaDivergence;
use latent_oracle::invariants::{l1_backlogs, l3_backup, l4_recovery};
use latent_oracle::{ClusterSnapshot, DiskView, ProjectDay, day};
use latent_ports::NodeId;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

impl Judge {
    /// Trouble is over: notes what is to be brought in order from here on.
    pub fn faults_ended(&mut self, world: &World, nodes: &Nodes) {
        let now = self.moment(world, "healing", false);
        let views: Vec<DiskView> = nodes.disks.iter().map(|node| durable_view(world, *node)).collect();
        let snapshot = ClusterSnapshot::of(&mut self.decode_cache, &views);
        let side = self.side.clone();
        self.settling.dirty.update(&snapshot, lock(&side.ledger).zones(), now.at_ms);
        self.settling.divergence = ReplicaDivergence::at_end_of_faults(&snapshot, &now);
    }

    /// What waits past its time, as far as names, catalogs and late days tell.
    pub fn look_at_backlogs(&mut self, world: &World, nodes: &Nodes) {
        let now_ms = world.now().0;
        let (ended_ms, recoveries) = {
            let chronicle = lock(&self.chronicle);
            (chronicle.faults_ended_ms, chronicle.recoveries(world))
        };
        let Some(ended_ms) = ended_ms else { return };
        let clients = self.side.busy.load(Ordering::Relaxed);
        let views = |nodes: &mut dyn Iterator<Item = &NodeId>| -> Vec<DiskView> {
            nodes.map(|node| view(world, *node)).collect()
        };
        let stores = nodes.data_centers.iter().filter(|node| !self.store_log.is_tampered(**node));
        let stores = views(&mut stores.into_iter());
        let mut backlogs = views(&mut nodes.ingest.iter().chain(&nodes.edges).chain(&nodes.tee_store));
        if let Some(left_behind) = self.left_behind {
            let prefix = format!("hints/{}-", left_behind.0);
            backlogs.iter_mut().for_each(|view| view.files.retain(|file| !file.path.starts_with(&prefix)));
        }
        let interval_ms = self.backup.as_ref().map_or(i64::MAX, |promise| promise.interval_ms);
        self.settling.note(l3_backup::check(&stores, interval_ms, ended_ms, now_ms));
        backlogs.extend(stores);
        self.settling.note(l1_backlogs::check(&backlogs, clients, ended_ms, now_ms));
        // What earlier looks saw may be over: a day that was set aside since, and filled again, has other segments.
        let late = self.settling.dirty.late_days(ended_ms, now_ms);
        if !late.is_empty() {
            self.look_for_dirt(world, nodes, late);
        }
        self.settling.note(self.settling.dirty.waiting(ended_ms, now_ms));
        self.settling.note(l4_recovery::check(&recoveries, ended_ms, now_ms));
    }

    /// Looks again which segments of some days are not compacted, as the disks' processes see them: an edit that a disk
    /// confirmed and lost is there for them until they die, and no work that waits.
    fn look_for_dirt(&mut self, world: &World, nodes: &Nodes, days: BTreeSet<ProjectDay>) {
        let dirs: Vec<String> =
            days.iter().map(|of| format!("arb/{}/{}", of.project, day::format_day(of.day))).collect();
        let view = |node: &NodeId| {
            let image = world.disk_image_under(*node, dirs.iter().map(String::as_str));
            view_of(&world.node_name(*node), image.files())
        };
        let views: Vec<DiskView> = nodes.disks.iter().map(view).collect();
        let snapshot = ClusterSnapshot::of_days(&mut self.decode_cache, &views, days);
        let side = self.side.clone();
        self.settling.dirty.update(&snapshot, lock(&side.ledger).zones(), world.now().0);
    }
}
