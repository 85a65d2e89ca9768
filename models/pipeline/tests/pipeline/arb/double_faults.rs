//! A quarantine fails at each of its steps, twice: no fencing token and no segment id is reused.

use super::fixture::{ArbClient, ArbFixture, DAYS, DISK, HOUR, PROJECT, SECOND, lease, with_disk};
use latent_pipeline::arb::api::{ArbRequest, ArbResponse};
use latent_pipeline::arb::manifest::{ManifestEdit, Tier};
use latent_pipeline::zone::Day;
use latent_sim::{
    BitRot, CrashPolicy, DiskError, DiskImage, Fault, FaultAction, Kill, LatentSector, OpKind,
    RemoveDirectory, Trigger,
};
use latent_storekit::frame::scan;
use std::time::Duration;

const DAY: Day = DAYS[0];
const MINUTE: Duration = Duration::from_secs(60);
/// Number of attempts of a call, a minute apart: longer than a boot waits for a failing device.
const MAX_ATTEMPTS: u32 = 60;

/// A disk that granted tokens 1 to 3 and used ids 1 to 3 of a day, with one file altered.
fn image_with_used_day(path: &str, alter: impl Fn(&mut Vec<u8>)) -> DiskImage {
    let image = with_disk(31, None, async |arb| {
        arb.run("before", async |client| {
            client.put(Tier::OnTime, 1..9).await.unwrap();
            for token in 1..3 {
                assert_eq!(lease(&client).await, token);
            }
            client.merge_all().await.unwrap();
            client.put(Tier::Late, 9..11).await.unwrap();
        })
        .await;
        arb.world.durable_image(DISK)
    });
    let path = format!("arb/{PROJECT}/{path}");
    let mut bytes = image.read(&path).unwrap().to_vec();
    alter(&mut bytes);
    image.with_file(&path, bytes.into())
}

fn corrupt_lease() -> DiskImage {
    image_with_used_day("lease", |bytes| bytes[20] ^= 1)
}

fn corrupt_manifest() -> DiskImage {
    image_with_used_day(&format!("{DAY}/manifest"), |bytes| bytes[20] ^= 1)
}

/// First free id of the day before it was quarantined.
const FREE_ID: u64 = 4;
const LAST_TOKEN: u64 = 3;

impl ArbClient {
    /// Retries until the disk executes the call.
    async fn until_done(&self, request: ArbRequest) -> ArbResponse {
        for _ in 0..MAX_ATTEMPTS {
            if let Ok(answer) = self.call(request.clone()).await {
                return answer;
            }
            self.sleep(MINUTE).await;
        }
        panic!("never done: {request:?}: {:?}", self.log.lock().unwrap().failures.last());
    }

    async fn lease_until_granted(&self) {
        let ArbResponse::Leased { token } =
            self.until_done(ArbRequest::Lease { project: PROJECT, for_ms: 1_000 }).await
        else {
            panic!("no other node asks for the lease")
        };
        let before = self.log.lock().unwrap().tokens.last().copied().unwrap_or(LAST_TOKEN);
        assert!(token > before, "token {token} is granted after {before}");
        self.log.lock().unwrap().tokens.push(token);
    }

    /// Writes until acknowledged. After each attempt the quarantine is released, which a disk may refuse.
    async fn fill_and_release(&self) {
        for _ in 0..MAX_ATTEMPTS {
            let written = self.put(Tier::Late, 1..12).await;
            let let_go = self.call(ArbRequest::ReleaseQuarantine { project: PROJECT, day: DAY }).await;
            if written.is_ok() && let_go.is_ok() {
                return;
            }
            // Longer than the grace period: released data is gone.
            self.sleep(40 * MINUTE).await;
        }
        panic!("never filled: {:?}", self.log.lock().unwrap().failures);
    }
}

/// Takes leases around a crash that keeps only durable data.
async fn check_tokens_increase(arb: &ArbFixture) {
    for name in ["one", "two"] {
        arb.run(name, async |client| {
            client.lease_until_granted().await;
            client.lease_until_granted().await;
        })
        .await;
        arb.world.kill_with_policy(DISK, CrashPolicy::Nothing);
        check_first_token(&arb.world.disk_image(DISK));
        arb.world.restart(DISK);
        arb.world.sleep(SECOND).await;
    }
    arb.run("three", async |client| client.lease_until_granted().await).await;
}

