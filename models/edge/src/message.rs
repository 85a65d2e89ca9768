//! Heads of the messages that edges send and receive, and the encoding of HTTP between nodes.
//!
//! A head is one byte for the service, followed by the postcard encoding of the call. Bodies stay outside the head, so
//! that they pass by reference. Several services may share a node; the first byte selects the service.

use crate::tee::TeeName;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use latent_ports::{Env, Message, Net, NetError, NodeId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Service tags, the first byte of a head: 1 to 15 edge, 16 to 31 ingest, 32 to 47 Arb, 48 to 63 objects, 64 to 79
/// operators, audit and workers.
pub mod tag {
    /// HTTP request of a client to an edge: [`super::RequestHead`], answered by [`super::ResponseHead`].
    pub const EDGE_HTTP: u8 = 1;
    /// Edge to edge, store this chunk of a tee file: [`super::TeeCopy`], answered by [`super::TeeCopyResponse`].
    pub const TEE_COPY: u8 = 2;
    /// Edge to edge, the sender's file is in the tee store: [`super::TeeUploaded`], answered by `()`.
    pub const TEE_UPLOADED: u8 = 3;
    /// Edge to edge, return the receiver's copy of a file: [`super::TeeFetch`], answered by
    /// [`super::TeeFetchResponse`].
    pub const TEE_FETCH: u8 = 4;
    /// Recovery to edge, upload all local tee data now: `()`, answered by `Result<(), String>`.
    pub const TEE_FLUSH: u8 = 5;
    /// Edge to ingest: [`super::Forward`], answered by [`super::ResponseHead`].
    pub const INGEST_FORWARD: u8 = 16;
    /// Any node to an object store: [`crate::object_api::ObjectRequest`].
    pub const OBJECTS: u8 = 48;
}

/// Header names in lower case with their values, in the order received.
pub type Headers = Vec<(String, Vec<u8>)>;

/// HTTP methods that the event API supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum Method {
    /// GET.
    Get = 0,
    /// POST.
    Post = 1,
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

/// An HTTP request without its body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestHead {
    /// GET or POST.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// Headers.
    pub headers: Headers,
}

impl RequestHead {
    /// Returns the head of `request`.
    ///
    /// # Errors
    /// The method is neither GET nor POST.
    pub fn of<B>(request: &http::Request<B>) -> Result<RequestHead, MessageError> {
        let method = match *request.method() {
            http::Method::GET => Method::Get,
            http::Method::POST => Method::Post,
            // The error repeats only as much of the request as a client needs to see.
            ref other => return Err(MessageError::Method(other.as_str().chars().take(200).collect())),
        };
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str()).to_owned();
        Ok(RequestHead { method, target, headers: headers_of(request.headers()) })
    }
}

/// An HTTP response without its body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseHead {
    /// The status code.
    pub status: u16,
    /// Headers.
    pub headers: Headers,
}

/// Numbered request on its way from an edge to ingest. The message body is the request's body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// Number of the edge that received the request.
    pub edge: u16,
    /// Sequence number that the edge assigned.
    pub sequence: u64,
    /// Wall clock of the edge when the request arrived, in ms.
    pub arrived_ms: i64,
    /// The request as received.
    pub request: RequestHead,
}

impl Forward {
    /// Encodes the message to ingest, with the request's `body`.
    #[must_use]
    pub fn into_message(self, body: Bytes) -> Message {
        Message { head: encode_head(tag::INGEST_FORWARD, &self), body }
    }

    /// Decodes the head of a message to ingest. The message body is the request's body.
    ///
    /// # Errors
    /// The head belongs to another service or does not decode.
    pub fn from_message(message: &Message) -> Result<Forward, MessageError> {
        decode_head(tag::INGEST_FORWARD, &message.head)
    }
}

/// Call to store a chunk of a tee file. The message body is the chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeeCopy {
    /// Name of the file.
    pub name: TeeName,
    /// Offset of the chunk in the file, in bytes.
    pub offset: u64,
}

/// Response to a [`TeeCopy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TeeCopyResponse {
    /// The copy is durable up to the end of the chunk.
    Durable,
    /// Nothing was written: the copy ends before the chunk begins. The sender must continue from `have_bytes`.
    Behind {
        /// Length of the copy, in bytes.
        have_bytes: u64,
    },
    /// The copy cannot take more bytes, because its disk failed or its bytes differ. The sender must start a new file.
    Closed,
    /// Temporary failure, such as a full disk.
    Failed,
}

/// Notice that the owner of a file has uploaded and verified it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeeUploaded {
    /// Name of the file.
    pub name: TeeName,
}

