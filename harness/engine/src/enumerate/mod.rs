//! Enumerated faults: the systematic sweep over one case.
//!
//! One run counts the disk and network operations until faults would be over; then the case runs again with one fault
//! at each of them in turn. A crash is run three ways: no un-synced operation survives, all do, a drawn part does;
//! where nothing was un-synced the three are the same run, and it is run once and counted three times. An error strikes
//! a disk operation once. A call has four ends; its two messages are lost, in turn, at the end that sends the request,
//! so that no message is lost twice.
//!
//! - `strike`: one fault at one operation. `outline`: which ones there are. `tally`: what became of them.
//!   `record`: the file that an interrupted enumeration goes on from.

mod outline;
mod record;
mod strike;
mod tally;

pub(crate) use outline::{Outline, Planned, Wanted};
pub(crate) use record::{Header, Record};
pub(crate) use strike::{Faults, Strike};
pub(crate) use tally::{Failure, OfKind, Tally};
