//! Simpler values for what remains: shares of zero, one request format, exact clocks, full runbooks, round times.

use super::{WorldCase, normalized};
use crate::plan::PlannedDrill;
use crate::plan::streams::WARM_UP_MS;
use crate::plan::workload::{Gzip, HOUR_MS, MINUTE_MS, RequestApi, RequestMix, WorkloadSpec};
use crate::scenario::{CompactionThresholds, DeployTarget};
use crate::scenario::{OperatorAction, RecoverAction};
use latent_engine::Timestamp;
use latent_ports::UnixMs;

/// Minimum size of events.
const MIN_EVENT_BYTES: (u32, u32) = (150, 150);

/// A simplification of a workload specification.
type SpecSimplifier = fn(&mut WorkloadSpec);

const SIMPLIFIERS: [SpecSimplifier; 10] = [
    |spec| spec.late.share_ppm = 0,
    |spec| spec.ahead_ppm = 0,
    |spec| spec.border_ppm = 0,
    |spec| spec.resend_ppm = 0,
    |spec| (spec.no_insert_id_ppm, spec.shared_insert_id_ppm) = (0, 0),
    |spec| spec.no_time_ppm = 0,
    |spec| spec.invalid_ppm = 0,
    |spec| spec.huge_ppm = 0,
    |spec| spec.event_bytes = MIN_EVENT_BYTES,
    |spec| spec.api = only_import(&spec.api),
];

/// Keeps one format: the import, which accepts everything that `/track` accepts and older events.
fn only_import(api: &RequestMix) -> RequestMix {
    let weights = [api.track_raw, api.track_form, api.track_get, api.import_json, api.import_ndjson];
    let is_one = weights.iter().filter(|weight| **weight > 0).count() == 1;
    if is_one {
        return RequestMix { gzip_ppm: 0, ..api.clone() };
    }
    RequestMix { track_raw: 0, track_form: 0, track_get: 0, import_json: 1, import_ndjson: 0, gzip_ppm: 0 }
}

/// Keeps one format, that of most trackers.
fn only_track(api: &RequestMix) -> RequestMix {
    let is_track_alone = api.track_form + api.track_get + api.import_json + api.import_ndjson == 0;
    let is_import_alone = api.track_raw + api.track_form + api.track_get + api.import_ndjson == 0;
    if is_track_alone || is_import_alone {
        return api.clone();
    }
    RequestMix { track_raw: 1, track_form: 0, track_get: 0, import_json: 0, import_ndjson: 0, gzip_ppm: 0 }
}

/// Returns cases with all simplifications at once, then with one each.
pub(super) fn shares(case: &WorldCase) -> Vec<WorldCase> {
    let all = with_specs(case, &|spec| SIMPLIFIERS.iter().for_each(|simpler| simpler(spec)));
    let one_by_one = SIMPLIFIERS.iter().map(|simpler| with_specs(case, simpler));
    let track = with_specs(case, &|spec| spec.api = only_track(&spec.api));
    let cases = [all].into_iter().chain(one_by_one).chain([track, plain_requests(case), right_clocks(case)]);
    cases.flatten().collect()
}

/// Returns the case in which every disk is available during healing.
pub(super) fn healing(case: &WorldCase) -> Vec<WorldCase> {
    let mut simple = case.clone();
    let was = simple.scenario.config.heal_without.take();
    was.and_then(|_| normalized(simple)).into_iter().collect()
}

/// Returns the case with changed specifications, if any that is in use changes.
fn with_specs(case: &WorldCase, simpler: &dyn Fn(&mut WorkloadSpec)) -> Option<WorldCase> {
    let mut simple = case.clone();
    let mut is_changed = false;
    for tenant in simple.plan.system.tenants.iter_mut().filter(|tenant| tenant.requests.is_none()) {
        let before = tenant.workload.clone();
        simpler(&mut tenant.workload);
        is_changed |= tenant.workload != before;
    }
    if is_changed { normalized(simple) } else { None }
}

/// Sends explicit requests as imports.
fn plain_requests(case: &WorldCase) -> Option<WorldCase> {
    const PLAIN: RequestApi = RequestApi::ImportJson { gzip: Gzip::No };
    let mut simple = case.clone();
    let mut is_changed = false;
    for request in simple.plan.system.tenants.iter_mut().filter_map(|it| it.requests.as_mut()).flatten() {
        is_changed |= request.api != PLAIN;
        (request.api, request.bare) = (PLAIN, false);
    }
    if is_changed { normalized(simple) } else { None }
}

fn right_clocks(case: &WorldCase) -> Option<WorldCase> {
    let mut simple = case.clone();
    let offset_ms = std::mem::replace(&mut simple.plan.system.clock_offset_ms, 0);
    if offset_ms == 0 { None } else { normalized(simple) }
}

/// Lowers the thresholds of compaction to their minimum, so that few events are enough to exercise it.
pub(super) fn thresholds(case: &WorldCase) -> Vec<WorldCase> {
    let set: [fn(&mut CompactionThresholds); 2] =
        [|compaction| compaction.two_runs_from_events = 1, |compaction| compaction.late_seal_events = 1];
    let lower = set.iter().filter_map(|lower| {
        let mut low = case.clone();
        let compaction = &mut low.scenario.config.compaction;
        let before = (compaction.two_runs_from_events, compaction.late_seal_events);
        lower(compaction);
        let after = (compaction.two_runs_from_events, compaction.late_seal_events);
        if after == before { None } else { normalized(low) }
    });
    lower.collect()
}

