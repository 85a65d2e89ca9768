//! Tests of the commands that run many cases, or one case again (`sweep`, `merge`, `enumerate`, `repro`, `shrink`,
//! `corpus`, `print`), as processes, each test in its own folder.
//!
//! Regular behaviour is tested with the write-ahead log of `examples/wal.rs`, failures of the system under test with
//! `misbehaving`, pairs of faults with `rewriting_log`.

#[path = "../common/mod.rs"]
mod common;
mod corpus;
mod enumerate;
mod enumerate_pairs;
mod exit_codes;
mod help;
mod misbehaving;
mod outputs;
mod processes;
mod reports;
mod repro;
mod resume;
mod rewriting_log;
mod schema;
mod scratch;
mod settings;
mod shrink;
mod slices;
#[path = "../../examples/wal.rs"]
mod wal;

use std::process::ExitCode;

fn main() -> ExitCode {
    let tests = [
        help::TESTS,
        exit_codes::TESTS,
        enumerate::TESTS,
        enumerate_pairs::TESTS,
        resume::TESTS,
        slices::TESTS,
        repro::TESTS,
        shrink::TESTS,
        corpus::TESTS,
        settings::TESTS,
        reports::TESTS,
        outputs::TESTS,
        schema::TESTS,
    ];
    common::main(program, &tests)
}

fn program() -> ExitCode {
    match std::env::var_os(scratch::SYSTEM).as_ref().and_then(|system| system.to_str()) {
        Some("odd") => misbehaving::main(),
        Some("rewriting") => rewriting_log::main(),
        _ => wal::main(),
    }
}
