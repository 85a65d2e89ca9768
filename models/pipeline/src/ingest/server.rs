//! Ingest node: handles numbered requests from the edges, answers according to the event API, and serves exports.

use super::classify::{ClassifiedRequest, classify, decode, place};
use super::hints::Hints;
use super::planted;
use super::replicate::{write, writes_of};
use crate::config::BootConfig;
use crate::export::{MAX_EXPORT_DAYS, export_line, read_day};
use crate::marks;
use crate::release::Bug;
use crate::wire::{self, RawRequest, RequestError, StoreOutcome};
use crate::zone::Day;
use bytes::Bytes;
use futures_util::future::join_all;
use http::header::RETRY_AFTER;
use http::{Response, StatusCode};
use latent_ports::{Clock, Env, Mark, Message, Net, Request};
use latent_storekit::http_message::{Forward, Method, response_to_message};
use latent_storekit::message::tag;
use std::sync::Arc;
use std::time::Duration;

const MAX_CONCURRENT_REQUESTS: usize = 4096;
const BOOT_RETRY_INTERVAL: Duration = Duration::from_secs(60);

const RETRY_AFTER_S: u32 = 1;
const UNAVAILABLE: StoreOutcome = StoreOutcome::Unavailable { retry_after_s: RETRY_AFTER_S };

struct IngestNode<E: Env> {
    env: E,
    boot: BootConfig,
    hints: Arc<Hints<E>>,
}

/// Reads the hints that an earlier process left. Retries until it succeeds.
pub async fn recover_hints<E: Env>(env: &E, boot: &BootConfig) -> Arc<Hints<E>> {
    loop {
        match Hints::recover(env.clone(), boot.clone()).await {
            Ok(hints) => return Arc::new(hints),
            Err(error) => {
                env.mark(Mark { name: marks::INGEST_BOOT_FAILED, subject: &error.to_string() });
                env.clock().sleep(BOOT_RETRY_INTERVAL).await;
            }
        }
    }
}

/// Serves requests until the node dies.
pub async fn serve<E: Env>(env: E, boot: BootConfig, hints: Arc<Hints<E>>) {
    let ingest = Arc::new(IngestNode { env: env.clone(), boot, hints });
    env.net().serve(MAX_CONCURRENT_REQUESTS, move |request| handle(ingest.clone(), request)).await;
}

async fn handle<E: Env>(ingest: Arc<IngestNode<E>>, request: Request) -> Message {
    let response = match Forward::from_message(&request.message) {
        Ok(forward) => ingest.answer(forward, request.message.body).await,
        // An edge of another release may encode the head differently. The client is not at fault, and would never retry
        // a 4xx.
        Err(error) => {
            ingest.env.mark(Mark { name: marks::INGEST_FORWARD_UNDECODABLE, subject: &error.to_string() });
            unavailable(&error.to_string())
        }
    };
    response_to_message(tag::INGEST_FORWARD, response)
}

impl<E: Env> IngestNode<E> {
    async fn answer(&self, forward: Forward, body: Bytes) -> Response<Bytes> {
        let path = forward.request.target.split('?').next().unwrap_or("");
        if forward.request.method == Method::Get && path == "/api/2.0/export" {
            return self.export(&forward).await;
        }
        let raw = RawRequest {
            method: forward.request.method,
            target: &forward.request.target,
            headers: &forward.request.headers,
            body,
            arrived_ms: forward.arrived_ms,
        };
        match self.classify(&raw, forward.edge, forward.sequence) {
            Ok(classified) => self.store(classified).await,
            Err(error) => wire::error_response(&error),
        }
    }

    fn classify(
        &self,
        raw: &RawRequest<'_>,
        edge: u16,
        sequence: u64,
    ) -> Result<ClassifiedRequest, RequestError> {
        let (cluster, release) = (&self.boot.cluster, &self.boot.release);
        let mut decoded = decode(cluster, raw)?;
        if release.has(Bug::SecondsAsMilliseconds) && planted::read_all_as_milliseconds(&mut decoded) {
            release.reached(&self.env, Bug::SecondsAsMilliseconds);
        }
        let is_renumbered = release.has(Bug::ReplayDoubles) && self.is_second_attempt(sequence);
        let number = if is_renumbered { planted::renumber(sequence) } else { sequence };
        let mut classified = place(cluster, decoded, raw.arrived_ms, edge, number);
        if is_renumbered && !classified.records.is_empty() {
            release.reached(&self.env, Bug::ReplayDoubles);
        }
        if release.has(Bug::ValidatedAtCommit) {
            self.validate_again(raw, &mut classified, edge, sequence);
        }
        if release.has(Bug::PoisonDropsBatch)
            && classified.decoded.failed().next().is_some()
            && !classified.records.is_empty()
        {
            release.reached(&self.env, Bug::PoisonDropsBatch);
            classified.records.clear();
        }
        if release.has(Bug::OversizeVanishes) && planted::drop_oversized(&mut classified.records) {
            release.reached(&self.env, Bug::OversizeVanishes);
        }
        Ok(classified)
    }

