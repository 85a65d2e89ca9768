//! What clients send: fewer events; and, once they are few, each written out.
//!
//! An event of a law is left out together with its second sending and with what bursts make of it; an event that is
//! written out stands for itself. Counting draws places but writes no text.

use super::{LatentCase, finished, leave_out};
use crate::clients::{sends_ms, stream_of};
use crate::plan::Tenant;
use crate::workload::WrittenRequest;
use latent_engine::sim::keyed_draw;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Fewer events than this can be read one by one.
const FEW_EVENTS: u64 = 200;

/// What one project sends.
enum Sent {
    /// How many events are sent by the index that they are kept with.
    ByLaw(BTreeMap<u64, u64>),
    /// How many events are written out.
    Written(usize),
}

impl Sent {
    fn of(case: &LatentCase, tenant: &Tenant) -> Sent {
        if let Some(requests) = &tenant.requests {
            return Sent::Written(requests.iter().map(|request| request.events.len()).sum());
        }
        let seed = case.plan.draw_seed;
        let draw = |stream: &'static str, key: u128| keyed_draw(seed, stream, key);
        // A law that cannot be followed sends nothing; the run will say so.
        let stream = stream_of(tenant, sends_ms(&case.scenario), draw);
        Sent::ByLaw(stream.map(|stream| stream.sent()).unwrap_or_default())
    }

    /// How many things there are to be left out.
    fn places(&self) -> usize {
        match self {
            Sent::ByLaw(sent) => sent.len(),
            Sent::Written(events) => *events,
        }
    }

    fn events(&self) -> u64 {
        match self {
            Sent::ByLaw(sent) => sent.values().sum(),
            Sent::Written(events) => *events as u64,
        }
    }
}

/// Events of all projects, in the order of their projects.
pub(super) fn count(case: &LatentCase) -> usize {
    case.plan.system.tenants.iter().map(|tenant| Sent::of(case, tenant).places()).sum()
}

pub(super) fn without(case: &LatentCase, places: &BTreeSet<usize>) -> Option<LatentCase> {
    let mut smaller = case.clone();
    let mut first = 0;
    for tenant in &mut smaller.plan.system.tenants {
        let sent = Sent::of(case, tenant);
        let here: BTreeSet<usize> =
            places.range(first..first + sent.places()).map(|place| place - first).collect();
        first += sent.places();
        if here.is_empty() {
            continue;
        }
        match (sent, &mut tenant.requests) {
            (Sent::Written(_), Some(requests)) => leave_out_written(requests, &here),
            (Sent::ByLaw(sent), _) => tenant.law.keep_only(&kept(sent.into_keys(), &here)),
            (Sent::Written(_), None) => {}
        }
    }
    finished(smaller)
}

/// Ranges that keep all of these indices but those at some places. One range may span indices that stay: those between
/// them stand for what is not sent, or not kept.
fn kept(indices: impl Iterator<Item = u64>, left_out: &BTreeSet<usize>) -> Vec<Range<u64>> {
    let mut kept: Vec<Range<u64>> = Vec::new();
    let mut goes_on = false;
    for (place, index) in indices.enumerate() {
        let stays = !left_out.contains(&place);
        match kept.last_mut().filter(|_| goes_on) {
            Some(last) if stays => last.end = index + 1,
            None if stays => kept.push(index..index + 1),
            _ => {}
        }
        goes_on = stays;
    }
    kept
}

/// A request without events is not sent.
fn leave_out_written(requests: &mut Vec<WrittenRequest>, places: &BTreeSet<usize>) {
    let mut first = 0;
    requests.retain_mut(|request| {
        let count = request.events.len();
        let here = places.range(first..first + count).map(|place| place - first).collect();
        first += count;
        leave_out(&mut request.events, &here);
        !request.events.is_empty()
    });
}

/// The case with every request written out in place of its law, if there are few events and some are not yet.
pub(crate) fn materialize(case: &LatentCase) -> Option<LatentCase> {
    let tenants = &case.plan.system.tenants;
    if tenants.iter().all(|tenant| tenant.requests.is_some()) {
        return None;
    }
    let mut events = 0;
    for tenant in tenants {
        events += Sent::of(case, tenant).events();
        if events >= FEW_EVENTS {
            return None;
        }
    }
    let mut written = case.clone();
    let seed = case.plan.draw_seed;
    for tenant in written.plan.system.tenants.iter_mut().filter(|tenant| tenant.requests.is_none()) {
        let draw = |stream: &'static str, key: u128| keyed_draw(seed, stream, key);
        let stream = stream_of(tenant, sends_ms(&case.scenario), draw).ok()?;
        tenant.requests = Some(stream.map(|request| WrittenRequest::of(&request)).collect());
        // What the law still says of them has been done.
        let law = &mut tenant.law;
        (law.bursts, law.absences, law.wrong_clocks, law.kept) = (vec![], vec![], vec![], vec![]);
    }
    finished(written)
}
