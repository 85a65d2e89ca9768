//! The customers: one task a project sends its stream; others read exports. All of them live on one node outside
//! of the system, and all that the ledger knows it learns here.
//!
//! A client retries what has no answer, 429 and 5xx, with back-off, as a new request; never a 4xx. It uses the
//! edges in turn and goes to the other one when one does not answer. Modelled as one process per project; that
//! phones lose what they have not sent yet is not modelled.
//!
//! After some 35 minutes without an answer that says something a client drops a request, unless its manners say that
//! it keeps what it cannot send: then what comes later waits behind it, and when one gets through, all go, in order.
//! What it is told to hurry with it sends again at once, as a request of its own, whatever became of the first.

mod told;

use self::told::{Told, verdict};
use crate::acks::Acks;
use crate::load::Manners;
use crate::plan::{Export, Tenant, WorldPlan, between};
use crate::run::WARM_UP_MS;
use crate::scenario::Topic;
use crate::workload::{LawError, PlannedEvent, PlannedRequest, Stream, WrittenRequest};
use bytes::Bytes;
use http::{Request, StatusCode};
use latent_engine::Scenario;
use latent_engine::sim::{SimEnv, World};
use latent_oracle::invariants::i14_answers::{AnswerChecker, AnsweredRequest, ResponseGranularity};
use latent_oracle::{ClientRequest, Ledger, SentEvent, request_digest};
use latent_pipeline::export::MAX_EXPORT_DAYS;
use latent_pipeline::zone::{Day, ZoneHistory};
use latent_ports::{Clock, Env, Mark, NodeId, UnixMs};
use latent_storekit::http_message::http_call;
use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Tries of one request, and the first pause; it doubles up to the longest.
const TRIES: u32 = 12;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// Tries in a hurry, before a client waits as usual.
const HURRIED_TRIES: u32 = 6;
/// A client that keeps what it cannot send looks this often whether it can.
const LONGEST_KEEPERS_PAUSE: Duration = Duration::from_secs(600);
/// After so many looks in vain, more than 40 days of them, the rest is left.
const KEEPERS_TRIES: u32 = 6_000;

/// What the clients' side knows, and nobody else.
pub(crate) struct ClientSide {
    /// What was sent and what was answered.
    pub ledger: Mutex<Ledger>,
    /// HTTP requests sent, retries included.
    pub requests: AtomicU64,
    /// Clients that are still sending.
    pub busy: AtomicU64,
    /// Exports that were read: the query and the lines.
    pub exports: Mutex<Vec<Exported>>,
    /// What was answered, judged by what was sent.
    pub answers: Mutex<AnswerChecker>,
    /// Looks at what is acknowledged when it is; absent: nobody does.
    pub acks: Mutex<Option<Acks>>,
}

/// An export as its customer got it.
pub(crate) struct Exported {
    pub project: u32,
    pub at_ms: i64,
    /// The days that were asked for, counted from 1970-01-01.
    pub days: RangeInclusive<i32>,
    pub body: Result<Bytes, String>,
}

impl ClientSide {
    pub fn new(ledger: Ledger) -> Arc<ClientSide> {
        let (requests, busy) = (AtomicU64::new(0), AtomicU64::new(0));
        let (exports, answers, acks) = (Mutex::default(), Mutex::default(), Mutex::default());
        Arc::new(ClientSide { ledger: Mutex::new(ledger), requests, busy, exports, answers, acks })
    }
}

/// Starts every client on the clients' node.
pub(crate) fn start(
    env: &SimEnv,
    world: &World,
    plan: &WorldPlan,
    side: &Arc<ClientSide>,
    edges: &[NodeId],
    sends_ms: std::ops::Range<i64>,
) {
    for tenant in &plan.tenants {
        side.busy.fetch_add(1, Ordering::Relaxed);
        let client = Client {
            env: env.clone(),
            side: side.clone(),
            edges: edges.to_vec(),
            secret: tenant.law.secret.clone(),
            world: world.clone(),
            manners: tenant.manners.clone(),
        };
        let (tenant, world, sends_ms) = (tenant.clone(), world.clone(), sends_ms.clone());
        env.spawn(async move {
            client.send_stream(&tenant, &world, sends_ms).await;
            client.side.busy.fetch_sub(1, Ordering::Relaxed);
        });
    }
    for export in &plan.exports {
        // Nobody is left who would read it.
        let Some(tenant) = plan.tenant(export.project) else { continue };
        let secret = tenant.law.secret.clone();
        let (world, manners) = (world.clone(), Manners::default());
        let client =
            Client { env: env.clone(), side: side.clone(), edges: edges.to_vec(), secret, world, manners };
        let export = export.clone();
        env.spawn(async move { client.read_export(&export).await });
    }
}

