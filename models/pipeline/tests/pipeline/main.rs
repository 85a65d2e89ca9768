//! Tests of the pipeline: formats and requests, a single disk and a small cluster in the simulator, real files.
//!
//! One program, for each is linked with the simulator, and the tests of one program run side by side.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod arb;
mod cluster;
mod golden;
mod host;
mod objects;
mod runs;
mod wire;
