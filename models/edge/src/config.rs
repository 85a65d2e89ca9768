//! What an edge is told at boot.

use crate::message::tag;
use latent_ports::NodeId;
use std::time::Duration;

/// One edge.
#[derive(Clone, Debug)]
pub struct EdgeConfig {
    /// Its number, which stands in every record: unique among edges, for ever.
    pub edge: u16,
    /// The other edges, in the order in which this one prefers them: one of them keeps the second copy of this one's
    /// tee. Without any there is no second copy: what is on this disk and not yet in the tee store is lost with it.
    pub peers: Vec<NodeId>,
    /// Ingest nodes; requests go to them in turn.
    pub ingest: Vec<NodeId>,
    /// Who may ask for a flush of the tee: whoever runs recoveries. `None`: anybody, for a site
    /// without roles. The sender of a message is taken for who it is: connections are authenticated.
    pub may_flush: Option<Vec<NodeId>>,
    /// The tee; without it requests are only forwarded.
    pub tee: Option<TeeConfig>,
    /// Limits.
    pub limits: EdgeLimits,
}

impl EdgeConfig {
    /// An edge with the usual limits and no tee.
    #[must_use]
    pub fn new(edge: u16, peers: Vec<NodeId>, ingest: Vec<NodeId>) -> EdgeConfig {
        EdgeConfig { edge, peers, ingest, may_flush: None, tee: None, limits: EdgeLimits::default() }
    }

    /// The same edge with a tee.
    #[must_use]
    pub fn with_tee(self, tee: TeeConfig) -> EdgeConfig {
        EdgeConfig { tee: Some(tee), ..self }
    }

    /// Whether the node `from` may ask this edge for `service`. Copies of tee files, and word that they are safe,
    /// come from edges alone: other nodes could fill this disk, or read what clients sent. HTTP is everybody's.
    #[must_use]
    pub fn grants(&self, service: u8, from: NodeId) -> bool {
        match service {
            tag::TEE_COPY | tag::TEE_UPLOADED | tag::TEE_FETCH => self.peers.contains(&from),
            tag::TEE_FLUSH => self.may_flush.as_ref().is_none_or(|nodes| nodes.contains(&from)),
            _ => true,
        }
    }
}

/// What to do with a request that cannot be made durable on both disks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnTeeFailure {
    /// Answer 503; the client sends it again.
    #[default]
    Reject,
    /// Forward it all the same, and write down that the tee lacks it.
    AcceptAndRecordGap,
}

/// The tee.
#[derive(Clone, Debug)]
pub struct TeeConfig {
    /// The object store that keeps the files.
    pub store: NodeId,
    /// What to do with a request that cannot be made durable on both disks.
    pub on_failure: OnTeeFailure,
    /// A file that has reached this length is closed before its hour is over. A frame's limit above it is what
    /// an object may have; see [`crate::object_api::MAX_OBJECT_BYTES`].
    pub file_max_bytes: u64,
    /// Files are uploaded this long after their hour.
    pub upload_after: Duration,
    /// A copy is uploaded this long after the hour, if its owner has not reported its own upload before.
    pub take_over_after: Duration,
    /// What failed to upload is tried again after this long.
    pub retry_after: Duration,
    /// Files that could not be uploaded for so long are dropped, with a mark: nothing is kept beyond the tee's
    /// retention for ever.
    pub keep: Duration,
}

impl TeeConfig {
    /// The usual tee, kept in the object store on `store`.
    #[must_use]
    pub fn new(store: NodeId) -> TeeConfig {
        TeeConfig {
            store,
            on_failure: OnTeeFailure::Reject,
            file_max_bytes: 64 << 20,
            upload_after: Duration::from_secs(5 * 60),
            take_over_after: Duration::from_secs(2 * 3600),
            retry_after: Duration::from_secs(10 * 60),
            keep: Duration::from_secs(8 * 86_400),
        }
    }
}

/// Limits of an edge.
#[derive(Clone, Copy, Debug)]
pub struct EdgeLimits {
    /// The longest body, in bytes; a longer one is answered 413.
    pub body_bytes: usize,
    /// The most calls at a time; more are refused.
    pub in_flight: usize,
    /// How long one ingest node may take to answer.
    pub forward_timeout: Duration,
    /// How long one peer may take to make a piece of a file durable.
    pub copy_timeout: Duration,
    /// How long the tee store, or a peer when a whole file is fetched, may take to answer.
    pub store_timeout: Duration,
    /// After a failure of this disk or of all peers the tee fails at once for this long, and then tries again.
    pub rest: Duration,
}

impl Default for EdgeLimits {
    fn default() -> EdgeLimits {
        EdgeLimits {
            body_bytes: 32 << 20,
            in_flight: 1_024,
            forward_timeout: Duration::from_secs(15),
            copy_timeout: Duration::from_secs(2),
            store_timeout: Duration::from_secs(60),
            rest: Duration::from_secs(1),
        }
    }
}
