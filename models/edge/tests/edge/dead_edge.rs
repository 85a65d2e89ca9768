//! Three edges, one of them dead: requests are durable on any two of them.

use super::{SECOND, check_sequences_are_unique, with_fixture};
use crate::fixture::{EDGES, EdgeFixture, HOUR, INGEST, MINUTE, STORE, has};
use bytes::Bytes;
use latent_edge::marks;
use latent_edge::{EdgeConfig, TeeConfig};
use latent_ports::NodeId;
use latent_sim::NodeSpec;

/// First node after the fixture's own.
const THIRD: NodeId = NodeId(7);

/// Each edge prefers the next one.
fn three(mut config: EdgeConfig) -> EdgeConfig {
    config.peers = if config.edge == 1 { vec![EDGES[1], THIRD] } else { vec![THIRD, EDGES[0]] };
    config
}

fn add_third(fixture: &EdgeFixture) {
    let config = EdgeConfig::new(3, vec![EDGES[0], EDGES[1]], INGEST.to_vec());
    let config = config.with_tee(TeeConfig::new(STORE));
    let boot = move |env| latent_edge::run(env, config.clone());
    assert_eq!(fixture.world.add_node(NodeSpec::named("edge-3"), boot), THIRD);
}

/// Edge that receives the request, the other edges, and the number of edge disks that hold a request.
fn copies(fixture: &EdgeFixture, body: &str) -> usize {
    let body = Bytes::copy_from_slice(body.as_bytes());
    [EDGES[0], EDGES[1], THIRD].iter().filter(|edge| has(&fixture.held(**edge), &body)).count()
}

#[test]
fn with_one_of_three_edges_dead_for_30_h_every_request_is_accepted_and_in_two_tee_objects() {
    with_fixture(40, three, async |fixture: EdgeFixture| {
        add_third(&fixture);
        fixture.world.sleep(SECOND).await;
        assert_eq!(fixture.post(EDGES[0], "before").await, 200);
        fixture.world.kill(EDGES[1]);
        let bodies: Vec<String> = (0..30).map(|hour| format!("hour {hour}")).collect();
        for body in &bodies {
            assert_eq!(fixture.post(EDGES[0], body).await, 200);
            assert!(copies(&fixture, body) >= 2, "{body}");
            assert_eq!(fixture.post(THIRD, &format!("third {body}")).await, 200);
            fixture.world.sleep(HOUR).await;
        }
        fixture.world.restart(EDGES[1]);
        fixture.world.sleep(4 * HOUR).await;
        for body in bodies.iter().map(|body| Bytes::copy_from_slice(body.as_bytes())).chain(["before".into()])
        {
            assert!(fixture.objects_with(&body) >= 2, "{body:?}");
        }
        assert_eq!(fixture.stored().len(), 61);
        assert!(
            fixture.tee_files(THIRD).is_empty()
                && EDGES.iter().all(|edge| fixture.tee_files(*edge).is_empty())
        );
        check_sequences_are_unique(&fixture);
    });
}

#[test]
fn a_copy_that_starts_on_another_edge_is_filled_from_the_owners_file() {
    with_fixture(41, three, async |fixture: EdgeFixture| {
        add_third(&fixture);
        fixture.world.sleep(SECOND).await;
        assert_eq!(fixture.post(EDGES[0], "one").await, 200);
        assert_eq!(fixture.post(EDGES[0], "two").await, 200);
        fixture.world.kill(EDGES[1]);
        let forwarded = fixture.forwarded.lock().unwrap().len();
        assert_eq!(fixture.post(EDGES[0], "three").await, 200, "in the same attempt");
        assert_eq!(fixture.forwarded.lock().unwrap().len(), forwarded + 1);
        let held = fixture.held(THIRD);
        assert!(["one", "two", "three"].iter().all(|body| has(&held, &Bytes::from(*body))), "{held:?}");
        assert_eq!(fixture.world.marks()[marks::EDGE_PEER_CHANGED.name()], 1);
        // The owner dies too; the third edge has the whole file.
        fixture.world.kill(EDGES[0]);
        fixture.world.sleep(3 * HOUR + MINUTE).await;
        assert_eq!(fixture.stored().len(), 3);
    });
}

#[test]
fn with_all_other_edges_dead_requests_are_refused_immediately() {
    with_fixture(42, three, async |fixture: EdgeFixture| {
        add_third(&fixture);
        fixture.world.kill(EDGES[1]);
        fixture.world.kill(THIRD);
        assert_eq!(fixture.post(EDGES[0], "first").await, 503);
        let asked_at = fixture.world.now().0;
        assert_eq!(fixture.post(EDGES[0], "second").await, 503);
        assert!(fixture.world.now().0 - asked_at < 1_000);
        fixture.world.restart(THIRD);
        fixture.world.sleep(4 * SECOND).await;
        assert_eq!(fixture.post(EDGES[0], "third").await, 200);
    });
}
