//! The world: nodes, compaction, protection, operator and drills.

use super::in_context::ArbitraryIn;
use crate::plan::time_limits::min_healing;
use crate::scenario::{
    AuditSchedule, BackupSchedule, CompactionThresholds, OperatorConfig, Protection, TeeFailurePolicy,
    TeeProtection, Topology, WorldConfig,
};
use arbitrary::{Arbitrary, Result, Unstructured};
use latent_engine::Span;
use latent_nemesis::Choices;
use std::time::Duration;

pub(super) fn hours(hours: u64) -> Span {
    Span(Duration::from_secs(hours * 3_600))
}

/// A time of so many hours, and half of the times up to an hour more, to the second.
fn hours_and_seconds(hours: u64, bytes: &mut Unstructured<'_>) -> Span {
    let seconds = if bytes.percent(50) { u64::from(bytes.within(1, 3_599)) } else { 0 };
    Span(Duration::from_secs(hours * 3_600 + seconds))
}

/// Mostly eight copies, as in production, of which four acknowledge; mostly two or three edges. One cluster in five is
/// small, so that redundancy hides less.
impl<'a> Arbitrary<'a> for Topology {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Topology> {
        let list_page_keys = bytes.pick(&[1_000, 3, 10, 30, 1_000]);
        if bytes.percent(20) {
            let (copies, ack_copies) = bytes.pick(&[(5, 3), (4, 3), (3, 2), (5, 4)]);
            return Ok(Topology {
                edges: bytes.pick(&[2, 1]),
                ingest: 1,
                copies,
                ack_copies,
                workers: 1,
                data_centers: 1,
                list_page_keys,
                ..Topology::default()
            });
        }
        Ok(Topology {
            edges: bytes.pick(&[2, 3, 3, 2, 3, 2, 4, 5, 1]),
            ingest: bytes.pick(&[2, 2, 1, 3]),
            copies: bytes.pick(&[8, 8, 8, 8, 7, 6]),
            ack_copies: 4,
            workers: bytes.pick(&[2, 2, 1, 3]),
            data_centers: bytes.pick(&[2, 2, 1]),
            list_page_keys,
            ..Topology::default()
        })
    }
}

/// Thresholds that are low enough to merge a small day in several runs.
impl<'a> Arbitrary<'a> for CompactionThresholds {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<CompactionThresholds> {
        Ok(CompactionThresholds {
            late_seal_events: bytes.pick(&[2, 1, 4, 20]),
            two_runs_from_events: bytes.pick(&[10, 1, 30, 100]),
            grace: hours(bytes.pick(&[3, 1, 12])),
            output_max_bytes: bytes.pick(&[1 << 20, 2_000, 8_000, 40_000, 1 << 20]),
        })
    }
}

/// All or parts of the protection.
///
/// Tee, backups and audit are drawn together: the retention of backups includes that of the tee, which is drawn without
/// a tee too, as is the backup interval without backups. An implementation for each alone would draw other bytes.
impl<'a> Arbitrary<'a> for Protection {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Protection> {
        let (has_tee, has_backup) = bytes.pick(&[
            (true, true),
            (true, true),
            (true, true),
            (true, false),
            (false, true),
            (false, false),
        ]);
        let retention_h: u64 = bytes.pick(&[168, 72, 48]);
        let tee = has_tee.then(|| TeeProtection {
            retention: hours(retention_h),
            on_failure: bytes.pick(&[TeeFailurePolicy::Reject, TeeFailurePolicy::AcceptAndRecordGap]),
        });
        let interval_h: u64 = bytes.pick(&[24, 12, 6, 48]);
        let backup = has_backup.then(|| BackupSchedule {
            interval: hours(interval_h),
            first_after: hours_and_seconds(bytes.pick(&[6, 1, 20]), bytes),
            retention: hours(retention_h + interval_h + bytes.pick(&[24, 0, 200])),
        });
        let audit = (has_tee && !bytes.percent(20))
            .then(|| AuditSchedule { after_midnight: hours_and_seconds(bytes.pick(&[3, 2, 6]), bytes) });
        Ok(Protection { tee, backup, audit })
    }
}

/// Number of exports that the customers of each project read.
pub(super) struct ExportsPerProject(pub u32);

impl<'a> Arbitrary<'a> for ExportsPerProject {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<ExportsPerProject> {
        Ok(ExportsPerProject(bytes.pick(&[0, 1, 1, 2, 3])))
    }
}

/// Operator, drills, and the healing time beyond the necessary.
pub(super) struct RecoverySetup {
    operator: Option<OperatorConfig>,
    drills: u32,
    spare_healing: Span,
}

impl ArbitraryIn for RecoverySetup {
    /// An operator needs an audit, and a drill needs something to recover from.
    type Context = Protection;

    fn arbitrary_in(protection: &Protection, bytes: &mut Unstructured<'_>) -> Result<RecoverySetup> {
        let Protection { tee, backup, audit } = protection;
        let has_operator = audit.is_some() && bytes.percent(70);
        let operator = has_operator.then(|| OperatorConfig { reaction: hours(bytes.pick(&[2, 1, 8])) });
        let is_recoverable = tee.is_some() || backup.is_some();
        let drills = if is_recoverable { bytes.pick(&[0, 0, 1, 2]) } else { 0 };
        let spare_healing = hours(bytes.pick(&[0, 0, 12, 24]));
        Ok(RecoverySetup { operator, drills, spare_healing })
    }
}

impl RecoverySetup {
    /// Adds the setup to a configuration, with a sufficient healing time.
    pub fn add_to(self, config: &mut WorldConfig) {
        config.operator = self.operator;
        config.drills = self.drills;
        // The necessary time depends on the operator.
        config.healing = Span(min_healing(config) + self.spare_healing.0);
    }
}
