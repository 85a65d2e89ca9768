//! Behavior of an edge towards its clients.

use super::{MS, SECOND, check_sequences_are_unique, unchanged, with_fixture};
use crate::fixture::{EDGE_NAMES, EDGES, EdgeFixture, HOUR, INGEST, MINUTE, STORE, bodies, has};
use bytes::Bytes;
use latent_edge::marks;
use latent_edge::tee::{ObjectWriter, TeeObject};
use latent_edge::{EdgeConfig, OnTeeFailure};
use latent_sim::{ClockStep, DiskError, DiskFull, DiskImage, Fault, FaultAction, OpKind, Trigger};

fn accept_with_gap(mut config: EdgeConfig) -> EdgeConfig {
    if let Some(tee) = &mut config.tee {
        tee.on_failure = OnTeeFailure::AcceptAndRecordGap;
    }
    config
}

#[test]
fn a_request_is_durable_on_two_disks_and_forwarded_with_its_sequence_number() {
    with_fixture(1, unchanged, async |fixture: EdgeFixture| {
        assert_eq!(fixture.post(EDGES[0], "hello").await, 200);
        let forwarded = fixture.forwarded.lock().unwrap().clone();
        let [(forward, body)] = &forwarded[..] else { panic!("forwarded {} times", forwarded.len()) };
        assert_eq!((forward.edge, body.as_ref()), (1, b"hello".as_slice()));
        for edge in EDGES {
            let held = fixture.held(edge);
            assert_eq!((held.len(), held[0].sequence), (1, forward.sequence));
            assert_eq!(
                (held[0].arrived_ms, held[0].body.as_ref()),
                (forward.arrived_ms, b"hello".as_slice())
            );
        }
        let [own, copy] =
            EDGES.map(|edge| fixture.world.disk_image(edge).read(&fixture.tee_files(edge)[0]).unwrap());
        assert_eq!(own, copy);
    });
}

#[test]
fn after_its_hour_a_file_is_in_the_store_and_removed_from_the_edges() {
    with_fixture(2, unchanged, async |fixture: EdgeFixture| {
        for edge in EDGES {
            fixture.post_all(edge, bodies("event", 20), SECOND);
        }
        fixture.world.sleep(MINUTE).await;
        let file = fixture.tee_files(EDGES[0])[0].clone();
        let own = fixture.world.disk_image(EDGES[0]).read(&file).unwrap();
        fixture.world.sleep(HOUR + 6 * MINUTE).await;
        let name = file.rsplit('/').next().unwrap().parse().unwrap();
        for by in [1, 2] {
            let key = TeeObject { file: name, writer: ObjectWriter::Edge(by) }.key();
            assert_eq!(fixture.objects.lock().unwrap()[&key], own);
        }
        let stored = fixture.stored();
        assert_eq!((stored.len(), fixture.acknowledged().len()), (40, 40));
        assert!(EDGES.iter().all(|edge| fixture.tee_files(*edge).is_empty()), "something stays on an edge");
        let idle = fixture.world.record_count();
        fixture.world.sleep(48 * HOUR).await;
        assert_eq!(fixture.world.record_count(), idle, "an edge with nothing to do did something");
    });
}

#[test]
fn a_flush_uploads_everything_and_the_service_continues() {
    with_fixture(3, unchanged, async |fixture: EdgeFixture| {
        assert_eq!(fixture.post(EDGES[0], "before").await, 200);
        assert_eq!(fixture.flush().await, Ok(()));
        assert!(has(&fixture.stored(), &Bytes::from("before")));
        assert_eq!(fixture.post(EDGES[0], "after").await, 200);
        assert_eq!(fixture.flush().await, Ok(()));
        assert_eq!(fixture.stored().len(), 2);
        assert_eq!(fixture.objects.lock().unwrap().len(), 4, "two files by two edges");
        fixture.world.kill(STORE);
        assert_eq!(fixture.post(EDGES[0], "unreachable store").await, 200);
        let impostor_response = fixture.flush().await.unwrap_err();
        assert!(impostor_response.contains("refused"), "{impostor_response}");
    });
}

#[test]
fn without_the_second_copy_requests_are_refused_until_the_peer_is_back() {
    with_fixture(4, unchanged, async |fixture: EdgeFixture| {
        assert_eq!(fixture.post(EDGES[0], "one").await, 200);
        fixture.world.kill(EDGES[1]);
        assert_eq!(fixture.post(EDGES[0], "two").await, 503);
        assert_eq!(fixture.forwarded.lock().unwrap().len(), 1, "what was refused was forwarded");
        fixture.world.restart(EDGES[1]);
        fixture.world.sleep(2 * SECOND).await;
        assert_eq!(fixture.post(EDGES[0], "three").await, 200);
        assert!(has(&fixture.held(EDGES[1]), &"one".into()) && has(&fixture.held(EDGES[1]), &"three".into()));
    });
}

