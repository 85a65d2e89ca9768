//! Something simpler in place of what stays: shares of zero, one way to travel, right clocks; operations by the book;
//! rounder times.

use super::{LatentCase, finished};
use crate::operations::{Recover, What};
use crate::run::WARM_UP_MS;
use crate::scenario::{Compaction, DeployTo};
use crate::workload::{Api, ApiMix, Gzip, HOUR_MS, MINUTE_MS, StreamLaw};
use latent_engine::Timestamp;
use latent_ports::UnixMs;

/// The least that events take.
const LEAST_EVENT_BYTES: (u32, u32) = (150, 150);

/// What makes a law simpler.
type Simpler = fn(&mut StreamLaw);

const SIMPLER: [Simpler; 9] = [
    |law| law.late.share_ppm = 0,
    |law| law.ahead_ppm = 0,
    |law| law.resend_ppm = 0,
    |law| (law.no_insert_id_ppm, law.shared_insert_id_ppm) = (0, 0),
    |law| law.no_time_ppm = 0,
    |law| law.invalid_ppm = 0,
    |law| law.huge_ppm = 0,
    |law| law.event_bytes = LEAST_EVENT_BYTES,
    |law| law.api = only_import(&law.api),
];

/// One kind is left: the import, which takes what `/track` takes and older events too.
fn only_import(api: &ApiMix) -> ApiMix {
    let weights = [api.track_raw, api.track_form, api.track_get, api.import_json, api.import_ndjson];
    let is_one = weights.iter().filter(|weight| **weight > 0).count() == 1;
    if is_one {
        return ApiMix { gzip_ppm: 0, ..api.clone() };
    }
    ApiMix { track_raw: 0, track_form: 0, track_get: 0, import_json: 1, import_ndjson: 0, gzip_ppm: 0 }
}

/// One way of travel, that of most trackers.
fn only_track(api: &ApiMix) -> ApiMix {
    let is_track_alone = api.track_form + api.track_get + api.import_json + api.import_ndjson == 0;
    let is_import_alone = api.track_raw + api.track_form + api.track_get + api.import_ndjson == 0;
    if is_track_alone || is_import_alone {
        return api.clone();
    }
    ApiMix { track_raw: 1, track_form: 0, track_get: 0, import_json: 0, import_ndjson: 0, gzip_ppm: 0 }
}

/// Everything simple at once; then one thing after the other.
pub(super) fn shares(case: &LatentCase) -> Vec<LatentCase> {
    let all = with_laws(case, &|law| SIMPLER.iter().for_each(|simpler| simpler(law)));
    let one_by_one = SIMPLER.iter().map(|simpler| with_laws(case, simpler));
    let track = with_laws(case, &|law| law.api = only_track(&law.api));
    let cases = [all].into_iter().chain(one_by_one).chain([track, plain_requests(case), right_clocks(case)]);
    cases.flatten().collect()
}

/// Every disk comes back when trouble is over.
pub(super) fn healing(case: &LatentCase) -> Vec<LatentCase> {
    let mut simple = case.clone();
    let was = simple.scenario.config.heal_without.take();
    was.and_then(|_| finished(simple)).into_iter().collect()
}

/// The case with other laws, if that changes any that is still followed.
fn with_laws(case: &LatentCase, simpler: &dyn Fn(&mut StreamLaw)) -> Option<LatentCase> {
    let mut simple = case.clone();
    let mut is_other = false;
    for tenant in simple.plan.system.tenants.iter_mut().filter(|tenant| tenant.requests.is_none()) {
        let before = tenant.law.clone();
        simpler(&mut tenant.law);
        is_other |= tenant.law != before;
    }
    if is_other { finished(simple) } else { None }
}

/// Requests that are written out travel as imports.
fn plain_requests(case: &LatentCase) -> Option<LatentCase> {
    const PLAIN: Api = Api::ImportJson { gzip: Gzip::No };
    let mut simple = case.clone();
    let mut is_other = false;
    for request in simple.plan.system.tenants.iter_mut().filter_map(|it| it.requests.as_mut()).flatten() {
        is_other |= request.by != PLAIN;
        (request.by, request.bare) = (PLAIN, false);
    }
    if is_other { finished(simple) } else { None }
}

fn right_clocks(case: &LatentCase) -> Option<LatentCase> {
    let mut simple = case.clone();
    let offset_ms = std::mem::replace(&mut simple.plan.system.clock_offset_ms, 0);
    if offset_ms == 0 { None } else { finished(simple) }
}

/// Compaction that runs over the fewest events there may be: then few are enough to show what it does.
pub(super) fn thresholds(case: &LatentCase) -> Vec<LatentCase> {
    let set: [fn(&mut Compaction); 2] =
        [|compaction| compaction.two_runs_from_events = 1, |compaction| compaction.late_seal_events = 1];
    let lower = set.iter().filter_map(|lower| {
        let mut low = case.clone();
        let compaction = &mut low.scenario.config.compaction;
        let before = (compaction.two_runs_from_events, compaction.late_seal_events);
        lower(compaction);
        let after = (compaction.two_runs_from_events, compaction.late_seal_events);
        if after == before { None } else { finished(low) }
    });
    lower.collect()
}

