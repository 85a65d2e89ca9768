//! Load balancer and tee. Deliberately small, because the durability of all traffic depends on it.
//!
//! An edge assigns a sequence number to each request, makes the raw request durable on two disks (its own and one other
//! edge's), and only then forwards it to ingest. It does not parse JSON, does not know projects, and runs none of the
//! code that the tee protects against. Hourly files of raw requests go to a tee store, from which recent traffic can be
//! replayed.
//!
//! Frames, message heads and the object store client are in `latent-storekit`.

pub mod config;
pub mod marks;
mod run;
mod sequence;
mod service;
pub mod tee;

pub use config::{EdgeConfig, EdgeLimits, OnTeeFailure, TeeConfig};
pub use run::run;
pub use service::Edge;
