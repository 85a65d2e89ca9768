//! The trace: every send, receive, disk operation, crash, fault and mark, with virtual time, node and digest.
//!
//! Each record is packed into 64 bytes and fed to a rolling XXH3-128. Two runs with the same hash did the same
//! operations at the same virtual times. Contents enter as digests. Data read from a disk does not enter: it follows
//! from the writes and the faults, which are in the trace.
//!
//! Observers are called at each record, synchronously and after the world updated its own state. They have no task,
//! no timer and no draw, so a run with observers is the same run.

mod describe;
mod digest_cache;
mod event;
mod pack;
mod recorder;

pub use event::{CallOutcome, Event, Record, WORLD_NODE};
pub(crate) use recorder::Recorder;
pub use recorder::{LogLine, TraceHash};
