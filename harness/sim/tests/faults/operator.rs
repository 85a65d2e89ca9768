//! Operator mistakes on a machine, observed through the ports, and the same work without them.

use bytes::Bytes;
use latent_ports::{Clock, Disk, DiskErrorKind, Env, File, OpenMode};
use latent_sim::{
    CrashPolicy, Fault, FaultAction, NodeSpec, RemoveDirectory, SimDisk, SimEnv, SimFile, Trigger, World,
    WorldSpec, run_fork,
};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Creates a file of ten durable bytes.
async fn durable(disk: &SimDisk, path: &str) -> SimFile {
    let file = disk.open(path, OpenMode::Create).await.unwrap();
    file.append(Bytes::from_static(b"0123456789")).await.unwrap();
    file.sync().await.unwrap();
    file
}

fn remove(path: &str) -> FaultAction {
    FaultAction::RemoveDirectory(RemoveDirectory { node: "node".into(), path: path.into() })
}

/// Files as a process sees them after a second; it keeps a file of `a/b` open.
#[derive(Debug, Default, PartialEq, Eq)]
struct ObservedFiles {
    open_file_took_a_write: bool,
    by_path: Vec<(&'static str, Result<u64, DiskErrorKind>)>,
}

async fn work(env: SimEnv, observed: Arc<Mutex<ObservedFiles>>) {
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
    *observed.lock().unwrap() = ObservedFiles { open_file_took_a_write, by_path };
}

/// Returns the files as the process saw them, and the paths on the disk after a crash that keeps only durable data.
fn after(fault: Option<FaultAction>) -> (ObservedFiles, Vec<String>) {
    let run = async move |world: World| {
        let observed: Arc<Mutex<ObservedFiles>> = Arc::default();
        let to = observed.clone();
        let node = world.add_node(NodeSpec::named("node"), move |env| {
            let observed = to.clone();
            async move {
                // Only the first boot runs the work; the second finds the rest.
                if env.disk().list("").await.unwrap().is_empty() {
                    work(env, observed).await;
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
        let remaining = image.files().map(|(path, _)| path.to_owned());
        let remaining = remaining.chain(image.directories().map(|path| format!("{path}/"))).collect();
        let observed = std::mem::take(&mut *observed.lock().unwrap());
        (observed, remaining)
    };
    run_fork(WorldSpec::seeded(1), run).output
}

#[test]
fn a_removed_directory_takes_its_contents_and_open_files_survive_unlinked() {
    let (observed, remaining) = after(Some(remove("a/b")));
    let gone = Err(DiskErrorKind::NotFound);
    assert!(observed.open_file_took_a_write);
    assert_eq!(observed.by_path, [("a/b/held", gone), ("a/above", Ok(10)), ("beside", Ok(10))]);
    assert_eq!(remaining, ["a/above", "beside", "a/"]);
}

#[test]
fn the_whole_disk_can_be_removed() {
    let (observed, remaining) = after(Some(remove("")));
    assert!(observed.by_path.iter().all(|(_, len)| len.is_err()), "{observed:?}");
    assert_eq!(remaining, [""; 0]);
}

#[test]
fn removing_no_directory_or_a_missing_one_changes_nothing() {
    for fault in [None, Some(remove("a/c")), Some(remove("beside"))] {
        let (observed, remaining) = after(fault);
        assert_eq!(observed.by_path, [("a/b/held", Ok(15)), ("a/above", Ok(10)), ("beside", Ok(10))]);
        assert_eq!(remaining, ["a/above", "a/b/held", "beside", "a/", "a/b/"]);
    }
}
