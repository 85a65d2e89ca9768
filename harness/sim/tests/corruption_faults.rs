//! Silent disk faults: each fault observed through the ports, and the same work without it.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use bytes::Bytes;
use latent_ports::{Clock, Disk, DiskErrorKind, Env, File, OpenMode, read_full};
use latent_sim::{
    BitRot, CrashPolicy, DiskImage, Fault, FaultAction, GarbageTails, LatentSector, LostWrite,
    MisdirectedWrite, NodeSpec, SimEnv, SimFile, Trigger, World, WorldSpec, run_fork,
};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::{durable, of, ready, run};

const BLOCK: u64 = 4_096;
/// Four blocks and 100 bytes.
const LEN: u64 = 4 * BLOCK + 100;

fn latent_sector(prefix: &str, pick: u64) -> FaultAction {
    FaultAction::LatentSector(LatentSector { node: "node".into(), path_prefix: prefix.into(), pick })
}

fn bit_rot(prefix: &str, pick: u64, bits: u32) -> FaultAction {
    FaultAction::BitRot(BitRot { node: "node".into(), path_prefix: prefix.into(), pick, bits })
}

fn misdirected(prefix: &str, pick: u64) -> FaultAction {
    FaultAction::MisdirectedWrite(MisdirectedWrite { node: "node".into(), path_prefix: prefix.into(), pick })
}

fn lost_write(prefix: &str, times: u32) -> FaultAction {
    FaultAction::LostWrite(LostWrite { node: "node".into(), path_prefix: prefix.into(), times })
}

/// Returns bytes that differ between and within blocks.
fn varied(len: u64) -> Bytes {
    (0..len).map(|at| u8::try_from((at / BLOCK * 7 + at) % 251).unwrap()).collect::<Vec<_>>().into()
}

/// Returns the unreadable blocks of the file.
async fn unreadable_blocks(file: &SimFile) -> Vec<u64> {
    let mut bad = Vec::new();
    for block in 0..file.size_bytes().await.unwrap().div_ceil(BLOCK) {
        match file.read_at(block * BLOCK, BLOCK).await {
            Ok(bytes) => assert!(!bytes.is_empty()),
            Err(error) => {
                assert_eq!(error.kind, DiskErrorKind::Io);
                bad.push(block);
            }
        }
    }
    bad
}

async fn latent(env: SimEnv) -> Vec<u64> {
    let file = durable(env.disk(), "d", varied(LEN)).await;
    durable(env.disk(), "other", varied(LEN)).await;
    ready(&env);
    let bad = unreadable_blocks(&file).await;
    if let [block] = bad[..] {
        let start = block * BLOCK;
        let end = LEN.min(start + BLOCK);
        // Exactly the reads that overlap the block fail.
        assert!(file.read_at(0, LEN).await.is_err() && file.read_at(end - 1, 1).await.is_err());
        assert_eq!(read_full(&file, 0, start).await.unwrap(), varied(LEN).slice(..start as usize));
        assert_eq!(read_full(&file, end, LEN).await.unwrap(), varied(LEN).slice(end as usize..));
        // The block stays unreadable after a rename.
        env.disk().rename("d", "e").await.unwrap();
        env.disk().sync_dir("").await.unwrap();
        let renamed = env.disk().open("e", OpenMode::Read).await.unwrap();
        assert_eq!(unreadable_blocks(&renamed).await, bad);
        // A partial write of the block would have to read the rest.
        assert_eq!(file.write_at(start + 1, of(b'P', 2)).await.unwrap_err().kind, DiskErrorKind::Io);
    }
    bad
}

