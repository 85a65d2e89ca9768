//! Edges in a simulated site: what they promise, and how they keep it when disks, links and processes fail.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod site;

use bytes::Bytes;
use latent_edge::tee::{TeeFile, TeeName};
use latent_edge::{EdgeConfig, OnTeeFailure};
use latent_ports::NodeId;
use latent_sim::{Action, Anchor, DiskImage, Fault, OpKind, World, WorldSpec, run_fork};
use site::{EDGE_NAMES, EDGES, HOUR, INGEST, MINUTE, STORE, Site, bodies, has};
use std::collections::BTreeSet;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// Runs one world in which the edges are configured by `tweak`.
fn with_site<T: Send, F: Future<Output = T>>(
    seed: u64,
    tweak: fn(EdgeConfig) -> EdgeConfig,
    script: impl FnOnce(Site) -> F + Send,
) -> T {
    let main = async move |world: World| script(Site::build(world, tweak).ready().await).await;
    run_fork(WorldSpec::seeded(seed), main).output
}

fn as_it_is(config: EdgeConfig) -> EdgeConfig {
    config
}

fn accept_with_gap(mut config: EdgeConfig) -> EdgeConfig {
    if let Some(tee) = &mut config.tee {
        tee.on_failure = OnTeeFailure::AcceptAndRecordGap;
    }
    config
}

