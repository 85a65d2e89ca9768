//! Faults as the system under test sees them: each action observed through the ports, each trigger at its time, and
//! no effect when no fault is armed.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod clock;
mod corruption;
mod disk;
mod disk_errors;
mod each_operation;
mod link;
mod machine;
mod operator;
mod process;
mod support;
mod synced_bytes;
mod triggers;
