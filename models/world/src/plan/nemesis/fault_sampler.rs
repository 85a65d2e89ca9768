//! Samples one fault of a kind: target, trigger and size. The sources of the sizes are documented in
//! harness/sim/src/faults.
//!
//! The caller supplies the source of the choices: keyed draws from a seed, or bytes. `triggers` draws when a fault
//! strikes, `follow_up` the second fault of a pair.

use crate::plan::draws::between;
use crate::scenario::{FaultKind, NodeNames, TeeFailurePolicy, WorldConfig, store_conditions};
use latent_engine::Scenario;
use latent_engine::sim::{
    BitRot, CallPart, ClockDrift, ClockStep, Condition, CrashLoop, CrashPolicy, CutLink, DegradeLink,
    DiskError, DiskFull, Fault, FaultAction, Flap, GarbageTails, Isolate, Kill, LatentSector, LoseMessage,
    LostWrite, MisdirectedWrite, NewDisk, OpKind, Partition, Pause, PowerLoss, ReadsAfterFailedSync,
    RemoveDirectory, ShortRead, SlowDisk, SyncFailure, Trigger, keyed_draw,
};
use latent_pipeline::zone::Day;

const SECOND_MS: u64 = 1_000;
const MINUTE_MS: u64 = 60 * SECOND_MS;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

/// No fault triggers before every node has booted for the first time.
pub(super) const WARM_UP_MS: u64 = 10 * MINUTE_MS;

/// Source of random bits for the parts of a fault: 64 bits per part.
pub(crate) trait RandomSource {
    /// Returns the bits for a part: node, direction, time.
    fn bits(&self, part: u32) -> u64;

    /// Returns the bits for a size: smaller bits make a shorter, rarer or milder fault.
    fn size_bits(&self, part: u32) -> u64 {
        self.bits(part)
    }
}

/// Random source of the fault `number` of a kind, keyed by a seed.
pub(super) struct KeyedRandomSource {
    pub seed: u64,
    pub kind: FaultKind,
    pub number: u64,
}

impl RandomSource for KeyedRandomSource {
    fn bits(&self, part: u32) -> u64 {
        let key = ((self.kind as u128) << 96) | (u128::from(self.number) << 32) | u128::from(part);
        keyed_draw(self.seed, "trouble.fault", key)
    }
}

/// Sampler of one fault.
pub(crate) struct FaultSampler<'a> {
    pub scenario: &'a Scenario<WorldConfig>,
    pub names: &'a NodeNames,
    pub kind: FaultKind,
    pub random: &'a dyn RandomSource,
}

/// Returns the item that the draw selects.
fn item<T: Clone>(bits: u64, of: &[T]) -> T {
    let last = i64::try_from(of.len()).unwrap_or(i64::MAX).saturating_sub(1);
    of[usize::try_from(between(bits, 0, last)).unwrap_or(0)].clone()
}