/// The first token in a lease file is above all tokens that earlier files can have held.
fn check_first_token(image: &DiskImage) {
    let before = image.files().filter(|(path, _)| path.contains("/lease.corrupt-")).count() as u64;
    let Some(bytes) = image.read(&format!("arb/{PROJECT}/lease")) else { return };
    let first =
        scan(&bytes, 8).payloads.first().map(|grant| u64::from_le_bytes(*grant.first_chunk().unwrap()));
    assert!(before == 0 || first >= Some(before << 40), "{before} before it, and it begins at {first:?}");
}

/// Quarantines the day, fills it, releases the quarantine, and fills it again after a crash.
async fn check_ids_increase(arb: &ArbFixture) {
    arb.run("one", async |client| {
        let quarantine = ArbRequest::Quarantine { project: PROJECT, day: DAY };
        for _ in 0..MAX_ATTEMPTS {
            // An attempt that failed after its last step is refused when retried: the day is not corrupt any more.
            if client.call(quarantine.clone()).await.is_ok() || client.read(DAY).await.is_ok() {
                break;
            }
            client.sleep(MINUTE).await;
        }
        client.fill_and_release().await;
    })
    .await;
    check_ids_are_new(&arb.world.disk_image(DISK));
    arb.world.sleep(HOUR).await;
    arb.world.kill_with_policy(DISK, CrashPolicy::Nothing);
    arb.world.restart(DISK);
    arb.world.sleep(SECOND).await;
    arb.run("two", async |client| client.fill_and_release().await).await;
    check_ids_are_new(&arb.world.disk_image(DISK));
}

/// No edit of the day's manifest adds a file under an id that was free before.
fn check_ids_are_new(image: &DiskImage) {
    let Some(bytes) = image.read(&format!("arb/{PROJECT}/{DAY}/manifest")) else { return };
    for edit in scan(&bytes, 8).payloads {
        let edit: ManifestEdit = serde_json::from_slice(&edit).unwrap();
        assert!(edit.add.iter().all(|file| file.id >= FREE_ID), "an id is used again: {edit:?}");
    }
}

fn nth(op: OpKind, n: u64) -> Trigger {
    Trigger::NthOp { node: "disk".into(), op, path_prefix: String::new(), n, after_ms: 0 }
}

/// The `n`-th operation of the disk fails.
fn error(n: u64) -> Fault {
    let (node, path_prefix) = ("disk".into(), String::new());
    let action = FaultAction::DiskError(DiskError {
        node,
        op: OpKind::Any,
        path_prefix,
        times: Some(1),
        for_ms: None,
    });
    Fault { trigger: nth(OpKind::Disk, n), action }
}

/// The power fails at the `n`-th operation of the disk.
fn crash(n: u64) -> Fault {
    let action = FaultAction::Kill(Kill {
        node: "disk".into(),
        restart_after_ms: Some(2_000),
        keeps: Some(CrashPolicy::Nothing),
        tear_bytes: None,
    });
    Fault { trigger: nth(OpKind::Disk, n), action }
}

/// Creates the fault of the `n`-th operation.
type FaultAt = fn(u64) -> Fault;

/// Kinds of the first and of the second fault.
const PAIRS: [[FaultAt; 2]; 3] = [[error, error], [error, crash], [crash, error]];

/// Runs `script` on a disk that boots from `image` with `lasting` faults. The first fault is at each operation up to
/// the `most`-th, the second at each of the `within` operations after it. Returns the number of second faults that were
/// triggered.
fn at_each_pair(
    image: &DiskImage,
    lasting: &[Fault],
    [most, within]: [u64; 2],
    script: impl AsyncFn(&ArbFixture) + Sync,
) -> u64 {
    let mut triggered = 0;
    for pair in PAIRS {
        for (first, later) in (1..=most).flat_map(|first| (1..=within).map(move |later| (first, later))) {
            let both = [pair[0](first), pair[1](first + later)];
            let script = &script;
            triggered += with_disk(1_000 * first + later, Some(image.clone()), async move |arb| {
                arb.world.kill(DISK);
                for fault in both.into_iter().chain(lasting.iter().cloned()) {
                    arb.world.arm(fault);
                }
                arb.world.restart(DISK);
                arb.world.sleep(SECOND).await;
                script(&arb).await;
                u64::from(arb.world.fault_outcomes()[1].triggered_at.is_some())
            });
        }
    }
    triggered
}

