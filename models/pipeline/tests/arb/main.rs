//! One Arb disk and one client: the disk's guarantees hold under faults at any of its operations.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod double_faults;
mod duplicate_requests;
mod faults;
mod fixture;
mod repair;
mod replacement;
mod unreadable;
mod workload;
