//! Many seeds of some scenarios, each case in a process of its own.
//!
//! - `order`: which cases, and what makes two sweeps the same. `results`: the file that grows while it runs.
//! - `partition`: which slice of them a scheduler's task runs.
//! - `go`: the running. `twice`: whether a case runs the same again. `summary`: what it came to.
//! - `junit`, `annotate`: the same for continuous integration.
//!
//! What a sweep came to follows from its file alone: a sweep in one piece, one that was resumed and one that ran in
//! slices are judged by the same code.

pub(crate) mod annotate;
pub(crate) mod go;
pub(crate) mod junit;
pub(crate) mod order;
pub(crate) mod partition;
pub(crate) mod results;
pub(crate) mod summary;
mod twice;
