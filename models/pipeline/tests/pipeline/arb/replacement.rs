//! Records of a later repair replace those that a recovery found to be wrong.

use super::fixture::{ArbClient, DAYS, DISK, HOUR, PROJECT, SECOND, event, with_disk};
use bytes::Bytes;
use latent_pipeline::arb::api::{ArbRequest, ArbResponse};
use latent_pipeline::arb::manifest::Tier;
use latent_pipeline::arb::write_call::encode_write;
use latent_pipeline::record::Record;
use latent_sim::{DiskError, Fault, FaultAction, OpKind, Trigger};

/// Event `n` with the right contents.
fn right(n: u64) -> Record {
    Record { repair: 1, json: Bytes::from_static(b"{\"event\":\"right\",\"properties\":{}}"), ..event(n) }
}

/// Writes records as a recovery does. Returns how many were skipped, if the disk accepted them.
async fn recover(client: &ArbClient, records: &[Record]) -> Option<u64> {
    let write = encode_write(PROJECT, [(DAYS[0], Tier::Late, records)].into_iter(), true).unwrap();
    match client.call_with_body(&write.call, write.body).await {
        Ok((ArbResponse::Written { skipped }, _)) => Some(skipped),
        _ => None,
    }
}

async fn check_replaced(client: &ArbClient, all: std::ops::Range<u64>, replaced: &[u64]) {
    let mut records = client.read_until_ok(DAYS[0]).await;
    records.sort_by_key(|record| record.arrival);
    let expected: Vec<Record> =
        all.map(|n| if replaced.contains(&n) { right(n) } else { event(n) }).collect();
    assert_eq!(records, expected);
}

#[test]
fn a_record_of_a_later_repair_replaces_only_the_present_record_of_its_arrival() {
    with_disk(31, None, async |arb| {
        arb.run("one", async |client| {
            client.put(Tier::OnTime, 1..30).await.unwrap();
            client.merge_all().await.unwrap();
            client.put(Tier::Late, 30..33).await.unwrap();
            let before =
                client.call(ArbRequest::ContentDigest { project: PROJECT, day: DAYS[0] }).await.unwrap();
            // Compacted, open, absent, and one equal to the present record.
            let recovered = [right(3), right(31), right(40), event(5)];
            assert_eq!(recover(&client, &recovered).await, Some(1));
            let after =
                client.call(ArbRequest::ContentDigest { project: PROJECT, day: DAYS[0] }).await.unwrap();
            assert_ne!(before, after);
            let mut all = client.read_until_ok(DAYS[0]).await;
            all.retain(|record| record.arrival.sequence < 33);
            assert_eq!(all.len(), 32);
            assert_eq!(recover(&client, &recovered).await, Some(4), "a second time changes nothing");
        })
        .await;
        arb.world.kill(DISK);
        arb.world.restart(DISK);
        arb.world.sleep(SECOND).await;
        arb.run("two", async |client| {
            // The record that ingest wrote first arrives late, by a hint.
            assert_eq!(recover(&client, &[event(3)]).await, Some(1));
            let absent = client.read_until_ok(DAYS[0]).await;
            assert!(absent.contains(&right(40)) && absent.contains(&right(3)) && !absent.contains(&event(3)));
            client.merge_all().await.unwrap();
        })
        .await;
        arb.world.sleep(HOUR).await;
        assert_eq!(arb.check_manifests(&arb.world.disk_image(DISK)), [""; 0]);
    });
}

#[test]
fn a_failed_replacement_leaves_one_of_the_two_records() {
    for op in [OpKind::Append, OpKind::Sync, OpKind::Rename, OpKind::SyncDir] {
        with_disk(32, None, async move |arb| {
            arb.run("one", async |client| {
                client.put(Tier::OnTime, 1..9).await.unwrap();
                client.merge_all().await.unwrap();
            })
            .await;
            let error = DiskError {
                node: "disk".into(),
                op,
                path_prefix: "arb".into(),
                times: Some(1),
                for_ms: None,
            };
            arb.world.arm(Fault { trigger: Trigger::AtMs(0), action: FaultAction::DiskError(error) });
            arb.world.sleep(SECOND).await;
            arb.run("two", async |client| {
                let mut tries = 0;
                while recover(&client, &[right(3)]).await.is_none() {
                    tries += 1;
                    assert!(tries < 5, "it never succeeds");
                    let held = client.read_until_ok(DAYS[0]).await;
                    let of_three: Vec<_> = held.iter().filter(|r| r.arrival.sequence == 3).collect();
                    assert!(of_three == [&event(3)] || of_three == [&right(3)], "{of_three:?}");
                }
                check_replaced(&client, 1..9, &[3]).await;
            })
            .await;
            arb.world.kill(DISK);
            arb.world.restart(DISK);
            arb.world.sleep(SECOND).await;
            arb.run("three", async |client| check_replaced(&client, 1..9, &[3]).await).await;
            arb.world.sleep(2 * HOUR).await;
            assert_eq!(arb.check_manifests(&arb.world.disk_image(DISK)), [""; 0], "after {op:?}");
        });
    }
}
