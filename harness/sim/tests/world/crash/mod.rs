//! Crash outcomes: for each small script, the set of all outcomes over many seeds must equal the set that the rules
//! allow. Nothing missing: each outcome is reachable. Nothing more: no outcome breaks a guarantee.
//!
//! Here: the bytes of files. `names`: names and directories.

mod names;

use bytes::Bytes;
use latent_ports::{Clock, Disk, DiskErrorKind, Env, File, OpenMode};
use latent_sim::{
    CrashPolicy, DiskImage, DiskSpec, NodeSpec, SimDisk, SimEnv, SimFile, World, WorldSpec, run_fork,
};
use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

const BLOCK: usize = 512;

/// Returns `n` blocks of one letter.
fn blocks(letter: u8, n: usize) -> Bytes {
    vec![letter; n * BLOCK].into()
}

/// Renders an image as `path:ABC path/:`, a letter per block (lower case: a part of a block; `.`: zeros), `/` for
/// directories.
fn render(image: &DiskImage) -> String {
    let mut parts: Vec<String> = image.directories().map(|path| format!("{path}/")).collect();
    for (path, file) in image.files() {
        let bytes = file.bytes();
        let letter = |block: &[u8]| {
            let shown = if block[0] == 0 { '.' } else { char::from(block[0]) };
            assert!(block.iter().all(|byte| *byte == block[0]), "a block of '{path}' is torn inside");
            if block.len() < BLOCK { shown.to_ascii_lowercase() } else { shown }
        };
        parts.push(format!("{path}:{}", bytes.chunks(BLOCK).map(letter).collect::<String>()));
    }
    parts.sort();
    parts.join(" ")
}

/// Runs `script`, kills the node when it has returned (or after 1 s), and returns the contents of the disk.
fn crash_once<F>(
    seed: u64,
    disk: DiskSpec,
    script: impl Fn(SimEnv) -> F + Copy + Send + Sync + 'static,
) -> DiskImage
where
    F: Future<Output = ()> + Send + 'static,
{
    let main = async move |world: World| {
        let node = world.add_node(NodeSpec { disk, ..NodeSpec::named("node") }, script);
        world.sleep(Duration::from_secs(1)).await;
        world.kill(node);
        world.disk_image(node)
    };
    run_fork(WorldSpec::seeded(seed), main).output
}

