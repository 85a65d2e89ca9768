//! Checks I11 when a client receives its answer: the acknowledged request is durable in two copies of the tee.
//!
//! The first answers of each hour are checked ([`CHECK_ALL_PER_HOUR`]), and of the others one in [`ONE_IN`], drawn by
//! request number. The check reads durable bytes synchronously: no task, no timer, and no draw that is
//! visible elsewhere.
//!
//! Not checked: edges that let requests through while the tee fails, because then a recorded gap stands in for a copy. An
//! edge reduces the promised number while planned faults may have cost it what it confirmed.

use crate::judge::acknowledged::{context, excused_disks};
use crate::judge::disk_views::view_of;
use crate::mutex::lock;
use crate::observe::client_state::Acknowledgement;
use crate::observe::fault_log::FaultLog;
use latent_engine::sim::World;
use latent_engine::verdict::Violation;
use latent_oracle::DiskView;
use latent_oracle::invariants::i11_tee;
use latent_oracle::invariants::i11_tee::TeeCopies;
use latent_ports::NodeId;
use std::sync::{Arc, Mutex};

/// Number of answers in an hour of which every one is checked.
const CHECK_ALL_PER_HOUR: u64 = 60;
/// Sampling rate of the others: one answer in this many is checked.
const ONE_IN: u64 = 50;
const HOUR_MS: i64 = 3_600_000;

/// Tee sampler of one run.
pub(crate) struct TeeSampler {
    world: World,
    edges: Vec<NodeId>,
    tee_store: Option<NodeId>,
    /// Maximum error of an edge's clock, in milliseconds.
    clock_skew_ms: i64,
    fault_log: Arc<Mutex<FaultLog>>,
    copies: TeeCopies,
    /// The hour of the last answer, counted from 1970, and the number of answers in it.
    answers: (i64, u64),
    found: Vec<Violation>,
}

impl TeeSampler {
    pub fn new(
        world: World,
        (edges, tee_store): (Vec<NodeId>, Option<NodeId>),
        clock_skew_ms: i64,
        fault_log: Arc<Mutex<FaultLog>>,
    ) -> TeeSampler {
        TeeSampler {
            world,
            edges,
            tee_store,
            clock_skew_ms,
            fault_log,
            copies: TeeCopies::default(),
            answers: (0, 0),
            found: vec![],
        }
    }

    /// Moves the violations out.
    pub fn take_results(&mut self) -> Vec<Violation> {
        std::mem::take(&mut self.found)
    }

    /// Handles an answer.
    pub fn acknowledged(&mut self, answer: &Acknowledgement) {
        let at_ms = self.world.now().0;
        let hour = at_ms.div_euclid(HOUR_MS);
        self.answers = if self.answers.0 == hour { (hour, self.answers.1 + 1) } else { (hour, 1) };
        let is_drawn = || self.world.draw("oracle.tee", u128::from(answer.request)).is_multiple_of(ONE_IN);
        if self.answers.1 > CHECK_ALL_PER_HOUR && !is_drawn() {
            return;
        }
        let hours = (answer.sent_at_ms - self.clock_skew_ms).div_euclid(HOUR_MS) - 1
            ..=(at_ms + self.clock_skew_ms).div_euclid(HOUR_MS) + 1;
        let views: Vec<DiskView> = self.edges.iter().map(|edge| self.edge_view(*edge)).collect();
        let excused = excused_disks(&lock(&self.fault_log), &views, at_ms);
        let promised = self.edges.len().min(2).saturating_sub(excused);
        let mut copies = self.copies.of(&views, answer.digest, hours.clone());
        if copies < promised {
            // An answer that was long under way: an edge has uploaded its file and removed it.
            let stores: Vec<DiskView> = self.tee_store.iter().map(|store| self.store_view(*store)).collect();
            copies += self.copies.of(&stores, answer.digest, hours);
        }
        self.found.extend(i11_tee::too_few_copies(answer.digest, copies, promised, &context(at_ms)));
    }

    fn edge_view(&self, edge: NodeId) -> DiskView {
        let image = self.world.durable_image_under(edge, ["tee", "tee-peer"].into_iter());
        view_of(&self.world.node_name(edge), image.files())
    }

    fn store_view(&self, store: NodeId) -> DiskView {
        let image = self.world.disk_image_under(store, std::iter::once("objects/tee"));
        view_of(&self.world.node_name(store), image.files())
    }
}
