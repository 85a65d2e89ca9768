//! I7 in runs: in the moment in which a client has its answer, the events that it says are safe are durable on enough
//! disks.
//!
//! Reading one day of all disks at every answer would cost more than the run: one answer in so many is checked, drawn
//! by its number, and every one at first and for some minutes after a boot or a fault. The check is a synchronous look at durable
//! bytes: no task, no timer, and no draw that anything else sees.
//!
//! Disks that planned faults damaged or replaced may lack what they confirmed: each of them may be missing from the
//! count. More of them than the budget allows is the plan's own doing, and told as such.

use crate::checker::view_of;
use crate::fault_log::FaultLog;
use crate::lock;
use latent_engine::sim::World;
use latent_engine::verdict::Violation;
use latent_oracle::ledger::EventId;
use latent_oracle::{DiskView, Memo, Moment, Snapshot, day, invariants::i7_durable};
use latent_ports::NodeId;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// One answer in so many is checked.
const ONE_IN: u64 = 50;
/// So many of the first answers are checked each, so that a small run has its checks too.
const AT_FIRST: u64 = 10;
/// Checks after which the memo forgets what was not met again.
const CHECKS_PER_CACHE_ROUND: u64 = 64;

/// Checks acknowledgements of one run.
pub(crate) struct DurabilitySampler {
    world: World,
    disks: Vec<NodeId>,
    min_disks: u32,
    fault_log: Arc<Mutex<FaultLog>>,
    decode_cache: Memo,
    /// How many were checked.
    pub checked: u64,
    /// What was found.
    pub found: Vec<Violation>,
}

impl DurabilitySampler {
    pub fn new(
        world: World,
        disks: Vec<NodeId>,
        min_disks: u32,
        fault_log: Arc<Mutex<FaultLog>>,
    ) -> DurabilitySampler {
        DurabilitySampler {
            world,
            disks,
            min_disks,
            fault_log,
            decode_cache: Memo::default(),
            checked: 0,
            found: Vec::new(),
        }
    }

    /// The answer to `request` came just now and says that these events are safe.
    pub fn acknowledged(&mut self, request: u64, accepted: &[EventId]) {
        let at_ms = self.world.now().0;
        let (fresh, unsound) = {
            let fault_log = lock(&self.fault_log);
            (fault_log.is_recently_disturbed(at_ms), fault_log.unsound.clone())
        };
        let drawn = || self.world.draw("oracle.acks", u128::from(request)).is_multiple_of(ONE_IN);
        if !fresh && self.checked >= AT_FIRST && !drawn() {
            return;
        }
        self.checked += 1;
        if self.checked.is_multiple_of(CHECKS_PER_CACHE_ROUND) {
            self.decode_cache.next_round();
        }
        let days = i7_durable::days_of(accepted);
        let dirs: Vec<String> = days
            .iter()
            .map(|project_day| format!("arb/{}/{}", project_day.project, day::day_text(project_day.day)))
            .collect();
        let view = |node: &NodeId| {
            let image = self.world.durable_image_below(*node, dirs.iter().map(String::as_str));
            view_of(&self.world.node_name(*node), image.files())
        };
        let views: Vec<DiskView> = self.disks.iter().map(view).collect();
        let durable = Snapshot::of_days(&mut self.decode_cache, &views, days).seen_by(1);
        let excused = views.iter().filter(|view| unsound.contains_key(&view.name)).count() as u32;
        let now = Moment {
            at_ms,
            stage: "acknowledged".to_owned(),
            settled_before_ms: at_ms,
            faults_active: false,
            replays: 0,
            damaged: BTreeSet::new(),
        };
        let min_disks = self.min_disks.saturating_sub(excused);
        self.found.extend(i7_durable::check(accepted, &durable, min_disks, &now));
    }
}
