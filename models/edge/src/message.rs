//! The heads of the messages that edges send and answer, and how HTTP travels between nodes.
//!
//! A head is one byte, the service that is asked, and the postcard encoding of what is asked. Bodies stay outside
//! the head, so that they pass by reference. Several services may share a node: the first byte tells them apart.

use crate::tee::TeeName;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use latent_ports::{Env, Message, Net, NetError, NodeId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The first byte of a head: 1 to 15 edge, 16 to 31 ingest, 32 to 47 Arb, 48 to 63 objects, 64 to 79 operators,
/// audit and workers.
pub mod tag {
    /// A client's HTTP request to an edge: [`super::RequestHead`], answered by [`super::AnswerHead`].
    pub const EDGE_HTTP: u8 = 1;
    /// One edge to another, keep this piece of my tee file: [`super::TeeCopy`], answered by
    /// [`super::TeeCopyAnswer`].
    pub const TEE_COPY: u8 = 2;
    /// One edge to another, my file is in the tee store: [`super::TeeUploaded`], answered by `()`.
    pub const TEE_UPLOADED: u8 = 3;
    /// One edge to another, give me your copy of this file: [`super::TeeFetch`], answered by
    /// [`super::TeeFetchAnswer`].
    pub const TEE_FETCH: u8 = 4;
    /// Recovery to an edge, put all that you hold into the tee store now: `()`, answered by `Result<(), String>`.
    pub const TEE_FLUSH: u8 = 5;
    /// An edge to ingest: [`super::Forward`], answered by [`super::AnswerHead`].
    pub const INGEST_FORWARD: u8 = 16;
    /// Anyone to an object store: [`crate::object_api::ObjectRequest`].
    pub const OBJECTS: u8 = 48;
}

/// Header names in lower case with their values, in the order received.
pub type Headers = Vec<(String, Vec<u8>)>;

/// The methods that the event API knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum Method {
    /// GET.
    Get = 0,
    /// POST.
    Post = 1,
}

/// A head that is not what the receiver can answer, or HTTP that does not fit a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The head is empty or of another service.
    #[error(
        "message head: expected service {expected}, got {got:?}; the two sides disagree about the protocol"
    )]
    Service {
        /// The tag that was expected.
        expected: u8,
        /// The tag that came, if any.
        got: Option<u8>,
    },
    /// The head does not decode.
    #[error("message head of service {tag}: {why}; the two sides disagree about the protocol")]
    Head {
        /// The service's tag.
        tag: u8,
        /// What the decoder said.
        why: String,
    },
    /// A method that the event API does not know.
    #[error("method {0}: only GET and POST are answered")]
    Method(String),
    /// A status or header that HTTP does not allow.
    #[error("http answer: {0}")]
    Http(String),
}

/// The head of a message: `tag` and the encoding of `head`.
#[must_use]
pub fn encode_head<T: Serialize>(tag: u8, head: &T) -> Bytes {
    postcard::to_extend(head, vec![tag])
        .expect("heads are plain structs of sized fields, and a Vec takes every byte")
        .into()
}

/// Reads a head that must be of service `tag`.
///
/// # Errors
/// When the head is of another service, does not decode, or has bytes to spare.
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

/// The service that a message asks for; `None` when its head is empty.
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
    /// What `request` has besides its body.
    ///
    /// # Errors
    /// When the method is neither GET nor POST.
    pub fn of<B>(request: &http::Request<B>) -> Result<RequestHead, MessageError> {
        let method = match *request.method() {
            http::Method::GET => Method::Get,
            http::Method::POST => Method::Post,
            ref other => return Err(MessageError::Method(other.to_string())),
        };
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str()).to_owned();
        Ok(RequestHead { method, target, headers: headers_of(request.headers()) })
    }
}

/// An HTTP answer without its body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerHead {
    /// The status code.
    pub status: u16,
    /// Headers.
    pub headers: Headers,
}

/// A numbered request on its way from an edge to ingest. The body is the request's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// Which edge numbered it.
    pub edge: u16,
    /// The edge's number for it.
    pub sequence: u64,
    /// The edge's wall clock when it came in.
    pub arrived_ms: i64,
    /// The request as received.
    pub request: RequestHead,
}

