//! The raw copy of all traffic, taken before anything looks into it.

pub mod record;

pub use record::{TeeError, TeeFile, TeeName, TeeRecord};
