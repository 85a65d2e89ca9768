//! Link faults: each fault observed by callers and servers, and the same calls without it.

mod cuts;
mod degraded;

use crate::support::mesh::Mesh;
use crate::support::nodes::{at, none};
use latent_sim::{CutLink, FaultAction};
use std::time::Duration;

const NO_FAILURES: [&str; 0] = [];
/// Between ticks 20 and 21.
const BEGINS_MS: i64 = 2_050;

fn failures(action: FaultAction) -> Vec<String> {
    Mesh::default().run(at(BEGINS_MS, action)).failures()
}

/// As `failures`, but faults end between ticks 70 and 71.
fn failures_until_end(action: FaultAction) -> Vec<String> {
    Mesh::default().run(at(BEGINS_MS, action).ending_at(7_050)).failures()
}

fn cut(both: bool, for_ms: Option<u64>) -> FaultAction {
    FaultAction::CutLink(CutLink { from: "a".into(), to: "b".into(), both, for_ms })
}

#[test]
fn without_faults_every_call_takes_effect_once_in_order_and_is_answered() {
    let log = Mesh::default().run(none());
    assert_eq!(log.failures(), NO_FAILURES);
    for pair in ["ab", "ac", "ba", "bc", "ca", "cb"] {
        assert_eq!(log.order(pair), (1..=100).collect::<Vec<_>>());
        let longest =
            log.request_latencies(pair).into_values().chain(log.answer_latencies(pair).into_values()).max();
        assert!(longest.unwrap() < Duration::from_micros(510), "{longest:?}");
    }
}
