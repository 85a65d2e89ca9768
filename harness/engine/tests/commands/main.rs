//! The commands that make one case of many and many of one (`sweep`, `merge`, `enumerate`, `repro`, `shrink`, `corpus`,
//! `print`), run as whoever uses them runs them: as processes, each test in a folder of its own.
//!
//! What can go right is tried with the write-ahead log of `examples/wal.rs`; what only a misbehaving system does, with
//! the one in `odd`.

#[path = "../common/mod.rs"]
mod common;
mod corpus;
mod enumerate;
mod exit_codes;
mod help;
mod interrupted;
mod odd;
mod outputs;
mod processes;
mod repeat;
mod reports;
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
        interrupted::TESTS,
        slices::TESTS,
        repeat::TESTS,
        shrink::TESTS,
        corpus::TESTS,
        settings::TESTS,
        reports::TESTS,
        outputs::TESTS,
    ];
    common::main(program, &tests)
}

fn program() -> ExitCode {
    let is_odd = std::env::var_os(scratch::SYSTEM).is_some_and(|system| system == "odd");
    if is_odd { odd::main() } else { wal::main() }
}
