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
//! Layers, from bottom to top; each uses only those below it:
//!
//! 1. `lock`, `prng`, `timers`, `panic_guard`, `op_kind`: tools without knowledge of a world.
//! 2. `disk`, `wall_clock`, `net/link_faults`: state of disks, clocks and links, with the rules that faults may set
//!    there. `machine` holds what outlives a node's processes.
//! 3. `faults`: fault actions as data, and what each does to a `FaultTarget`, the narrow view of a world.
//! 4. `trace`: events, their hash and text, and the observers' calls.
//! 5. `kernel`: true time, draws and the trace. `node`: a machine and its process. `net/network`: calls on links.
//! 6. `context`: one incarnation of a node; operations and marks reach the faults through `FaultTriggers`.
//! 7. `disk/sim_disk`, `net/sim_net`, `clock`: the ports of one incarnation. `env` puts them together.
//! 8. `world`: the handle that drives a run; it implements `FaultTarget` and `FaultTriggers`. `run` runs it.
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
mod context;
mod disk;
mod env;
mod faults;
mod kernel;
mod lock;
mod machine;
mod net;
mod node;
mod op_kind;
mod panic_guard;
mod prng;
mod run;
mod timers;
mod trace;
mod wall_clock;
mod world;

pub use clock::SimClock;
pub use disk::{
    CrashPolicy, DiskImage, DiskSpec, DiskStats, FileImage, ReadsAfterFailedSync, SimDisk, SimFile,
};
pub use env::SimEnv;
pub use faults::{
    BitRot, ClockDrift, ClockStep, Condition, CrashLoop, CutLink, DegradeLink, DiskError, DiskFull, Fault,
    FaultAction, FaultOutcome, Flap, GarbageTails, Isolate, Kill, LatentSector, LoseMessage, LostWrite,
    MisdirectedWrite, NewDisk, Partition, Pause, PowerLoss, RecordedOp, RemoveDirectory, ShortRead, SlowDisk,
    SyncFailure, Trigger,
};
pub use net::{CallPart, LatencyTail, LinkSpec, SimNet};
pub use node::NodeSpec;
pub use op_kind::OpKind;
pub use panic_guard::panicked_node;
pub use prng::keyed_draw;
pub use run::{WorldOutcome, run_fork, run_world};
pub use trace::{CallOutcome, Event, LogLine, Record, TraceHash, WORLD_NODE};
pub use wall_clock::ClockSpec;
pub use world::{Observer, World, WorldSpec};
