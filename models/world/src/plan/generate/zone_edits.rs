//! Changes of time zones by customers.

use super::customers::ZONES;
use super::in_context::ArbitraryIn;
use super::quiet_scenario::{DAY_MS, HOUR_MS, QuietScenario};
use crate::scenario::ZoneEdit;
use arbitrary::{Result, Unstructured};
use latent_nemesis::Choices;

/// Zone edits, one or two in about every tenth run.
pub(super) struct ZoneEdits(pub Vec<ZoneEdit>);

impl ArbitraryIn for ZoneEdits {
    type Context = QuietScenario;

    fn arbitrary_in(quiet: &QuietScenario, bytes: &mut Unstructured<'_>) -> Result<ZoneEdits> {
        let count = if bytes.percent(10) { bytes.within(1, 2) } else { 0 };
        let edit = |_| {
            let spare_ms = bytes.pick(&[HOUR_MS, DAY_MS, 3 * DAY_MS]);
            let at = quiet.instant(bytes, spare_ms);
            ZoneEdit { at, project: quiet.project(bytes), zone: bytes.pick(&ZONES).to_owned() }
        };
        Ok(ZoneEdits((0..count).map(edit).collect()))
    }
}
