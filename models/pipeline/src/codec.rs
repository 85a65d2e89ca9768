//! Heads of messages inside the cluster; see `latent_storekit::message` for the encoding.
//!
//! Bodies are passed beside the head, so that eight copies share one buffer.

use bytes::Bytes;
use latent_ports::Message;
pub use latent_storekit::message::tag;
use latent_storekit::message::{MessageError, decode_head, encode_head};
use serde::{Serialize, de::DeserializeOwned};

/// Encodes a message of service `tag` without a body.
#[must_use]
pub fn message<T: Serialize>(tag: u8, call: &T) -> Message {
    message_with(tag, call, Bytes::new())
}

/// Encodes a message of service `tag` with `body`.
#[must_use]
pub fn message_with<T: Serialize>(tag: u8, call: &T, body: Bytes) -> Message {
    Message { head: encode_head(tag, call), body }
}

/// Decodes the head of a message.
///
/// # Errors
/// The head belongs to another service or does not decode.
pub fn decode<T: DeserializeOwned>(tag: u8, message: &Message) -> Result<T, MessageError> {
    decode_head(tag, &message.head)
}
