//! The ports on the operating system.
//!
//! Currently only the disk: [`HostDisk`] on a directory, through `std::fs`. Each operation is one blocking task of the
//! tokio runtime it is awaited in (`tokio::task::spawn_blocking`), so a slow fsync does not delay other tasks. A
//! started operation completes even if its future is dropped, as in the kernel.
//!
//! Requires a file system that follows POSIX and a directory that no other process changes. Features that the port
//! cannot express are not supported: permissions, links, special files.

mod disk;

pub use disk::{HostDisk, HostFile};