#[test]
fn a_latent_sector_makes_one_block_unreadable_across_crashes_and_forks() {
    let mut hit = BTreeSet::new();
    for pick in 0..40 {
        let ran = run(1, &[latent_sector("d", pick)], CrashPolicy::Drawn, latent);
        let [block] = ran.output[..] else { panic!("{:?}", ran.output) };
        let range = block * BLOCK..LEN.min((block + 1) * BLOCK);
        for image in [&ran.seen, &ran.left] {
            let file = image.file("e").unwrap();
            assert_eq!(file.unreadable(), std::slice::from_ref(&range));
            assert_eq!(file.bytes(), varied(LEN), "an image includes unreadable bytes");
        }
        assert!(ran.left.file("other").unwrap().unreadable().is_empty());
        assert_eq!(boot_from(ran.left, "e"), [block], "a node that boots from the image cannot read it");
        hit.insert(block);
    }
    assert_eq!(hit.len(), 5, "any block may be hit");
    let ran = run(1, &[], CrashPolicy::Drawn, latent);
    assert_eq!(ran.output, [0; 0]);
    assert!(ran.left.files().all(|(_, file)| file.unreadable().is_empty()));
}

/// Returns the blocks of a file that a node of another world cannot read.
fn boot_from(image: DiskImage, path: &'static str) -> Vec<u64> {
    let bad = Arc::new(Mutex::new(Vec::new()));
    let slot = bad.clone();
    run_fork(WorldSpec::seeded(2), async move |world: World| {
        let spec = NodeSpec { image: Some(image), ..NodeSpec::named("fork") };
        world.add_node(spec, move |env: SimEnv| {
            let slot = slot.clone();
            async move {
                let file = env.disk().open(path, OpenMode::Read).await.unwrap();
                let bad = unreadable_blocks(&file).await;
                *slot.lock().unwrap() = bad;
            }
        });
        world.sleep(Duration::from_secs(1)).await;
    });
    Arc::into_inner(bad).unwrap().into_inner().unwrap()
}

#[test]
fn a_latent_sector_is_repaired_by_overwrite_truncation_or_removal() {
    let overwritten = async |env: SimEnv| {
        let file = durable(env.disk(), "d", varied(LEN)).await;
        ready(&env);
        let bad = unreadable_blocks(&file).await;
        file.write_at(bad[0] * BLOCK, of(b'W', BLOCK as usize)).await.unwrap();
        assert_eq!(unreadable_blocks(&file).await, [0; 0]);
        file.sync().await.unwrap();
        bad
    };
    let ran = run(1, &[latent_sector("d", 3)], CrashPolicy::Nothing, overwritten);
    assert!(ran.left.file("d").unwrap().unreadable().is_empty());
    let ran = run(1, &[latent_sector("d", 3)], CrashPolicy::Nothing, async |env: SimEnv| {
        let file = durable(env.disk(), "d", varied(LEN)).await;
        ready(&env);
        let bad = unreadable_blocks(&file).await;
        file.write_at(bad[0] * BLOCK, of(b'W', BLOCK as usize)).await.unwrap();
    });
    assert_eq!(ran.left.file("d").unwrap().unreadable().len(), 1, "a lost overwrite repairs nothing");
    let truncated = async |env: SimEnv| {
        let file = durable(env.disk(), "d", varied(LEN)).await;
        ready(&env);
        let bad = unreadable_blocks(&file).await;
        file.truncate(bad[0] * BLOCK).await.unwrap();
        file.truncate(LEN).await.unwrap();
        assert_eq!(unreadable_blocks(&file).await, [0; 0]);
        env.disk().remove("d").await.unwrap();
        let file = durable(env.disk(), "d", varied(LEN)).await;
        unreadable_blocks(&file).await
    };
    assert_eq!(run(1, &[latent_sector("d", 3)], CrashPolicy::Drawn, truncated).output, [0; 0]);
}

