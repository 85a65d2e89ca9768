//! The oracle: a ledger, independent readers of the system's files, and the invariants.
//!
//! Modelled: what clients sent and were told ([`ledger`]), the bytes on disks and in stores ([`reader`], written from
//! formats.md alone), and what must hold between the two ([`invariants`]). Not modelled: how the system works. The
//! oracle knows no node, no message and no task, and nothing in the world can query it.

pub mod backup;
pub mod compaction_commits;
pub mod content;
pub mod day;
pub mod decode_cache;
pub mod excused_periods;
pub mod identity;
pub mod invariants;
pub mod json_text;
pub mod ledger;
pub mod loss;
pub mod read_view;
pub mod reader;
pub mod snapshot;
pub mod view;
pub mod violation_kinds;

#[cfg(test)]
mod test_support;

pub use day::{ProjectZones, ZoneError, local_day};
pub use decode_cache::DecodeCache;
pub use excused_periods::ExcusedPeriods;
pub use identity::{ArrivalId, DedupKey, EventDigest, ProjectDay};
pub use invariants::CheckContext;
pub use ledger::{ClientRequest, Ledger, LedgerConfig, SentEvent, request_digest};
pub use loss::{LossSummary, LossTracker};
pub use read_view::ReadView;
pub use snapshot::ClusterSnapshot;
pub use view::{DiskView, FileView};
