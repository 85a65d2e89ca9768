//! The ports on the operating system.
//!
//! So far the disk alone: [`HostDisk`] on a directory, through `std::fs`. Each operation is one blocking task of
//! the tokio runtime it is awaited in (`tokio::task::spawn_blocking`), so a slow fsync holds up nobody else. An
//! operation that has begun is carried out even if its future is dropped, as the kernel would.
//!
//! Expects a file system that follows POSIX and a directory that no other process changes. Does not follow
//! what the port cannot express: permissions, links, special files.

mod disk;

pub use disk::{HostDisk, HostFile};
