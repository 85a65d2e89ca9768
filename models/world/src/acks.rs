//! I7 in runs: in the moment in which a client has its answer, the events that it says are safe are durable on enough
//! disks.
//!
//! Reading one day of all disks at every answer would cost more than the run: one answer in so many is checked, drawn
//! by its number, and every one at first and for some minutes after a boot or a fault. The check is a synchronous look at durable
//! bytes: no task, no timer, and no draw that anything else sees.
//!
//! Disks that planned faults damaged or replaced may lack what they confirmed: each of them may be missing from the
//! count. More of them than the budget allows is the plan's own doing, and told as such.

use crate::chronicle::Chronicle;
use crate::judge::view_of;
use crate::lock;
use latent_engine::sim::World;
use latent_engine::verdict::Violation;
use latent_oracle::ledger::EventId;
use latent_oracle::{CheckContext, ClusterSnapshot, DecodeCache, DiskView, day, invariants::i7_durability};
use latent_ports::NodeId;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// One answer in so many is checked.
const ONE_IN: u64 = 50;
/// So many of the first answers are checked each, so that a small run has its checks too.
const AT_FIRST: u64 = 10;
/// Checks after which the decode cache forgets what was not met again.
const CHECKS_PER_ROUND: u64 = 64;

/// Checks acknowledgements of one run.
pub(crate) struct Acks {
    world: World,
    disks: Vec<NodeId>,
    least_disks: u32,
    chronicle: Arc<Mutex<Chronicle>>,
    decode_cache: DecodeCache,
    /// How many were checked.
    pub checked: u64,
    /// What was found.
    pub found: Vec<Violation>,
}

impl Acks {
    pub fn new(world: World, disks: Vec<NodeId>, least_disks: u32, chronicle: Arc<Mutex<Chronicle>>) -> Acks {
        Acks {
            world,
            disks,
            least_disks,
            chronicle,
            decode_cache: DecodeCache::default(),
            checked: 0,
            found: Vec::new(),
        }
    }

    /// The answer to `request` came just now and says that these events are safe.
    pub fn acknowledged(&mut self, request: u64, accepted: &[EventId]) {
        let at_ms = self.world.now().0;
        let (fresh, unsound) = {
            let chronicle = lock(&self.chronicle);
            (chronicle.is_fresh(at_ms), chronicle.unsound.clone())
        };
        let drawn = || self.world.draw("oracle.acks", u128::from(request)).is_multiple_of(ONE_IN);
        if !fresh && self.checked >= AT_FIRST && !drawn() {
            return;
        }
        self.checked += 1;
        if self.checked.is_multiple_of(CHECKS_PER_ROUND) {
            self.decode_cache.next_round();
        }
        let days = i7_durability::days_of(accepted);
        let dirs: Vec<String> =
            days.iter().map(|of| format!("arb/{}/{}", of.project, day::format_day(of.day))).collect();
        let view = |node: &NodeId| {
            let image = self.world.durable_image_under(*node, dirs.iter().map(String::as_str));
            view_of(&self.world.node_name(*node), image.files())
        };
        let views: Vec<DiskView> = self.disks.iter().map(view).collect();
        let durable = ClusterSnapshot::of_days(&mut self.decode_cache, &views, days).read_view(1);
        let excused = views.iter().filter(|view| unsound.contains_key(&view.name)).count() as u32;
        let now = CheckContext {
            at_ms,
            stage: "acknowledged".to_owned(),
            settled_before_ms: at_ms,
            faults_active: false,
            replays: 0,
            damaged_disks: BTreeSet::new(),
        };
        let least_disks = self.least_disks.saturating_sub(excused);
        self.found.extend(i7_durability::check(accepted, &durable, least_disks, &now));
    }
}
