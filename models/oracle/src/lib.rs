//! The ledger, its own readers of files, and the invariants.
//!
//! What is modelled: what clients sent and were told ([`ledger`]), what lies on disks and in stores as bytes
//! ([`reader`], written from formats.md and from nothing else), and what must hold between the two
//! ([`invariants`]). What is not: how the system works. The oracle knows no node, no message and no task, and
//! nothing in the world can ask it.

pub mod backup;
pub mod content;
pub mod day;
pub mod excused;
pub mod identity;
pub mod invariants;
pub mod ledger;
pub mod loss;
pub mod memo;
pub mod reader;
pub mod sight;
pub mod snapshot;
pub mod text;
pub mod view;

#[cfg(test)]
mod testing;

pub use day::{ZoneError, Zones, local_day};
pub use excused::Excused;
pub use identity::{ArrivalId, Content, Key, ProjectDay};
pub use invariants::Moment;
pub use ledger::{ClientRequest, Ledger, SentEvent, Settings, request_digest};
pub use loss::{LossBook, LossSummary};
pub use memo::Memo;
pub use sight::Sight;
pub use snapshot::Snapshot;
pub use view::{DiskView, FileView};
