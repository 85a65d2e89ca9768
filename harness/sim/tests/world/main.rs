//! The world as its users see it: nodes, disks, calls, clocks, marks, forks, and what a crash leaves.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod calls;
mod crash;
mod durability;
mod nodes;
mod probe;
mod runs;
mod store;
