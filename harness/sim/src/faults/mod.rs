//! Faults of a plan: triggers, injection and end.
//!
//! A fault triggers once: at an instant, at the n-th operation of a kind on matching paths at a node, or when a mark
//! is reached for the n-th time. Faults refer to nodes by name, since they are written before the nodes exist. The
//! outcome of a fault reports names of nodes that were never added.
//!
//! A process fault that an operation triggers is injected after the operation took effect in the page cache or left
//! for the network, with one exception: at a sync it is injected before the sync makes anything durable.

mod behavior;
mod clock;
mod condition;
mod corruption;
mod disk;
mod link;
mod op_recorder;
mod operator;
mod plan;
mod process;
mod registry;

pub(crate) use behavior::{FaultDuration, FaultTarget};
pub use clock::{ClockDrift, ClockStep};
pub use condition::Condition;
pub use corruption::{BitRot, GarbageTails, LatentSector, LostWrite, MisdirectedWrite};
pub use disk::{DiskError, DiskFull, ShortRead, SlowDisk, SyncFailure};
pub use link::{CutLink, DegradeLink, Flap, Isolate, LoseMessage, Partition};
pub(crate) use op_recorder::OpRecorder;
pub use op_recorder::RecordedOp;
pub use operator::RemoveDirectory;
pub use plan::{Fault, FaultAction, Trigger};
pub use process::{CrashLoop, Kill, NewDisk, Pause, PowerLoss};
pub use registry::FaultOutcome;
pub(crate) use registry::{FaultProgress, FaultRegistry};
