//! Without faults, the simulated disk behaves like the real one: random sequences of operations give the same results,
//! the same errors and the same files on both.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use bytes::Bytes;
use latent_host::HostDisk;
use latent_ports::{Disk, Env, File, FileType, OpenMode};
use latent_sim::{NodeSpec, SimEnv, World, WorldSpec, run_fork};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::fmt::Debug;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Clone, Debug)]
enum Op {
    /// Opens a file and keeps the handle in a slot.
    Open(usize, String, OpenMode),
    /// Drops the handle.
    Close(usize),
    Append(usize, Vec<u8>),
    WriteAt(usize, u64, Vec<u8>),
    Truncate(usize, u64),
    ReadAt(usize, u64, u64),
    Size(usize),
    Sync(usize),
    CreateDir(String),
    RemoveDir(String),
    Rename(String, String),
    Remove(String),
    List(String),
    SyncDir(String),
}

/// Few names, so that operations collide; one path in 30 is malformed.
fn path() -> impl Strategy<Value = String> {
    let dir = prop::sample::select(vec!["", "d/", "d/", "e/", "d/e/", "a/"]);
    let name = prop::sample::select(vec!["a", "b", "d", "e"]);
    let valid = (dir, name).prop_map(|(dir, name)| format!("{dir}{name}"));
    let long = "n".repeat(256);
    let malformed = ["", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", "a\0b", &long];
    let malformed = prop::sample::select(malformed.map(str::to_owned).to_vec());
    prop_oneof![29 => valid, 1 => malformed]
}

fn op() -> impl Strategy<Value = Op> {
    let slot = || 0_usize..3;
    let offset = || prop_oneof![9 => 0_u64..40, 1 => prop::sample::select(vec![10_000, 70_000, u64::MAX])];
    let data = || prop::collection::vec(any::<u8>(), 0..24);
    let mode = prop::sample::select(vec![
        OpenMode::Read,
        OpenMode::ReadWrite,
        OpenMode::Create,
        OpenMode::CreateNew,
    ]);
    prop_oneof![
        8 => (slot(), path(), mode).prop_map(|(slot, path, mode)| Op::Open(slot, path, mode)),
        1 => slot().prop_map(Op::Close),
        6 => (slot(), data()).prop_map(|(slot, data)| Op::Append(slot, data)),
        4 => (slot(), offset(), data()).prop_map(|(slot, offset, data)| Op::WriteAt(slot, offset, data)),
        3 => (slot(), offset()).prop_map(|(slot, len)| Op::Truncate(slot, len)),
        4 => (slot(), offset(), offset()).prop_map(|(slot, offset, len)| Op::ReadAt(slot, offset, len)),
        2 => slot().prop_map(Op::Size),
        1 => slot().prop_map(Op::Sync),
        6 => path().prop_map(Op::CreateDir),
        3 => path().prop_map(Op::RemoveDir),
        8 => (path(), path()).prop_map(|(from, to)| Op::Rename(from, to)),
        4 => path().prop_map(Op::Remove),
        3 => path().prop_map(Op::List),
        1 => path().prop_map(Op::SyncDir),
    ]
}

/// Files that exist before the random part begins.
fn initial_files() -> Vec<Op> {
    let file = |path: &str| Op::Open(0, path.to_owned(), OpenMode::Create);
    let dir = |path: &str| Op::CreateDir(path.to_owned());
    vec![dir("d"), dir("d/e"), dir("e"), file("a"), file("d/b"), Op::Append(0, b"here before".to_vec())]
}

/// Runs the operations; returns the result of each, then the file tree.
async fn run_ops<D: Disk>(disk: &D, ops: &[Op]) -> Vec<String> {
    let mut slots: [Option<D::File>; 3] = [None, None, None];
    let mut log = Vec::new();
    for op in ops {
        let result = run_op(disk, &mut slots, op).await;
        log.push(format!("{op:?} -> {result}"));
    }
    drop(slots);
    list_tree(disk, &mut log).await;
    log
}

async fn run_op<D: Disk>(disk: &D, slots: &mut [Option<D::File>; 3], op: &Op) -> String {
    fn show<T: Debug>(result: T) -> String {
        format!("{result:?}")
    }
    match op {
        Op::Open(slot, path, mode) => {
            let opened = disk.open(path, *mode).await;
            let shown = show(opened.as_ref().map(|_| ()));
            slots[*slot] = opened.ok().or(slots[*slot].take());
            shown
        }
        Op::Close(slot) => show(slots[*slot].take().is_some()),
        Op::CreateDir(path) => show(disk.create_dir(path).await),
        Op::RemoveDir(path) => show(disk.remove_dir(path).await),
        Op::Rename(from, to) => show(disk.rename(from, to).await),
        Op::Remove(path) => show(disk.remove(path).await),
        Op::List(path) => show(disk.list(path).await),
        Op::SyncDir(path) => show(disk.sync_dir(path).await),
        Op::Append(slot, _)
        | Op::WriteAt(slot, ..)
        | Op::Truncate(slot, _)
        | Op::ReadAt(slot, ..)
        | Op::Size(slot)
        | Op::Sync(slot) => match &slots[*slot] {
            None => "closed".to_owned(),
            Some(file) => on_file(file, op).await,
        },
    }
}

async fn on_file<F: File>(file: &F, op: &Op) -> String {
    match op {
        Op::Append(_, data) => format!("{:?}", file.append(Bytes::copy_from_slice(data)).await),
        Op::WriteAt(_, offset, data) => {
            format!("{:?}", file.write_at(*offset, Bytes::copy_from_slice(data)).await)
        }
        Op::Truncate(_, len) => format!("{:?}", file.truncate(*len).await),
        Op::ReadAt(_, offset, len) => format!("{:?}", file.read_at(*offset, *len).await),
        Op::Sync(_) => format!("{:?}", file.sync().await),
        _ => format!("{:?}", file.size_bytes().await),
    }
}

async fn list_tree<D: Disk>(disk: &D, log: &mut Vec<String>) {
    let mut dirs = vec![String::new()];
    while let Some(dir) = dirs.pop() {
        for entry in disk.list(&dir).await.unwrap() {
            let path = if dir.is_empty() { entry.name } else { format!("{dir}/{}", entry.name) };
            if entry.kind == FileType::Directory {
                log.push(format!("{path}/"));
                dirs.push(path);
                continue;
            }
            let file = disk.open(&path, OpenMode::Read).await.unwrap();
            let bytes = file.read_at(0, u64::MAX).await.unwrap();
            assert_eq!(bytes.len() as u64, file.size_bytes().await.unwrap());
            log.push(format!("{path}: {bytes:?}"));
        }
    }
}

/// Runs each sequence on its own disk, all in one world.
fn run_on_sim(sequences: &[Vec<Op>]) -> Vec<Vec<String>> {
    let logs = Arc::new(Mutex::new(vec![Vec::new(); sequences.len()]));
    let slot = logs.clone();
    run_fork(WorldSpec::seeded(1), async move |world: World| {
        for (index, ops) in sequences.iter().enumerate() {
            let (ops, slot) = (Arc::new(ops.clone()), slot.clone());
            let boot = move |env: SimEnv| {
                let (ops, slot) = (ops.clone(), slot.clone());
                async move {
                    let log = run_ops(env.disk(), &ops).await;
                    slot.lock().unwrap()[index] = log;
                }
            };
            world.add_node(NodeSpec::named(format!("node {index}")), boot);
        }
        world.sleep(Duration::from_secs(10)).await;
    });
    Arc::into_inner(logs).unwrap().into_inner().unwrap()
}

/// Runs each sequence in its own directory below `root`.
fn run_on_host(root: &Path, sequences: &[Vec<Op>]) -> Vec<Vec<String>> {
    let dir = tempfile::tempdir_in(root).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let run_sequence = |(index, ops): (usize, &Vec<Op>)| {
        let root = dir.path().join(index.to_string());
        std::fs::create_dir(&root).unwrap();
        runtime.block_on(async { run_ops(&HostDisk::new(&root).unwrap(), ops).await })
    };
    sequences.iter().enumerate().map(run_sequence).collect()
}

/// Fails at the first operation with two results, and prints the sequence before it.
fn compare(root: &Path, sequences: &[Vec<Op>]) -> Result<(), TestCaseError> {
    for (sim, host) in run_on_sim(sequences).iter().zip(&run_on_host(root, sequences)) {
        prop_assert!(!sim.is_empty(), "the sequence did not come to its end in time");
        let same = sim.iter().zip(host).take_while(|(sim, host)| sim == host).count();
        let before = sim[..same].join("\n");
        prop_assert_eq!(sim.get(same), host.get(same), "sim | host, after\n{}", before);
    }
    Ok(())
}

/// Compares `count` random sequences, in batches that share a world and a runtime.
fn compare_random(root: &Path, count: u32) {
    const BATCH: u32 = 100;
    let sequence = prop::collection::vec(op(), 1..40).prop_map(|ops| [initial_files(), ops].concat());
    let batch = prop::collection::vec(sequence, BATCH as usize);
    let config = ProptestConfig { cases: count.div_ceil(BATCH), ..ProptestConfig::default() };
    let outcome = TestRunner::new(config).run(&batch, |sequences| compare(root, &sequences));
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

/// A few sequences in the default folder for temporary files.
#[test]
fn both_disks_do_the_same() {
    compare_random(&std::env::temp_dir(), 300);
}

/// Number of sequences: `LATENT_DISK_SEQUENCES`, by default 10,000.
#[expect(clippy::disallowed_methods, reason = "the caller sets the number of sequences")]
fn sequences() -> u32 {
    let asked = std::env::var("LATENT_DISK_SEQUENCES").unwrap_or_else(|_| "10000".to_owned());
    let count =
        asked.parse().unwrap_or_else(|_| panic!("LATENT_DISK_SEQUENCES={asked}: write a number like 10000"));
    assert!(count > 0, "LATENT_DISK_SEQUENCES=0: the number must be positive");
    count
}

/// Many sequences where syncs are cheap, if possible: a file system in memory.
#[test]
fn both_disks_do_the_same_ten_thousand_times() {
    let in_memory = Path::new("/dev/shm");
    let root = if in_memory.is_dir() { in_memory.to_owned() } else { std::env::temp_dir() };
    compare_random(&root, sequences());
}

#[test]
fn cases_in_which_file_systems_are_known_to_differ() {
    let path = |path: &str| path.to_owned();
    let create = |slot, name: &str| Op::Open(slot, name.to_owned(), OpenMode::Create);
    let ops = vec![
        Op::CreateDir(path("d")),
        create(0, "d/f"),
        create(1, "g"),
        // Onto a parent directory; into itself; onto itself.
        Op::Rename(path("d/f"), path("d")),
        Op::Rename(path("d"), path("d/x")),
        Op::Rename(path("d"), path("d")),
        Op::Rename(path("g"), path("g")),
        // A file onto a directory, a directory onto a file, onto an empty and a full directory.
        Op::CreateDir(path("e")),
        Op::Rename(path("g"), path("e")),
        Op::Rename(path("e"), path("g")),
        Op::Rename(path("e"), path("d")),
        Op::Rename(path("d"), path("e")),
        Op::List(path("e")),
        // A removed and a replaced file stay readable through their handles.
        Op::Append(0, b"zero".to_vec()),
        Op::Append(1, b"one".to_vec()),
        Op::Rename(path("e/f"), path("g")),
        Op::Append(1, b"more".to_vec()),
        Op::ReadAt(1, 0, 99),
        Op::Remove(path("g")),
        Op::WriteAt(0, 9, b"gap".to_vec()),
        Op::ReadAt(0, 0, 99),
        // An empty write past the end extends nothing.
        Op::WriteAt(0, 99, Vec::new()),
        Op::Size(0),
        // A file used as a directory; a directory used as a file.
        create(2, "h"),
        create(2, "h/i"),
        Op::Open(2, path("e"), OpenMode::Read),
        Op::Open(2, path("e"), OpenMode::ReadWrite),
        Op::Open(2, path("e"), OpenMode::Create),
        Op::Open(2, path("e"), OpenMode::CreateNew),
        Op::Remove(path("e")),
        Op::RemoveDir(path("h")),
        Op::SyncDir(path("h")),
        Op::List(path("h/i")),
        // A read-only handle.
        Op::Open(2, path("h"), OpenMode::Read),
        Op::Append(2, b"no".to_vec()),
        Op::Truncate(2, 0),
        Op::Sync(2),
    ];
    compare(&std::env::temp_dir(), &[ops]).unwrap();
}