/// Call to read a part of the receiver's copy of a file, or of its own file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeeFetch {
    /// Name of the file.
    pub name: TeeName,
    /// Offset of the first byte.
    pub offset: u64,
    /// Maximum number of bytes.
    pub len_bytes: u64,
}

/// Response to a [`TeeFetch`]. The message body holds the bytes; it is empty at the end of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TeeFetchResponse {
    /// The body holds the bytes.
    Bytes,
    /// The receiver does not have the file.
    Missing,
    /// The receiver's disk could not read the bytes.
    Failed,
}

/// Error of an HTTP call that received no HTTP response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpCallError {
    /// Network failure.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The request could not be sent, or the response could not be decoded.
    #[error(transparent)]
    Message(#[from] MessageError),
}

/// Encodes an HTTP request as a message with a [`RequestHead`].
///
/// # Errors
/// The method is neither GET nor POST.
pub fn request_to_message(request: http::Request<Bytes>) -> Result<Message, MessageError> {
    let head = RequestHead::of(&request)?;
    Ok(Message { head: encode_head(tag::EDGE_HTTP, &head), body: request.into_body() })
}

/// Encodes the response to an HTTP request of service `tag` ([`tag::EDGE_HTTP`] or [`tag::INGEST_FORWARD`]).
#[must_use]
pub fn response_to_message(tag: u8, response: http::Response<Bytes>) -> Message {
    let head = ResponseHead { status: response.status().as_u16(), headers: headers_of(response.headers()) };
    Message { head: encode_head(tag, &head), body: response.into_body() }
}

/// Decodes a message from [`response_to_message`].
///
/// # Errors
/// The head does not decode, or its status or headers are not valid HTTP.
pub fn response_from_message(tag: u8, message: Message) -> Result<http::Response<Bytes>, MessageError> {
    let head: ResponseHead = decode_head(tag, &message.head)?;
    let mut response = http::Response::new(message.body);
    *response.status_mut() = StatusCode::from_u16(head.status)
        .map_err(|_| MessageError::Http(format!("status {}: not a status code", head.status)))?;
    for (name, value) in head.headers {
        let parsed = (HeaderName::try_from(&name), HeaderValue::try_from(value));
        let (Ok(header), Ok(value)) = parsed else {
            return Err(MessageError::Http(format!("header '{name}': not a header")));
        };
        response.headers_mut().append(header, value);
    }
    Ok(response)
}

/// Sends a client's request to `edge` and waits at most `timeout` for the response.
///
/// # Errors
/// No response arrived, or the request could not be sent. After a timeout the request may have taken effect.
pub async fn http_call<E: Env>(
    env: &E,
    edge: NodeId,
    request: http::Request<Bytes>,
    timeout: Duration,
) -> Result<http::Response<Bytes>, HttpCallError> {
    let answer = env.net().call(edge, request_to_message(request)?, timeout).await?;
    Ok(response_from_message(tag::EDGE_HTTP, answer)?)
}

fn headers_of(headers: &http::HeaderMap) -> Headers {
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_round_trips_through_a_message() {
        let request = http::Request::post("/import?strict=1")
            .header("Content-Type", "application/json")
            .body(Bytes::from_static(b"[]"))
            .unwrap();
        let message = request_to_message(request).unwrap();
        assert_eq!(service(&message), Some(tag::EDGE_HTTP));
        let head: RequestHead = decode_head(tag::EDGE_HTTP, &message.head).unwrap();
        assert_eq!((head.method, head.target.as_str()), (Method::Post, "/import?strict=1"));
        assert_eq!(head.headers, [("content-type".to_owned(), b"application/json".to_vec())]);
        assert_eq!(message.body, "[]");
    }

    #[test]
    fn a_response_round_trips_through_a_message() {
        let response =
            http::Response::builder().status(503).header("retry-after", "2").body(Bytes::from("0")).unwrap();
        let message = response_to_message(tag::EDGE_HTTP, response);
        let read = response_from_message(tag::EDGE_HTTP, message).unwrap();
        assert_eq!((read.status().as_u16(), read.body().as_ref()), (503, b"0".as_slice()));
        assert_eq!(read.headers()["retry-after"], "2");
    }

    #[test]
    fn other_methods_services_and_trailing_bytes_are_rejected() {
        let put = http::Request::put("/track").body(Bytes::new()).unwrap();
        assert_eq!(RequestHead::of(&put), Err(MessageError::Method("PUT".into())));
        let long = "X".repeat(5_000);
        let odd = http::Request::builder().method(&*long).uri("/track").body(()).unwrap();
        assert_eq!(RequestHead::of(&odd), Err(MessageError::Method("X".repeat(200))));
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
