//! What people do to a machine by mistake, seen through the ports, and the same work without it.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use bytes::Bytes;
use latent_ports::{Clock, Disk, DiskErrorKind, Env, File, OpenMode};
use latent_sim::{
    CrashPolicy, Fault, FaultAction, NodeSpec, RemoveDirectory, SimDisk, SimEnv, SimFile, Trigger, World,
    WorldSpec, run_fork,
};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Ten durable bytes.
async fn durable(disk: &SimDisk, path: &str) -> SimFile {
    let file = disk.open(path, OpenMode::Create).await.unwrap();
    file.append(Bytes::from_static(b"0123456789")).await.unwrap();
    file.sync().await.unwrap();
    file
}

fn remove(path: &str) -> FaultAction {
    FaultAction::RemoveDirectory(RemoveDirectory { node: "node".into(), path: path.into() })
}

/// What a process saw of its disk after a second, with a file of `a/b` open all the while.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    open_file_took_a_write: bool,
    by_path: Vec<(&'static str, Result<u64, DiskErrorKind>)>,
}

async fn work(env: SimEnv, seen: Arc<Mutex<Seen>>) {
    let disk = env.disk();
    disk.create_dir("a").await.unwrap();
    disk.create_dir("a/b").await.unwrap();
    let held = durable(disk, "a/b/held").await;
    durable(disk, "a/above").await;
    durable(disk, "beside").await;
    for dir in ["", "a", "a/b"] {
        disk.sync_dir(dir).await.unwrap();
    }
    env.clock().sleep(Duration::from_secs(2)).await;
    let open_file_took_a_write =
        held.append(Bytes::from_static(b"more!")).await.is_ok() && held.sync().await.is_ok();
    let mut by_path = Vec::new();
    for path in ["a/b/held", "a/above", "beside"] {
        let len = match disk.open(path, OpenMode::Read).await {
            Ok(file) => file.size_bytes().await.map_err(|error| error.kind),
            Err(error) => Err(error.kind),
        };
        by_path.push((path, len));
    }
    *seen.lock().unwrap() = Seen { open_file_took_a_write, by_path };
}

/// What the process saw, and what is on the disk after a crash that keeps only what is durable.
fn after(fault: Option<FaultAction>) -> (Seen, Vec<String>) {
    let run = async move |world: World| {
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let to = seen.clone();
        let node = world.add_node(NodeSpec::named("node"), move |env| {
            let seen = to.clone();
            async move {
                // Only the first boot works; the second finds what is left.
                if env.disk().list("").await.unwrap().is_empty() {
                    work(env, seen).await;
                }
            }
        });
        world.sleep(Duration::from_secs(1)).await;
        if let Some(action) = fault {
            world.arm(Fault { trigger: Trigger::AtMs(0), action });
        }
        world.sleep(Duration::from_secs(3)).await;
        world.kill_with_policy(node, CrashPolicy::Nothing);
        let image = world.disk_image(node);
        let left = image.files().map(|(path, _)| path.to_owned());
        let left = left.chain(image.directories().map(|path| format!("{path}/"))).collect();
        let seen = std::mem::take(&mut *seen.lock().unwrap());
        (seen, left)
    };
    run_fork(WorldSpec::seeded(1), run).output
}

#[test]
fn a_removed_directory_is_gone_with_all_below_and_open_files_live_on_without_a_name() {
    let (seen, left) = after(Some(remove("a/b")));
    let gone = Err(DiskErrorKind::NotFound);
    assert!(seen.open_file_took_a_write);
    assert_eq!(seen.by_path, [("a/b/held", gone), ("a/above", Ok(10)), ("beside", Ok(10))]);
    assert_eq!(left, ["a/above", "beside", "a/"]);
}

#[test]
fn the_whole_disk_can_be_removed() {
    let (seen, left) = after(Some(remove("")));
    assert!(seen.by_path.iter().all(|(_, len)| len.is_err()), "{seen:?}");
    assert_eq!(left, [""; 0]);
}

#[test]
fn without_it_and_where_there_is_no_such_directory_everything_stays() {
    for fault in [None, Some(remove("a/c")), Some(remove("beside"))] {
        let (seen, left) = after(fault);
        assert_eq!(seen.by_path, [("a/b/held", Ok(15)), ("a/above", Ok(10)), ("beside", Ok(10))]);
        assert_eq!(left, ["a/above", "a/b/held", "beside", "a/", "a/b/"]);
    }
}
