//! Recovery drills on copies, and what the scenario promises about them.

use super::findings::DrillFindings;
use super::state::RunState;
use crate::actors::drill::{self, DrillResult};
use crate::cluster::releases::DeployedRelease;
use crate::mutex::lock;
use latent_ports::NodeId;

impl RunState<'_> {
    /// Returns true if the scenario promises that everything acknowledged can be recovered from the tee and backups,
    /// the newest of which has this position. Requests that a planned fault removed from the tee store are on
    /// production's copies alone until the next backup, and a drill assumes these lost. One sound data center is
    /// enough.
    fn is_protected(&self, newest_backup_ms: Option<i64>) -> bool {
        let protection = &self.scenario.config.protection;
        let fault_log = lock(&self.fault_log);
        let since = |node: &NodeId| fault_log.unsound.get(&*self.world.node_name(*node)).copied();
        let tee_lacks_ms = self.nodes.tee_store.as_ref().and_then(since);
        let tee_is_enough =
            tee_lacks_ms.is_none_or(|since_ms| newest_backup_ms.is_some_and(|ms| ms > since_ms));
        let a_backup_is_sound = self.nodes.data_centers.iter().any(|node| since(node).is_none());
        // A tee whose retention ends before a backup exists promises nothing.
        let takes_over = protection
            .tee
            .as_ref()
            .zip(protection.backup.as_ref())
            .is_some_and(|(tee, backup)| tee.retention.0 >= backup.interval.0.max(backup.first_after.0));
        takes_over && tee_is_enough && a_backup_is_sound
    }

    /// Runs a drill. `check` takes its result, the time, and whether everything was promised; it returns the number of
    /// events that the drill lacks.
    pub(super) fn drill(&mut self, check: impl FnOnce(&DrillResult, i64, bool) -> u64) {
        let now = self.world.now();
        self.progress.phase("drill");
        let images = drill::survivors(&self.world, &self.nodes);
        let keeper = self.nodes.tee_store.or(self.nodes.backup);
        let release =
            keeper.map_or_else(DeployedRelease::good, |keeper| self.cluster_registry.release(keeper));
        let at = (now, self.drills.len() as u64);
        let drilled = drill::run(self.scenario, self.plan, &images, at, &release, self.marks);
        for (name, times) in &drilled.marks {
            *self.drill_marks.entry(format!("drill:{name}")).or_default() += times;
        }
        let promised = self.is_protected(drilled.newest_backup_ms());
        let missing = check(&drilled, now.0, promised);
        self.drills.push(DrillFindings::new(now.0, &drilled, missing));
    }
}
