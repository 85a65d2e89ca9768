//! Failed syncs, slow disks, short reads and torn writes: each observed through the ports, and the same work without
//! it.

use crate::support::script::{self, NODE, durable, kind, of, ready, run};
use bytes::Bytes;
use latent_ports::{Clock, Disk, DiskErrorKind, Env, File, OpenMode, read_full};
use latent_sim::{
    CrashPolicy, DiskError, Fault, FaultAction, Kill, NodeSpec, OpKind, ReadsAfterFailedSync, ShortRead,
    SimEnv, SimFile, SlowDisk, SyncFailure, Trigger, World, WorldSpec, run_fork,
};
use std::collections::BTreeSet;
use std::time::Duration;

async fn all_of(file: &SimFile) -> Bytes {
    read_full(file, 0, file.size_bytes().await.unwrap()).await.unwrap()
}

/// Writes a durable `old`, then an overwrite and an append whose sync fails, one that succeeds, and one more append
/// that is synced. Returns the contents that reads see after each sync.
async fn sync_three_times(env: SimEnv) -> [(Result<(), DiskErrorKind>, Bytes); 3] {
    let file = durable(env.disk(), "f", of(b'O', 4)).await;
    ready(&env);
    file.write_at(0, of(b'N', 2)).await.unwrap();
    file.append(of(b'N', 4)).await.unwrap();
    let first = (kind(file.sync().await), all_of(&file).await);
    let second = (kind(file.sync().await), all_of(&file).await);
    file.append(of(b'L', 2)).await.unwrap();
    [first, second, (kind(file.sync().await), all_of(&file).await)]
}

fn failed_sync(shows: ReadsAfterFailedSync) -> [FaultAction; 1] {
    [FaultAction::SyncFailure(SyncFailure { node: NODE.into(), path_prefix: "f".into(), times: 1, shows })]
}

#[test]
fn after_a_failed_sync_reads_may_revert_and_later_syncs_do_not_write_the_dropped_pages() {
    let ran = run(1, &failed_sync(ReadsAfterFailedSync::Old), CrashPolicy::Nothing, sync_three_times);
    let old = Bytes::from("OOOO");
    let expected = [(Err(DiskErrorKind::Io), old.clone()), (Ok(()), old), (Ok(()), "OOOOLL".into())];
    assert_eq!(ran.output, expected);
    assert_eq!(ran.left.read("f").unwrap(), "OOOOLL");
}

#[test]
fn after_a_failed_sync_reads_may_show_new_bytes_until_a_crash_leaves_a_gap() {
    for keeps in [CrashPolicy::Nothing, CrashPolicy::Drawn, CrashPolicy::Everything] {
        let ran = run(1, &failed_sync(ReadsAfterFailedSync::New), keeps, sync_three_times);
        let new = Bytes::from("NNOONNNN");
        let expected = [(Err(DiskErrorKind::Io), new.clone()), (Ok(()), new), (Ok(()), "NNOONNNNLL".into())];
        assert_eq!(ran.output, expected);
        assert_eq!(ran.seen.read("f").unwrap(), "NNOONNNNLL");
        assert_eq!(ran.left.read("f").unwrap(), "OOOO\0\0\0\0LL", "{keeps:?}");
    }
}

#[test]
fn without_a_later_append_a_crash_after_a_failed_sync_leaves_the_old_length() {
    let script = async |env: SimEnv| {
        let file = durable(env.disk(), "f", of(b'O', 4)).await;
        ready(&env);
        file.append(of(b'N', 4)).await.unwrap();
        (kind(file.sync().await), kind(file.sync().await))
    };
    let ran = run(1, &failed_sync(ReadsAfterFailedSync::New), CrashPolicy::Drawn, script);
    assert_eq!(ran.output, (Err(DiskErrorKind::Io), Ok(())));
    assert_eq!(
        (ran.seen.read("f").unwrap(), ran.left.read("f").unwrap()),
        ("OOOONNNN".into(), "OOOO".into())
    );
}

#[test]
fn without_a_failed_sync_all_synced_bytes_survive() {
    let ran = run(1, &[], CrashPolicy::Nothing, sync_three_times);
    assert!(ran.output.iter().all(|(synced, _)| synced.is_ok()));
    assert_eq!(ran.left.read("f").unwrap(), "NNOONNNNLL");
}

#[test]
fn a_concurrent_sync_of_the_same_file_fails_too() {
    let script = async |env: SimEnv| {
        let file = durable(env.disk(), "f", Bytes::new()).await;
        file.append(of(b'N', 4)).await.unwrap();
        let (early, waiting) = (file.clone(), env.clone());
        let late = async move {
            ready(&waiting);
            kind(file.sync().await)
        };
        let (early, late) = futures_util::future::join(early.sync(), late).await;
        (kind(early), late)
    };
    let ran = run(1, &failed_sync(ReadsAfterFailedSync::New), CrashPolicy::Nothing, script);
    assert_eq!(ran.output, (Err(DiskErrorKind::Io), Err(DiskErrorKind::Io)));
    assert_eq!(ran.left.read("f").unwrap(), "");
    let ran = run(1, &[], CrashPolicy::Nothing, script);
    assert_eq!((ran.output, ran.left.read("f").unwrap()), ((Ok(()), Ok(())), "NNNN".into()));
}