    /// Whether the edge sends a request to another node first.
    fn is_second_attempt(&self, sequence: u64) -> bool {
        let ingest = &self.boot.cluster.ingest;
        ingest.get(sequence as usize % ingest.len().max(1)) != Some(&self.env.node())
    }

    /// Planted bug: validates and places a request by the present clock.
    fn validate_again(
        &self,
        raw: &RawRequest<'_>,
        classified: &mut ClassifiedRequest,
        edge: u16,
        sequence: u64,
    ) {
        let now = RawRequest { arrived_ms: self.env.clock().wall().0, ..raw.clone() };
        let Ok(mut again) = classify(&self.boot.cluster, &now, edge, sequence) else { return };
        if !planted::is_placed_alike(&again.records, &classified.records) {
            self.boot.release.reached(&self.env, Bug::ValidatedAtCommit);
            again.records.values_mut().flatten().for_each(|record| record.arrived_ms = raw.arrived_ms);
            *classified = again;
        }
    }

    async fn store(&self, classified: ClassifiedRequest) -> Response<Bytes> {
        // A request within its limits fits the block limits, so this is an internal error.
        let Ok(writes) = writes_of(&classified.records) else {
            return unavailable("a block of events does not fit into a frame");
        };
        let stored = join_all(writes.into_iter().map(|w| write(&self.env, &self.boot, &self.hints, w))).await;
        let outcome = if stored.iter().all(|enough| *enough) { StoreOutcome::Stored } else { UNAVAILABLE };
        wire::response(&classified.decoded, outcome)
    }

    async fn export(&self, forward: &Forward) -> Response<Bytes> {
        let query = match ExportQuery::parse(&forward.request.target) {
            Ok(query) => query,
            Err(error) => return plain(StatusCode::BAD_REQUEST, &error.to_string()),
        };
        let secret = self.boot.cluster.projects.get(&query.project).map(|p| p.secret.clone());
        if secret.is_none() || wire::basic_user(&forward.request.headers) != secret {
            return plain(StatusCode::UNAUTHORIZED, "export: wrong credentials for this project");
        }
        let mut lines = String::new();
        for day in query.from.0..=query.to.0 {
            let records = match read_day(&self.env, &self.boot, query.project, Day(day)).await {
                Ok(records) => records,
                Err(error) => return unavailable(&error.to_string()),
            };
            for record in &records {
                let Some(line) = export_line(record) else {
                    return plain(StatusCode::INTERNAL_SERVER_ERROR, "a stored event is not JSON");
                };
                lines.push_str(&line);
                lines.push('\n');
            }
        }
        let mut response = Response::new(Bytes::from(lines));
        *response.status_mut() = StatusCode::OK;
        response
    }
}

/// Error of an export request.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum ExportError {
    #[error("export: project_id, from_date and to_date (as 2016-02-22) are needed")]
    Incomplete,
    #[error("export: from_date {from} is behind to_date {to}")]
    Backwards { from: Day, to: Day },
    #[error("export: {days} days: at most {MAX_EXPORT_DAYS}; ask for the rest on its own")]
    TooLong { days: i64 },
}

#[derive(Debug, PartialEq, Eq)]
struct ExportQuery {
    project: u32,
    from: Day,
    to: Day,
}

impl ExportQuery {
    fn parse(target: &str) -> Result<ExportQuery, ExportError> {
        let ExportQuery { project, from, to } =
            ExportQuery::named(|name| wire::query_value(target, name)).ok_or(ExportError::Incomplete)?;
        let days = i64::from(to.0) - i64::from(from.0) + 1;
        match days {
            ..1 => Err(ExportError::Backwards { from, to }),
            days if days > i64::from(MAX_EXPORT_DAYS) => Err(ExportError::TooLong { days }),
            _ => Ok(ExportQuery { project, from, to }),
        }
    }

    fn named(get: impl Fn(&str) -> Option<String>) -> Option<ExportQuery> {
        Some(ExportQuery {
            project: get("project_id")?.parse().ok()?,
            from: Day::parse(&get("from_date")?)?,
            to: Day::parse(&get("to_date")?)?,
        })
    }
}

fn unavailable(text: &str) -> Response<Bytes> {
    let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, text);
    response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_S.into());
    response
}

fn plain(status: StatusCode, text: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::copy_from_slice(text.as_bytes()));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(from: &str, to: &str) -> Result<ExportQuery, ExportError> {
        ExportQuery::parse(&format!("/api/2.0/export?project_id=17&from_date={from}&to_date={to}"))
    }

    #[test]
    fn an_export_is_limited_to_a_maximum_number_of_days() {
        let whole = query("2016-02-20", "2016-05-29").unwrap();
        assert_eq!(whole.to.0 - whole.from.0 + 1, MAX_EXPORT_DAYS);
        assert_eq!(query("2016-02-20", "2016-05-30"), Err(ExportError::TooLong { days: 101 }));
        let (from, to) = (Day(16_852), Day(16_851));
        assert_eq!(query("2016-02-21", "2016-02-20"), Err(ExportError::Backwards { from, to }));
        assert_eq!(query("2016-02-21", "soon"), Err(ExportError::Incomplete));
        assert!(query("2016-02-21", "2016-02-21").is_ok());
    }
}
