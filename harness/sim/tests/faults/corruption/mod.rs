//! Silent disk faults: each fault observed through the ports, and the same work without it.
//!
//! Here: what all of them share. Each family has a file.

mod bit_rot;
mod garbage_tails;
mod latent_sector;
mod writes;

use crate::support::script::{durable, of, ready, run};
use bytes::Bytes;
use latent_ports::{Clock, Disk, DiskErrorKind, Env, File, OpenMode};
use latent_sim::{
    BitRot, CrashPolicy, DiskImage, Fault, FaultAction, LatentSector, LostWrite, MisdirectedWrite, NodeSpec,
    SimEnv, SimFile, Trigger, World, WorldSpec, run_fork,
};
use std::collections::BTreeSet;
use std::time::Duration;

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
fn a_corrupted_file_still_shows_what_was_written() {
    let script = async |env: SimEnv| {
        let file = durable(env.disk(), "d", varied(LEN)).await;
        ready(&env);
        // Refused where the last block cannot be read.
        let appended = file.append(of(b'+', 600)).await;
        assert!(appended.is_ok() || appended.unwrap_err().kind == DiskErrorKind::Io);
        file.sync().await.unwrap();
    };
    let written = [&varied(LEN)[..], &[b'+'; 600]].concat();
    for fault in [latent_sector("d", 1), bit_rot("d", 1, 40)] {
        let left = run(1, &[fault], CrashPolicy::Nothing, script).left;
        let file = left.file("d").unwrap();
        assert!(file.is_corrupted() && (file.has_unreadable() || !written.starts_with(&file.bytes())));
        assert_eq!(file.chunks_as_written().concat(), written[..usize::try_from(file.len_bytes()).unwrap()]);
    }
    let mut overwritten = 0;
    for pick in 0..30 {
        let left = run(1, &[misdirected("f", pick)], CrashPolicy::Nothing, write_twice).left;
        for (path, letter, len) in [("bystander", b'B', 3 * BLOCK as usize), ("g", b'G', 10)] {
            let file = left.file(path).unwrap();
            overwritten += usize::from(file.is_corrupted());
            assert_eq!(
                file.chunks_as_written().concat()[..len],
                of(letter, len)[..],
                "{path} of pick {pick}"
            );
        }
    }
    assert!(overwritten > 0);
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