/// Returns all outcomes over many seeds.
fn outcomes<F>(script: impl Fn(SimEnv) -> F + Copy + Send + Sync + 'static) -> BTreeSet<String>
where
    F: Future<Output = ()> + Send + 'static,
{
    (0..400).map(|seed| render(&crash_once(seed, DiskSpec::default(), script))).collect()
}

fn set(allowed: &[&str]) -> BTreeSet<String> {
    allowed.iter().map(|text| (*text).to_owned()).collect()
}

async fn create(disk: &SimDisk, path: &str) -> SimFile {
    disk.open(path, OpenMode::CreateNew).await.unwrap()
}

/// Creates a file whose bytes and name are durable.
async fn durable(disk: &SimDisk, path: &str, data: Bytes) -> SimFile {
    let file = create(disk, path).await;
    file.append(data).await.unwrap();
    file.sync().await.unwrap();
    disk.sync_dir(path.rsplit_once('/').map_or("", |(dir, _)| dir)).await.unwrap();
    file
}

#[test]
fn synced_data_survives_a_crash() {
    let seen = outcomes(async |env: SimEnv| {
        durable(env.disk(), "f", blocks(b'A', 3)).await;
    });
    assert_eq!(seen, set(&["f:AAA"]));
}

#[test]
fn any_subset_of_unsynced_appends_survives_and_gaps_read_as_zeros() {
    let seen = outcomes(async |env: SimEnv| {
        let file = durable(env.disk(), "f", blocks(b'A', 1)).await;
        for letter in [b'B', b'C', b'D'] {
            file.append(blocks(letter, 1)).await.unwrap();
        }
    });
    let allowed = ["f:A", "f:AB", "f:A.C", "f:ABC", "f:A..D", "f:AB.D", "f:A.CD", "f:ABCD"];
    assert_eq!(seen, set(&allowed));
}

#[test]
fn a_large_append_is_torn_only_between_blocks() {
    let seen = outcomes(async |env: SimEnv| {
        let file = durable(env.disk(), "f", Bytes::new()).await;
        file.append(blocks(b'A', 3)).await.unwrap();
    });
    let allowed = ["f:", "f:A", "f:AA", "f:AAA", "f:A.A", "f:.A", "f:..A", "f:.AA"];
    assert_eq!(seen, set(&allowed));
}

#[test]
fn an_unaligned_append_is_cut_where_the_file_offset_is_a_multiple_of_the_block() {
    let mut lengths = BTreeSet::new();
    for seed in 0..400 {
        let image = crash_once(seed, DiskSpec::default(), async |env: SimEnv| {
            let file = durable(env.disk(), "f", Bytes::from_static(&[b'A'; 100])).await;
            file.append(blocks(b'A', 2)).await.unwrap();
        });
        lengths.insert(image.file("f").unwrap().len_bytes());
    }
    assert_eq!(lengths, [100, 512, 1_024, 1_124].into());
}

#[test]
fn blocks_of_4_kib_tear_at_4_kib() {
    let mut lengths = BTreeSet::new();
    for seed in 0..200 {
        let disk = DiskSpec { tear_bytes: 4_096, ..DiskSpec::default() };
        let image = crash_once(seed, disk, async |env: SimEnv| {
            let file = durable(env.disk(), "f", Bytes::new()).await;
            file.append(vec![7; 10_000].into()).await.unwrap();
        });
        lengths.insert(image.file("f").unwrap().len_bytes());
    }
    assert_eq!(lengths, [0, 4_096, 8_192, 10_000].into());
}

#[test]
fn an_unsynced_overwrite_leaves_a_mix_of_old_and_new_blocks() {
    let seen = outcomes(async |env: SimEnv| {
        let file = durable(env.disk(), "f", blocks(b'A', 3)).await;
        file.write_at(512, blocks(b'B', 2)).await.unwrap();
    });
    assert_eq!(seen, set(&["f:AAA", "f:ABA", "f:AAB", "f:ABB"]));
}

#[test]
fn an_unsynced_truncation_is_kept_or_lost_in_order_with_what_follows() {
    let seen = outcomes(async |env: SimEnv| {
        let file = durable(env.disk(), "f", blocks(b'A', 2)).await;
        file.truncate(0).await.unwrap();
        file.append(blocks(b'B', 1)).await.unwrap();
    });
    assert_eq!(seen, set(&["f:AA", "f:", "f:BA", "f:B"]));
}

#[test]
fn a_sync_makes_durable_only_operations_pending_at_its_call() {
    let script = async |env: SimEnv| {
        let file = durable(env.disk(), "f", blocks(b'A', 1)).await;
        file.append(blocks(b'B', 1)).await.unwrap();
        let later = async {
            // The sync below has been called, but takes at least half a millisecond.
            file.append(blocks(b'C', 1)).await.unwrap();
        };
        let (synced, ()) = futures_util::future::join(file.sync(), later).await;
        synced.unwrap();
    };
    assert_eq!(outcomes(script), set(&["f:AB", "f:ABC"]));
}

#[test]
fn a_sync_that_has_not_ended_guarantees_nothing() {
    let seen = outcomes(async |env: SimEnv| {
        let file = durable(env.disk(), "f", blocks(b'A', 1)).await;
        file.append(blocks(b'B', 1)).await.unwrap();
        env.clock()
            .sleep(Duration::from_secs(1) - env.clock().monotonic() - Duration::from_micros(100))
            .await;
        file.sync().await.unwrap();
        unreachable!("the node dies before the sync ends");
    });
    assert_eq!(seen, set(&["f:A", "f:AB"]));
}

#[test]
fn the_fixed_crash_policies_are_the_extremes_of_the_drawn_one() {
    let script = async |env: SimEnv| {
        let file = durable(env.disk(), "f", blocks(b'A', 1)).await;
        file.append(blocks(b'B', 1)).await.unwrap();
        create(env.disk(), "g").await;
    };
    for (crash, expected) in [(CrashPolicy::Nothing, "f:A"), (CrashPolicy::Everything, "f:AB g:")] {
        for seed in 0..20 {
            let disk = DiskSpec { crash_policy: crash, ..DiskSpec::default() };
            assert_eq!(render(&crash_once(seed, disk, script)), expected);
        }
    }
}

#[test]
fn a_process_crash_keeps_unsynced_writes_in_the_page_cache_until_a_power_loss() {
    let finished = run_fork(WorldSpec::seeded(1), async |world: World| {
        let node = world.add_node(NodeSpec::named("node"), async |env: SimEnv| {
            if env.incarnation() == 0 {
                let file = durable(env.disk(), "f", blocks(b'A', 1)).await;
                file.append(blocks(b'B', 1)).await.unwrap();
            }
        });
        world.sleep(Duration::from_secs(1)).await;
        let durable = render(&world.durable_image(node));
        world.kill_with_policy(node, CrashPolicy::Everything);
        let after_the_first = render(&world.disk_image(node));
        world.restart(node);
        world.kill_with_policy(node, CrashPolicy::Nothing);
        (durable, after_the_first, render(&world.disk_image(node)))
    });
    assert_eq!(finished.output, ("f:A".to_owned(), "f:AB".to_owned(), "f:A".to_owned()));
}

#[test]
fn a_write_that_fills_the_disk_is_cut_short() {
    let disk = DiskSpec { capacity_bytes: 1_000, ..DiskSpec::default() };
    let image = crash_once(1, disk, async |env: SimEnv| {
        let kind = |result: Result<u64, latent_ports::DiskError>| result.unwrap_err().kind;
        let file = create(env.disk(), "f").await;
        assert_eq!(file.append(vec![1; 600].into()).await.unwrap(), 0);
        assert_eq!(kind(file.append(vec![2; 600].into()).await), DiskErrorKind::NoSpace);
        assert_eq!(file.size_bytes().await.unwrap(), 1_000);
        // Existing bytes can be overwritten; no file grows, and there is no space for a name.
        file.write_at(0, vec![3; 1_000].into()).await.unwrap();
        assert_eq!(file.truncate(1_001).await.unwrap_err().kind, DiskErrorKind::NoSpace);
        let error = env.disk().open("g", OpenMode::Create).await.map(|_| ()).unwrap_err();
        assert_eq!((error.kind, error.path.as_str()), (DiskErrorKind::NoSpace, "g"));
        // Freed space can be used again.
        file.truncate(100).await.unwrap();
        create(env.disk(), "g").await.append(vec![4; 900].into()).await.unwrap();
        for path in ["f", "g"] {
            env.disk().open(path, OpenMode::Read).await.unwrap().sync().await.unwrap();
        }
        env.disk().sync_dir("").await.unwrap();
    });
    assert_eq!(image.len_bytes(), 1_000);
    // A removed file frees its space once no crash can restore it.
    let disk = DiskSpec { capacity_bytes: 1_000, ..DiskSpec::default() };
    crash_once(1, disk, async |env: SimEnv| {
        drop(durable(env.disk(), "f", vec![1; 1_000].into()).await);
        env.disk().remove("f").await.unwrap();
        let error = env.disk().open("g", OpenMode::Create).await.map(|_| ()).unwrap_err();
        assert_eq!(error.kind, DiskErrorKind::NoSpace);
        env.disk().sync_dir("").await.unwrap();
        create(env.disk(), "g").await.append(vec![4; 1_000].into()).await.unwrap();
    });
}

#[test]
fn removing_one_write_does_not_change_the_fate_of_the_others() {
    let with = async |env: SimEnv| {
        for (path, extra) in [("a", true), ("b", false), ("c", false)] {
            if extra {
                create(env.disk(), "extra").await.append(blocks(b'X', 1)).await.unwrap();
            }
            create(env.disk(), path).await.append(blocks(b'A', 2)).await.unwrap();
        }
        env.disk().sync_dir("").await.unwrap();
    };
    let without = async |env: SimEnv| {
        for path in ["a", "b", "c"] {
            create(env.disk(), path).await.append(blocks(b'A', 2)).await.unwrap();
        }
        env.disk().sync_dir("").await.unwrap();
    };
    let mut compared = 0;
    for seed in 0..60 {
        let [with, without] = [
            render(&crash_once(seed, DiskSpec::default(), with)),
            render(&crash_once(seed, DiskSpec::default(), without)),
        ];
        // The crash mode "until an instant" depends on the number of operations; the other modes must not.
        let rest: Vec<&str> = with.split(' ').filter(|part| !part.starts_with("extra")).collect();
        compared += u32::from(rest.join(" ") == without);
    }
    assert!(compared >= 45, "{compared} of 60 crashes did not change the other files");
}
