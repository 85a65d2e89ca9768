//! The ports of a node of a system under test: clock, disk, network, draws, tasks and marks.
//!
//! Traits and plain types, no runtime. The same system runs on `latent-sim` (a seeded, simulated world) and on
//! `latent-host` (the operating system), because it names neither. All code is generic: no `dyn` on the hot path.
//!
//! A port promises what the *worst* real machine promises: bytes that were not synced may be gone after a crash, a name
//! is durable only once its directory is synced, an answer may be lost after its effect.

mod clock;
mod disk;
mod env;
mod mark;
mod net;
mod node_id;

pub use clock::{Clock, UnixMs};
pub use disk::{
    DirEntry, Disk, DiskError, DiskErrorKind, DiskOp, File, FileType, MOST_READS, OpenMode, read_full,
};
pub use env::{Env, race_timeout};
pub use mark::{Mark, MarkName};
pub use net::{Message, Net, NetError, NetErrorKind, Request};
pub use node_id::NodeId;