/// Returns cases with simpler operations: one recovery of one day with the full runbook, mistakes that last until
/// faults end, deploys to all nodes.
pub(super) fn operations(case: &WorldCase) -> Vec<WorldCase> {
    let mut cases = Vec::new();
    for (index, operation) in case.plan.system.operations.iter().enumerate() {
        for action in simpler_actions(&operation.action) {
            let mut simple = case.clone();
            simple.plan.system.operations[index].action = action;
            cases.extend(normalized(simple));
        }
    }
    for (index, deploy) in case.scenario.config.deploys.iter().enumerate() {
        if !matches!(deploy.to, DeployTarget::All | DeployTarget::Protection) {
            let mut simple = case.clone();
            simple.scenario.config.deploys[index].to = DeployTarget::All;
            cases.extend(normalized(simple));
        }
    }
    cases
}

fn simpler_actions(action: &OperatorAction) -> Vec<OperatorAction> {
    match action {
        OperatorAction::Recover(recover) => {
            let mut simpler = Vec::new();
            let usual = RecoverAction::default();
            let days = recover.days.iter().filter(|_| recover.days.len() > 1);
            simpler.extend(days.map(|day| RecoverAction { days: vec![day.clone()], ..recover.clone() }));
            simpler.push(RecoverAction { times: usual.times, ..recover.clone() });
            simpler.push(RecoverAction { runbook: usual.runbook, ..recover.clone() });
            simpler.retain(|other| other != recover);
            simpler.into_iter().map(OperatorAction::Recover).collect()
        }
        OperatorAction::RetentionTypo(it) if it.duration.is_some() => {
            let mut it = it.clone();
            it.duration = None;
            vec![OperatorAction::RetentionTypo(it)]
        }
        OperatorAction::DisableBackup(it) if it.duration.is_some() => {
            vec![OperatorAction::DisableBackup(Default::default())]
        }
        OperatorAction::WrongBucket(it) if it.duration.is_some() => {
            vec![OperatorAction::WrongBucket(Default::default())]
        }
        _ => Vec::new(),
    }
}

/// Units for rounding times, the largest first.
const UNITS_MS: [i64; 4] = [24 * HOUR_MS, 6 * HOUR_MS, HOUR_MS, MINUTE_MS];

/// A time, and its minimum.
type AdjustableTime<'a> = (&'a mut i64, i64);

/// Returns cases with all times rounded at once, then one after another, then those of explicit requests.
pub(super) fn times(case: &WorldCase) -> Vec<WorldCase> {
    let mut cases: Vec<WorldCase> = Vec::new();
    let count = number_of_times(case);
    let each = (0..count).map(|index| (index, index + 1));
    for (from, to) in [(0, count)].into_iter().filter(|_| count > 1).chain(each) {
        let rounder = UNITS_MS.iter().filter_map(|unit_ms| {
            with_times(case, |index, (at_ms, min_ms)| {
                if (from..to).contains(&index) {
                    *at_ms = (*at_ms - at_ms.rem_euclid(*unit_ms)).max(min_ms);
                }
            })
        });
        cases.extend(rounder);
    }
    cases.extend(UNITS_MS.iter().filter_map(|unit_ms| with_requests_at(case, *unit_ms)));
    cases
}

fn number_of_times(case: &WorldCase) -> usize {
    let plan = &case.plan.system;
    case.scenario.config.deploys.len() + plan.operations.len() + plan.drills.len() + plan.exports.len()
}

/// Returns the case with changed times of deploys, operations, drills and exports, if any changes.
fn with_times(case: &WorldCase, mut rounder: impl FnMut(usize, AdjustableTime<'_>)) -> Option<WorldCase> {
    let mut round = case.clone();
    let start_ms = case.scenario.start.0.0;
    let plan = &mut round.plan.system;
    let deploys = round.scenario.config.deploys.iter_mut().map(|deploy| &mut deploy.at.0.0);
    let operations = plan.operations.iter_mut().map(|operation| &mut operation.at.0.0);
    let exports = plan.exports.iter_mut().map(|export| &mut export.at_ms);
    let drills = plan.drills.iter_mut().map(PlannedDrill::earliest_ms_mut);
    let all = deploys.chain(operations).chain(drills).chain(exports);
    let mut is_changed = false;
    for (index, at_ms) in all.enumerate() {
        let before_ms = *at_ms;
        rounder(index, (&mut *at_ms, start_ms));
        is_changed |= *at_ms != before_ms;
    }
    if is_changed { normalized(round) } else { None }
}

fn with_requests_at(case: &WorldCase, unit_ms: i64) -> Option<WorldCase> {
    let mut round = case.clone();
    let min_ms = case.scenario.start.0.0 + WARM_UP_MS;
    let mut is_changed = false;
    for request in round.plan.system.tenants.iter_mut().filter_map(|it| it.requests.as_mut()).flatten() {
        let at_ms = request.at.0.0;
        let round_ms = (at_ms - at_ms.rem_euclid(unit_ms)).max(min_ms);
        is_changed |= round_ms != at_ms;
        request.at = Timestamp(UnixMs(round_ms));
    }
    if is_changed { normalized(round) } else { None }
}