#[test]
fn an_additional_file_changes_the_corrupted_block_only_to_one_of_its_own() {
    let without = async |env: SimEnv| {
        for path in ["a", "b", "c"] {
            durable(env.disk(), path, varied(10 * BLOCK)).await;
        }
        ready(&env);
    };
    let with = async |env: SimEnv| {
        durable(env.disk(), "aa", varied(10 * BLOCK)).await;
        for path in ["a", "b", "c"] {
            durable(env.disk(), path, varied(10 * BLOCK)).await;
        }
        ready(&env);
    };
    let bad = |image: &DiskImage| -> Vec<_> {
        image
            .files()
            .map(|(path, file)| (path.to_owned(), file.unreadable()))
            .filter(|bad| !bad.1.is_empty())
            .collect()
    };
    let mut moved = 0;
    for pick in 0..60 {
        let faults = [latent_sector("", pick)];
        let [with, without] =
            [run(1, &faults, CrashPolicy::Nothing, with), run(1, &faults, CrashPolicy::Nothing, without)]
                .map(|ran| bad(&ran.left));
        if with != without {
            assert_eq!(with[0].0, "aa");
            moved += 1;
        }
    }
    assert!((5..30).contains(&moved), "{moved} of 60: a quarter of the bytes are new");
}

#[test]
fn bit_rot_flips_the_given_number_of_nearby_bits_of_one_file_durably() {
    let script = async |env: SimEnv| {
        let file = durable(env.disk(), "d", varied(LEN)).await;
        durable(env.disk(), "other", varied(LEN)).await;
        ready(&env);
        read_full(&file, 0, LEN).await.unwrap()
    };
    let mut places = BTreeSet::new();
    for (pick, bits) in (0..30).zip([1, 2, 8, 100].into_iter().cycle()) {
        let ran = run(1, &[bit_rot("d", pick, bits)], CrashPolicy::Drawn, script);
        assert_eq!(ran.left.read("d").unwrap(), ran.output, "reads return the durable bytes");
        assert_eq!(ran.left.read("other").unwrap(), varied(LEN));
        let good = varied(LEN);
        let flipped: Vec<(usize, u32)> = (0..LEN as usize)
            .map(|at| (at, (good[at] ^ ran.output[at]).count_ones()))
            .filter(|(_, bits)| *bits > 0)
            .collect();
        assert_eq!(flipped.iter().map(|(_, bits)| bits).sum::<u32>(), bits);
        assert!(flipped.last().unwrap().0 - flipped[0].0 < 64);
        places.insert(flipped[0].0);
    }
    assert!(places.len() > 25, "{places:?}");
    assert_eq!(run(1, &[], CrashPolicy::Drawn, script).output, varied(LEN));
}

#[test]
fn bit_rot_does_not_affect_other_disks_or_older_images() {
    let finished = run_fork(WorldSpec::seeded(1), async |world: World| {
        let body = varied(LEN);
        let boot = move |env: SimEnv| {
            let body = body.clone();
            async move {
                durable(env.disk(), "d", body.clone()).await;
                env.clock().sleep(Duration::from_secs(10)).await;
                // Copies of the good and of the rotten bytes, in separate buffers.
                let rotten =
                    env.disk().open("d", OpenMode::Read).await.unwrap().read_at(0, LEN).await.unwrap();
                durable(env.disk(), "good again", body.to_vec().into()).await;
                durable(env.disk(), "rotten again", rotten.to_vec().into()).await;
            }
        };
        let nodes = ["node", "peer"].map(|name| world.add_node(NodeSpec::named(name), boot.clone()));
        world.sleep(Duration::from_secs(5)).await;
        let before = world.disk_image(nodes[0]);
        world.arm(Fault { trigger: Trigger::AtMs(world.now().0), action: bit_rot("d", 1, 1) });
        world.sleep(Duration::from_secs(10)).await;
        (before, nodes.map(|node| world.durable_image(node)))
    });
    let (before, [node, peer]) = finished.output;
    assert_eq!(before.read("d").unwrap(), varied(LEN));
    assert_ne!(node.read("d").unwrap(), varied(LEN));
    assert_eq!(node.read("rotten again"), node.read("d"));
    assert_eq!(node.read("good again").unwrap(), varied(LEN));
    for path in ["d", "good again", "rotten again"] {
        assert_eq!(peer.read(path).unwrap(), varied(LEN), "{path}");
    }
}