#[test]
fn a_failed_sync_of_a_directory_is_a_plain_error() {
    let script = async |env: SimEnv| {
        env.disk().open("f", OpenMode::Create).await.unwrap();
        ready(&env);
        (kind(env.disk().sync_dir("").await), kind(env.disk().sync_dir("").await))
    };
    let sync_dir = |action| run(1, &[action], CrashPolicy::Nothing, script);
    let everywhere = |times| DiskError {
        node: NODE.into(),
        op: OpKind::SyncDir,
        path_prefix: String::new(),
        times: Some(times),
        for_ms: None,
    };
    let ran = sync_dir(FaultAction::DiskError(everywhere(1)));
    assert_eq!((ran.output, ran.left.files().count()), ((Err(DiskErrorKind::Io), Ok(())), 1));
    let ran = sync_dir(FaultAction::DiskError(everywhere(2)));
    assert_eq!(ran.left.files().count(), 0);
    let [failure] = failed_sync(ReadsAfterFailedSync::New);
    assert_eq!(sync_dir(failure).output, (Ok(()), Ok(())), "it waits for the sync of a file");
}

/// Returns the duration of a hundred syncs, reads and writes each, in milliseconds.
async fn time_a_hundred(env: SimEnv) -> [u128; 3] {
    let file = durable(env.disk(), "f", of(b'O', 100)).await;
    ready(&env);
    let mut spent = [Duration::ZERO; 3];
    for _ in 0..100 {
        let start = env.clock().monotonic();
        file.append(of(b'A', 1)).await.unwrap();
        let written = env.clock().monotonic();
        file.sync().await.unwrap();
        let synced = env.clock().monotonic();
        file.read_at(0, 10).await.unwrap();
        let read = env.clock().monotonic();
        spent[0] += synced - written;
        spent[1] += read - synced;
        spent[2] += written - start;
    }
    spent.map(|spent| spent.as_millis())
}

#[test]
fn a_slow_disk_delays_operations_until_the_fault_ends() {
    let slow = |times, for_ms| {
        let slow = SlowDisk { node: NODE.into(), times, for_ms };
        run(1, &[FaultAction::SlowDisk(slow)], CrashPolicy::Nothing, time_a_hundred).output
    };
    let [sync_ms, read_ms, write_ms] = run(1, &[], CrashPolicy::Nothing, time_a_hundred).output;
    assert!((100..400).contains(&sync_ms), "{sync_ms}");
    // Virtual time advances a little at each poll.
    assert!(read_ms < 2 && write_ms < 2, "{read_ms} {write_ms}");
    let [slow_sync_ms, slow_read_ms, slow_write_ms] = slow(20, None);
    assert!((195..=205).contains(&(slow_sync_ms * 10 / sync_ms)), "{slow_sync_ms} {sync_ms}");
    assert!((300..310).contains(&slow_read_ms) && (300..310).contains(&slow_write_ms), "{slow_read_ms}");
    assert!(slow(20, Some(500))[0] < sync_ms * 5);
    assert!(slow(1, None)[0] < sync_ms * 2, "a factor of 1 is not slow");
}

#[test]
fn a_short_read_returns_a_proper_prefix_and_read_full_retries() {
    let text = Bytes::from_static(b"what was written here, all of it");
    let script = async |env: SimEnv| {
        let text = b"what was written here, all of it";
        let file = durable(env.disk(), "f", Bytes::from_static(text)).await;
        ready(&env);
        // A read of one byte cannot be short, nor can an empty one.
        assert_eq!(
            (file.read_at(0, 1).await.unwrap().len(), file.read_at(99, 9).await.unwrap().len()),
            (1, 0)
        );
        let short = file.read_at(5, 20).await.unwrap();
        let whole = read_full(&file, 0, text.len() as u64).await.unwrap();
        (short, whole, file.read_at(5, 20).await.unwrap())
    };
    let faults =
        |times| [FaultAction::ShortRead(ShortRead { node: NODE.into(), path_prefix: "f".into(), times })];
    let mut lengths = BTreeSet::new();
    for seed in 0..50 {
        let (short, whole, after) = run(seed, &faults(2), CrashPolicy::Nothing, script).output;
        assert!((1..20).contains(&short.len()) && text[5..].starts_with(&short));
        assert_eq!((whole, after), (text.clone(), text.slice(5..25)));
        lengths.insert(short.len());
    }
    assert!(lengths.len() > 10, "{lengths:?}");
    let (read, whole, after) = run(1, &[], CrashPolicy::Nothing, script).output;
    assert_eq!((read, whole, after), (text.slice(5..25), text.clone(), text.slice(5..25)));
}

#[test]
fn a_kill_may_override_the_tear_size() {
    let lengths = |tear_bytes| -> BTreeSet<u64> {
        let script = async |env: SimEnv| {
            let file = durable(env.disk(), "f", Bytes::new()).await;
            file.append(of(b'A', 12_288)).await.unwrap();
            ready(&env);
        };
        let length = |seed| {
            let finished = run_fork(WorldSpec::seeded(seed), async move |world: World| {
                let trigger =
                    Trigger::Mark { name: script::marks::READY.into(), n: 1, node: None, after_ms: 0 };
                let kill = Kill { node: NODE.into(), tear_bytes, ..Kill::default() };
                world.arm(Fault { trigger, action: FaultAction::Kill(kill) });
                let node = world.add_node(NodeSpec::named(NODE), script);
                world.sleep(Duration::from_secs(1)).await;
                world.disk_image(node).file("f").unwrap().len_bytes()
            });
            finished.output
        };
        (0..200).map(length).collect()
    };
    assert_eq!(lengths(Some(4_096)), BTreeSet::from([0, 4_096, 8_192, 12_288]));
    for tear_bytes in [Some(512), None] {
        let lengths = lengths(tear_bytes);
        assert!(lengths.iter().all(|len| len % 512 == 0));
        assert!(lengths.iter().any(|len| len % 4_096 != 0), "{lengths:?}");
    }
}
