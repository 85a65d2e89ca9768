//! Encoding of the heads of messages between nodes.
//!
//! A head is one byte for the service, followed by the postcard encoding of the call. Bodies stay outside the head, so
//! that they pass by reference. Several services may share a node; the first byte selects the service.

use bytes::Bytes;
use latent_ports::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Service tags, the first byte of a head: 1 to 15 edge, 16 to 31 ingest, 32 to 47 Arb, 48 to 63 objects, 64 to 79
/// operators, audit and workers. All tags of the system are in this list, so that no two services share one.
pub mod tag {
    /// HTTP request of a client to an edge: [`crate::http_message::RequestHead`], answered by
    /// [`crate::http_message::ResponseHead`].
    pub const EDGE_HTTP: u8 = 1;
    /// Edge to edge, store this chunk of a tee file: `TeeCopy`, answered by `TeeCopyResponse` (crate `latent-edge`).
    pub const TEE_COPY: u8 = 2;
    /// Edge to edge, the sender's file is in the tee store: `TeeUploaded`, answered by `()`.
    pub const TEE_UPLOADED: u8 = 3;
    /// Edge to edge, return the receiver's copy of a file: `TeeFetch`, answered by `TeeFetchResponse`.
    pub const TEE_FETCH: u8 = 4;
    /// Recovery to edge, upload all local tee data now: `()`, answered by `Result<(), String>`.
    pub const TEE_FLUSH: u8 = 5;
    /// Edge to ingest: [`crate::http_message::Forward`], answered by
    /// [`crate::http_message::ResponseHead`].
    pub const INGEST_FORWARD: u8 = 16;
    /// Any node to an Arb disk: `ArbRequest` (crate `latent-pipeline`).
    pub const ARB: u8 = 32;
    /// Any node to an object store: [`crate::object_store::ObjectRequest`].
    pub const OBJECTS: u8 = 48;
    /// Any node to the operator: alarms.
    pub const OPERATOR: u8 = 64;
    /// Any node to any node: status.
    pub const STATUS: u8 = 65;
}

/// Error for a head that the receiver cannot process, or for HTTP that does not fit a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The head is empty or belongs to another service.
    #[error(
        "message head: expected service {expected}, got {got:?}; the two sides disagree about the protocol"
    )]
    Service {
        /// Expected tag.
        expected: u8,
        /// Received tag, if any.
        got: Option<u8>,
    },
    /// The head does not decode.
    #[error("message head of service {tag}: {why}; the two sides disagree about the protocol")]
    Head {
        /// Tag of the service.
        tag: u8,
        /// Error of the decoder.
        why: String,
    },
    /// A method that the event API does not support.
    #[error("method {0}: only GET and POST are answered")]
    Method(String),
    /// A status or header that HTTP does not allow.
    #[error("http answer: {0}")]
    Http(String),
}

/// Encodes the head of a message: `tag` and the encoding of `head`.
#[must_use]
pub fn encode_head<T: Serialize>(tag: u8, head: &T) -> Bytes {
    postcard::to_extend(head, vec![tag])
        .expect("heads are plain structs of sized fields, and a Vec takes every byte")
        .into()
}

/// Decodes a head of service `tag`.
///
/// # Errors
/// The head belongs to another service, does not decode, or has trailing bytes.
pub fn decode_head<T: DeserializeOwned>(tag: u8, head: &[u8]) -> Result<T, MessageError> {
    let Some((&got, rest)) = head.split_first().filter(|(got, _)| **got == tag) else {
        return Err(MessageError::Service { expected: tag, got: head.first().copied() });
    };
    debug_assert_eq!(got, tag);
    match postcard::take_from_bytes(rest) {
        Ok((value, [])) => Ok(value),
        Ok((_, spare)) => Err(MessageError::Head { tag, why: format!("{} bytes to spare", spare.len()) }),
        Err(error) => Err(MessageError::Head { tag, why: error.to_string() }),
    }
}

/// Returns the service tag of a message; `None` when the head is empty.
#[must_use]
pub fn service(message: &Message) -> Option<u8> {
    message.head.first().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_of_other_services_and_trailing_bytes_are_rejected() {
        let head = encode_head(tag::TEE_FETCH, &7_u32);
        assert!(matches!(decode_head::<u32>(tag::TEE_COPY, &head), Err(MessageError::Service { .. })));
        assert!(matches!(
            decode_head::<u8>(tag::TEE_COPY, &[]),
            Err(MessageError::Service { got: None, .. })
        ));
        let longer = [head.as_ref(), &[0]].concat();
        assert!(matches!(decode_head::<u32>(tag::TEE_FETCH, &longer), Err(MessageError::Head { .. })));
    }
}