#[test]
fn an_unsynced_overwrite_hides_bit_rot_and_repairs_it_when_synced() {
    let script = async |env: SimEnv| {
        let file = durable(env.disk(), "d", varied(BLOCK)).await;
        file.write_at(0, of(b'W', BLOCK as usize)).await.unwrap();
        ready(&env);
        file.read_at(0, BLOCK).await.unwrap()
    };
    let ran = run(1, &[bit_rot("d", 1, 1)], CrashPolicy::Nothing, script);
    assert_eq!(ran.output, of(b'W', BLOCK as usize));
    assert_ne!(ran.left.read("d").unwrap(), varied(BLOCK), "the rotten block was below it");
    let ran = run(1, &[bit_rot("d", 1, 1)], CrashPolicy::Everything, script);
    assert_eq!(ran.left.read("d").unwrap(), of(b'W', BLOCK as usize));
}

/// Overwrites a block of `f` and appends to `g`, both synced, on a disk with a third file.
async fn write_twice(env: SimEnv) {
    durable(env.disk(), "bystander", of(b'B', 3 * BLOCK as usize)).await;
    let f = durable(env.disk(), "f", of(b'F', 2 * BLOCK as usize)).await;
    let g = durable(env.disk(), "g", of(b'G', 10)).await;
    ready(&env);
    f.write_at(0, of(b'1', BLOCK as usize)).await.unwrap();
    g.append(of(b'2', 600)).await.unwrap();
    f.sync().await.unwrap();
    g.sync().await.unwrap();
}

fn count(image: &DiskImage, letter: u8) -> usize {
    image.files().map(|(_, file)| file.bytes().iter().filter(|byte| **byte == letter).count()).sum()
}

#[test]
fn a_misdirected_write_overwrites_another_block_instead_of_its_own() {
    let mut victims = BTreeSet::new();
    for pick in 0..30 {
        let left = run(1, &[misdirected("f", pick)], CrashPolicy::Nothing, write_twice).left;
        let f = left.read("f").unwrap();
        assert!(f[..BLOCK as usize].iter().all(|byte| *byte == b'F'), "its own location keeps the old bytes");
        let came_down = count(&left, b'1');
        let hit = [("bystander", 3 * BLOCK), ("f", 2 * BLOCK), ("g", 610)].iter().find(|(path, len)| {
            let bytes = left.read(path).unwrap();
            assert_eq!(bytes.len() as u64, *len, "no length changes");
            bytes.contains(&b'1')
        });
        let (victim, _) = hit.expect("another place was overwritten");
        // At that instant, ten bytes of `g` were durable.
        assert_eq!(came_down, if *victim == "g" { 10 } else { BLOCK as usize });
        victims.insert(*victim);
        assert_eq!(count(&left, b'2'), 600, "only the next write is misdirected");
    }
    assert_eq!(victims, BTreeSet::from(["bystander", "f", "g"]));
    let left = run(1, &[], CrashPolicy::Nothing, write_twice).left;
    assert_eq!((count(&left, b'1'), count(&left, b'B')), (BLOCK as usize, 3 * BLOCK as usize));
}

#[test]
fn a_misdirected_append_extends_its_file_with_zeros() {
    let ran = run(1, &[misdirected("g", 1)], CrashPolicy::Nothing, write_twice);
    let g = [of(b'G', 10), of(0, 600)].concat();
    assert_eq!(ran.seen.read("g").unwrap(), g);
    assert_eq!(ran.left.read("g").unwrap(), g);
    assert_eq!(count(&ran.left, b'2'), 600);
    let left = run(1, &[], CrashPolicy::Nothing, write_twice).left;
    assert_eq!(left.read("g").unwrap(), [of(b'G', 10), of(b'2', 600)].concat());
}

