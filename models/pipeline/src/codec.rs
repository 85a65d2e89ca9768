//! Heads of the messages inside the cluster: see `latent_edge::message` for the encoding.
//!
//! Bodies travel beside the head, as they are, so that eight copies share one buffer.

use bytes::Bytes;
use latent_edge::message::{MessageError, decode_head, encode_head};
use latent_ports::Message;
use serde::{Serialize, de::DeserializeOwned};

/// The service a head is meant for, by its first byte; the others are in `latent_edge::message::tag`.
pub mod tag {
    /// Arb disks.
    pub const ARB: u8 = 32;
    /// The operator's desk: alarms.
    pub const OPERATOR: u8 = 64;
    /// Any node: what it runs.
    pub const STATUS: u8 = 65;
}

/// A message of service `tag` without a body.
#[must_use]
pub fn message<T: Serialize>(tag: u8, call: &T) -> Message {
    message_with(tag, call, Bytes::new())
}

/// A message of service `tag` that carries `body`.
#[must_use]
pub fn message_with<T: Serialize>(tag: u8, call: &T, body: Bytes) -> Message {
    Message { head: encode_head(tag, call), body }
}

/// The call or answer in a message's head.
///
/// # Errors
/// When the head is of another service or does not decode.
pub fn decode<T: DeserializeOwned>(tag: u8, message: &Message) -> Result<T, MessageError> {
    decode_head(tag, &message.head)
}
