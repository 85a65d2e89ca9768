//! Three edges, one of them dead: requests are durable on any two of them.

use super::{SECOND, numbers_are_used_once, with_site};
use crate::fixture::{EDGES, EdgeFixture, HOUR, INGEST, MINUTE, STORE, has};
use bytes::Bytes;
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

fn add_third(site: &EdgeFixture) {
    let config = EdgeConfig::new(3, vec![EDGES[0], EDGES[1]], INGEST.to_vec());
    let config = config.with_tee(TeeConfig::new(STORE));
    let boot = move |env| latent_edge::run(env, config.clone());
    assert_eq!(site.world.add_node(NodeSpec::named("edge-3"), boot), THIRD);
}

/// Edge that receives the request, the other edges, and the number of edge disks that hold a request.
fn copies(site: &EdgeFixture, body: &str) -> usize {
    let body = Bytes::copy_from_slice(body.as_bytes());
    [EDGES[0], EDGES[1], THIRD].iter().filter(|edge| has(&site.held(**edge), &body)).count()
}

#[test]
fn with_one_of_three_edges_dead_for_30_h_every_request_is_taken_and_twice_in_the_tee() {
    with_site(40, three, async |site: EdgeFixture| {
        add_third(&site);
        site.world.sleep(SECOND).await;
        assert_eq!(site.post(EDGES[0], "before").await, 200);
        site.world.kill(EDGES[1]);
        let bodies: Vec<String> = (0..30).map(|hour| format!("hour {hour}")).collect();
        for body in &bodies {
            assert_eq!(site.post(EDGES[0], body).await, 200);
            assert!(copies(&site, body) >= 2, "{body}");
            assert_eq!(site.post(THIRD, &format!("third {body}")).await, 200);
            site.world.sleep(HOUR).await;
        }
        site.world.restart(EDGES[1]);
        site.world.sleep(4 * HOUR).await;
        for body in bodies.iter().map(|body| Bytes::copy_from_slice(body.as_bytes())).chain(["before".into()])
        {
            assert!(site.objects_with(&body) >= 2, "{body:?}");
        }
        assert_eq!(site.stored().len(), 61);
        assert!(
            site.tee_files(THIRD).is_empty() && EDGES.iter().all(|edge| site.tee_files(*edge).is_empty())
        );
        numbers_are_used_once(&site);
    });
}

#[test]
fn a_copy_that_begins_on_another_edge_is_filled_from_the_owners_file() {
    with_site(41, three, async |site: EdgeFixture| {
        add_third(&site);
        site.world.sleep(SECOND).await;
        assert_eq!(site.post(EDGES[0], "one").await, 200);
        assert_eq!(site.post(EDGES[0], "two").await, 200);
        site.world.kill(EDGES[1]);
        let forwarded = site.forwarded.lock().unwrap().len();
        assert_eq!(site.post(EDGES[0], "three").await, 200, "in the same attempt");
        assert_eq!(site.forwarded.lock().unwrap().len(), forwarded + 1);
        let held = site.held(THIRD);
        assert!(["one", "two", "three"].iter().all(|body| has(&held, &Bytes::from(*body))), "{held:?}");
        assert_eq!(site.world.marks()["edge.peer-changed"], 1);
        // The owner dies too; the third edge has the whole file.
        site.world.kill(EDGES[0]);
        site.world.sleep(3 * HOUR + MINUTE).await;
        assert_eq!(site.stored().len(), 3);
    });
}

#[test]
fn with_all_others_dead_requests_are_refused_at_once() {
    with_site(42, three, async |site: EdgeFixture| {
        add_third(&site);
        site.world.kill(EDGES[1]);
        site.world.kill(THIRD);
        assert_eq!(site.post(EDGES[0], "first").await, 503);
        let asked_at = site.world.now().0;
        assert_eq!(site.post(EDGES[0], "second").await, 503);
        assert!(site.world.now().0 - asked_at < 1_000);
        site.world.restart(THIRD);
        site.world.sleep(4 * SECOND).await;
        assert_eq!(site.post(EDGES[0], "third").await, 200);
    });
}