#[test]
fn a_lost_write_is_visible_and_synced_and_missing_after_the_next_crash() {
    let script = async |env: SimEnv| {
        let file = durable(env.disk(), "f", of(b'O', 4)).await;
        ready(&env);
        file.append(of(b'1', 2)).await.unwrap();
        file.write_at(0, of(b'2', 2)).await.unwrap();
        file.append(of(b'3', 2)).await.unwrap();
        file.sync().await.unwrap();
        read_full(&file, 0, 99).await.unwrap()
    };
    for keeps in [CrashPolicy::Nothing, CrashPolicy::Drawn, CrashPolicy::Everything] {
        for (times, left) in
            [(0, "22OO1133"), (1, "22OO\0\x0033"), (2, "OOOO\0\x0033"), (3, "OOOO"), (9, "OOOO")]
        {
            let ran = run(1, &[lost_write("f", times)], keeps, script);
            assert_eq!(ran.output, "22OO1133");
            assert_eq!(ran.left.read("f").unwrap(), left, "{times} lost, {keeps:?}");
        }
    }
    assert_eq!(
        run(1, &[lost_write("elsewhere", 9)], CrashPolicy::Nothing, script).left.read("f").unwrap(),
        "22OO1133"
    );
}

/// Returns the paths of the files that an image marks as corrupted.
fn corrupted_paths(image: &DiskImage) -> Vec<&str> {
    image.files().filter(|(_, file)| file.is_corrupted()).map(|(path, _)| path).collect()
}

#[test]
fn every_corruption_marks_exactly_the_files_that_it_affects() {
    for (fault, affected) in
        [(latent_sector("bystander", 1), "bystander"), (bit_rot("g", 1, 1), "g"), (lost_write("f", 1), "f")]
    {
        let ran = run(1, &[fault], CrashPolicy::Nothing, write_twice);
        assert_eq!(
            (corrupted_paths(&ran.seen), corrupted_paths(&ran.left)),
            (vec![affected], vec![affected])
        );
    }
    let mut astray = BTreeSet::new();
    for pick in 0..30 {
        let left = run(1, &[misdirected("f", pick)], CrashPolicy::Nothing, write_twice).left;
        assert!(corrupted_paths(&left).contains(&"f"), "its own location lacks the write");
        astray.extend(corrupted_paths(&left).iter().map(|path| (*path).to_owned()));
    }
    assert_eq!(astray.len(), 3, "{astray:?}");
    assert!(corrupted_paths(&run(1, &[], CrashPolicy::Nothing, write_twice).left).is_empty());
}

#[test]
fn the_corruption_mark_follows_the_file_not_its_name_or_a_copy() {
    let script = async |env: SimEnv| {
        let disk = env.disk();
        durable(disk, "d", varied(LEN)).await;
        ready(&env);
        disk.rename("d", "moved").await.unwrap();
        let rotten = disk.open("moved", OpenMode::Read).await.unwrap().read_at(0, LEN).await.unwrap();
        durable(disk, "d", rotten.to_vec().into()).await;
        disk.sync_dir("").await.unwrap();
    };
    let ran = run(1, &[bit_rot("d", 1, 1)], CrashPolicy::Nothing, script);
    assert_eq!(corrupted_paths(&ran.left), ["moved"]);
}

/// Returns the outcomes of crashes with three un-synced appends of a block each after a durable one.
fn after_crashes(faults: &[FaultAction]) -> BTreeSet<String> {
    let script = async |env: SimEnv| {
        let file = durable(env.disk(), "f", of(b'A', 512)).await;
        ready(&env);
        for letter in [b'B', b'C', b'D'] {
            file.append(of(letter, 512)).await.unwrap();
        }
    };
    let letter = |block: &[u8]| match block {
        _ if block.iter().all(|byte| *byte == block[0]) && block[0] == 0 => '.',
        _ if block.iter().all(|byte| *byte == block[0]) => char::from(block[0]),
        _ => '#',
    };
    let left = |seed| {
        let bytes = run(seed, faults, CrashPolicy::Drawn, script).left.read("f").unwrap();
        bytes.chunks(512).map(letter).collect::<String>()
    };
    (0..400).map(left).collect()
}

