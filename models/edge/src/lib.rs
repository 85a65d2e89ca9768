//! The load balancer and its tee: the smaller, the safer.
//!
//! An edge numbers each request, makes it durable as it came in on two disks (its own and one other edge's), and
//! only then hands it to ingest. It looks into nothing: it parses no JSON, knows no project, and runs none of the
//! code that the tee exists to protect against. Hourly files of raw requests go to a tee store, from which
//! anything recent can be replayed.
//!
//! Also here, because the edge needs them and may depend on nothing of the pipeline: the frames that every
//! growing file is made of ([`frame`]), the heads of messages ([`message`]) and the object store's protocol
//! ([`object_api`]).

pub mod config;
pub mod frame;
mod local;
pub mod message;
mod numbers;
pub mod object_api;
mod patience;
mod run;
mod service;
pub mod tee;

pub use config::{EdgeConfig, EdgeLimits, OnTeeFailure, TeeConfig};
pub use run::run;
pub use service::Edge;
