//! Behavior of an edge towards its clients.

use super::{MS, SECOND, as_it_is, numbers_are_used_once, with_site};
use crate::fixture::{EDGE_NAMES, EDGES, EdgeFixture, HOUR, INGEST, MINUTE, STORE, bodies, has};
use bytes::Bytes;
use latent_edge::tee::{ObjectWriter, TeeName, TeeObject};
use latent_edge::{EdgeConfig, OnTeeFailure};
use latent_sim::{Action, Anchor, ClockStep, DiskError, DiskFull, DiskImage, Fault, OpKind};

fn accept_with_gap(mut config: EdgeConfig) -> EdgeConfig {
    if let Some(tee) = &mut config.tee {
        tee.on_failure = OnTeeFailure::AcceptAndRecordGap;
    }
    config
}

#[test]
fn a_request_is_durable_on_two_disks_and_forwarded_under_its_number() {
    with_site(1, as_it_is, async |site: EdgeFixture| {
        assert_eq!(site.post(EDGES[0], "hello").await, 200);
        let forwarded = site.forwarded.lock().unwrap().clone();
        let [(forward, body)] = &forwarded[..] else { panic!("forwarded {} times", forwarded.len()) };
        assert_eq!((forward.edge, body.as_ref()), (1, b"hello".as_slice()));
        for edge in EDGES {
            let held = site.held(edge);
            assert_eq!((held.len(), held[0].sequence), (1, forward.sequence));
            assert_eq!(
                (held[0].arrived_ms, held[0].body.as_ref()),
                (forward.arrived_ms, b"hello".as_slice())
            );
        }
        let [own, copy] =
            EDGES.map(|edge| site.world.disk_image(edge).read(&site.tee_files(edge)[0]).unwrap());
        assert_eq!(own, copy);
    });
}

#[test]
fn after_the_hour_a_file_is_in_the_store_byte_for_byte_and_on_no_edge() {
    with_site(2, as_it_is, async |site: EdgeFixture| {
        for edge in EDGES {
            site.post_all(edge, bodies("event", 20), SECOND);
        }
        site.world.sleep(MINUTE).await;
        let file = site.tee_files(EDGES[0])[0].clone();
        let own = site.world.disk_image(EDGES[0]).read(&file).unwrap();
        site.world.sleep(HOUR + 6 * MINUTE).await;
        let name = TeeName::from_path(&file).unwrap();
        for by in [1, 2] {
            let key = TeeObject { file: name, writer: ObjectWriter::Edge(by) }.key();
            assert_eq!(site.objects.lock().unwrap()[&key], own);
        }
        let stored = site.stored();
        assert_eq!((stored.len(), site.acknowledged().len()), (40, 40));
        assert!(EDGES.iter().all(|edge| site.tee_files(*edge).is_empty()), "something stays on an edge");
        let idle = site.world.record_count();
        site.world.sleep(48 * HOUR).await;
        assert_eq!(site.world.record_count(), idle, "an edge with nothing to do did something");
    });
}

#[test]
fn a_flush_puts_everything_into_the_store_and_the_service_goes_on() {
    with_site(3, as_it_is, async |site: EdgeFixture| {
        assert_eq!(site.post(EDGES[0], "before").await, 200);
        assert_eq!(site.flush().await, Ok(()));
        assert!(has(&site.stored(), &Bytes::from("before")));
        assert_eq!(site.post(EDGES[0], "after").await, 200);
        assert_eq!(site.flush().await, Ok(()));
        assert_eq!(site.stored().len(), 2);
        assert_eq!(site.objects.lock().unwrap().len(), 4, "two files by two edges");
        site.world.kill(STORE);
        assert_eq!(site.post(EDGES[0], "unreachable store").await, 200);
        let told = site.flush().await.unwrap_err();
        assert!(told.contains("refused"), "{told}");
    });
}

#[test]
fn without_the_second_copy_requests_are_refused_until_the_peer_is_back() {
    with_site(4, as_it_is, async |site: EdgeFixture| {
        assert_eq!(site.post(EDGES[0], "one").await, 200);
        site.world.kill(EDGES[1]);
        assert_eq!(site.post(EDGES[0], "two").await, 503);
        assert_eq!(site.forwarded.lock().unwrap().len(), 1, "what was refused was forwarded");
        site.world.restart(EDGES[1]);
        site.world.sleep(2 * SECOND).await;
        assert_eq!(site.post(EDGES[0], "three").await, 200);
        assert!(has(&site.held(EDGES[1]), &"one".into()) && has(&site.held(EDGES[1]), &"three".into()));
    });
}

