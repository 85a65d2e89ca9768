//! Samples one fault of a kind: target, trigger and size. The sources of the sizes are documented in
//! harness/sim/src/faults.
//!
//! The caller supplies the source of the choices: keyed draws from a seed, or bytes. `triggers` draws when a fault
//! strikes, `follow_up` the second fault of a pair.

use crate::fault_kind::FaultKind;
use crate::part_draws::{PartDraws, RandomSource, between, item};
use crate::targets::{FaultTargets, Role, role_of};
use latent_sim::{
    BitRot, CallPart, ClockDrift, ClockStep, Condition, CrashLoop, CrashPolicy, CutLink, DegradeLink,
    DiskError, DiskFull, Fault, FaultAction, Flap, GarbageTails, Isolate, Kill, LatentSector, LoseMessage,
    LostWrite, MisdirectedWrite, NewDisk, OpKind, Partition, Pause, PowerLoss, ReadsAfterFailedSync,
    ShortRead, SlowDisk, SyncFailure, Trigger,
};
use std::collections::BTreeSet;

const SECOND_MS: u64 = 1_000;
const MINUTE_MS: u64 = 60 * SECOND_MS;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

/// Sampler of one fault.
pub(crate) struct FaultSampler<'a> {
    pub(crate) targets: &'a dyn FaultTargets,
    pub(crate) kind: FaultKind,
    pub(crate) random: &'a dyn RandomSource,
}