#[test]
fn a_request_is_durable_on_two_disks_and_forwarded_under_its_number() {
    with_site(1, as_it_is, async |site: Site| {
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
    with_site(2, as_it_is, async |site: Site| {
        for edge in EDGES {
            site.post_all(edge, bodies("event", 20), SECOND);
        }
        site.world.sleep(MINUTE).await;
        let file = site.tee_files(EDGES[0])[0].clone();
        let own = site.world.disk_image(EDGES[0]).read(&file).unwrap();
        site.world.sleep(HOUR + 6 * MINUTE).await;
        assert_eq!(site.objects.lock().unwrap()[&file], own);
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
    with_site(3, as_it_is, async |site: Site| {
        assert_eq!(site.post(EDGES[0], "before").await, 200);
        assert_eq!(site.flush().await, Ok(()));
        assert!(has(&site.stored(), &Bytes::from("before")));
        assert_eq!(site.post(EDGES[0], "after").await, 200);
        assert_eq!(site.flush().await, Ok(()));
        assert_eq!(site.stored().len(), 2);
        assert_eq!(site.objects.lock().unwrap().len(), 2, "a file's name was used twice");
        site.world.kill(STORE);
        assert_eq!(site.post(EDGES[0], "unreachable store").await, 200);
        let told = site.flush().await.unwrap_err();
        assert!(told.contains("refused"), "{told}");
    });
}

#[test]
fn without_the_second_copy_requests_are_refused_until_the_peer_is_back() {
    with_site(4, as_it_is, async |site: Site| {
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
    with_site(5, accept_with_gap, async |site: Site| {
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

#[test]
fn another_ingest_node_is_tried_once() {
    with_site(6, as_it_is, async |site: Site| {
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
fn the_peer_takes_over_what_a_dead_owner_has_not_uploaded() {
    with_site(7, as_it_is, async |site: Site| {
        assert_eq!(site.post(EDGES[0], "orphan").await, 200);
        site.world.kill(EDGES[0]);
        site.world.sleep(3 * HOUR + MINUTE).await;
        assert!(has(&site.stored(), &"orphan".into()));
        assert_eq!(site.world.marks()["tee.taken-over"], 1);
        site.world.restart(EDGES[0]);
        site.world.sleep(HOUR).await;
        assert_eq!(site.stored().len(), 1);
        assert!(EDGES.iter().all(|edge| site.tee_files(*edge).is_empty()), "something stays on an edge");
    });
}

/// The own file of edge 1, with one byte changed by `damage`.
fn damaged(image: &DiskImage, damage: impl Fn(&mut Vec<u8>)) -> DiskImage {
    let (path, file) = image.list("tee").next().unwrap();
    let mut bytes = file.bytes().to_vec();
    damage(&mut bytes);
    image.clone().with_file(path, bytes.into())
}

#[test]
fn damage_to_one_copy_is_mended_from_the_other() {
    type Damage = fn(&mut Vec<u8>);
    // What stands behind a damaged header can be read without the other copy.
    let kinds: [(&str, Damage, Option<&u64>); 4] = [
        ("header", |file| file[2] ^= 1, None),
        ("first record", |file| file[60] ^= 1, Some(&1)),
        ("last record", |file| *file.last_mut().unwrap() ^= 1, Some(&1)),
        ("lost tail", |file| file.truncate(file.len() / 2), Some(&1)),
    ];
    for (what, damage, mended) in kinds {
        with_site(8, as_it_is, async move |site: Site| {
            for name in ["one", "two", "three"] {
                assert_eq!(site.post(EDGES[0], name).await, 200);
            }
            site.world.kill(EDGES[0]);
            let image = damaged(&site.world.disk_image(EDGES[0]), damage);
            site.world.replace_disk(EDGES[0], &image);
            site.world.restart(EDGES[0]);
            site.world.sleep(2 * HOUR).await;
            assert_eq!(site.stored().len(), 3, "{what}");
            let marks = site.world.marks();
            assert_eq!(marks.get("tee.mended"), mended, "{what}: {marks:?}");
        });
    }
}

#[test]
fn damage_waits_for_the_other_copy() {
    with_site(9, as_it_is, async |site: Site| {
        for name in ["one", "two"] {
            assert_eq!(site.post(EDGES[0], name).await, 200);
        }
        site.world.kill(EDGES[1]);
        site.world.kill(EDGES[0]);
        let image = damaged(&site.world.disk_image(EDGES[0]), |file| file[60] ^= 1);
        site.world.replace_disk(EDGES[0], &image);
        site.world.restart(EDGES[0]);
        site.world.sleep(2 * HOUR).await;
        assert_eq!(site.stored().len(), 1);
        assert!(!site.tee_files(EDGES[0]).is_empty(), "the damaged copy went before it was mended");
        site.world.restart(EDGES[1]);
        site.world.sleep(HOUR).await;
        assert_eq!(site.stored().len(), 2);
        assert!(site.tee_files(EDGES[0]).is_empty());
    });
}

#[test]
fn an_edge_with_a_new_disk_uses_no_number_twice() {
    with_site(10, as_it_is, async |site: Site| {
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
    with_site(11, as_it_is, async |site: Site| {
        let step = |by_ms| {
            let action = Action::ClockStep { node: EDGE_NAMES[0].into(), by_ms };
            site.world.arm(Fault { anchor: Anchor::AtMs(site.world.now().0), action });
        };
        assert_eq!(site.post(EDGES[0], "first hour").await, 200);
        step(3_600_000);
        assert_eq!(site.post(EDGES[0], "hour after").await, 200);
        step(-3_600_000);
        assert_eq!(site.post(EDGES[0], "first hour again").await, 200);
        site.world.sleep(4 * HOUR).await;
        assert_eq!(site.stored().len(), 3);
        assert_eq!(site.objects.lock().unwrap().len(), 3);
    });
}

#[test]
fn a_file_that_grows_too_long_is_closed_before_its_hour() {
    fn short(mut config: EdgeConfig) -> EdgeConfig {
        config.tee.as_mut().unwrap().file_max_bytes = 2_000;
        config
    }
    with_site(12, short, async |site: Site| {
        site.post_all(EDGES[0], bodies("event", 20), MS);
        site.world.sleep(MINUTE).await;
        assert!(site.tee_files(EDGES[0]).len() > 3);
        site.world.sleep(2 * HOUR).await;
        assert_eq!((site.stored().len(), site.acknowledged().len()), (20, 20));
    });
}

#[test]
fn a_full_disk_refuses_and_recovers_when_uploads_made_room() {
    with_site(13, as_it_is, async |site: Site| {
        assert_eq!(site.post(EDGES[0], "before").await, 200);
        let full = Action::DiskFull { node: EDGE_NAMES[0].into(), for_ms: Some(600_000) };
        site.world.arm(Fault { anchor: Anchor::AtMs(site.world.now().0), action: full });
        assert_eq!(site.post(EDGES[0], "while full").await, 503);
        site.world.sleep(11 * MINUTE).await;
        assert_eq!(site.post(EDGES[0], "after").await, 200);
        site.world.sleep(2 * HOUR).await;
        let stored = site.stored();
        assert!(has(&stored, &"before".into()) && has(&stored, &"after".into()));
    });
}

/// No two requests have one number, and a file's records carry the boot number in its name.
fn numbers_are_used_once(site: &Site) {
    let mut bodies_of = BTreeSet::new();
    for (forward, body) in site.forwarded.lock().unwrap().iter() {
        bodies_of.insert((forward.edge, forward.sequence, body.clone()));
    }
    for record in site.stored() {
        bodies_of.insert((record.edge, record.sequence, record.body));
    }
    let numbers: BTreeSet<_> = bodies_of.iter().map(|(edge, sequence, _)| (*edge, *sequence)).collect();
    assert_eq!(numbers.len(), bodies_of.len(), "a number was used for two requests");
    for (key, object) in site.objects.lock().unwrap().iter() {
        let name = TeeName::from_path(key).unwrap();
        let file = TeeFile::decode(object).unwrap();
        assert!(file.records.iter().all(|record| record.sequence >> 40 == u64::from(name.boot)), "{key}");
    }
}

/// What must hold whatever the faults were: what was acknowledged is in the store in the end, and was durable on
/// two disks, or on one and in the store, when it was acknowledged.
async fn acknowledged_is_kept(site: Site, edge: NodeId) {
    let bodies = bodies("request", 12);
    // Over the end of an hour and its upload: 12 requests in 72 minutes.
    for body in &bodies {
        let text = std::str::from_utf8(body).unwrap();
        if site.post(edge, text).await == 200 {
            let places = EDGES.iter().filter(|edge| has(&site.held(**edge), body)).count();
            let in_store = usize::from(has(&site.stored(), body));
            assert!(places + in_store >= 2, "'{:.12}' was acknowledged with {places} copies", text);
        }
        site.world.sleep(6 * MINUTE).await;
    }
    site.world.sleep(4 * HOUR).await;
    let stored = site.stored();
    for body in site.acknowledged() {
        assert!(has(&stored, &body), "an acknowledged request is not in the store: {body:.20?}");
    }
    assert!(EDGES.iter().all(|edge| site.tee_files(*edge).is_empty()), "something stays on an edge");
    numbers_are_used_once(&site);
}

/// Runs the twelve requests to edge 1 again and again, with `fault` of 1, of 2, … until it finds no place to
/// strike any more; gives how often it struck.
fn at_each(fault: impl Fn(u64) -> Fault + Sync, needs_acks: usize) -> u64 {
    for n in 1.. {
        let fault = fault(n);
        let (struck, acknowledged) = with_site(100 + n, as_it_is, async move |site: Site| {
            site.world.arm(fault);
            acknowledged_is_kept(site.clone(), EDGES[0]).await;
            let struck = site.world.fault_outcomes().iter().any(|outcome| outcome.struck.is_some());
            (struck, site.acknowledged().len())
        });
        assert!(acknowledged >= needs_acks, "only {acknowledged} requests came through with fault {n}");
        if !struck {
            return n - 1;
        }
    }
    unreachable!("n counts without end")
}

fn nth(node: &str, op: OpKind, n: u64) -> Anchor {
    // Operations of the first boot, before the edges serve, do not count.
    Anchor::NthOp { node: node.into(), op, path_prefix: String::new(), n, after_ms: 1_000 }
}

#[test]
fn crash_of_either_edge_at_each_disk_operation_loses_nothing_acknowledged() {
    for name in EDGE_NAMES {
        let struck = at_each(
            |n| {
                let action = Action::Kill { node: name.into(), restart_after_ms: Some(3_000), keeps: None };
                Fault { anchor: nth(name, OpKind::Change, n), action }
            },
            10,
        );
        assert!(struck > 25, "{name}: only {struck} operations");
    }
}

#[test]
fn crash_of_either_edge_at_each_message_loses_nothing_acknowledged() {
    for name in EDGE_NAMES {
        for op in [OpKind::Send, OpKind::Receive, OpKind::Answer] {
            let struck = at_each(
                |n| {
                    let action =
                        Action::Kill { node: name.into(), restart_after_ms: Some(3_000), keeps: None };
                    Fault { anchor: nth(name, op, n), action }
                },
                10,
            );
            assert!(struck > 0, "{name}: no {op:?}");
        }
    }
}

#[test]
fn one_error_at_each_disk_operation_of_either_edge_loses_nothing_acknowledged() {
    for name in EDGE_NAMES {
        let struck = at_each(
            |n| {
                let op = OpKind::Any;
                let action =
                    Action::DiskError { node: name.into(), op, path_prefix: String::new(), times: 1 };
                Fault { anchor: nth(name, OpKind::Disk, n), action }
            },
            10,
        );
        assert!(struck > 25, "{name}: only {struck} operations");
    }
}

#[test]
fn a_sync_that_fails_and_then_a_power_loss_of_both_edges_loses_nothing_acknowledged() {
    // Either copy's sync fails once. Should the next sync be believed to cover the bytes of the failed one, the
    // power loss takes them.
    for name in EDGE_NAMES {
        for n in 1..=4 {
            with_site(200 + n, as_it_is, async move |site: Site| {
                let action = Action::DiskError {
                    node: name.into(),
                    op: OpKind::Sync,
                    path_prefix: "tee".into(),
                    times: 1,
                };
                site.world.arm(Fault { anchor: nth(name, OpKind::Sync, n), action });
                for body in bodies("request", 8) {
                    site.post(EDGES[0], std::str::from_utf8(&body).unwrap()).await;
                    site.world.sleep(2 * SECOND).await;
                }
                assert!(site.acknowledged().len() >= 6);
                for edge in EDGES {
                    site.world.kill_keeping(edge, latent_sim::CrashKeeps::Nothing);
                    site.world.restart(edge);
                }
                let copies = EDGES.map(|edge| site.held(edge));
                for body in site.acknowledged() {
                    assert!(copies.iter().all(|held| has(held, &body)), "{name}, sync {n}: {body:.20?}");
                }
            });
        }
    }
}
