//! The ports in a seeded, simulated world, on madsim.
//!
//! Modelled: a virtual clock and one inaccurate wall clock per node; disks that lose un-synced data; links with
//! latency, loss, bandwidth and cuts; processes that die, pause and restart; and a trace of all of it, whose rolling
//! hash is the run's identity. Not modelled: CPU time (code takes no virtual time), memory limits, and the TCP state
//! machine (a call is one datagram each way).
//!
//! madsim provides the executor, the virtual clock and the life cycle of nodes. Its file system, network and random
//! numbers are not used.
//!
//! ```
//! use latent_ports::{Disk, Env, File, OpenMode};
//! use latent_sim::{NodeSpec, WorldSpec, run_world};
//! use std::time::Duration;
//!
//! let finished = run_world(WorldSpec::seeded(1), async |world| {
//!     let node = world.add_node(NodeSpec::named("writer"), async |env: latent_sim::SimEnv| {
//!         let file = env.disk().open("log", OpenMode::Create).await.expect("empty disk");
//!         file.append("hello".into()).await.expect("space");
//!     });
//!     world.sleep(Duration::from_secs(1)).await;
//!     world.disk_image(node).read("log")
//! });
//! assert_eq!(finished.output.as_deref(), Some(b"hello".as_slice()));
//! ```

#[cfg(not(madsim))]
compile_error!(
    "latent-sim needs --cfg madsim, which .cargo/config.toml sets; a RUSTFLAGS variable in the environment \
     overrides that file: unset RUSTFLAGS, or add `--cfg madsim` to it"
);

mod clock;
mod disk;
mod env;
mod faults;
mod lock;
mod net;
mod node;
mod op_kind;
mod panic_guard;
mod prng;
mod run;
mod slab;
mod timers;
mod trace;
mod world;

pub use clock::{ClockSpec, SimClock};
pub use disk::{
    CrashPolicy, DiskImage, DiskSpec, DiskStats, FileImage, ReadsAfterFailedSync, SimDisk, SimFile,
};
pub use env::SimEnv;
pub use faults::{
    BitRot, CallPart, ClockDrift, ClockStep, Condition, CrashLoop, CutLink, DegradeLink, DiskError, DiskFull,
    Fault, FaultAction, FaultOutcome, Flap, GarbageTails, Isolate, Kill, LatentSector, LoseMessage,
    LostWrite, MisdirectedWrite, NewDisk, Partition, Pause, PowerLoss, RecordedOp, RemoveDirectory,
    ShortRead, SlowDisk, SyncFailure, Trigger,
};
pub use net::{LatencyTail, LinkSpec, SimNet};
pub use node::NodeSpec;
pub use op_kind::OpKind;
pub use panic_guard::panicked_node;
pub use prng::keyed_draw;
pub use run::{WorldOutcome, WorldSpec, run_fork, run_world};
pub use trace::{CallOutcome, Event, LogLine, Observer, Record, TraceHash};
pub use world::{WORLD_NODE, World};
