//! Edges: their guarantees, and how they hold when disks, links and processes fail. Simulated, except in `host`.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod dead_edge;
mod faults;
mod fixture;
mod host;
mod peer_copies;
mod permissions;
mod sequences;
mod service;

use fixture::EdgeFixture;
use latent_edge::EdgeConfig;
use latent_edge::tee::{TeeFile, TeeObject};
use latent_sim::{World, WorldSpec, run_fork};
use std::collections::BTreeSet;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// Runs one world in which `tweak` configures the edges.
fn with_fixture<T: Send, F: Future<Output = T>>(
    seed: u64,
    tweak: fn(EdgeConfig) -> EdgeConfig,
    script: impl FnOnce(EdgeFixture) -> F + Send,
) -> T {
    let main = async move |world: World| script(EdgeFixture::build(world, tweak).ready().await).await;
    run_fork(WorldSpec::seeded(seed), main).output
}

fn unchanged(config: EdgeConfig) -> EdgeConfig {
    config
}

/// No two requests share a sequence number, and a file's records carry the boot number of its name.
fn check_sequences_are_unique(fixture: &EdgeFixture) {
    let mut bodies_of = BTreeSet::new();
    for (forward, body) in fixture.forwarded.lock().unwrap().iter() {
        bodies_of.insert((forward.edge, forward.sequence, body.clone()));
    }
    for record in fixture.stored() {
        bodies_of.insert((record.edge, record.sequence, record.body));
    }
    let numbers: BTreeSet<_> = bodies_of.iter().map(|(edge, sequence, _)| (*edge, *sequence)).collect();
    assert_eq!(numbers.len(), bodies_of.len(), "a number was used for two requests");
    for (key, object) in fixture.objects.lock().unwrap().iter() {
        let name = TeeObject::from_key(key).unwrap().file;
        let file = TeeFile::decode(object).unwrap();
        assert!(file.records.iter().all(|record| record.sequence >> 40 == u64::from(name.boot)), "{key}");
    }
}
