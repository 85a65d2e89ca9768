//! State of the clients: the ledger and everything else that they report, invisible to the system.

use bytes::Bytes;
use latent_oracle::Ledger;
use latent_oracle::invariants::i14_answers::AnswerChecker;
use latent_oracle::ledger::EventId;
use std::ops::RangeInclusive;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

/// An answer that acknowledges events.
pub(crate) struct Acknowledgement {
    /// Number of the request.
    pub request: u64,
    /// Time at which it was sent, in milliseconds since 1970.
    pub sent_at_ms: i64,
    /// Its digest, by `latent_oracle::request_digest`.
    pub digest: u128,
    /// The acknowledged events.
    pub accepted: Vec<EventId>,
}

/// Observer of acknowledgements: a synchronous call.
pub(crate) type AcknowledgementObserver = Box<dyn FnMut(&Acknowledgement) + Send>;

/// State of the clients, invisible to the system.
pub(crate) struct ClientState {
    /// Requests and their answers.
    pub ledger: Mutex<Ledger>,
    /// Number of HTTP requests sent, retries included.
    pub requests: AtomicU64,
    /// Number of clients that are still sending.
    pub active_clients: AtomicU64,
    /// Exports that were read: the query and the lines.
    pub exports: Mutex<Vec<ExportResult>>,
    /// Answers, checked against the requests.
    pub answers: Mutex<AnswerChecker>,
    /// Observer of acknowledgements. `None`: not observed.
    pub on_acknowledged: Mutex<Option<AcknowledgementObserver>>,
}

/// An export as its customer received it.
pub(crate) struct ExportResult {
    pub project: u32,
    pub at_ms: i64,
    /// The requested days, counted from 1970-01-01.
    pub days: RangeInclusive<i32>,
    pub body: Result<Bytes, String>,
}

impl ClientState {
    pub fn new(ledger: Ledger) -> Arc<ClientState> {
        let (requests, active_clients) = (AtomicU64::new(0), AtomicU64::new(0));
        let (exports, answers, on_acknowledged) = (Mutex::default(), Mutex::default(), Mutex::default());
        Arc::new(ClientState {
            ledger: Mutex::new(ledger),
            requests,
            active_clients,
            exports,
            answers,
            on_acknowledged,
        })
    }
}
