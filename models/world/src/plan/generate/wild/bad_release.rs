//! A release that loses or alters events of production, on every copy alike, until it is rolled back: what the company
//! met in 2016. No fault of a disk does this, so only such a week holds the audit, the shrink guard of the backups, the
//! hold on expiry and the recovery to their work.

use super::lost_day::{GOOD, TEE_RETENTION, protect, short_tee_retention};
use super::{Draws, instant_ms, make_room_for_repair};
use crate::plan::generate::quiet_scenario::{DAY_MS, HOUR_MS, MINUTE_MS, span_ms};
use crate::plan::time_limits::min_healing;
use crate::scenario::{Deploy, DeployTarget, ReleaseConfig, WorldConfig};
use latent_engine::{Scenario, Span, Timestamp};
use latent_nemesis::Choices;
use latent_pipeline::release::Bug;
use latent_ports::UnixMs;
use std::time::Duration;

/// Name of the release.
const BAD: &str = "bad";
/// Mistakes of a merge: what they lose or alter was acknowledged, and stands in the tee.
const BUGS: [Bug; 4] =
    [Bug::RecompactionOverwrites, Bug::EmptyKeyEndsMerge, Bug::CoarseDedupeKey, Bug::CompactionAltersEvent];

/// A bad release is deployed, and rolled back hours or days later.
pub(super) fn bad_release(scenario: &mut Scenario<WorldConfig>, draws: &mut Draws) {
    let bug = draws.pick(&BUGS);
    // What an old day lost may be older than a short tee: then backups carry it over.
    // Backups compare keys: only the audit notices what was altered.
    let is_beyond_tee =
        scenario.config.protection.backup.is_some() && draws.percent(35) && bug != Bug::CompactionAltersEvent;
    let retention = match is_beyond_tee {
        true => short_tee_retention(&scenario.config),
        false => scenario.run_for.0.max(TEE_RETENTION),
    };
    let reaction = protect(scenario, draws, retention);
    let bad_for_ms = draws.pick(&[12, 3, 30, 60]) * HOUR_MS;
    let at_ms = instant_ms(scenario, draws, DAY_MS);
    let to = match draws.within(0, 2) {
        0 => DeployTarget::All,
        1 => DeployTarget::Rolling { pause: span_ms(2 * MINUTE_MS) },
        _ => DeployTarget::Canary { replica_set: 0 },
    };
    let good_ms = (at_ms + bad_for_ms).min(scenario.end().0.0);
    let deploy =
        |ms, release: &str, to| Deploy { at: Timestamp(UnixMs(ms)), release: release.to_owned(), to };
    let config = &mut scenario.config;
    config.releases =
        vec![ReleaseConfig { name: BAD.to_owned(), bugs: vec![bug.name().to_owned()], is_fault: true }];
    config.deploys = vec![deploy(at_ms, BAD, to), deploy(good_ms, GOOD, DeployTarget::All)];
    let spare = reaction + Duration::from_secs(2 * 86_400);
    config.healing = Span(config.healing.0.max(min_healing(config) + spare));
    make_room_for_repair(scenario);
}