impl Forward {
    /// The message to ingest, with the request's `body`.
    #[must_use]
    pub fn into_message(self, body: Bytes) -> Message {
        Message { head: encode_head(tag::INGEST_FORWARD, &self), body }
    }

    /// Reads the head of a message to ingest; its body is the request's.
    ///
    /// # Errors
    /// When the head is of another service or does not decode.
    pub fn from_message(message: &Message) -> Result<Forward, MessageError> {
        decode_head(tag::INGEST_FORWARD, &message.head)
    }
}

/// Keep this piece of a tee file: the message's body stands at `offset` of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeeCopy {
    /// Which file.
    pub name: TeeName,
    /// Where the body stands in it, in bytes.
    pub offset: u64,
}

/// What became of a [`TeeCopy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TeeCopyAnswer {
    /// The file is durable here up to the end of the piece.
    Durable,
    /// Nothing was written: the copy ends before the piece begins. Send from `have_bytes` on.
    Behind {
        /// The copy's length.
        have_bytes: u64,
    },
    /// The copy here can take no more bytes, ever (its disk failed, or its bytes are others): begin a new file.
    Closed,
    /// Not now (for example, no room on the disk).
    Failed,
}

/// The owner of a file has uploaded and verified it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeeUploaded {
    /// Which file.
    pub name: TeeName,
}

/// Give me your copy of a file, or my own, piece by piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeeFetch {
    /// Which file.
    pub name: TeeName,
    /// From where, in bytes.
    pub offset: u64,
    /// At most so much.
    pub len_bytes: u64,
}

/// What became of a [`TeeFetch`]. The bytes are the answer's body; none at the end of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TeeFetchAnswer {
    /// Here they are.
    Bytes,
    /// No such file here.
    Missing,
    /// The disk here could not read them.
    Failed,
}

/// A call over HTTP that got no HTTP answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The network gave no answer.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The request could not be sent, or the answer not be read.
    #[error(transparent)]
    Message(#[from] MessageError),
}

/// An HTTP request as a message of service `tag`'s kind [`RequestHead`].
///
/// # Errors
/// When the method is neither GET nor POST.
pub fn request_to_message(request: http::Request<Bytes>) -> Result<Message, MessageError> {
    let head = RequestHead::of(&request)?;
    Ok(Message { head: encode_head(tag::EDGE_HTTP, &head), body: request.into_body() })
}

/// The message that answers an HTTP request of service `tag` ([`tag::EDGE_HTTP`] or [`tag::INGEST_FORWARD`]).
#[must_use]
pub fn response_to_message(tag: u8, response: http::Response<Bytes>) -> Message {
    let head = AnswerHead { status: response.status().as_u16(), headers: headers_of(response.headers()) };
    Message { head: encode_head(tag, &head), body: response.into_body() }
}

/// Reads what [`response_to_message`] wrote.
///
/// # Errors
/// When the head does not decode, or its status or headers are not HTTP's.
pub fn response_from_message(tag: u8, message: Message) -> Result<http::Response<Bytes>, MessageError> {
    let head: AnswerHead = decode_head(tag, &message.head)?;
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

/// Sends a client's request to the edge at `edge` and waits at most `timeout` for the answer.
///
/// # Errors
/// When there is no answer, or the request cannot be sent. After a time-out the effect may have happened.
pub async fn http_call<E: Env>(
    env: &E,
    edge: NodeId,
    request: http::Request<Bytes>,
    timeout: Duration,
) -> Result<http::Response<Bytes>, CallError> {
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
    fn a_request_reaches_the_edge_as_it_was_sent() {
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
    fn an_answer_reaches_the_client_as_it_was_given() {
        let response =
            http::Response::builder().status(503).header("retry-after", "2").body(Bytes::from("0")).unwrap();
        let message = response_to_message(tag::EDGE_HTTP, response);
        let read = response_from_message(tag::EDGE_HTTP, message).unwrap();
        assert_eq!((read.status().as_u16(), read.body().as_ref()), (503, b"0".as_slice()));
        assert_eq!(read.headers()["retry-after"], "2");
    }

    #[test]
    fn other_methods_services_and_spare_bytes_are_refused() {
        let put = http::Request::put("/track").body(Bytes::new()).unwrap();
        assert_eq!(RequestHead::of(&put), Err(MessageError::Method("PUT".into())));
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
