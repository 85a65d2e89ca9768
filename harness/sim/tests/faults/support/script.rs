//! One node that works on its disk under faults, and then loses power.

use bytes::Bytes;
use latent_ports::{Disk, DiskError, DiskErrorKind, Env, File, Mark, OpenMode};
use latent_sim::{
    CrashPolicy, DiskImage, Fault, FaultAction, FaultOutcome, NodeSpec, SimDisk, SimEnv, SimFile, Trigger,
    World, WorldSpec, run_fork,
};
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub mod marks {
    latent_ports::marks! {
        /// The script is ready for its faults.
        READY = "ready";
    }
}

/// Name of the node.
pub const NODE: &str = "node";

/// Outcome of a run.
pub struct ScriptOutcome<T> {
    /// Return value of the script.
    pub output: T,
    /// Contents that reads saw before the crash.
    pub seen: DiskImage,
    /// Contents after the crash.
    pub left: DiskImage,
    /// Outcomes of the faults.
    pub faults: Vec<FaultOutcome>,
}

/// Reaches the mark that triggers the faults.
pub fn ready(env: &SimEnv) {
    env.mark(Mark { name: marks::READY, subject: "" });
}

/// Runs `script` under faults that trigger when it is ready, and ends in a crash with the policy `keeps`.
pub fn run<T, F>(
    seed: u64,
    faults: &[FaultAction],
    keeps: CrashPolicy,
    script: impl Fn(SimEnv) -> F + Copy + Send + Sync + 'static,
) -> ScriptOutcome<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let output = Arc::new(Mutex::new(None));
    let slot = output.clone();
    let faults = faults.to_vec();
    let finished = run_fork(WorldSpec::seeded(seed), async move |world: World| {
        for action in faults {
            let trigger = Trigger::Mark { name: marks::READY.into(), n: 1, node: None, after_ms: 0 };
            world.arm(Fault { trigger, action });
        }
        let node = world.add_node(NodeSpec::named(NODE), move |env| {
            let slot = slot.clone();
            async move {
                let output = script(env).await;
                *slot.lock().unwrap() = Some(output);
            }
        });
        world.sleep(Duration::from_secs(60)).await;
        let seen = world.disk_image(node);
        world.kill_with_policy(node, keeps);
        (seen, world.disk_image(node))
    });
    let (seen, left) = finished.output;
    let output = output.lock().unwrap().take().expect("the script came to its end");
    ScriptOutcome { output, seen, left, faults: finished.fault_outcomes }
}

/// Returns a result with the kind of its error.
pub fn kind<T>(result: Result<T, DiskError>) -> Result<T, DiskErrorKind> {
    result.map_err(|error| error.kind)
}

/// Returns `len` bytes of one letter.
pub fn of(letter: u8, len: usize) -> Bytes {
    vec![letter; len].into()
}

/// Creates a file whose bytes and name are durable; its name may exist already.
pub async fn durable(disk: &SimDisk, path: &str, data: Bytes) -> SimFile {
    let file = disk.open(path, OpenMode::Create).await.unwrap();
    file.append(data).await.unwrap();
    file.sync().await.unwrap();
    disk.sync_dir("").await.unwrap();
    file
}