#[test]
fn gaps_are_accepted_and_recorded_when_configured() {
    with_fixture(5, accept_with_gap, async |fixture: EdgeFixture| {
        assert_eq!(fixture.post(EDGES[0], "one").await, 200);
        fixture.world.kill(EDGES[1]);
        assert_eq!(fixture.post(EDGES[0], "two").await, 200);
        let (forward, _) = fixture.forwarded.lock().unwrap()[1].clone();
        let gaps = fixture.world.durable_image(EDGES[0]).read("edge/gaps").unwrap();
        let line = String::from_utf8(gaps.to_vec()).unwrap();
        assert!(line.contains(&format!("\"first\":{0},\"last\":{0}", forward.sequence)), "{line}");
        fixture.world.restart(EDGES[1]);
        fixture.world.sleep(2 * SECOND).await;
        assert_eq!(fixture.post(EDGES[0], "three").await, 200);
        let copied = fixture.held(EDGES[1]);
        assert!(has(&copied, &"two".into()), "the copy did not catch up");
        assert_eq!(fixture.world.marks()[marks::EDGE_TEE_GAP.name()], 1);
    });
}

/// Non-empty lines of edge 1's `edge/gaps`.
fn gap_lines(fixture: &EdgeFixture) -> Vec<String> {
    let gaps = fixture.world.durable_image(EDGES[0]).read("edge/gaps").unwrap();
    String::from_utf8(gaps.to_vec())
        .unwrap()
        .lines()
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

/// One error of the kind that once made a permanent gap: a tee file that cannot be created.
fn one_failed_change(fixture: &EdgeFixture) {
    let (node, path_prefix) = (EDGE_NAMES[0].to_owned(), "tee/".to_owned());
    let error = DiskError { node, op: OpKind::Any, path_prefix, times: Some(1), for_ms: None };
    fixture
        .world
        .arm(Fault { trigger: Trigger::AtMs(fixture.world.now().0), action: FaultAction::DiskError(error) });
}

#[test]
fn a_gap_closes_with_its_requests_sequence_number_once_the_store_accepts_it() {
    with_fixture(16, accept_with_gap, async |fixture: EdgeFixture| {
        one_failed_change(&fixture);
        assert_eq!(fixture.post(EDGES[0], "let through").await, 200);
        let (forward, _) = fixture.forwarded.lock().unwrap()[0].clone();
        fixture.world.sleep(SECOND).await;
        assert_eq!(fixture.stored()[0].sequence, forward.sequence);
        let lines = gap_lines(&fixture);
        assert!(lines.len() == 2 && lines[1].contains("\"closed_ms\":"), "{lines:?}");
        assert!(fixture.world.disk_image(EDGES[0]).list("tee-gaps").next().is_none(), "kept for nothing");
        fixture.world.sleep(4 * HOUR).await;
        check_sequences_are_unique(&fixture);
        assert_eq!(fixture.world.marks()[marks::EDGE_TEE_GAP_CLOSED.name()], 1);
    });
}

#[test]
fn a_gap_waits_for_the_store_and_survives_a_restart() {
    with_fixture(17, accept_with_gap, async |fixture: EdgeFixture| {
        fixture.world.kill(STORE);
        one_failed_change(&fixture);
        assert_eq!(fixture.post(EDGES[0], "let through").await, 200);
        fixture.world.sleep(MINUTE).await;
        assert_eq!(gap_lines(&fixture).len(), 1);
        assert!(fixture.world.marks()[marks::EDGE_TEE_GAP_OPEN.name()] >= 1, "what is open is reported");
        fixture.world.kill(EDGES[0]);
        fixture.world.restart(EDGES[0]);
        fixture.world.sleep(3 * HOUR).await;
        assert_eq!(gap_lines(&fixture).len(), 1);
        fixture.world.restart(STORE);
        fixture.world.sleep(11 * MINUTE).await;
        assert!(has(&fixture.stored(), &"let through".into()));
        assert_eq!(gap_lines(&fixture).len(), 2);
    });
}

/// A forwarded request without any record of the gap would be lost without a trace.
#[test]
fn a_gap_that_cannot_be_recorded_is_not_accepted() {
    with_fixture(15, accept_with_gap, async |fixture: EdgeFixture| {
        assert_eq!(fixture.post(EDGES[0], "one").await, 200);
        fixture.world.kill(EDGES[1]);
        let (node, path_prefix) = (EDGE_NAMES[0].to_owned(), "edge/gaps".to_owned());
        let error = DiskError { node, op: OpKind::Disk, path_prefix, times: Some(1), for_ms: None };
        let action = FaultAction::DiskError(error);
        fixture.world.arm(Fault { trigger: Trigger::AtMs(fixture.world.now().0), action });
        assert_eq!(fixture.post(EDGES[0], "two").await, 503);
        assert_eq!(fixture.post(EDGES[0], "three").await, 200);
        assert_eq!(fixture.world.marks()[marks::EDGE_TEE_GAP_UNRECORDED.name()], 1);
        assert_eq!(fixture.world.marks()[marks::EDGE_TEE_GAP.name()], 1);
    });
}

#[test]
fn a_failed_forward_is_retried_once_on_another_ingest_node() {
    with_fixture(6, unchanged, async |fixture: EdgeFixture| {
        fixture.world.kill(INGEST[0]);
        for name in ["a", "b", "c", "d"] {
            assert_eq!(fixture.post(EDGES[0], name).await, 200);
        }
        assert!(fixture.world.marks()[marks::EDGE_FORWARD_RETRY.name()] >= 1);
        fixture.world.kill(INGEST[1]);
        assert_eq!(fixture.post(EDGES[0], "unknown-token").await, 503);
    });
}

#[test]
fn an_edge_with_a_new_disk_reuses_no_sequence_number() {
    with_fixture(10, unchanged, async |fixture: EdgeFixture| {
        assert_eq!(fixture.post(EDGES[0], "one").await, 200);
        fixture.world.kill(EDGES[0]);
        fixture.world.replace_disk(EDGES[0], &DiskImage::new());
        fixture.world.sleep(10 * MINUTE).await;
        fixture.world.restart(EDGES[0]);
        fixture.world.sleep(SECOND).await;
        assert_eq!(fixture.post(EDGES[0], "two").await, 200);
        fixture.world.sleep(4 * HOUR).await;
        check_sequences_are_unique(&fixture);
        assert_eq!(fixture.stored().len(), 2);
    });
}

#[test]
fn a_clock_that_steps_back_overwrites_no_file() {
    with_fixture(11, unchanged, async |fixture: EdgeFixture| {
        let step = |by_ms| {
            let action =
                FaultAction::ClockStep(ClockStep { node: EDGE_NAMES[0].into(), by_ms, for_ms: None });
            fixture.world.arm(Fault { trigger: Trigger::AtMs(fixture.world.now().0), action });
        };
        assert_eq!(fixture.post(EDGES[0], "first hour").await, 200);
        step(3_600_000);
        assert_eq!(fixture.post(EDGES[0], "hour after").await, 200);
        step(-3_600_000);
        assert_eq!(fixture.post(EDGES[0], "first hour again").await, 200);
        fixture.world.sleep(4 * HOUR).await;
        assert_eq!(fixture.stored().len(), 3);
        assert_eq!(fixture.objects.lock().unwrap().len(), 6, "three files by two edges");
    });
}

#[test]
fn a_file_that_grows_too_long_is_closed_before_its_hour() {
    fn short(mut config: EdgeConfig) -> EdgeConfig {
        config.tee.as_mut().unwrap().file_max_bytes = 2_000;
        config
    }
    with_fixture(12, short, async |fixture: EdgeFixture| {
        fixture.post_all(EDGES[0], bodies("event", 20), MS);
        fixture.world.sleep(MINUTE).await;
        assert!(fixture.tee_files(EDGES[0]).len() > 3);
        fixture.world.sleep(2 * HOUR).await;
        assert_eq!((fixture.stored().len(), fixture.acknowledged().len()), (20, 20));
    });
}

#[test]
fn a_full_disk_refuses_requests_until_uploads_free_space() {
    with_fixture(13, unchanged, async |fixture: EdgeFixture| {
        assert_eq!(fixture.post(EDGES[0], "before").await, 200);
        let full = FaultAction::DiskFull(DiskFull {
            room_bytes: 0,
            node: EDGE_NAMES[0].into(),
            for_ms: Some(600_000),
        });
        fixture.world.arm(Fault { trigger: Trigger::AtMs(fixture.world.now().0), action: full });
        assert_eq!(fixture.post(EDGES[0], "while full").await, 503);
        fixture.world.sleep(11 * MINUTE).await;
        assert_eq!(fixture.post(EDGES[0], "after").await, 200);
        fixture.world.sleep(2 * HOUR).await;
        let stored = fixture.stored();
        assert!(has(&stored, &"before".into()) && has(&stored, &"after".into()));
    });
}
