//! HTTP between nodes: a client's request to an edge, its forwarding to ingest, and the responses.
//!
//! Models methods, targets, headers and bodies. Not modelled: connections, chunked bodies, upgrades. Bodies stay outside
//! the head, so that they pass by reference.

use crate::message::{MessageError, decode_head, encode_head, tag};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use latent_ports::{Env, Message, Net, NetError, NodeId};
use serde::{Deserialize, Serialize};
use std::time::Duration;

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
    use crate::message::service;

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
    fn methods_other_than_get_and_post_are_rejected() {
        let put = http::Request::put("/track").body(Bytes::new()).unwrap();
        assert_eq!(RequestHead::of(&put), Err(MessageError::Method("PUT".into())));
        let long = "X".repeat(5_000);
        let odd = http::Request::builder().method(&*long).uri("/track").body(()).unwrap();
        assert_eq!(RequestHead::of(&odd), Err(MessageError::Method("X".repeat(200))));
    }
}
