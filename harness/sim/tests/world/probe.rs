//! Sources of time and randomness inside a world: those that are equal in every run with the same seeds, and those
//! that leak the machine into the run. Check this table at each change of the toolchain, of madsim or of a crate that
//! draws random numbers: a failing test here means that it is out of date.
//!
//! | source                                   | another thread | another process |
//! |------------------------------------------|----------------|-----------------|
//! | `SystemTime`, `Instant`                  | same           | same            |
//! | order of std's hash maps, a fresh thread | same           | same            |
//! | getrandom 0.3, 0.4                       | same           | same            |
//! | tokio's channels, `FuturesUnordered`     | same           | same            |
//! | fastrand                                 | differs        | (not tested)    |
//! | thread ids, process ids                  | differs        | differs         |
//! | getrandom 0.2, `/dev/urandom`            | differs        | differs         |
//! | addresses                                | differs        | differs, unless randomisation is off |
//!
//! The clippy configuration bans the leaks from the code. The trace hash of a run with everything enabled, compared
//! between processes, verifies it.

#![expect(clippy::disallowed_methods, reason = "tests the sources that the rest of the code must not use")]
#![expect(clippy::disallowed_types, reason = "tests the sources that the rest of the code must not use")]

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use latent_ports::{Clock, Env};
use latent_sim::{NodeSpec, SimEnv, World, WorldSpec, run_fork};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

type ProbeValues = BTreeMap<&'static str, String>;

fn show(value: impl Debug) -> String {
    format!("{value:?}")
}

/// Collects values that are equal on every thread and in every process.
async fn deterministic(env: &SimEnv) -> ProbeValues {
    let mut values = ProbeValues::new();
    let began = Instant::now();
    env.clock().sleep(Duration::from_secs(5)).await;
    values.insert("Instant", show(began.elapsed()));
    values.insert("SystemTime", show(SystemTime::now()));
    let map: HashMap<u32, u32> = (0..50).map(|key| (key, key)).collect();
    values.insert("HashMap", show(map.keys().collect::<Vec<_>>()));
    values.insert("getrandom 0.3", show(getrandom_03::u64().unwrap()));
    values.insert("getrandom 0.4", show(getrandom_04::u64().unwrap()));
    let mut group: FuturesUnordered<_> = (0..20_u64)
        .map(|index| {
            let env = env.clone();
            async move {
                env.clock().sleep(Duration::from_millis(env.draw("probe", u128::from(index)) % 4)).await;
                index
            }
        })
        .collect();
    let mut order = Vec::new();
    while let Some(index) = group.next().await {
        order.push(index);
    }
    values.insert("FuturesUnordered", show(order));
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    for index in 0..20 {
        let sender = sender.clone();
        env.spawn(async move { sender.send(index).unwrap() });
    }
    drop(sender);
    let mut order = Vec::new();
    while let Some(index) = receiver.recv().await {
        order.push(index);
    }
    values.insert("tokio::sync::mpsc and ready order", show(order));
    values
}

/// Collects values that differ between two threads of one process.
fn leaks() -> ProbeValues {
    let mut values = ProbeValues::new();
    let mut bytes = [0; 8];
    getrandom_02::getrandom(&mut bytes).unwrap();
    values.insert("getrandom 0.2", show(bytes));
    std::fs::File::open("/dev/urandom").unwrap().read_exact(&mut bytes).unwrap();
    values.insert("/dev/urandom", show(bytes));
    values.insert("fastrand", show(fastrand::u64(..)));
    values.insert("thread id", show(std::thread::current().id()));
    values
}

fn probe(seed: u64) -> (ProbeValues, ProbeValues, String) {
    let values = Arc::new(Mutex::new(None));
    let slot = values.clone();
    let finished = run_fork(WorldSpec::seeded(seed), async move |world: World| {
        world.add_node(NodeSpec::named("node"), move |env: SimEnv| {
            let slot = slot.clone();
            async move {
                let deterministic = deterministic(&env).await;
                *slot.lock().unwrap() = Some((deterministic, leaks()));
            }
        });
        world.sleep(Duration::from_secs(60)).await;
    });
    let (deterministic, leaks) = values.lock().unwrap().take().unwrap();
    (deterministic, leaks, finished.trace_hash.to_string())
}

#[test]
fn on_another_thread_deterministic_sources_agree_and_leaks_differ() {
    let (first, second) = (probe(1), probe(1));
    assert_eq!(first.0, second.0);
    assert_eq!(first.2, second.2);
    for (source, value) in &first.1 {
        assert_ne!(second.1[source], *value, "{source} no longer leaks: update the table");
    }
}

#[test]
fn another_scheduler_seed_gives_other_values() {
    let (first, other) = (probe(1), probe(2));
    for source in
        ["SystemTime", "HashMap", "getrandom 0.3", "getrandom 0.4", "tokio::sync::mpsc and ready order"]
    {
        assert_ne!(first.0[source], other.0[source], "{source} does not depend on the seed");
    }
    let waited = first.0["Instant"].clone();
    assert!(waited.starts_with("5.00"), "virtual time only: {waited}");
}

/// Run again by the test below, in a separate process, for its output.
#[test]
fn child() {
    let (deterministic, _, hash) = probe(1);
    println!("\nprobe: {hash} {deterministic:?}");
}

#[test]
fn in_another_process_deterministic_sources_agree() {
    let child = || {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        let output = command.args(["--exact", "probe::child", "--nocapture"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().find(|line| line.starts_with("probe: ")).unwrap().to_owned()
    };
    let (here, first, second) = (probe(1), child(), child());
    assert_eq!(first, second);
    assert_eq!(first, format!("probe: {} {:?}", here.2, here.0));
}
