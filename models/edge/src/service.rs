//! HTTP service of an edge: each request goes to the tee first and then to ingest.

use crate::config::{EdgeConfig, OnTeeFailure};
use crate::marks;
use crate::sequence::SequenceAllocator;
use crate::tee::TeeRecord;
use crate::tee::writer::{TeeHandle, TeeWriteError};
use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{Response, StatusCode};
use latent_ports::{Clock, Env, Mark, Net};
use latent_storekit::http_message::{Forward, Method, RequestHead, response_from_message};
use latent_storekit::message::tag;
use std::sync::Arc;

/// Value of the `Retry-After` header, in seconds.
const RETRY_AFTER_S: u16 = 2;

/// HTTP service of an edge. The same code runs on the simulated network and behind a real server.
#[derive(Clone)]
pub struct Edge<E: Env> {
    env: E,
    config: Arc<EdgeConfig>,
    sequences: SequenceAllocator,
    tee: Option<(TeeHandle, OnTeeFailure)>,
}

impl<E: Env> Edge<E> {
    pub(crate) fn new(
        env: E,
        config: Arc<EdgeConfig>,
        sequences: SequenceAllocator,
        tee: Option<(TeeHandle, OnTeeFailure)>,
    ) -> Edge<E> {
        Edge { env, config, sequences, tee }
    }

    /// Answers one request. Failures are reported as HTTP status codes.
    pub async fn handle(&self, request: http::Request<Bytes>) -> Response<Bytes> {
        match RequestHead::of(&request) {
            Ok(head) => self.handle_parts(head, request.into_body()).await,
            Err(error) => plain(StatusCode::METHOD_NOT_ALLOWED, error.to_string()),
        }
    }

    /// Answers a request that arrived as a message; see [`Edge::handle`].
    pub(crate) async fn handle_parts(&self, head: RequestHead, body: Bytes) -> Response<Bytes> {
        let arrived_ms = self.env.clock().wall().0;
        let max_bytes = self.config.limits.body_bytes;
        if body.len() > max_bytes {
            return plain(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("body of {} bytes: at most {max_bytes}", body.len()),
            );
        }
        let RequestHead { method, target, headers } = head;
        let edge = self.config.edge;
        let record = TeeRecord { edge, sequence: 0, arrived_ms, method, target, headers, body };
        match self.record_in_tee(record).await {
            Ok(numbered) => self.forward(numbered).await,
            Err(refusal) => refusal,
        }
    }

    /// Assigns a sequence number, and makes the request durable in the tee if it carries events.
    async fn record_in_tee(&self, mut record: TeeRecord) -> Result<TeeRecord, Response<Bytes>> {
        let Some((tee, on_failure)) = self.tee.as_ref().filter(|_| is_event_request(&record)) else {
            record.sequence = self.sequences.next();
            return Ok(record);
        };
        let Some(written) = tee.write(record).await else {
            return Err(unavailable("the tee has stopped"));
        };
        match (written.durable, on_failure) {
            (Ok(()), _) => {
                self.env.mark(Mark { name: marks::EDGE_TEE_DURABLE, subject: "" });
                Ok(written.record)
            }
            (Err(TeeWriteError::Unencodable(error)), _) => {
                Err(plain(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, error.to_string()))
            }
            (Err(why), OnTeeFailure::Reject) | (Err(why @ TeeWriteError::GapNotRecorded(_)), _) => {
                self.env.mark(Mark { name: marks::EDGE_TEE_REFUSED, subject: &why.to_string() });
                Err(unavailable("the request could not be made durable"))
            }
            (Err(why), OnTeeFailure::AcceptAndRecordGap) => {
                self.env.mark(Mark { name: marks::EDGE_TEE_GAP, subject: &why.to_string() });
                Ok(written.record)
            }
        }
    }

    /// Forwards the request to an ingest node, and to a second one if the first does not respond or answers 503. Both
    /// may store the request: it has the same sequence number and counts once.
    async fn forward(&self, record: TeeRecord) -> Response<Bytes> {
        let ingest = &self.config.ingest;
        let TeeRecord { edge, sequence, arrived_ms, method, target, headers, body } = record;
        let request = RequestHead { method, target, headers };
        let message = Forward { edge, sequence, arrived_ms, request }.into_message(body);
        let mut last = unavailable("no ingest node answered");
        for attempt in 0..ingest.len().min(2) {
            if attempt > 0 {
                self.env.mark(Mark { name: marks::EDGE_FORWARD_RETRY, subject: "" });
            }
            let node = ingest[(sequence as usize).wrapping_add(attempt) % ingest.len()];
            let Ok(answer) =
                self.env.net().call(node, message.clone(), self.config.limits.forward_timeout).await
            else {
                continue;
            };
            match response_from_message(tag::INGEST_FORWARD, answer) {
                Ok(response) if response.status() == StatusCode::SERVICE_UNAVAILABLE => last = response,
                Ok(response) => return response,
                Err(error) => last = plain(StatusCode::BAD_GATEWAY, error.to_string()),
            }
        }
        self.env.mark(Mark { name: marks::EDGE_NOT_FORWARDED, subject: "" });
        last
    }
}

/// Whether the request carries events. Other requests, such as exports, are forwarded without a tee record.
fn is_event_request(record: &TeeRecord) -> bool {
    let path = record.target.split('?').next().unwrap_or_default().trim_end_matches('/');
    match record.method {
        Method::Get => path == "/track",
        Method::Post => path == "/track" || path == "/import",
    }
}

fn unavailable(why: &str) -> Response<Bytes> {
    let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, why.to_owned());
    response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_S.into());
    response
}

fn plain(status: StatusCode, text: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = status;
    response
}