#[test]
fn no_token_is_reused_when_the_quarantine_of_a_corrupt_lease_fails_at_any_two_steps() {
    let triggered = at_each_pair(&corrupt_lease(), &[], [40, 15], check_tokens_increase);
    assert!(triggered > 1_500, "only {triggered} second faults");
}

#[test]
fn no_token_is_reused_when_a_lease_stays_unreadable_and_its_quarantine_fails() {
    let (node, path_prefix) = ("disk".into(), format!("arb/{PROJECT}/lease"));
    let cannot_open = DiskError { node, op: OpKind::Open, path_prefix, times: Some(14), for_ms: None };
    let lasting = [Fault { trigger: Trigger::AtMs(0), action: FaultAction::DiskError(cannot_open) }];
    // The boots that wait for the device come first, each with its own operations.
    let image = image_with_used_day("lease", |_| {});
    let triggered = at_each_pair(&image, &lasting, [90, 5], check_tokens_increase);
    assert!(triggered > 1_000, "only {triggered} second faults");
}

#[test]
fn no_token_is_reused_when_a_lease_rots_under_a_running_disk_and_its_quarantine_fails() {
    let path_prefix = format!("arb/{PROJECT}/lease");
    let bad = FaultAction::LatentSector(LatentSector { node: "disk".into(), path_prefix, pick: 0 });
    let lasting = [Fault { trigger: nth(OpKind::Disk, 30), action: bad }];
    let image = image_with_used_day("lease", |_| {});
    let triggered = at_each_pair(&image, &lasting, [60, 8], check_tokens_increase);
    assert!(triggered > 1_000, "only {triggered} second faults");
}

/// The lease file rots or becomes unreadable after the disk has granted a token from it. The grant that finds it fails,
/// and so does one operation of the quarantine: a later grant of the same process completes it.
#[test]
fn a_disk_that_runs_on_grants_leases_again_after_the_quarantine_of_one_failed() {
    let (node, path_prefix) = ("disk".to_owned(), format!("arb/{PROJECT}/lease"));
    let rot = FaultAction::BitRot(BitRot {
        node: node.clone(),
        path_prefix: path_prefix.clone(),
        pick: 0,
        bits: 9,
    });
    let sector = FaultAction::LatentSector(LatentSector { node, path_prefix, pick: 0 });
    for (damage, pair, later) in [rot, sector]
        .iter()
        .flat_map(|damage| PAIRS.map(|pair| (damage, pair)))
        .flat_map(|(damage, pair)| (1..=8).map(move |later| (damage, pair, later)))
    {
        let image = image_with_used_day("lease", |_| {});
        with_disk(later, Some(image), async move |arb| {
            arb.run("before", async |client| client.lease_until_granted().await).await;
            arb.world.arm(Fault { trigger: Trigger::AtMs(0), action: damage.clone() });
            arb.world.sleep(SECOND).await;
            for fault in [pair[0](1), pair[1](1 + later)] {
                arb.world.arm(fault);
            }
            arb.run("after", async |client| {
                client.lease_until_granted().await;
                client.lease_until_granted().await;
            })
            .await;
        });
    }
}

/// The creation of a day fails after its manifest is durable, and the manifest rots before the next write opens it.
#[test]
fn a_day_that_rots_between_two_attempts_to_create_it_is_quarantined_and_filled() {
    let quarantined = (1..=4).filter(|failing_sync| {
        let (node, path_prefix) = ("disk".to_owned(), format!("arb/{PROJECT}"));
        with_disk(34, None, async move |arb| {
            arb.run("one", async |client| client.put_on(DAYS[1], Tier::OnTime, 1..3).await.unwrap()).await;
            let trigger = Trigger::NthOp {
                node: node.clone(),
                op: OpKind::SyncDir,
                path_prefix: path_prefix.clone(),
                n: *failing_sync,
                after_ms: 0,
            };
            let (op, times) = (OpKind::SyncDir, Some(1));
            let error = DiskError { node: node.clone(), op, path_prefix: String::new(), times, for_ms: None };
            arb.world.arm(Fault { trigger, action: FaultAction::DiskError(error) });
            arb.run("two", async |client| {
                let _ = client.put(Tier::OnTime, 1..9).await;
                // Its sync of the project's directory makes the name of the day above durable.
                let above = Day(16_855);
                if client.put_on(above, Tier::OnTime, 1..3).await.is_err() {
                    client.put_on(above, Tier::OnTime, 1..3).await.unwrap();
                }
            })
            .await;
            let path_prefix = format!("{path_prefix}/{DAY}/manifest");
            let rot = FaultAction::BitRot(BitRot { node, path_prefix, pick: 0, bits: 64 });
            arb.world.arm(Fault { trigger: Trigger::AtMs(0), action: rot });
            arb.world.sleep(SECOND).await;
            arb.run("three", async |client| {
                let is_refused = client.put(Tier::OnTime, 1..9).await.is_err();
                if is_refused {
                    // The first request may only find the rot, as the repair's does.
                    let quarantine = ArbRequest::Quarantine { project: PROJECT, day: DAY };
                    if client.call(quarantine.clone()).await.is_err() {
                        client.call(quarantine).await.unwrap();
                    }
                    client.put(Tier::OnTime, 1..9).await.unwrap();
                }
                is_refused
            })
            .await
        })
    });
    assert!(quarantined.count() > 0, "no attempt left a day that could rot");
}

