//! Boot configuration of an edge.

use latent_ports::NodeId;
use latent_storekit::message::tag;
use std::time::Duration;

/// Configuration of one edge.
#[derive(Clone, Debug)]
pub struct EdgeConfig {
    /// Edge number, written into every record. Unique among edges and never reused.
    pub edge: u16,
    /// Other edges, in order of preference. One of them stores the second copy of this edge's tee. An empty list means
    /// no second copy: a lost disk loses everything that is not yet in the tee store.
    pub peers: Vec<NodeId>,
    /// Ingest nodes. Requests are distributed round-robin.
    pub ingest: Vec<NodeId>,
    /// Nodes that may request a flush of the tee, normally the nodes that run recoveries. `None` allows any node, for
    /// deployments without roles. Connections are authenticated, so the sender of a message is trusted.
    pub flush_allowed: Option<Vec<NodeId>>,
    /// Tee configuration. Without it, requests are only forwarded.
    pub tee: Option<TeeConfig>,
    /// Limits of the edge.
    pub limits: EdgeLimits,
}

impl EdgeConfig {
    /// Creates a configuration with the default limits and no tee.
    #[must_use]
    pub fn new(edge: u16, peers: Vec<NodeId>, ingest: Vec<NodeId>) -> EdgeConfig {
        EdgeConfig { edge, peers, ingest, flush_allowed: None, tee: None, limits: EdgeLimits::default() }
    }

    /// Returns the configuration with a tee.
    #[must_use]
    pub fn with_tee(self, tee: TeeConfig) -> EdgeConfig {
        EdgeConfig { tee: Some(tee), ..self }
    }

    /// Whether the node `from` may call `service` on this edge. Only edges may copy or fetch tee files, or confirm an
    /// upload: other nodes could fill this disk or read what clients sent. HTTP is open to every node.
    #[must_use]
    pub fn is_allowed(&self, service: u8, from: NodeId) -> bool {
        match service {
            tag::TEE_COPY | tag::TEE_UPLOADED | tag::TEE_FETCH => self.peers.contains(&from),
            tag::TEE_FLUSH => self.flush_allowed.as_ref().is_none_or(|nodes| nodes.contains(&from)),
            _ => true,
        }
    }
}

/// FaultAction for a request that cannot be made durable on both disks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnTeeFailure {
    /// Answer 503. The client sends the request again.
    #[default]
    Reject,
    /// Forward the request and record that the tee lacks it.
    AcceptAndRecordGap,
}

/// Configuration of the tee.
#[derive(Clone, Debug)]
pub struct TeeConfig {
    /// Object store that receives the files.
    pub store: NodeId,
    /// FaultAction for a request that cannot be made durable on both disks.
    pub on_failure: OnTeeFailure,
    /// Size at which a file is closed before its hour is over. An object may exceed it by one frame; see
    /// [`latent_storekit::object_store::MAX_OBJECT_BYTES`].
    pub file_max_bytes: u64,
    /// Delay from the end of a file's hour to its upload.
    pub upload_after: Duration,
    /// Delay from the end of the hour after which a copy is uploaded even if its owner has not confirmed an upload.
    pub takeover_after: Duration,
    /// Delay before a failed upload is retried.
    pub retry_after: Duration,
    /// Age at which a file that could not be uploaded is dropped, with a mark. No file outlives the tee's retention.
    pub give_up_after: Duration,
}

impl TeeConfig {
    /// Creates the default tee configuration, with the object store on `store`.
    #[must_use]
    pub fn new(store: NodeId) -> TeeConfig {
        TeeConfig {
            store,
            on_failure: OnTeeFailure::Reject,
            file_max_bytes: 64 << 20,
            upload_after: Duration::from_secs(5 * 60),
            takeover_after: Duration::from_secs(2 * 3600),
            retry_after: Duration::from_secs(10 * 60),
            give_up_after: Duration::from_secs(8 * 86_400),
        }
    }
}

/// Limits of an edge.
#[derive(Clone, Copy, Debug)]
pub struct EdgeLimits {
    /// Maximum body size, in bytes. A longer body is answered 413.
    pub body_bytes: usize,
    /// Maximum number of concurrent calls. Further calls are refused.
    pub in_flight: usize,
    /// Timeout of a call to one ingest node.
    pub forward_timeout: Duration,
    /// Timeout for one peer to make a chunk of a file durable.
    pub copy_timeout: Duration,
    /// Timeout of a call to the tee store, or to a peer when a whole file is fetched.
    pub store_timeout: Duration,
    /// Backoff after a failure of this disk or of all peers. The tee fails immediately during this time.
    pub backoff: Duration,
}

impl Default for EdgeLimits {
    fn default() -> EdgeLimits {
        EdgeLimits {
            body_bytes: 32 << 20,
            in_flight: 1_024,
            forward_timeout: Duration::from_secs(15),
            copy_timeout: Duration::from_secs(2),
            store_timeout: Duration::from_secs(60),
            backoff: Duration::from_secs(1),
        }
    }
}
