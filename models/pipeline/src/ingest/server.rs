//! An ingest node: takes numbered requests from the edges, answers as the event API does, and serves exports.

use super::copies::{write, writes_of};
use super::events::{Sorted, sort};
use super::hints::Hints;
use crate::config::{Boot, Cluster};
use crate::export::{export_line, read_day};
use crate::wire::{self, Outcome, RawRequest};
use crate::zone::Day;
use bytes::Bytes;
use futures_util::future::join_all;
use http::{Response, StatusCode};
use latent_edge::message::{Forward, Method, response_to_message, tag};
use latent_ports::{Clock, Env, Mark, Message, Net, Request};
use std::sync::Arc;
use std::time::Duration;

const REQUESTS_AT_A_TIME: usize = 4096;
const BOOT_AGAIN_AFTER: Duration = Duration::from_secs(60);
/// Days in one export.
const MAX_EXPORT_DAYS: i32 = 100;

const UNAVAILABLE: Outcome = Outcome::Unavailable { retry_after_s: 1 };

struct Ingest<E: Env> {
    env: E,
    cluster: Arc<Cluster>,
    hints: Arc<Hints<E>>,
}

/// Boots an ingest node, which serves until it dies.
pub async fn run<E: Env>(env: E, boot: Boot) {
    let hints = loop {
        match Hints::recover(env.clone(), boot.cluster.clone()).await {
            Ok(hints) => break Arc::new(hints),
            Err(error) => {
                env.mark(Mark { name: "ingest.boot-failed", subject: &error.to_string() });
                env.clock().sleep(BOOT_AGAIN_AFTER).await;
            }
        }
    };
    crate::hostile::spawn_if_it_is(&env, &boot);
    let hand_off = hints.clone();
    env.spawn(async move { hand_off.hand_off().await });
    let ingest = Arc::new(Ingest { env: env.clone(), cluster: boot.cluster, hints });
    env.net().serve(REQUESTS_AT_A_TIME, move |request| serve(ingest.clone(), request)).await;
}

async fn serve<E: Env>(ingest: Arc<Ingest<E>>, request: Request) -> Message {
    let response = match Forward::from_message(&request.message) {
        Ok(forward) => ingest.answer(forward, request.message.body).await,
        Err(error) => plain(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    response_to_message(tag::INGEST_FORWARD, response)
}

impl<E: Env> Ingest<E> {
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
        match sort(&self.cluster, &raw, forward.edge, forward.sequence) {
            Ok(sorted) => self.store(sorted).await,
            Err(error) => wire::refuse(&error),
        }
    }

    async fn store(&self, sorted: Sorted) -> Response<Bytes> {
        let Some(records) = &sorted.records else {
            return wire::answer(&sorted.decoded, Outcome::Unauthorized);
        };
        let Ok(writes) = writes_of(records) else {
            return plain(StatusCode::PAYLOAD_TOO_LARGE, "a block of events does not fit into a frame");
        };
        let stored =
            join_all(writes.into_iter().map(|w| write(&self.env, &self.cluster, &self.hints, w))).await;
        let outcome = if stored.iter().all(|enough| *enough) { Outcome::Stored } else { UNAVAILABLE };
        wire::answer(&sorted.decoded, outcome)
    }

    async fn export(&self, forward: &Forward) -> Response<Bytes> {
        let Some(asked) = ExportQuery::parse(&forward.request.target) else {
            return plain(StatusCode::BAD_REQUEST, "export: project_id, from_date, to_date are needed");
        };
        let secret = self.cluster.projects.get(&asked.project).map(|p| p.secret.clone());
        if secret.is_none() || wire::basic_user(&forward.request.headers) != secret {
            return plain(StatusCode::UNAUTHORIZED, "export: wrong credentials for this project");
        }
        let mut lines = String::new();
        for day in asked.from.0..=asked.to.0.min(asked.from.0.saturating_add(MAX_EXPORT_DAYS)) {
            let records = match read_day(&self.env, &self.cluster, asked.project, Day(day)).await {
                Ok(records) => records,
                Err(error) => return plain(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
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

struct ExportQuery {
    project: u32,
    from: Day,
    to: Day,
}

impl ExportQuery {
    fn parse(target: &str) -> Option<ExportQuery> {
        let get = |name: &str| wire::query_value(target, name);
        Some(ExportQuery {
            project: get("project_id")?.parse().ok()?,
            from: Day::parse(&get("from_date")?)?,
            to: Day::parse(&get("to_date")?)?,
        })
    }
}

fn plain(status: StatusCode, text: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::copy_from_slice(text.as_bytes()));
    *response.status_mut() = status;
    response
}
