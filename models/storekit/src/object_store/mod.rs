//! Object store: the protocol, its client and the client's retry policy.

mod client;
mod protocol;
mod retry_policy;

pub use client::ObjectStore;
pub use protocol::{
    ByteRange, MAX_KEY_BYTES, MAX_OBJECT_BYTES, MAX_PAGE, ObjectError, ObjectInfo, ObjectRequest,
    ObjectResponse, StoreError, check_key, decode_object_response, encode_object_response,
};
pub use retry_policy::StoreRetryPolicy;
