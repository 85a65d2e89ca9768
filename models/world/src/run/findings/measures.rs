//! What `compare` measures of a run: what was lost, whether somebody noticed, and what was left.

use super::Findings;
use latent_engine::{Measure, MeasureValue, Report};

/// Returns the measures of a run. What happens after a loss is measured only where there was one.
pub(crate) fn measures(report: &Report<Findings>) -> Vec<Measure> {
    let Findings { loss, recovery, .. } = &report.findings;
    let has_loss = loss.events_lost_from_production > 0 || loss.events_altered_at_end > 0;
    let after_loss = |value: bool| MeasureValue::Happened(has_loss.then_some(value));
    let is_whole = loss.events_missing_at_end == 0 && loss.events_altered_at_end == 0;
    let of = |name, value| Measure { name, value };
    vec![
        of("loss in production", MeasureValue::Happened(Some(has_loss))),
        of("projects hit", MeasureValue::Count(Some(loss.projects_hit))),
        of("events lost", MeasureValue::Count(Some(loss.events_lost_from_production))),
        of("noticed", after_loss(recovery.detected_by.is_some())),
        of("time to notice", MeasureValue::Seconds(recovery.detected_after_seconds.filter(|_| has_loss))),
        of("whole at the end", after_loss(is_whole)),
        of("events gone for good", MeasureValue::Count(loss.events_unrecoverable)),
        of("recovery point", MeasureValue::Seconds(recovery.recovery_point_seconds)),
        of("recovery time", MeasureValue::Seconds(recovery.recovery_time_seconds)),
    ]
}