impl FaultSampler<'_> {
    pub(crate) fn bits(&self, part: u32) -> u64 {
        self.random.bits(part)
    }

    pub(crate) fn draws(&self) -> PartDraws<'_> {
        PartDraws(self.random)
    }

    pub(crate) fn within(&self, part: u32, min: u64, max: u64) -> u64 {
        self.draws().within(part, min, max)
    }

    pub(crate) fn pick<T: Clone>(&self, part: u32, of: &[T]) -> T {
        self.draws().pick(part, of)
    }

    /// Draws a size from `min` to `max`.
    fn size(&self, part: u32, min: u64, max: u64) -> u64 {
        between(self.random.size_bits(part), min.cast_signed(), max.cast_signed()).unsigned_abs()
    }

    /// Draws one of several sizes, ordered from small to large.
    fn pick_size<T: Clone>(&self, part: u32, of: &[T]) -> T {
        item(self.random.size_bits(part), of)
    }

    /// Draws one of several durations, ordered from short to long, at most the longest that the run has time for.
    fn pick_duration(&self, part: u32, of: &[u64]) -> u64 {
        self.cut(self.pick_size(part, of))
    }

    /// Draws a duration from `min` to `max`, at most the longest that the run has time for.
    fn duration(&self, part: u32, min: u64, max: u64) -> u64 {
        self.cut(self.size(part, min, max))
    }

    fn cut(&self, duration_ms: u64) -> u64 {
        duration_ms.min(self.targets.window().longest_ms)
    }

    /// Draws a node: half of the times one that holds the data, otherwise a role and one of its nodes, so that a role
    /// with one node is not rarer than another.
    fn node(&self, part: u32) -> String {
        if self.within(part, 0, 1) > 0 {
            self.data_node(part + 1)
        } else {
            let of_role = self.pick(part + 117, self.targets.roles());
            self.pick(part + 1, &of_role.nodes)
        }
    }

    pub(crate) fn data_node(&self, part: u32) -> String {
        self.pick(part, self.data_nodes())
    }

    fn data_nodes(&self) -> &[String] {
        &self.targets.roles()[self.targets.data_role()].nodes
    }

    /// Returns all nodes, in the order of their roles.
    fn nodes(&self) -> Vec<String> {
        self.targets.roles().iter().flat_map(|role| role.nodes.iter().cloned()).collect()
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
            FaultKind::Condition => self.condition(),
            FaultKind::RemovedDirectory => {
                let at_ms = self.at_ms(90);
                let removed = self.targets.removed_directory(self.draws(), at_ms);
                let removed = removed.expect("a kind is drawn only where it has targets");
                (Trigger::AtMs(at_ms), FaultAction::RemoveDirectory(removed))
            }
        };
        let mut faults = vec![Fault { trigger: trigger.clone(), action }];
        faults.extend(self.follow_up(&faults[0]));
        if let FaultKind::GarbageTails = self.kind {
            // Garbage becomes visible only after a crash.
            let node = self.node(0);
            let kill = Kill { node, restart_after_ms: Some(MINUTE_MS), ..Kill::default() };
            let after_ms = (self.at_ms(90) - self.targets.window().start_ms).unsigned_abs();
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

    fn condition(&self) -> (Trigger, FaultAction) {
        let conditions = self.targets.conditions().expect("a kind is drawn only where it has targets");
        let node = self.pick(0, &conditions.nodes);
        let trigger = self.trigger(&node);
        let range = self.pick(2, &conditions.kinds);
        let level = self.size(3, *range.levels.start(), *range.levels.end());
        let for_ms = Some(self.pick_duration(4, &[MINUTE_MS, HOUR_MS, 4 * HOUR_MS]));
        (trigger, FaultAction::Condition(Condition { node, name: range.name.to_owned(), level, for_ms }))
    }

    fn process(&self) -> (Trigger, FaultAction) {
        let node = self.node(0);
        let trigger = self.trigger(&node);
        let restart_ms =
            self.pick_duration(2, &[SECOND_MS, 30 * SECOND_MS, 5 * MINUTE_MS, HOUR_MS, 5 * HOUR_MS]);
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
                up_ms: self.pick_duration(4, &[500, 5 * SECOND_MS, MINUTE_MS]),
                down_ms: self.pick_duration(5, &[SECOND_MS, 10 * SECOND_MS, MINUTE_MS]),
            }),
            FaultKind::PowerLoss => {
                let (half, first) = (self.data_nodes().len() / 2, self.within(3, 0, 1) as usize);
                let rack = self.data_nodes().iter().skip(first * half).take(half.max(1)).cloned();
                let nodes = rack.chain([node]).collect::<BTreeSet<_>>();
                let nodes = nodes.into_iter().collect();
                FaultAction::PowerLoss(PowerLoss { nodes, restart_after_ms: restart_ms, keeps: None })
            }
            FaultKind::NewDisk => {
                let mut roles = self.targets.roles().to_vec();
                roles.retain(|role| role.is_disk_replaceable);
                let of_role = self.pick(7, &roles);
                let node =
                    if self.within(6, 0, 2) == 0 { self.pick(8, &of_role.nodes) } else { self.data_node(5) };
                return (
                    self.time_trigger(),
                    FaultAction::NewDisk(NewDisk { node, restart_after_ms: restart_ms }),
                );
            }
            _ => FaultAction::Pause(Pause { node, for_ms: self.duration(3, 10 * SECOND_MS, 10 * MINUTE_MS) }),
        };
        (trigger, action)
    }

    fn link(&self) -> (Trigger, FaultAction) {
        let node = self.node(0);
        let trigger = self.trigger(&node);
        let other = self.pick(2, &self.nodes());
        let for_ms = self.pick_duration(3, &[SECOND_MS, MINUTE_MS, HOUR_MS, 4 * HOUR_MS, 26 * HOUR_MS]);
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
                for (index, name) in self.nodes().into_iter().enumerate() {
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
                down_ms: self.pick_duration(4, &[SECOND_MS, 20 * SECOND_MS, 5 * MINUTE_MS]),
                up_ms: self.pick_duration(5, &[SECOND_MS, MINUTE_MS, 10 * MINUTE_MS]),
                for_ms: self.cut(for_ms.clamp(MINUTE_MS, 4 * HOUR_MS)),
            }),
            FaultKind::SlowLink => FaultAction::DegradeLink(DegradeLink {
                latency_times: Some(self.size(4, 10, 100) as u32),
                duplicate_ppm: Some(match role_of(self.targets, &node_name) {
                    Some(role) if !role.may_duplicate => 0,
                    _ => self.size(5, 0, 300_000) as u32,
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
                let (times, for_ms): (_, Option<u64>) = self.pick_size(
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
                    for_ms: for_ms.map(|for_ms| self.cut(for_ms)),
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
                for_ms: Some(self.pick_duration(4, &[MINUTE_MS, HOUR_MS, 8 * HOUR_MS])),
            }),
            FaultKind::SlowDisk => FaultAction::SlowDisk(SlowDisk {
                node,
                times: self.size(3, 10, 100) as u32,
                for_ms: Some(self.duration(4, 5 * MINUTE_MS, 5 * HOUR_MS)),
            }),
            FaultKind::ShortRead => {
                FaultAction::ShortRead(ShortRead { node, path_prefix, times: self.size(3, 1, 50) as u32 })
            }
            _ => FaultAction::GarbageTails(GarbageTails {
                node,
                for_ms: Some(self.duration(3, HOUR_MS, DAY_MS)),
            }),
        };
        (trigger, action)
    }

    /// Damage affects the nodes that hold the data, and one in seven times what is stored at another role.
    fn damage(&self) -> (Trigger, FaultAction) {
        let at_rest = matches!(self.kind, FaultKind::LatentSector | FaultKind::BitRot);
        let data = &self.targets.roles()[self.targets.data_role()];
        let others =
            self.targets.roles().iter().filter(|role| *role != data && !role.damaged_paths.is_empty());
        let others: Vec<&Role> = others.collect();
        let of_other = at_rest && !others.is_empty() && self.within(5, 0, 6) == 0;
        let role = match others[..] {
            _ if !of_other => data,
            [only] => only,
            _ => self.pick(118, &others),
        };
        let node = self.pick(0, &role.nodes);
        let path_prefix =
            if of_other { self.pick(6, &role.damaged_paths) } else { role.damaged_paths[0].clone() };
        let pick = self.bits(1);
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
        let for_ms = Some(self.pick_duration(2, &[10 * MINUTE_MS, 4 * HOUR_MS, DAY_MS]));
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
