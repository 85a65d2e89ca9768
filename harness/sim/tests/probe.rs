//! Sources of time and chance, and what becomes of them inside a world: which are the same in every run with the
//! same seeds, and which leak the machine in. To be looked at again at each change of the toolchain, of madsim
//! or of a crate that draws: a test that fails here means that this table must be brought up to date.
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
//! The clippy configuration keeps the leaks out of the code; the hash of a run with all instruments on, compared
//! between processes, is the proof.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![expect(clippy::disallowed_methods, reason = "looks at what the rest of the code may not touch")]
#![expect(clippy::disallowed_types, reason = "looks at what the rest of the code may not touch")]

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use latent_ports::{Clock, Env};
use latent_sim::{NodeSpec, SimEnv, World, WorldSpec, run_fork};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

type Found = BTreeMap<&'static str, String>;

fn show(value: impl Debug) -> String {
    format!("{value:?}")
}

/// Everything that is the same wherever it runs.
async fn tame(env: &SimEnv) -> Found {
    let mut found = Found::new();
    let began = Instant::now();
    env.clock().sleep(Duration::from_secs(5)).await;
    found.insert("Instant", show(began.elapsed()));
    found.insert("SystemTime", show(SystemTime::now()));
    let map: HashMap<u32, u32> = (0..50).map(|key| (key, key)).collect();
    found.insert("HashMap", show(map.keys().collect::<Vec<_>>()));
    found.insert("getrandom 0.3", show(getrandom_03::u64().unwrap()));
    found.insert("getrandom 0.4", show(getrandom_04::u64().unwrap()));
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
    found.insert("FuturesUnordered", show(order));
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
    found.insert("tokio::sync::mpsc and ready order", show(order));
    found
}

/// What leaks: differs between two threads of one process already.
fn leaks() -> Found {
    let mut found = Found::new();
    let mut bytes = [0; 8];
    getrandom_02::getrandom(&mut bytes).unwrap();
    found.insert("getrandom 0.2", show(bytes));
    std::fs::File::open("/dev/urandom").unwrap().read_exact(&mut bytes).unwrap();
    found.insert("/dev/urandom", show(bytes));
    found.insert("fastrand", show(fastrand::u64(..)));
    found.insert("thread id", show(std::thread::current().id()));
    found
}

fn probe(seed: u64) -> (Found, Found, String) {
    let found = Arc::new(Mutex::new(None));
    let slot = found.clone();
    let finished = run_fork(WorldSpec::seeded(seed), async move |world: World| {
        world.add_node(NodeSpec::named("node"), move |env: SimEnv| {
            let slot = slot.clone();
            async move {
                let tame = tame(&env).await;
                *slot.lock().unwrap() = Some((tame, leaks()));
            }
        });
        world.sleep(Duration::from_secs(60)).await;
    });
    let (tame, leaks) = found.lock().unwrap().take().unwrap();
    (tame, leaks, finished.trace_hash.to_string())
}

#[test]
fn on_another_thread_the_tame_sources_agree_and_the_leaks_differ() {
    let (first, second) = (probe(1), probe(1));
    assert_eq!(first.0, second.0);
    assert_eq!(first.2, second.2);
    for (source, value) in &first.1 {
        assert_ne!(second.1[source], *value, "{source} no longer leaks: bring the table up to date");
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

/// Run once more by the test below, in a process of its own, for what it prints.
#[test]
fn child() {
    let (tame, _, hash) = probe(1);
    println!("\nprobe: {hash} {tame:?}");
}

#[test]
fn in_another_process_the_tame_sources_agree() {
    let child = || {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        let output = command.args(["--exact", "child", "--nocapture"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().find(|line| line.starts_with("probe: ")).unwrap().to_owned()
    };
    let (here, first, second) = (probe(1), child(), child());
    assert_eq!(first, second);
    assert_eq!(first, format!("probe: {} {:?}", here.2, here.0));
}