/// Recoveries once, by the book, of one day; mistakes that last until trouble is over; deploys of everything.
pub(super) fn operations(case: &LatentCase) -> Vec<LatentCase> {
    let mut cases = Vec::new();
    for (place, operation) in case.plan.system.operations.iter().enumerate() {
        for what in simpler_operations(&operation.what) {
            let mut simple = case.clone();
            simple.plan.system.operations[place].what = what;
            cases.extend(finished(simple));
        }
    }
    for (place, deploy) in case.scenario.config.deploys.iter().enumerate() {
        if deploy.to != DeployTo::All {
            let mut simple = case.clone();
            simple.scenario.config.deploys[place].to = DeployTo::All;
            cases.extend(finished(simple));
        }
    }
    cases
}

fn simpler_operations(what: &What) -> Vec<What> {
    match what {
        What::Recover(recover) => {
            let mut simpler = Vec::new();
            let usual = Recover::default();
            let days = recover.days.iter().filter(|_| recover.days.len() > 1);
            simpler.extend(days.map(|day| Recover { days: vec![day.clone()], ..recover.clone() }));
            simpler.push(Recover { times: usual.times, ..recover.clone() });
            simpler.push(Recover { runbook: usual.runbook, ..recover.clone() });
            simpler.retain(|other| other != recover);
            simpler.into_iter().map(What::Recover).collect()
        }
        What::TypeRetention(it) if it.lasts.is_some() => {
            let mut it = it.clone();
            it.lasts = None;
            vec![What::TypeRetention(it)]
        }
        What::DisableBackup(it) if it.lasts.is_some() => vec![What::DisableBackup(Default::default())],
        What::WrongBucket(it) if it.lasts.is_some() => vec![What::WrongBucket(Default::default())],
        _ => Vec::new(),
    }
}

/// Units in which a person thinks of times, the roundest first.
const UNITS_MS: [i64; 4] = [24 * HOUR_MS, 6 * HOUR_MS, HOUR_MS, MINUTE_MS];

/// A time, and the earliest that it may be.
type Time<'a> = (&'a mut i64, i64);

/// All times rounder at once; then one after the other; then those of requests that are written out.
pub(super) fn times(case: &LatentCase) -> Vec<LatentCase> {
    let mut cases: Vec<LatentCase> = Vec::new();
    let count = number_of_times(case);
    let each = (0..count).map(|place| (place, place + 1));
    for (from, to) in [(0, count)].into_iter().filter(|_| count > 1).chain(each) {
        let rounder = UNITS_MS.iter().filter_map(|unit_ms| {
            with_times(case, |place, (at_ms, least_ms)| {
                if (from..to).contains(&place) {
                    *at_ms = (*at_ms - at_ms.rem_euclid(*unit_ms)).max(least_ms);
                }
            })
        });
        cases.extend(rounder);
    }
    cases.extend(UNITS_MS.iter().filter_map(|unit_ms| with_requests_at(case, *unit_ms)));
    cases
}

fn number_of_times(case: &LatentCase) -> usize {
    let plan = &case.plan.system;
    case.scenario.config.deploys.len() + plan.operations.len() + plan.drills_ms.len() + plan.exports.len()
}

/// The case with other times of deploys, operations, drills and exports, if any is another.
fn with_times(case: &LatentCase, mut rounder: impl FnMut(usize, Time<'_>)) -> Option<LatentCase> {
    let mut round = case.clone();
    let start_ms = case.scenario.start.0.0;
    let plan = &mut round.plan.system;
    let deploys = round.scenario.config.deploys.iter_mut().map(|deploy| &mut deploy.at.0.0);
    let operations = plan.operations.iter_mut().map(|operation| &mut operation.at.0.0);
    let exports = plan.exports.iter_mut().map(|export| &mut export.at_ms);
    let all = deploys.chain(operations).chain(&mut plan.drills_ms).chain(exports);
    let mut is_other = false;
    for (place, at_ms) in all.enumerate() {
        let before_ms = *at_ms;
        rounder(place, (&mut *at_ms, start_ms));
        is_other |= *at_ms != before_ms;
    }
    if is_other { finished(round) } else { None }
}

fn with_requests_at(case: &LatentCase, unit_ms: i64) -> Option<LatentCase> {
    let mut round = case.clone();
    let least_ms = case.scenario.start.0.0 + WARM_UP_MS;
    let mut is_other = false;
    for request in round.plan.system.tenants.iter_mut().filter_map(|it| it.requests.as_mut()).flatten() {
        let at_ms = request.at.0.0;
        let round_ms = (at_ms - at_ms.rem_euclid(unit_ms)).max(least_ms);
        is_other |= round_ms != at_ms;
        request.at = Timestamp(UnixMs(round_ms));
    }
    if is_other { finished(round) } else { None }
}