/// A stream whose local days are those of a zone, which is asked once a day.
pub(crate) type LawStream<D> = Stream<Box<dyn Fn(i32) -> (i64, i64) + Send>, D>;

/// The stream of a customer's law: what is sent within `sends_ms`, milliseconds since 1970.
///
/// # Errors
/// A law that no stream can follow.
pub(crate) fn stream_of<D: Fn(&'static str, u128) -> u64>(
    tenant: &Tenant,
    sends_ms: std::ops::Range<i64>,
    draw: D,
) -> Result<LawStream<D>, LawError> {
    let zones = ZoneHistory::constant(&tenant.zone).expect("zones were checked with the scenario");
    let first = zones.day(UnixMs(sends_ms.start), UnixMs(0)).0;
    let last = zones.day(UnixMs(sends_ms.end), UnixMs(0)).0;
    let limits =
        move |day: i32| (zones.begins(Day(day), UnixMs(0)).0, zones.begins(Day(day + 1), UnixMs(0)).0);
    Stream::new(tenant.law.clone(), first..last + 1, sends_ms, Box::new(limits), draw)
}

/// When clients send, milliseconds since 1970.
pub(crate) fn sends_ms(scenario: &Scenario<Topic>) -> std::ops::Range<i64> {
    scenario.start.0.0 + WARM_UP_MS..scenario.end().0.0
}

struct Client {
    env: SimEnv,
    side: Arc<ClientSide>,
    edges: Vec<NodeId>,
    secret: String,
    world: World,
    manners: Manners,
}

/// What a client keeps until it can be sent.
struct Kept {
    requests: VecDeque<PlannedRequest>,
    /// When it looks again whether it can, and how long it waits after that.
    look_ms: i64,
    pause: Duration,
    vain_looks: u32,
}

/// What a client does when a request has no answer.
#[derive(Clone, Copy)]
enum Next {
    TriesAgain,
    GivesUp,
}

impl Client {
    async fn send_stream(&self, tenant: &Tenant, world: &World, sends_ms: std::ops::Range<i64>) {
        if let Some(requests) = &tenant.requests {
            let in_time = |request: &&WrittenRequest| sends_ms.contains(&request.at.0.0);
            let project = tenant.law.project;
            return self.send_all(requests.iter().filter(in_time).map(|it| it.planned(project))).await;
        }
        let draw = |stream: &'static str, key: u128| world.draw(stream, key);
        // A law that cannot be followed is a mistake of the plan: it stops the run with its own words.
        let stream = stream_of(tenant, sends_ms, draw).unwrap_or_else(|error| panic!("plan: {error}"));
        self.send_all(stream).await;
    }

    async fn send_all(&self, stream: impl Iterator<Item = PlannedRequest>) {
        if self.manners.keeps {
            return self.send_in_order(stream).await;
        }
        for request in stream {
            self.wait_until(request.at_ms).await;
            // A request that is retried for hours must not hold up what comes after it.
            if !self.send(&request, Next::TriesAgain).await {
                let (client, request) = (self.clone_for_retry(), request);
                self.side.busy.fetch_add(1, Ordering::Relaxed);
                self.env.spawn(async move {
                    client.retry(&request).await;
                    client.side.busy.fetch_sub(1, Ordering::Relaxed);
                });
            }
        }
    }

    fn clone_for_retry(&self) -> Client {
        let (env, side, world) = (self.env.clone(), self.side.clone(), self.world.clone());
        let (edges, secret, manners) = (self.edges.clone(), self.secret.clone(), self.manners.clone());
        Client { env, side, edges, secret, world, manners }
    }

