//! Permissions of calls to an edge: other nodes can neither read nor change tee data.

use super::{SECOND, unchanged, with_fixture};
use crate::fixture::{EDGES, EdgeFixture, HOUR, IMPOSTOR, has};
use bytes::Bytes;
use latent_edge::EdgeConfig;
use latent_edge::marks;
use latent_edge::tee::TeeName;
use latent_edge::tee::calls::{TeeCopy, TeeFetch, TeeUploaded};
use latent_ports::{Message, NodeId};
use latent_storekit::message::{decode_head, encode_head, tag};

fn bare(head: Bytes) -> Message {
    Message { head, body: Bytes::new() }
}

/// Name of edge 1's file, of which edge 2 holds a copy.
fn copied(fixture: &EdgeFixture) -> TeeName {
    let image = fixture.world.disk_image(EDGES[1]);
    let (path, _) = image.list("tee-peer").next().unwrap();
    path.strip_prefix("tee-peer/").unwrap().parse().unwrap()
}

#[test]
fn a_node_that_is_not_a_peer_cannot_change_read_or_drop_a_copy() {
    with_fixture(30, unchanged, async |fixture: EdgeFixture| {
        assert_eq!(fixture.post(EDGES[0], "kept").await, 200);
        let (name, before) = (copied(&fixture), fixture.world.disk_image(EDGES[1]));
        let garbage = Message {
            head: encode_head(tag::TEE_COPY, &TeeCopy { name, offset: 0 }),
            body: Bytes::from_static(b"garbage"),
        };
        let fetch = bare(encode_head(tag::TEE_FETCH, &TeeFetch { name, offset: 0, len_bytes: 100 }));
        let uploaded = bare(encode_head(tag::TEE_UPLOADED, &TeeUploaded { name }));
        for (at, message) in [garbage, fetch, uploaded].into_iter().enumerate() {
            assert_eq!(fixture.call_as_impostor(message).await, "", "message {at}");
        }
        fixture.world.sleep(10 * SECOND).await;
        let path = format!("tee-peer/{name}");
        assert_eq!(fixture.world.disk_image(EDGES[1]).read(&path).unwrap(), before.read(&path).unwrap());
        assert_eq!(fixture.world.marks()[marks::EDGE_UNAUTHORIZED_CALL.name()], 3);
        // The real peer is still accepted, and the file is continued.
        assert_eq!(fixture.post(EDGES[0], "kept too").await, 200);
        fixture.world.sleep(3 * HOUR).await;
        assert!(has(&fixture.stored(), &"kept".into()) && has(&fixture.stored(), &"kept too".into()));
    });
}

#[test]
fn only_recovery_nodes_may_flush() {
    let flush = || bare(encode_head(tag::TEE_FLUSH, &()));
    let no_node = |config| EdgeConfig { flush_allowed: Some(vec![]), ..config };
    with_fixture(31, no_node, async |fixture: EdgeFixture| {
        assert_eq!(fixture.call_as_impostor(flush()).await, "");
        assert!(!fixture.world.marks().contains_key(marks::TEE_FLUSHED.name()));
    });
    let this_one = |config| EdgeConfig { flush_allowed: Some(vec![NodeId(6), IMPOSTOR]), ..config };
    with_fixture(32, this_one, async |fixture: EdgeFixture| {
        let answer = fixture.call_as_impostor(flush()).await;
        assert_eq!(decode_head::<Result<(), String>>(tag::TEE_FLUSH, &answer), Ok(Ok(())));
        assert_eq!(fixture.world.marks()[marks::TEE_FLUSHED.name()], 1);
    });
}
