//! One fault of a kind: where it strikes, when, and how much of it. Where sizes come from stands in harness/sim/src/faults.
//!
//! Where its choices come from is the caller's: a seed, by key, or bytes.

use super::kinds::Kind;
use crate::plan::between;
use crate::scenario::Topic;
use crate::store_faults;
use crate::topology::Names;
use latent_engine::Scenario;
use latent_engine::sim::{
    Action, AfterFailedSync, Anchor, BitRot, CallPart, ClockDrift, ClockStep, Condition, CrashKeeps,
    CrashLoop, CutLink, DegradeLink, DiskError, DiskFull, Fault, Flap, GarbageTails, Isolate, Kill,
    LatentSector, LoseMessage, LostWrite, MisdirectedWrite, NewDisk, OpKind, Partition, Pause, PowerLoss,
    RemoveDirectory, ShortRead, SlowDisk, SyncFailure, keyed_draw,
};

const SECOND_MS: u64 = 1_000;
const MINUTE_MS: u64 = 60 * SECOND_MS;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

/// Nothing strikes before every node has booted for the first time.
pub(super) const WARM_UP_MS: u64 = 10 * MINUTE_MS;

/// Where the choices of a fault come from: 64 bits for each part of it.
pub(crate) trait Chance {
    /// Which node, which way, when.
    fn bits(&self, part: u32) -> u64;

    /// How much of it: smaller bits make a shorter, rarer or milder fault.
    fn size_bits(&self, part: u32) -> u64 {
        self.bits(part)
    }
}

/// The chance of the `number`-th fault of a kind, drawn from a seed by key.
pub(super) struct Keyed {
    pub seed: u64,
    pub kind: Kind,
    pub number: u64,
}

impl Chance for Keyed {
    fn bits(&self, part: u32) -> u64 {
        let key = ((self.kind as u128) << 96) | (u128::from(self.number) << 32) | u128::from(part);
        keyed_draw(self.seed, "trouble.fault", key)
    }
}

/// Where one fault is drawn.
pub(crate) struct Site<'a> {
    pub scenario: &'a Scenario<Topic>,
    pub names: &'a Names,
    pub kind: Kind,
    pub chance: &'a dyn Chance,
}

/// The item at the place that a draw means.
fn item<T: Clone>(bits: u64, of: &[T]) -> T {
    let last = i64::try_from(of.len()).unwrap_or(i64::MAX).saturating_sub(1);
    of[usize::try_from(between(bits, 0, last)).unwrap_or(0)].clone()
}

