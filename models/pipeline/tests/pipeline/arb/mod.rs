//! One Arb disk and one client: the disk's guarantees hold under faults at any of its operations.

mod double_faults;
mod duplicate_requests;
mod faults;
mod fixture;
mod repair;
mod replacement;
mod unreadable;
mod workload;
