//! Responses of an ingest node that do not depend on a client's request alone.

use super::fixture::{ClusterFixture, FIRST_DAY, PROJECT, with_fixture};
use bytes::Bytes;
use http::{Request, Response};
use latent_pipeline::export::MAX_EXPORT_DAYS;
use latent_pipeline::marks;
use latent_pipeline::zone::Day;
use latent_ports::{Env, Message, Net};
use latent_storekit::http_message::{http_call, response_from_message};
use latent_storekit::message::tag;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(60);

/// Response of an ingest node to a forward encoded by another release.
async fn answer_to_strange_forward(fixture: &ClusterFixture, spare: &'static [u8]) -> Response<Bytes> {
    let ingest = fixture.cluster.ingest[0];
    let answer = fixture.run(move |env| async move {
        let head = Bytes::from([&[tag::INGEST_FORWARD][..], spare].concat());
        let body = Bytes::from_static(b"[]");
        env.net().call(ingest, Message { head, body }, TIMEOUT).await.unwrap()
    });
    response_from_message(tag::INGEST_FORWARD, answer.await).unwrap()
}

#[test]
fn a_forward_that_ingest_cannot_decode_is_answered_503() {
    let (_, marks) = with_fixture(3, async |fixture: ClusterFixture| {
        for spare in [&b""[..], b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"strange words"] {
            let answer = answer_to_strange_forward(&fixture, spare).await;
            assert_eq!(answer.status(), 503, "clients never repeat a 4xx");
            assert!(answer.headers().contains_key("retry-after"));
        }
    });
    assert_eq!(marks[marks::INGEST_FORWARD_UNDECODABLE.name()], 3);
}

/// An export of this many days, beginning 60 days before the first.
async fn export_of(fixture: &ClusterFixture, days: i32) -> Response<Bytes> {
    let (edge, from) = (fixture.cluster.edges[0], FIRST_DAY.0 - 60);
    let target = format!(
        "/api/2.0/export?project_id={PROJECT}&from_date={}&to_date={}",
        Day(from),
        Day(from + days - 1)
    );
    let answer = fixture.run(move |env| {
        let request = Request::get(&target).header("authorization", "Basic c2VjcmV0Og==");
        let request = request.body(Bytes::new()).unwrap();
        async move { http_call(&env, edge, request, TIMEOUT).await.unwrap() }
    });
    answer.await
}

#[test]
fn an_export_is_complete_or_refused_with_its_number_of_days() {
    with_fixture(4, async |fixture: ClusterFixture| {
        fixture.traffic(1).await;
        let whole = export_of(&fixture, MAX_EXPORT_DAYS).await;
        let lines = std::str::from_utf8(whole.body()).unwrap().lines().count();
        assert_eq!((whole.status().as_u16(), lines), (200, fixture.acked.lock().unwrap().len()));
        let too_long = export_of(&fixture, MAX_EXPORT_DAYS + 1).await;
        assert_eq!(too_long.status(), 400);
        let why = std::str::from_utf8(too_long.body()).unwrap();
        assert!(why.contains("101 days") && why.contains("at most 100"), "{why}");
    });
}
