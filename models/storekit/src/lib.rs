//! Building blocks that the edge and the pipeline share: how bytes are framed, sent, stored and replaced.
//!
//! Knows only the ports. The edge must not depend on the pipeline, so what both need is here. Formats of single files
//! and messages belong to the crate that writes them: the tee to `latent-edge`, Arb and backups to `latent-pipeline`.
//! From bottom to top:
//!
//! - [`frame`]: frame format of append-only files.
//! - [`files`]: whole reads, and creation and removal that may be repeated.
//! - [`replace_file`]: durable replacement of a whole file.
//! - [`message`]: heads of messages, and the list of services.
//! - [`http_message`]: HTTP between nodes.
//! - [`object_store`]: object store protocol, client and retry policy.

pub mod files;
pub mod frame;
pub mod http_message;
pub mod message;
pub mod object_store;
pub mod replace_file;
