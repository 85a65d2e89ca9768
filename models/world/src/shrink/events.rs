//! Reductions of events, and explicit requests once there are few events.
//!
//! An event of a specification is removed together with its second sending and the burst events kept with it; an
//! explicit event is removed alone. Counting draws placements but encodes no text.

use super::{WorldCase, leave_out, normalized};
use crate::plan::Tenant;
use crate::plan::streams::{send_window_ms, stream_of};
use crate::plan::workload::ExplicitRequest;
use latent_engine::sim::keyed_draw;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Maximum number of events that a person can read one by one.
const MAX_EXPLICIT_EVENTS: u64 = 200;

/// Events of one project.
enum TenantEvents {
    /// Number of sent events by the index that they are kept with.
    BySpec(BTreeMap<u64, u64>),
    /// Number of explicit events.
    Explicit(usize),
}

impl TenantEvents {
    fn new(case: &WorldCase, tenant: &Tenant) -> TenantEvents {
        if let Some(requests) = &tenant.requests {
            return TenantEvents::Explicit(requests.iter().map(|request| request.events.len()).sum());
        }
        let seed = case.plan.draw_seed;
        let draw = |stream: &'static str, key: u128| keyed_draw(seed, stream, key);
        // An invalid specification sends nothing; the run reports it.
        let stream = stream_of(tenant, send_window_ms(&case.scenario), draw);
        TenantEvents::BySpec(stream.map(|stream| stream.sent()).unwrap_or_default())
    }

    /// Returns the number of removable items.
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

/// Returns the number of removable events of all projects, in project order.
pub(super) fn count(case: &WorldCase) -> usize {
    case.plan.system.tenants.iter().map(|tenant| TenantEvents::new(case, tenant).positions()).sum()
}

pub(super) fn without(case: &WorldCase, positions: &BTreeSet<usize>) -> Option<WorldCase> {
    let mut smaller = case.clone();
    let mut first = 0;
    for tenant in &mut smaller.plan.system.tenants {
        let sent = TenantEvents::new(case, tenant);
        let removed: BTreeSet<usize> =
            positions.range(first..first + sent.positions()).map(|position| position - first).collect();
        first += sent.positions();
        if removed.is_empty() {
            continue;
        }
        match (sent, &mut tenant.requests) {
            (TenantEvents::Explicit(_), Some(requests)) => leave_out_explicit(requests, &removed),
            (TenantEvents::BySpec(sent), _) => {
                tenant.workload.keep_only(&ranges_without(sent.into_keys(), &removed))
            }
            (TenantEvents::Explicit(_), None) => {}
        }
    }
    normalized(smaller)
}

/// Returns ranges that keep all of these indices except those at some positions. A range may include unused indices
/// between kept ones.
fn ranges_without(indices: impl Iterator<Item = u64>, left_out: &BTreeSet<usize>) -> Vec<Range<u64>> {
    let mut kept: Vec<Range<u64>> = Vec::new();
    let mut extends_last = false;
    for (position, index) in indices.enumerate() {
        let is_kept = !left_out.contains(&position);
        match kept.last_mut().filter(|_| extends_last) {
            Some(last) if is_kept => last.end = index + 1,
            None if is_kept => kept.push(index..index + 1),
            _ => {}
        }
        extends_last = is_kept;
    }
    kept
}

/// Removes events and the requests that become empty.
fn leave_out_explicit(requests: &mut Vec<ExplicitRequest>, positions: &BTreeSet<usize>) {
    let mut first = 0;
    requests.retain_mut(|request| {
        let count = request.events.len();
        let removed = positions.range(first..first + count).map(|position| position - first).collect();
        first += count;
        leave_out(&mut request.events, &removed);
        !request.events.is_empty()
    });
}

/// Replaces all specifications by explicit requests; `None` if there are many events or all are explicit already.
pub(crate) fn materialize(case: &WorldCase) -> Option<WorldCase> {
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
        let stream = stream_of(tenant, send_window_ms(&case.scenario), draw).ok()?;
        tenant.requests = Some(stream.map(|request| ExplicitRequest::from_planned(&request)).collect());
        // The explicit requests already include these effects.
        let spec = &mut tenant.workload;
        (spec.bursts, spec.offline_windows, spec.clock_skews, spec.kept_indices) =
            (vec![], vec![], vec![], vec![]);
        spec.silent_from_ms = None;
    }
    normalized(written)
}