    /// Sends the stream in order: behind what could not be sent, everything waits. The queue is as long as the stream
    /// at most.
    async fn send_in_order(&self, stream: impl Iterator<Item = PlannedRequest>) {
        let mut kept = Kept { requests: VecDeque::new(), look_ms: 0, pause: FIRST_PAUSE, vain_looks: 0 };
        for request in stream {
            self.send_kept(&mut kept, request.at_ms).await;
            self.wait_until(request.at_ms).await;
            kept.requests.push_back(request);
        }
        self.send_kept(&mut kept, i64::MAX).await;
    }

    /// Sends what was kept, until nothing is left or `until_ms` comes before the next look.
    async fn send_kept(&self, kept: &mut Kept, until_ms: i64) {
        while let Some(request) = kept.requests.front()
            && kept.look_ms < until_ms
            && kept.vain_looks < KEEPERS_TRIES
        {
            self.wait_until(kept.look_ms).await;
            let is_last = kept.vain_looks + 1 == KEEPERS_TRIES;
            if self.send(request, if is_last { Next::GivesUp } else { Next::TriesAgain }).await {
                kept.requests.pop_front();
                (kept.pause, kept.vain_looks) = (FIRST_PAUSE, 0);
                continue;
            }
            self.env.mark(Mark { name: "client.kept", subject: "" });
            kept.look_ms = (self.env.clock().wall() + kept.pause).0;
            kept.pause = (kept.pause * 2).min(LONGEST_KEEPERS_PAUSE);
            kept.vain_looks += 1;
        }
    }

    /// Sends once, or in a hurry again and again; false when it must be sent again later.
    async fn send(&self, request: &PlannedRequest, next: Next) -> bool {
        for nth in 0..HURRIED_TRIES {
            let Some(most_ms) = self.manners.hurry_ms(self.env.clock().wall().0) else { break };
            let key = u128::from(request.project) << 96 | u128::from(nth) << 64 | u128::from(request.key);
            let wait_ms = between(self.world.draw("client.hurry", key), 1, i64::from(most_ms));
            if self.attempt(request, Duration::from_millis(wait_ms.unsigned_abs()), Next::TriesAgain).await {
                return true;
            }
            self.env.mark(Mark { name: "client.hurried", subject: "" });
        }
        self.attempt(request, ANSWER_TIMEOUT, next).await
    }

    async fn wait_until(&self, at_ms: i64) {
        let wait = UnixMs(at_ms).since(self.env.clock().wall());
        if !wait.is_zero() {
            self.env.clock().sleep(wait).await;
        }
    }

    async fn retry(&self, request: &PlannedRequest) {
        let mut pause = FIRST_PAUSE;
        for nth in 1..TRIES {
            self.env.clock().sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            self.env.mark(Mark { name: "client.retried", subject: "" });
            let next = if nth + 1 == TRIES { Next::GivesUp } else { Next::TriesAgain };
            if self.attempt(request, ANSWER_TIMEOUT, next).await {
                return;
            }
        }
        self.env.mark(Mark { name: "client.gave-up", subject: "" });
    }

    /// Sends once; false when it must be sent again.
    async fn attempt(&self, planned: &PlannedRequest, patience: Duration, next: Next) -> bool {
        let id = self.side.requests.fetch_add(1, Ordering::Relaxed);
        let request = planned.to_http(&self.secret);
        let (sent_at_ms, body_bytes) = (self.env.clock().wall().0, request.body().len() as u64);
        self.tell_sent(id, planned, &request);
        let edge = self.edges[(id % self.edges.len() as u64) as usize];
        let answer = http_call(&self.env, edge, request, patience).await;
        let mut ledger = crate::lock(&self.side.ledger);
        let now_ms = self.env.clock().wall().0;
        let mut accepted = Vec::new();
        let told = answer.as_ref().map(|response| verdict(response, planned));
        if let Ok(told) = &told {
            let answered = AnsweredRequest {
                project: planned.project,
                granularity: if planned.api.is_import() {
                    ResponseGranularity::PerItem
                } else {
                    ResponseGranularity::PerRequest
                },
                sent_at_ms,
                answered_at_ms: now_ms,
                clock_skew_ms: ledger.config().clock_skew_ms,
                text_bytes: planned.text.len() as u64,
                body_bytes,
            };
            told.judge(&answered, planned, &mut crate::lock(&self.side.answers));
        }
        let told = match told {
            Ok(Told::Accepted { rejected }) if rejected.len() < planned.events.len() => {
                ledger.record_acked(id, &rejected, now_ms).map(|events| {
                    accepted = events;
                    true
                })
            }
            Ok(Told::Accepted { .. } | Told::Rejected) => ledger.record_rejected(id).map(|()| true),
            Ok(Told::TryAgain) | Err(_) => match next {
                Next::TriesAgain => ledger.record_unknown(id),
                Next::GivesUp => ledger.record_given_up(id),
            }
            .map(|()| false),
        };
        drop(ledger);
        if let Some(acks) = crate::lock(&self.side.acks).as_mut().filter(|_| !accepted.is_empty()) {
            acks.acknowledged(id, &accepted);
        }
        told.unwrap_or_else(|error| panic!("the ledger was told something twice: {error}"))
    }