impl Site<'_> {
    fn bits(&self, part: u32) -> u64 {
        self.chance.bits(part)
    }

    fn within(&self, part: u32, least: u64, most: u64) -> u64 {
        between(self.bits(part), least.cast_signed(), most.cast_signed()).unsigned_abs()
    }

    fn pick<T: Clone>(&self, part: u32, of: &[T]) -> T {
        item(self.bits(part), of)
    }

    /// A size from the least to the most.
    fn size(&self, part: u32, least: u64, most: u64) -> u64 {
        between(self.chance.size_bits(part), least.cast_signed(), most.cast_signed()).unsigned_abs()
    }

    /// A size out of some that are told from small to large.
    fn pick_size<T: Clone>(&self, part: u32, of: &[T]) -> T {
        item(self.chance.size_bits(part), of)
    }

    /// A node of the system; disks of Arb twice as often as all others together.
    fn node(&self, part: u32) -> String {
        if self.within(part, 0, 2) > 0 {
            self.disk(part + 1)
        } else {
            self.pick(part + 1, &self.names.system())
        }
    }

    fn disk(&self, part: u32) -> String {
        self.pick(part, &self.names.disks)
    }

    /// An instant of the run. Damage must leave time for the scrub before the last judgement.
    fn at_ms(&self, part: u32) -> i64 {
        let (start, end) = (self.scenario.start.0.0, self.scenario.end().0.0);
        let healing_ms = i64::try_from(self.scenario.config.healing.0.as_millis()).unwrap_or(i64::MAX);
        let scrub_ms = (super::budget::REPAIRED_AFTER_MS - healing_ms).max(0);
        let last = if self.kind.is_damage() { end - scrub_ms } else { end };
        let first = start + WARM_UP_MS.cast_signed();
        between(self.bits(part), first, last.max(first))
    }

    /// At an instant, or, for half of what befalls processes, at an operation or a mark of the node after it.
    fn anchor(&self, node: &str) -> Anchor {
        let at_ms = self.at_ms(90);
        let after_ms = (at_ms - self.scenario.start.0.0).unsigned_abs();
        match self.within(91, 0, 7) {
            0..=3 => Anchor::AtMs(at_ms),
            4..=6 => {
                let op =
                    self.pick(92, &[OpKind::Change, OpKind::Sync, OpKind::Net, OpKind::Any, OpKind::SyncDir]);
                let n = self.within(93, 1, 40);
                Anchor::NthOp { node: node.to_owned(), op, path_prefix: String::new(), n, after_ms }
            }
            _ => {
                let marks = [
                    "compaction.merging",
                    "compaction.output-durable",
                    "compaction.committed",
                    "arb.segment-opened",
                    "repair.compared",
                ];
                let name = self.pick(92, &marks).to_owned();
                Anchor::Mark { name, n: self.within(93, 1, 12), node: None, after_ms }
            }
        }
    }

    fn at(&self) -> Anchor {
        Anchor::AtMs(self.at_ms(90))
    }

    /// The faults that this one is made of.
    pub(crate) fn fault(&self) -> Vec<Fault> {
        let (anchor, action) = match self.kind {
            Kind::Crash | Kind::CrashLoop | Kind::PowerLoss | Kind::Pause | Kind::NewDisk => self.process(),
            Kind::CutLink
            | Kind::Isolate
            | Kind::Partition
            | Kind::Flap
            | Kind::SlowLink
            | Kind::LossyLink
            | Kind::LostMessage => self.link(),
            Kind::ClockStep | Kind::ClockDrift => self.clock(),
            Kind::DiskError
            | Kind::SyncFailure
            | Kind::DiskFull
            | Kind::SlowDisk
            | Kind::ShortRead
            | Kind::GarbageTails => self.disk_trouble(),
            Kind::LatentSector | Kind::BitRot | Kind::MisdirectedWrite | Kind::LostWrite => self.damage(),
            Kind::ObjectStore => self.object_store(),
            Kind::RemovedDirectory => self.removed_directory(),
        };
        let mut faults = vec![Fault { anchor: anchor.clone(), action }];
        if let Kind::GarbageTails = self.kind {
            // Garbage shows in a crash alone.
            let node = self.node(0);
            let kill = Kill { node, restart_after_ms: Some(MINUTE_MS), ..Kill::default() };
            let after_ms = (self.at_ms(90) - self.scenario.start.0.0).unsigned_abs();
            let (op, path_prefix) = (OpKind::Sync, String::new());
            let anchor = Anchor::NthOp {
                node: kill.node.clone(),
                op,
                path_prefix,
                n: self.within(94, 1, 20),
                after_ms,
            };
            faults.push(Fault { anchor, action: Action::Kill(kill) });
        }
        faults
    }

    fn object_store(&self) -> (Anchor, Action) {
        let node = self.pick(0, &self.names.stores());
        let name = self.pick(2, &store_faults::OF_STORES);
        let level = if name == store_faults::SHORT_PAGES {
            self.size(3, 1, 20)
        } else {
            self.size(3, 100_000, 900_000)
        };
        let for_ms = Some(self.pick_size(4, &[MINUTE_MS, HOUR_MS, 4 * HOUR_MS]));
        (self.at(), Action::Condition(Condition { node, name: name.to_owned(), level, for_ms }))
    }

    fn removed_directory(&self) -> (Anchor, Action) {
        let projects: u32 = self.scenario.config.tenants.iter().map(|class| class.count).sum();
        let project = self.within(2, 1, u64::from(projects.max(1)));
        let path = self.pick(3, &["arb".to_owned(), format!("arb/{project}")]);
        (self.at(), Action::RemoveDirectory(RemoveDirectory { node: self.disk(0), path }))
    }

    fn process(&self) -> (Anchor, Action) {
        let node = self.node(0);
        let anchor = self.anchor(&node);
        let restart_ms = self.pick_size(2, &[SECOND_MS, 30 * SECOND_MS, 5 * MINUTE_MS, HOUR_MS, 5 * HOUR_MS]);
        let action = match self.kind {
            Kind::Crash => Action::Kill(Kill {
                node,
                restart_after_ms: Some(restart_ms),
                keeps: self.pick(3, &[None, Some(CrashKeeps::Nothing), Some(CrashKeeps::Everything)]),
                tear_bytes: self.pick(4, &[None, Some(512), Some(4096)]),
            }),
            Kind::CrashLoop => Action::CrashLoop(CrashLoop {
                node,
                times: self.size(3, 2, 8) as u32,
                up_ms: self.pick_size(4, &[500, 5 * SECOND_MS, MINUTE_MS]),
                down_ms: self.pick_size(5, &[SECOND_MS, 10 * SECOND_MS, MINUTE_MS]),
            }),
            Kind::PowerLoss => {
                let (half, first) = (self.names.disks.len() / 2, self.within(3, 0, 1) as usize);
                let rack = self.names.disks.iter().skip(first * half).take(half.max(1)).cloned();
                let nodes = rack.chain([node]).collect::<std::collections::BTreeSet<_>>();
                let nodes = nodes.into_iter().collect();
                Action::PowerLoss(PowerLoss { nodes, restart_after_ms: restart_ms, keeps: None })
            }
            Kind::NewDisk => {
                let node = self.disk(5);
                return (self.at(), Action::NewDisk(NewDisk { node, restart_after_ms: restart_ms }));
            }
            _ => Action::Pause(Pause { node, for_ms: self.size(3, 10 * SECOND_MS, 10 * MINUTE_MS) }),
        };
        (anchor, action)
    }

    fn link(&self) -> (Anchor, Action) {
        let node = self.node(0);
        let other = self.pick(2, &self.names.system());
        let for_ms = self.pick_size(3, &[SECOND_MS, MINUTE_MS, HOUR_MS, 4 * HOUR_MS, 26 * HOUR_MS]);
        let for_ms_some = Some(for_ms);
        let node_name = node.clone();
        let degrade = DegradeLink {
            from: node.clone(),
            to: "*".into(),
            both: true,
            for_ms: for_ms_some,
            ..DegradeLink::default()
        };
        let action = match self.kind {
            Kind::CutLink => {
                let both = self.bits(4) & 1 == 1;
                Action::CutLink(CutLink { from: node, to: other, both, for_ms: for_ms_some })
            }
            Kind::Isolate => Action::Isolate(Isolate { node, for_ms: for_ms_some }),
            Kind::Partition => {
                let (mut side, mut rest) = (Vec::new(), Vec::new());
                for (index, name) in self.names.system().into_iter().enumerate() {
                    match self.within(100 + index as u32, 0, 3) {
                        0 => side.push(name),
                        1 => rest.push(name),
                        _ => {}
                    }
                }
                let one_way = self.within(4, 0, 2) == 0;
                let for_ms = Some(for_ms.min(4 * HOUR_MS));
                Action::Partition(Partition { side, other: rest, one_way, for_ms })
            }
            Kind::Flap => Action::Flap(Flap {
                node,
                down_ms: self.pick_size(4, &[SECOND_MS, 20 * SECOND_MS, 5 * MINUTE_MS]),
                up_ms: self.pick_size(5, &[SECOND_MS, MINUTE_MS, 10 * MINUTE_MS]),
                for_ms: for_ms.clamp(MINUTE_MS, 4 * HOUR_MS),
            }),
            Kind::SlowLink => Action::DegradeLink(DegradeLink {
                latency_times: Some(self.size(4, 10, 100) as u32),
                // Customers reach an edge over connections, which double nothing: a doubled request would be another one.
                duplicate_ppm: Some(if self.names.edges.contains(&node_name) {
                    0
                } else {
                    self.size(5, 0, 300_000) as u32
                }),
                reorder_ppm: Some(self.size(6, 0, 300_000) as u32),
                reorder_by_ms: Some(self.size(7, 1, 3_000) as u32),
                bandwidth_bytes_per_s: self.pick(8, &[None, None, Some(200_000)]),
                ..degrade
            }),
            Kind::LossyLink => Action::DegradeLink(DegradeLink {
                loss_ppm: Some(self.size(4, 1_000, 333_000) as u32),
                ..degrade
            }),
            _ => {
                let part = self.pick(4, &[CallPart::Request, CallPart::Answer]);
                Action::LoseMessage(LoseMessage { node, part, times: self.size(5, 1, 5) as u32 })
            }
        };
        (self.at(), action)
    }

    fn disk_trouble(&self) -> (Anchor, Action) {
        let node = self.node(0);
        let path_prefix = String::new();
        let action = match self.kind {
            Kind::DiskError => {
                let kinds =
                    [OpKind::Read, OpKind::Append, OpKind::Sync, OpKind::Change, OpKind::Disk, OpKind::Open];
                let (times, for_ms) = self.pick_size(
                    3,
                    &[
                        (Some(1), None),
                        (Some(3), None),
                        (Some(20), Some(HOUR_MS)),
                        (None, Some(MINUTE_MS)),
                        (None, Some(HOUR_MS)),
                    ],
                );
                Action::DiskError(DiskError { node, op: self.pick(2, &kinds), path_prefix, times, for_ms })
            }
            Kind::SyncFailure => Action::SyncFailure(SyncFailure {
                node,
                path_prefix,
                times: self.size(3, 1, 4) as u32,
                shows: self.pick(4, &[AfterFailedSync::Old, AfterFailedSync::New]),
            }),
            Kind::DiskFull => Action::DiskFull(DiskFull {
                node,
                room_bytes: self.within(3, 0, 20_000),
                for_ms: Some(self.pick_size(4, &[MINUTE_MS, HOUR_MS, 8 * HOUR_MS])),
            }),
            Kind::SlowDisk => Action::SlowDisk(SlowDisk {
                node,
                times: self.size(3, 10, 100) as u32,
                for_ms: Some(self.size(4, 5 * MINUTE_MS, 5 * HOUR_MS)),
            }),
            Kind::ShortRead => {
                Action::ShortRead(ShortRead { node, path_prefix, times: self.size(3, 1, 50) as u32 })
            }
            _ => Action::GarbageTails(GarbageTails { node, for_ms: Some(self.size(3, HOUR_MS, DAY_MS)) }),
        };
        (self.at(), action)
    }

    /// Damage goes to disks of Arb, where copies are for.
    fn damage(&self) -> (Anchor, Action) {
        let (node, pick) = (self.disk(0), self.bits(1));
        let path_prefix = "arb/".to_owned();
        let action = match self.kind {
            Kind::LatentSector => Action::LatentSector(LatentSector { node, path_prefix, pick }),
            Kind::BitRot => {
                Action::BitRot(BitRot { node, path_prefix, pick, bits: self.size(2, 1, 16) as u32 })
            }
            Kind::MisdirectedWrite => Action::MisdirectedWrite(MisdirectedWrite { node, path_prefix, pick }),
            _ => Action::LostWrite(LostWrite { node, path_prefix, times: self.size(2, 1, 3) as u32 }),
        };
        (self.at(), action)
    }

    fn clock(&self) -> (Anchor, Action) {
        let node = self.node(0);
        let for_ms = Some(self.pick_size(2, &[10 * MINUTE_MS, 4 * HOUR_MS, DAY_MS]));
        let action = if let Kind::ClockStep = self.kind {
            let by_ms = self.pick_size(3, &[SECOND_MS, HOUR_MS, DAY_MS]).cast_signed();
            Action::ClockStep(ClockStep {
                node,
                by_ms: if self.bits(4) & 1 == 1 { by_ms } else { -by_ms },
                for_ms,
            })
        } else {
            let ppm = between(self.bits(3), -50, 50);
            Action::ClockDrift(ClockDrift { node, ppm: i32::try_from(ppm).unwrap_or(0), for_ms: None })
        };
        (self.at(), action)
    }
}
