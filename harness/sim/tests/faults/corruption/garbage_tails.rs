//! Garbage, not zeros, where a crash lost an extension of a file.

use crate::support::script::{durable, of, ready, run};
use latent_ports::{Env, File};
use latent_sim::{CrashPolicy, FaultAction, GarbageTails, SimEnv};
use std::collections::BTreeSet;

/// Returns the outcomes of crashes with three un-synced appends of a block each after a durable one.
fn after_crashes(faults: &[FaultAction]) -> BTreeSet<String> {
    let script = async |env: SimEnv| {
        let file = durable(env.disk(), "f", of(b'A', 512)).await;
        ready(&env);
        for letter in [b'B', b'C', b'D'] {
            file.append(of(letter, 512)).await.unwrap();
        }
    };
    let letter = |block: &[u8]| match block {
        _ if block.iter().all(|byte| *byte == block[0]) && block[0] == 0 => '.',
        _ if block.iter().all(|byte| *byte == block[0]) => char::from(block[0]),
        _ => '#',
    };
    let left = |seed| {
        let bytes = run(seed, faults, CrashPolicy::Drawn, script).left.read("f").unwrap();
        bytes.chunks(512).map(letter).collect::<String>()
    };
    (0..400).map(left).collect()
}

#[test]
fn lost_extensions_leave_garbage_while_the_fault_is_active() {
    let zeros = ["A", "AB", "A.C", "ABC", "A..D", "AB.D", "A.CD", "ABCD"].map(str::to_owned);
    assert_eq!(after_crashes(&[]), BTreeSet::from(zeros.clone()));
    let garbage = FaultAction::GarbageTails(GarbageTails { node: "node".into(), for_ms: None });
    let left = after_crashes(&[garbage]);
    assert!(left.iter().all(|left| left.starts_with('A') && !left.contains('.')), "{left:?}");
    for expected in ["A", "ABCD", "A#C", "A##D", "A#", "A##", "A###", "AB#", "ABC#", "AB#D"] {
        assert!(left.contains(expected), "{expected} is not in {left:?}");
    }
    // The fault ended long before the crash.
    let garbage = FaultAction::GarbageTails(GarbageTails { node: "node".into(), for_ms: Some(1_000) });
    assert_eq!(after_crashes(&[garbage]), BTreeSet::from(zeros));
}

#[test]
fn a_gap_left_by_the_program_stays_zeros_despite_garbage_tails() {
    let script = async |env: SimEnv| {
        let file = durable(env.disk(), "f", of(b'A', 10)).await;
        ready(&env);
        file.write_at(20, of(b'B', 10)).await.unwrap();
        file.truncate(40).await.unwrap();
        file.sync().await.unwrap();
    };
    let garbage = FaultAction::GarbageTails(GarbageTails { node: "node".into(), for_ms: None });
    for seed in 0..20 {
        let left = run(seed, std::slice::from_ref(&garbage), CrashPolicy::Drawn, script).left;
        let expected = [of(b'A', 10), of(0, 10), of(b'B', 10), of(0, 10)].concat();
        assert_eq!(left.read("f").unwrap(), expected);
    }
}