/// The newest grant rots: the file then ends as after a torn write, and its token must not be granted again, however
/// often the disk boots before it grants the next one.
#[test]
fn the_token_of_a_grant_that_rotted_is_not_reused_after_any_number_of_boots() {
    let image = image_with_used_day("lease", |bytes| {
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
    });
    for boots in 1..4 {
        with_disk(35, Some(image.clone()), async move |arb| {
            for _ in 0..boots {
                arb.world.kill_with_policy(DISK, CrashPolicy::Nothing);
                arb.world.restart(DISK);
                arb.world.sleep(SECOND).await;
            }
            arb.run("after", async |client| client.lease_until_granted().await).await;
        });
    }
    let triggered = at_each_pair(&image, &[], [40, 15], check_tokens_increase);
    assert!(triggered > 1_500, "only {triggered} second faults");
}

#[test]
fn no_segment_id_is_reused_when_the_quarantine_of_a_day_fails_at_any_two_steps() {
    let triggered = at_each_pair(&corrupt_manifest(), &[], [50, 12], check_ids_increase);
    assert!(triggered > 1_500, "only {triggered} second faults");
}

#[test]
fn tokens_increase_after_a_projects_directory_was_removed_under_a_running_disk_and_a_crash() {
    with_disk(32, None, async |arb| {
        arb.run("one", async |client| {
            client.put(Tier::OnTime, 1..9).await.unwrap();
            for token in 1..4 {
                assert_eq!(lease(&client).await, token);
            }
        })
        .await;
        let path = format!("arb/{PROJECT}");
        let remove = FaultAction::RemoveDirectory(RemoveDirectory { node: "disk".into(), path });
        arb.world.arm(Fault { trigger: Trigger::AtMs(0), action: remove });
        arb.world.sleep(SECOND).await;
        arb.run("two", async |client| {
            let digests = ArbRequest::Digests { project: PROJECT, arrived_before_ms: 100 };
            client.call(digests).await.unwrap()
        })
        .await;
        arb.world.kill_with_policy(DISK, CrashPolicy::Nothing);
        arb.world.restart(DISK);
        arb.world.sleep(SECOND).await;
        arb.run("three", async |client| client.lease_until_granted().await).await;
    });
}

#[test]
fn ids_increase_after_a_days_directory_was_removed_under_a_running_disk_and_a_crash() {
    with_disk(33, Some(image_with_used_day("lease", |_| {})), async |arb| {
        let path = format!("arb/{PROJECT}/{DAY}");
        let remove = FaultAction::RemoveDirectory(RemoveDirectory { node: "disk".into(), path });
        arb.world.arm(Fault { trigger: Trigger::AtMs(0), action: remove });
        arb.world.sleep(SECOND).await;
        arb.run("one", async |client| {
            let digests = ArbRequest::Digests { project: PROJECT, arrived_before_ms: 100 };
            client.call(digests).await.unwrap();
            client.call(ArbRequest::Quarantine { project: PROJECT, day: DAY }).await.unwrap();
        })
        .await;
        arb.world.kill_with_policy(DISK, CrashPolicy::Nothing);
        arb.world.restart(DISK);
        arb.world.sleep(SECOND).await;
        arb.run("two", async |client| client.fill_and_release().await).await;
        check_ids_are_new(&arb.world.disk_image(DISK));
    });
}