    fn tell_sent(&self, id: u64, planned: &PlannedRequest, request: &Request<Bytes>) {
        let headers =
            request.headers().iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        let digest = request_digest(
            request.method() == http::Method::POST,
            target.as_bytes(),
            headers,
            request.body(),
        );
        let events: Vec<SentEvent<'_>> = planned.events.iter().map(sent_event).collect();
        let sent_at_ms = self.env.clock().wall().0;
        let sent = ClientRequest { id, project: planned.project, sent_at_ms, digest, events: &events };
        crate::lock(&self.side.ledger).record_sent(&sent).unwrap_or_else(|error| panic!("ledger: {error}"));
    }

    async fn read_export(&self, export: &Export) {
        self.wait_until(export.at_ms).await;
        let at_ms = self.env.clock().wall().0;
        let body = self.read_pieces(export).await;
        self.env.mark(Mark { name: "client.exported", subject: "" });
        let days = export.from.0..=export.to.0;
        crate::lock(&self.side.exports).push(Exported { project: export.project, at_ms, days, body });
    }

    async fn read_pieces(&self, export: &Export) -> Result<Bytes, String> {
        let mut lines = Vec::new();
        for (from, to) in pieces(export.from, export.to) {
            let project = export.project;
            let target = format!("/api/2.0/export?project_id={project}&from_date={from}&to_date={to}");
            lines.extend_from_slice(&self.read_piece(&target).await?);
        }
        Ok(lines.into())
    }

    async fn read_piece(&self, target: &str) -> Result<Bytes, String> {
        let mut body = Err("never asked".to_owned());
        for (turn, edge) in self.edges.iter().cycle().take(self.edges.len() * 2).enumerate() {
            let mut request =
                Request::get(target).body(Bytes::new()).expect("a target of digits and dates is valid");
            let basic = format!("Basic {}", basic_auth(&self.secret));
            request.headers_mut().insert("authorization", basic.parse().expect("base64 is visible ASCII"));
            body = match http_call(&self.env, *edge, request, ANSWER_TIMEOUT * 5).await {
                Ok(response) if response.status() == StatusCode::OK => Ok(response.into_body()),
                Ok(response) => Err(format!("status {}", response.status())),
                Err(error) => Err(error.to_string()),
            };
            if body.is_ok() {
                break;
            }
            self.env.clock().sleep(Duration::from_secs(30) * (turn as u32 + 1)).await;
        }
        body
    }
}

/// The days of an export, in pieces of as many as the API answers at a time.
fn pieces(from: Day, to: Day) -> impl Iterator<Item = (Day, Day)> {
    let firsts = (from.0..=to.0).step_by(MAX_EXPORT_DAYS as usize);
    firsts.map(move |first| (Day(first), Day(to.0.min(first + MAX_EXPORT_DAYS - 1))))
}

/// An event as the ledger hears of it.
fn sent_event(event: &PlannedEvent) -> SentEvent<'_> {
    SentEvent {
        json: &event.json,
        name: &event.name,
        distinct_id: &event.distinct_id,
        insert_id: event.insert_id.as_deref(),
        time_ms: event.time_ms,
    }
}

fn basic_auth(secret: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(format!("{secret}:"))
}