#[test]
fn gaps_are_accepted_and_written_down_where_the_scenario_says_so() {
    with_site(5, accept_with_gap, async |site: EdgeFixture| {
        assert_eq!(site.post(EDGES[0], "one").await, 200);
        site.world.kill(EDGES[1]);
        assert_eq!(site.post(EDGES[0], "two").await, 200);
        let (forward, _) = site.forwarded.lock().unwrap()[1].clone();
        let gaps = site.world.durable_image(EDGES[0]).read("edge/gaps").unwrap();
        let line = String::from_utf8(gaps.to_vec()).unwrap();
        assert!(line.contains(&format!("\"first\":{0},\"last\":{0}", forward.sequence)), "{line}");
        site.world.restart(EDGES[1]);
        site.world.sleep(2 * SECOND).await;
        assert_eq!(site.post(EDGES[0], "three").await, 200);
        let copied = site.held(EDGES[1]);
        assert!(has(&copied, &"two".into()), "the copy did not catch up");
        assert_eq!(site.world.marks()["edge.tee-gap"], 1);
    });
}

/// Non-empty lines of edge 1's `edge/gaps`.
fn gap_lines(site: &EdgeFixture) -> Vec<String> {
    let gaps = site.world.durable_image(EDGES[0]).read("edge/gaps").unwrap();
    String::from_utf8(gaps.to_vec())
        .unwrap()
        .lines()
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

/// One error of the kind that once made a permanent gap: a tee file that cannot be created.
fn one_failed_change(site: &EdgeFixture) {
    let (node, path_prefix) = (EDGE_NAMES[0].to_owned(), "tee/".to_owned());
    let error = DiskError { node, op: OpKind::Any, path_prefix, times: Some(1), for_ms: None };
    site.world.arm(Fault { anchor: Anchor::AtMs(site.world.now().0), action: Action::DiskError(error) });
}

#[test]
fn a_gap_closes_under_the_number_of_its_request_as_soon_as_the_store_takes_it() {
    with_site(16, accept_with_gap, async |site: EdgeFixture| {
        one_failed_change(&site);
        assert_eq!(site.post(EDGES[0], "let through").await, 200);
        let (forward, _) = site.forwarded.lock().unwrap()[0].clone();
        site.world.sleep(SECOND).await;
        assert_eq!(site.stored()[0].sequence, forward.sequence);
        let lines = gap_lines(&site);
        assert!(lines.len() == 2 && lines[1].contains("\"closed_ms\":"), "{lines:?}");
        assert!(site.world.disk_image(EDGES[0]).list("tee-gaps").next().is_none(), "kept for nothing");
        site.world.sleep(4 * HOUR).await;
        numbers_are_used_once(&site);
        assert_eq!(site.world.marks()["edge.tee-gap-closed"], 1);
    });
}

#[test]
fn a_gap_waits_for_the_store_and_outlives_a_restart() {
    with_site(17, accept_with_gap, async |site: EdgeFixture| {
        site.world.kill(STORE);
        one_failed_change(&site);
        assert_eq!(site.post(EDGES[0], "let through").await, 200);
        site.world.sleep(MINUTE).await;
        assert_eq!(gap_lines(&site).len(), 1);
        assert!(site.world.marks()["edge.tee-gap-open"] >= 1, "what is open is reported");
        site.world.kill(EDGES[0]);
        site.world.restart(EDGES[0]);
        site.world.sleep(3 * HOUR).await;
        assert_eq!(gap_lines(&site).len(), 1);
        site.world.restart(STORE);
        site.world.sleep(11 * MINUTE).await;
        assert!(has(&site.stored(), &"let through".into()));
        assert_eq!(gap_lines(&site).len(), 2);
    });
}

/// A forwarded request without any record of the gap would be lost without a trace.
#[test]
fn a_gap_that_cannot_be_written_down_is_not_accepted() {
    with_site(15, accept_with_gap, async |site: EdgeFixture| {
        assert_eq!(site.post(EDGES[0], "one").await, 200);
        site.world.kill(EDGES[1]);
        let (node, path_prefix) = (EDGE_NAMES[0].to_owned(), "edge/gaps".to_owned());
        let error = DiskError { node, op: OpKind::Disk, path_prefix, times: Some(1), for_ms: None };
        let action = Action::DiskError(error);
        site.world.arm(Fault { anchor: Anchor::AtMs(site.world.now().0), action });
        assert_eq!(site.post(EDGES[0], "two").await, 503);
        assert_eq!(site.post(EDGES[0], "three").await, 200);
        assert_eq!(site.world.marks()["edge.tee-gap-unrecorded"], 1);
        assert_eq!(site.world.marks()["edge.tee-gap"], 1);
    });
}

#[test]
fn another_ingest_node_is_tried_once() {
    with_site(6, as_it_is, async |site: EdgeFixture| {
        site.world.kill(INGEST[0]);
        for name in ["a", "b", "c", "d"] {
            assert_eq!(site.post(EDGES[0], name).await, 200);
        }
        assert!(site.world.marks()["edge.forward-retry"] >= 1);
        site.world.kill(INGEST[1]);
        assert_eq!(site.post(EDGES[0], "nobody").await, 503);
    });
}

#[test]
fn an_edge_with_a_new_disk_uses_no_number_twice() {
    with_site(10, as_it_is, async |site: EdgeFixture| {
        assert_eq!(site.post(EDGES[0], "one").await, 200);
        site.world.kill(EDGES[0]);
        site.world.replace_disk(EDGES[0], &DiskImage::new());
        site.world.sleep(10 * MINUTE).await;
        site.world.restart(EDGES[0]);
        site.world.sleep(SECOND).await;
        assert_eq!(site.post(EDGES[0], "two").await, 200);
        site.world.sleep(4 * HOUR).await;
        numbers_are_used_once(&site);
        assert_eq!(site.stored().len(), 2);
    });
}

#[test]
fn a_clock_that_steps_back_overwrites_no_file() {
    with_site(11, as_it_is, async |site: EdgeFixture| {
        let step = |by_ms| {
            let action = Action::ClockStep(ClockStep { node: EDGE_NAMES[0].into(), by_ms, for_ms: None });
            site.world.arm(Fault { anchor: Anchor::AtMs(site.world.now().0), action });
        };
        assert_eq!(site.post(EDGES[0], "first hour").await, 200);
        step(3_600_000);
        assert_eq!(site.post(EDGES[0], "hour after").await, 200);
        step(-3_600_000);
        assert_eq!(site.post(EDGES[0], "first hour again").await, 200);
        site.world.sleep(4 * HOUR).await;
        assert_eq!(site.stored().len(), 3);
        assert_eq!(site.objects.lock().unwrap().len(), 6, "three files by two edges");
    });
}

#[test]
fn a_file_that_grows_too_long_is_closed_before_its_hour() {
    fn short(mut config: EdgeConfig) -> EdgeConfig {
        config.tee.as_mut().unwrap().file_max_bytes = 2_000;
        config
    }
    with_site(12, short, async |site: EdgeFixture| {
        site.post_all(EDGES[0], bodies("event", 20), MS);
        site.world.sleep(MINUTE).await;
        assert!(site.tee_files(EDGES[0]).len() > 3);
        site.world.sleep(2 * HOUR).await;
        assert_eq!((site.stored().len(), site.acknowledged().len()), (20, 20));
    });
}

#[test]
fn a_full_disk_refuses_and_recovers_when_uploads_made_room() {
    with_site(13, as_it_is, async |site: EdgeFixture| {
        assert_eq!(site.post(EDGES[0], "before").await, 200);
        let full =
            Action::DiskFull(DiskFull { room_bytes: 0, node: EDGE_NAMES[0].into(), for_ms: Some(600_000) });
        site.world.arm(Fault { anchor: Anchor::AtMs(site.world.now().0), action: full });
        assert_eq!(site.post(EDGES[0], "while full").await, 503);
        site.world.sleep(11 * MINUTE).await;
        assert_eq!(site.post(EDGES[0], "after").await, 200);
        site.world.sleep(2 * HOUR).await;
        let stored = site.stored();
        assert!(has(&stored, &"before".into()) && has(&stored, &"after".into()));
    });
}
