//! What clients send: fewer events; and, once they are few, each written out.
//!
//! An event of a law is left out together with its second sending and with what bursts make of it; an event that is
//! written out stands for itself. Counting draws positions but writes no text.

use super::{WorldCase, leave_out, normalized};
use crate::clients::{sends_ms, stream_of};
use crate::plan::Tenant;
use crate::workload::ExplicitRequest;
use latent_engine::sim::keyed_draw;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Fewer events than this can be read one by one.
const MAX_EXPLICIT_EVENTS: u64 = 200;

/// What one project sends.
enum TenantEvents {
    /// How many events are sent by the index that they are kept with.
    BySpec(BTreeMap<u64, u64>),
    /// How many events are written out.
    Explicit(usize),
}

impl TenantEvents {
    fn new(case: &WorldCase, tenant: &Tenant) -> TenantEvents {
        if let Some(requests) = &tenant.requests {
            return TenantEvents::Explicit(requests.iter().map(|request| request.events.len()).sum());
        }
        let seed = case.plan.draw_seed;
        let draw = |stream: &'static str, key: u128| keyed_draw(seed, stream, key);
        // A law that cannot be followed sends nothing; the run will say so.
        let stream = stream_of(tenant, sends_ms(&case.scenario), draw);
        TenantEvents::BySpec(stream.map(|stream| stream.sent()).unwrap_or_default())
    }

    /// How many things there are to be left out.
    fn positions(&self) -> usize {
        match self {
            TenantEvents::BySpec(sent) => sent.len(),
            TenantEvents::Explicit(events) => *events,
        }
    }

    fn events(&self) -> u64 {
        match self {
            TenantEvents::BySpec(sent) => sent.values().sum(),
            TenantEvents::Explicit(events) => *events as u64,
        }
    }
}

/// Events of all projects, in the order of their projects.
pub(super) fn count(case: &WorldCase) -> usize {
    case.plan.system.tenants.iter().map(|tenant| TenantEvents::new(case, tenant).positions()).sum()
}

pub(super) fn without(case: &WorldCase, positions: &BTreeSet<usize>) -> Option<WorldCase> {
    let mut smaller = case.clone();
    let mut first = 0;
    for tenant in &mut smaller.plan.system.tenants {
        let sent = TenantEvents::new(case, tenant);
        let here: BTreeSet<usize> =
            positions.range(first..first + sent.positions()).map(|position| position - first).collect();
        first += sent.positions();
        if here.is_empty() {
            continue;
        }
        match (sent, &mut tenant.requests) {
            (TenantEvents::Explicit(_), Some(requests)) => leave_out_explicit(requests, &here),
            (TenantEvents::BySpec(sent), _) => tenant.workload.keep_only(&kept(sent.into_keys(), &here)),
            (TenantEvents::Explicit(_), None) => {}
        }
    }
    normalized(smaller)
}

/// Ranges that keep all of these indices but those at some positions. One range may span indices that stay: those between
/// them stand for what is not sent, or not kept.
fn kept(indices: impl Iterator<Item = u64>, left_out: &BTreeSet<usize>) -> Vec<Range<u64>> {
    let mut kept: Vec<Range<u64>> = Vec::new();
    let mut goes_on = false;
    for (position, index) in indices.enumerate() {
        let stays = !left_out.contains(&position);
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
fn leave_out_explicit(requests: &mut Vec<ExplicitRequest>, positions: &BTreeSet<usize>) {
    let mut first = 0;
    requests.retain_mut(|request| {
        let count = request.events.len();
        let here = positions.range(first..first + count).map(|position| position - first).collect();
        first += count;
        leave_out(&mut request.events, &here);
        !request.events.is_empty()
    });
}

/// The case with every request written out in position of its law, if there are few events and some are not yet.
pub(crate) fn written_out(case: &WorldCase) -> Option<WorldCase> {
    let tenants = &case.plan.system.tenants;
    if tenants.iter().all(|tenant| tenant.requests.is_some()) {
        return None;
    }
    let mut events = 0;
    for tenant in tenants {
        events += TenantEvents::new(case, tenant).events();
        if events >= MAX_EXPLICIT_EVENTS {
            return None;
        }
    }
    let mut written = case.clone();
    let seed = case.plan.draw_seed;
    for tenant in written.plan.system.tenants.iter_mut().filter(|tenant| tenant.requests.is_none()) {
        let draw = |stream: &'static str, key: u128| keyed_draw(seed, stream, key);
        let stream = stream_of(tenant, sends_ms(&case.scenario), draw).ok()?;
        tenant.requests = Some(stream.map(|request| ExplicitRequest::from_planned(&request)).collect());
        // What the law still says of them has been done.
        let spec = &mut tenant.workload;
        (spec.bursts, spec.offline_windows, spec.clock_skews, spec.kept_indices) =
            (vec![], vec![], vec![], vec![]);
    }
    normalized(written)
}
