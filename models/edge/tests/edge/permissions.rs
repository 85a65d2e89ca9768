//! Permissions of calls to an edge: other nodes can neither read nor change tee data.

use super::{SECOND, as_it_is, with_site};
use crate::fixture::{EDGES, EdgeFixture, HOUR, IMPOSTOR, has};
use bytes::Bytes;
use latent_edge::EdgeConfig;
use latent_edge::message::{TeeCopy, TeeFetch, TeeUploaded, decode_head, encode_head, tag};
use latent_edge::tee::TeeName;
use latent_ports::{Message, NodeId};

fn bare(head: Bytes) -> Message {
    Message { head, body: Bytes::new() }
}

/// Name of edge 1's file, of which edge 2 holds a copy.
fn copied(site: &EdgeFixture) -> TeeName {
    let image = site.world.disk_image(EDGES[1]);
    let (path, _) = image.list("tee-peer").next().unwrap();
    TeeName::from_path(path).unwrap()
}

#[test]
fn a_stranger_can_neither_change_nor_read_nor_drop_a_copy() {
    with_site(30, as_it_is, async |site: EdgeFixture| {
        assert_eq!(site.post(EDGES[0], "kept").await, 200);
        let (name, before) = (copied(&site), site.world.disk_image(EDGES[1]));
        let garbage = Message {
            head: encode_head(tag::TEE_COPY, &TeeCopy { name, offset: 0 }),
            body: Bytes::from_static(b"garbage"),
        };
        let fetch = bare(encode_head(tag::TEE_FETCH, &TeeFetch { name, offset: 0, len_bytes: 100 }));
        let uploaded = bare(encode_head(tag::TEE_UPLOADED, &TeeUploaded { name }));
        for (at, message) in [garbage, fetch, uploaded].into_iter().enumerate() {
            assert_eq!(site.ask_as_stranger(message).await, "", "message {at}");
        }
        site.world.sleep(10 * SECOND).await;
        let path = format!("tee-peer/{name}");
        assert_eq!(site.world.disk_image(EDGES[1]).read(&path).unwrap(), before.read(&path).unwrap());
        assert_eq!(site.world.marks()["edge.stranger-refused"], 3);
        // The real peer is still accepted, and the file is continued.
        assert_eq!(site.post(EDGES[0], "kept too").await, 200);
        site.world.sleep(3 * HOUR).await;
        assert!(has(&site.stored(), &"kept".into()) && has(&site.stored(), &"kept too".into()));
    });
}

#[test]
fn only_who_runs_recoveries_may_flush() {
    let flush = || bare(encode_head(tag::TEE_FLUSH, &()));
    let nobody = |config| EdgeConfig { flush_allowed: Some(vec![]), ..config };
    with_site(31, nobody, async |site: EdgeFixture| {
        assert_eq!(site.ask_as_stranger(flush()).await, "");
        assert!(!site.world.marks().contains_key("tee.flushed"));
    });
    let this_one = |config| EdgeConfig { flush_allowed: Some(vec![NodeId(6), IMPOSTOR]), ..config };
    with_site(32, this_one, async |site: EdgeFixture| {
        let answer = site.ask_as_stranger(flush()).await;
        assert_eq!(decode_head::<Result<(), String>>(tag::TEE_FLUSH, &answer), Ok(Ok(())));
        assert_eq!(site.world.marks()["tee.flushed"], 1);
    });
}
