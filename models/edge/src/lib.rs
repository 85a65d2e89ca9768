//! Load balancer and tee. Deliberately small, because the durability of all traffic depends on it.
//!
//! An edge assigns a sequence number to each request, makes the raw request durable on two disks (its own and one other
//! edge's), and only then forwards it to ingest. It does not parse JSON, does not know projects, and runs none of the
//! code that the tee protects against. Hourly files of raw requests go to a tee store, from which recent traffic can be
//! replayed.
//!
//! The crate also holds code that the edge needs and that the pipeline shares, since the edge must not depend on the
//! pipeline: the frame format of append-only files ([`frame`]), message heads ([`message`]) and the object store
//! protocol ([`object_api`]).

pub mod config;
pub mod frame;
mod local_files;
pub mod message;
pub mod object_api;
mod retry_policy;
mod run;
mod sequence;
mod service;
pub mod tee;

pub use config::{EdgeConfig, EdgeLimits, OnTeeFailure, TeeConfig};
pub use run::run;
pub use service::Edge;