#[test]
fn lost_extensions_leave_garbage_while_the_fault_is_active() {
    let zeros = ["A", "AB", "A.C", "ABC", "A..D", "AB.D", "A.CD", "ABCD"].map(str::to_owned);
    assert_eq!(after_crashes(&[]), BTreeSet::from(zeros.clone()));
    let garbage = FaultAction::GarbageTails(GarbageTails { node: "node".into(), for_ms: None });
    let left = after_crashes(&[garbage]);
    assert!(left.iter().all(|left| left.starts_with('A') && !left.contains('.')), "{left:?}");
    for expected in ["A", "ABCD", "A#C", "A##D", "A#", "A##", "A###", "AB#", "ABC#", "AB#D"] {
        assert!(left.contains(expected), "{expected} is not in {left:?}");
    }
    // The fault ended long before the crash.
    let garbage = FaultAction::GarbageTails(GarbageTails { node: "node".into(), for_ms: Some(1_000) });
    assert_eq!(after_crashes(&[garbage]), BTreeSet::from(zeros));
}

#[test]
fn a_gap_left_by_the_program_stays_zeros_despite_garbage_tails() {
    let script = async |env: SimEnv| {
        let file = durable(env.disk(), "f", of(b'A', 10)).await;
        ready(&env);
        file.write_at(20, of(b'B', 10)).await.unwrap();
        file.truncate(40).await.unwrap();
        file.sync().await.unwrap();
    };
    let garbage = FaultAction::GarbageTails(GarbageTails { node: "node".into(), for_ms: None });
    for seed in 0..20 {
        let left = run(seed, std::slice::from_ref(&garbage), CrashPolicy::Drawn, script).left;
        let expected = [of(b'A', 10), of(0, 10), of(b'B', 10), of(0, 10)].concat();
        assert_eq!(left.read("f").unwrap(), expected);
    }
}

#[test]
fn corruption_of_a_disk_without_files_triggers_and_does_nothing() {
    let faults =
        [latent_sector("", 1), bit_rot("", 1, 9), latent_sector("missing", 2), bit_rot("missing", 2, 9)];
    let script = async |env: SimEnv| {
        ready(&env);
        durable(env.disk(), "f", of(b'F', 10)).await;
    };
    let ran = run(1, &faults, CrashPolicy::Nothing, script);
    assert_eq!(ran.left.read("f").unwrap(), of(b'F', 10));
    assert!(ran.left.file("f").unwrap().unreadable().is_empty());
    assert!(ran.faults.iter().all(|fault| fault.triggered_at.is_some()));
    // On an otherwise empty disk, a misdirected write goes to free space.
    let ran = run(1, &[misdirected("", 1)], CrashPolicy::Nothing, script);
    assert_eq!(ran.left.read("f").unwrap(), of(0, 10));
}

#[test]
fn after_the_end_of_faults_corruption_stays_and_pending_faults_are_dropped() {
    let finished = run_fork(WorldSpec::seeded(1), async |world: World| {
        let node = world.add_node(NodeSpec::named("node"), async |env: SimEnv| {
            if env.incarnation() == 0 {
                durable(env.disk(), "d", varied(LEN)).await;
                env.clock().sleep(Duration::from_secs(10)).await;
                durable(env.disk(), "late", of(b'L', 10)).await;
            }
        });
        world.sleep(Duration::from_secs(5)).await;
        let now = Trigger::AtMs(world.now().0);
        for action in [latent_sector("d", 1), bit_rot("d", 2, 3), lost_write("", 9), misdirected("", 1)] {
            world.arm(Fault { trigger: now.clone(), action });
        }
        world.sleep(Duration::from_secs(1)).await;
        world.end_faults();
        world.sleep(Duration::from_secs(10)).await;
        world.kill_with_policy(node, CrashPolicy::Nothing);
        world.disk_image(node)
    });
    let left = finished.output;
    assert_eq!(left.read("late").unwrap(), of(b'L', 10));
    assert_eq!(left.file("d").unwrap().unreadable().len(), 1);
    assert_ne!(left.read("d").unwrap(), varied(LEN));
}