impl FaultSampler<'_> {
    pub(super) fn bits(&self, part: u32) -> u64 {
        self.random.bits(part)
    }

    pub(super) fn within(&self, part: u32, min: u64, max: u64) -> u64 {
        between(self.bits(part), min.cast_signed(), max.cast_signed()).unsigned_abs()
    }

    pub(super) fn pick<T: Clone>(&self, part: u32, of: &[T]) -> T {
        item(self.bits(part), of)
    }

    /// Draws a size from `min` to `max`.
    fn size(&self, part: u32, min: u64, max: u64) -> u64 {
        between(self.random.size_bits(part), min.cast_signed(), max.cast_signed()).unsigned_abs()
    }

    /// Draws one of several sizes, ordered from small to large.
    fn pick_size<T: Clone>(&self, part: u32, of: &[T]) -> T {
        item(self.random.size_bits(part), of)
    }

    /// Draws a node: half of the times a disk of Arb, otherwise a role and one of its nodes, so that a role with one node
    /// is not rarer than another.
    fn node(&self, part: u32) -> String {
        if self.within(part, 0, 1) > 0 {
            self.disk(part + 1)
        } else {
            let of_role = self.pick(part + 117, &self.names.roles());
            self.pick(part + 1, &of_role)
        }
    }

    pub(super) fn disk(&self, part: u32) -> String {
        self.pick(part, &self.names.disks)
    }

    /// Returns the faults that make up this one.
    pub(crate) fn fault(&self) -> Vec<Fault> {
        let (trigger, action) = match self.kind {
            FaultKind::Crash
            | FaultKind::CrashLoop
            | FaultKind::PowerLoss
            | FaultKind::Pause
            | FaultKind::NewDisk => self.process(),
            FaultKind::CutLink
            | FaultKind::Isolate
            | FaultKind::Partition
            | FaultKind::Flap
            | FaultKind::SlowLink
            | FaultKind::LossyLink
            | FaultKind::LostMessage => self.link(),
            FaultKind::ClockStep | FaultKind::ClockDrift => self.clock(),
            FaultKind::DiskError
            | FaultKind::SyncFailure
            | FaultKind::DiskFull
            | FaultKind::SlowDisk
            | FaultKind::ShortRead
            | FaultKind::GarbageTails => self.disk_fault(),
            FaultKind::LatentSector
            | FaultKind::BitRot
            | FaultKind::MisdirectedWrite
            | FaultKind::LostWrite => self.damage(),
            FaultKind::ObjectStore => self.object_store(),
            FaultKind::RemovedDirectory => self.removed_directory(),
        };
        let mut faults = vec![Fault { trigger: trigger.clone(), action }];
        faults.extend(self.follow_up(&faults[0]));
        if let FaultKind::GarbageTails = self.kind {
            // Garbage becomes visible only after a crash.
            let node = self.node(0);
            let kill = Kill { node, restart_after_ms: Some(MINUTE_MS), ..Kill::default() };
            let after_ms = (self.at_ms(90) - self.scenario.start.0.0).unsigned_abs();
            let (op, path_prefix) = (OpKind::Sync, String::new());
            let trigger = Trigger::NthOp {
                node: kill.node.clone(),
                op,
                path_prefix,
                n: self.within(94, 1, 20),
                after_ms,
            };
            faults.push(Fault { trigger, action: FaultAction::Kill(kill) });
        }
        faults
    }

    fn object_store(&self) -> (Trigger, FaultAction) {
        let node = self.pick(0, &self.names.stores());
        let trigger = self.trigger(&node);
        let name = self.pick(2, &store_conditions::STORE_CONDITIONS);
        let level = if name == store_conditions::SHORT_PAGES {
            self.size(3, 1, 20)
        } else {
            self.size(3, 100_000, 900_000)
        };
        let for_ms = Some(self.pick_size(4, &[MINUTE_MS, HOUR_MS, 4 * HOUR_MS]));
        (trigger, FaultAction::Condition(Condition { node, name: name.to_owned(), level, for_ms }))
    }

    fn removed_directory(&self) -> (Trigger, FaultAction) {
        if !self.names.data_centers.is_empty() && self.within(4, 0, 3) == 0 {
            let node = self.pick(0, &self.names.data_centers);
            let path = self.pick(3, &["objects/segments", "objects/catalogs", "objects"]).to_owned();
            return (self.time_trigger(), FaultAction::RemoveDirectory(RemoveDirectory { node, path }));
        }
        let projects: u32 = self.scenario.config.tenants.iter().map(|class| class.count).sum();
        let project = self.within(2, 1, u64::from(projects.max(1)));
        let at_ms = self.at_ms(90);
        let back = self.within(5, 0, 3);
        let day = Day(i32::try_from(at_ms.div_euclid(DAY_MS.cast_signed())).unwrap_or(0) - back as i32);
        let path =
            self.pick(3, &["arb".to_owned(), format!("arb/{project}"), format!("arb/{project}/{day}")]);
        let action = FaultAction::RemoveDirectory(RemoveDirectory { node: self.disk(0), path });
        (Trigger::AtMs(at_ms), action)
    }

    fn process(&self) -> (Trigger, FaultAction) {
        let node = self.node(0);
        let trigger = self.trigger(&node);
        let restart_ms = self.pick_size(2, &[SECOND_MS, 30 * SECOND_MS, 5 * MINUTE_MS, HOUR_MS, 5 * HOUR_MS]);
        let action = match self.kind {
            FaultKind::Crash => FaultAction::Kill(Kill {
                node,
                restart_after_ms: Some(restart_ms),
                keeps: self.pick(3, &[None, Some(CrashPolicy::Nothing), Some(CrashPolicy::Everything)]),
                tear_bytes: self.pick(4, &[None, Some(512), Some(4096)]),
            }),
            FaultKind::CrashLoop => FaultAction::CrashLoop(CrashLoop {
                node,
                times: self.size(3, 2, 8) as u32,
                up_ms: self.pick_size(4, &[500, 5 * SECOND_MS, MINUTE_MS]),
                down_ms: self.pick_size(5, &[SECOND_MS, 10 * SECOND_MS, MINUTE_MS]),
            }),
            FaultKind::PowerLoss => {
                let (half, first) = (self.names.disks.len() / 2, self.within(3, 0, 1) as usize);
                let rack = self.names.disks.iter().skip(first * half).take(half.max(1)).cloned();
                let nodes = rack.chain([node]).collect::<std::collections::BTreeSet<_>>();
                let nodes = nodes.into_iter().collect();
                FaultAction::PowerLoss(PowerLoss { nodes, restart_after_ms: restart_ms, keeps: None })
            }
            FaultKind::NewDisk => {
                // Edges and stores lose copies, within their budgets; nodes without copies lose what they remember.
                let mut roles = self.names.roles();
                let tee = self.scenario.config.protection.tee.as_ref();
                let has_gaps = tee.is_some_and(|tee| tee.on_failure == TeeFailurePolicy::AcceptAndRecordGap);
                if has_gaps || self.names.edges.len() < 2 {
                    // Only an edge knows of its open gaps, and a single one has no peer.
                    roles.retain(|nodes| *nodes != self.names.edges);
                }
                let of_role = self.pick(7, &roles);
                let node = if self.within(6, 0, 2) == 0 { self.pick(8, &of_role) } else { self.disk(5) };
                return (
                    self.time_trigger(),
                    FaultAction::NewDisk(NewDisk { node, restart_after_ms: restart_ms }),
                );
            }
            _ => FaultAction::Pause(Pause { node, for_ms: self.size(3, 10 * SECOND_MS, 10 * MINUTE_MS) }),
        };
        (trigger, action)
    }

    fn link(&self) -> (Trigger, FaultAction) {
        let node = self.node(0);
        let trigger = self.trigger(&node);
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
            FaultKind::CutLink => {
                let both = self.bits(4) & 1 == 1;
                FaultAction::CutLink(CutLink { from: node, to: other, both, for_ms: for_ms_some })
            }
            FaultKind::Isolate => FaultAction::Isolate(Isolate { node, for_ms: for_ms_some }),
            FaultKind::Partition => {
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
                FaultAction::Partition(Partition { side, other: rest, one_way, for_ms })
            }
            FaultKind::Flap => FaultAction::Flap(Flap {
                node,
                down_ms: self.pick_size(4, &[SECOND_MS, 20 * SECOND_MS, 5 * MINUTE_MS]),
                up_ms: self.pick_size(5, &[SECOND_MS, MINUTE_MS, 10 * MINUTE_MS]),
                for_ms: for_ms.clamp(MINUTE_MS, 4 * HOUR_MS),
            }),
            FaultKind::SlowLink => FaultAction::DegradeLink(DegradeLink {
                latency_times: Some(self.size(4, 10, 100) as u32),
                // Customers reach an edge over connections, which never duplicate: a duplicated request would be a
                // new one.
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
            FaultKind::LossyLink => FaultAction::DegradeLink(DegradeLink {
                loss_ppm: Some(self.size(4, 1_000, 333_000) as u32),
                ..degrade
            }),
            _ => {
                let part = self.pick(4, &[CallPart::Request, CallPart::Answer]);
                FaultAction::LoseMessage(LoseMessage { node, part, times: self.size(5, 1, 5) as u32 })
            }
        };
        (trigger, action)
    }

    fn disk_fault(&self) -> (Trigger, FaultAction) {
        let node = self.node(0);
        let trigger = self.trigger(&node);
        let path_prefix = self.path_prefix(&node);
        let action = match self.kind {
            FaultKind::DiskError => {
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
                FaultAction::DiskError(DiskError {
                    node,
                    op: self.pick(2, &kinds),
                    path_prefix,
                    times,
                    for_ms,
                })
            }
            FaultKind::SyncFailure => FaultAction::SyncFailure(SyncFailure {
                node,
                path_prefix,
                times: self.size(3, 1, 4) as u32,
                shows: self.pick(4, &[ReadsAfterFailedSync::Old, ReadsAfterFailedSync::New]),
            }),
            FaultKind::DiskFull => FaultAction::DiskFull(DiskFull {
                node,
                room_bytes: self.within(3, 0, 20_000),
                for_ms: Some(self.pick_size(4, &[MINUTE_MS, HOUR_MS, 8 * HOUR_MS])),
            }),
            FaultKind::SlowDisk => FaultAction::SlowDisk(SlowDisk {
                node,
                times: self.size(3, 10, 100) as u32,
                for_ms: Some(self.size(4, 5 * MINUTE_MS, 5 * HOUR_MS)),
            }),
            FaultKind::ShortRead => {
                FaultAction::ShortRead(ShortRead { node, path_prefix, times: self.size(3, 1, 50) as u32 })
            }
            _ => {
                FaultAction::GarbageTails(GarbageTails { node, for_ms: Some(self.size(3, HOUR_MS, DAY_MS)) })
            }
        };
        (trigger, action)
    }

    /// Damage affects Arb disks mostly, and the objects of a data center.
    fn damage(&self) -> (Trigger, FaultAction) {
        let at_rest = matches!(self.kind, FaultKind::LatentSector | FaultKind::BitRot);
        let of_store = at_rest && !self.names.data_centers.is_empty() && self.within(5, 0, 6) == 0;
        let (node, path_prefix) = match of_store {
            true => {
                (self.pick(0, &self.names.data_centers), self.pick(6, &["objects/segments/", "objects/"]))
            }
            false => (self.disk(0), "arb/"),
        };
        let (pick, path_prefix) = (self.bits(1), path_prefix.to_owned());
        let action = match self.kind {
            FaultKind::LatentSector => FaultAction::LatentSector(LatentSector { node, path_prefix, pick }),
            FaultKind::BitRot => {
                FaultAction::BitRot(BitRot { node, path_prefix, pick, bits: self.size(2, 1, 16) as u32 })
            }
            FaultKind::MisdirectedWrite => {
                FaultAction::MisdirectedWrite(MisdirectedWrite { node, path_prefix, pick })
            }
            _ => FaultAction::LostWrite(LostWrite { node, path_prefix, times: self.size(2, 1, 3) as u32 }),
        };
        (self.time_trigger(), action)
    }

    fn clock(&self) -> (Trigger, FaultAction) {
        let node = self.node(0);
        let for_ms = Some(self.pick_size(2, &[10 * MINUTE_MS, 4 * HOUR_MS, DAY_MS]));
        let action = if let FaultKind::ClockStep = self.kind {
            let by_ms = self.pick_size(3, &[SECOND_MS, HOUR_MS, DAY_MS]).cast_signed();
            FaultAction::ClockStep(ClockStep {
                node,
                by_ms: if self.bits(4) & 1 == 1 { by_ms } else { -by_ms },
                for_ms,
            })
        } else {
            let ppm = between(self.bits(3), -50, 50);
            FaultAction::ClockDrift(ClockDrift { node, ppm: i32::try_from(ppm).unwrap_or(0), for_ms: None })
        };
        (self.time_trigger(), action)
    }
}
