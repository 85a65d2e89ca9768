//! Tests that run whole scenarios, or the `latent` binary: reports, screens, corpus, hashes, faults, fuzzed files.
//!
//! One program, for each is linked with the whole workspace, and the tests of one program run side by side. What
//! simulates nothing is in `repository`.

mod backup_schedule;
mod backups;
mod check_sets;
mod cli;
mod common;
mod corpus;
mod determinism;
mod explain;
mod hashes;
mod hostile;
mod object_stores;
mod planted_bugs;
mod readers;
mod reports;
mod screens;
mod sweep;
mod tee;
mod usability;
mod vacuous_runs;
