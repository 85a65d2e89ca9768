//! One Arb disk and one client: what the disk promised holds whatever befalls it, at any of its operations.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod bench;
mod faults;
mod orders;
mod repair;
mod replaced;
mod script;
mod twice;
mod unreadable;
