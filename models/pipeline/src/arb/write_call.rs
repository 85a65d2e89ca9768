//! Encoding of a write call: one call for all disks, with the frames of its blocks as the body.

use super::api::{ArbRequest, WriteBlock};
use super::manifest::Tier;
use crate::record::{Record, encode_framed_block};
use crate::zone::Day;
use bytes::{Bytes, BytesMut};
use latent_storekit::frame::InvalidPayloadLength;

/// Records per frame: far below a frame's limit of 64 MiB, since an event is below 1 MB and a request below 10 MB.
const RECORDS_PER_FRAME: usize = 2_000;

/// Write of one project, for each of its disks.
pub struct ProjectWrite {
    /// Call to each disk.
    pub call: ArbRequest,
    /// Body of the call: the frames.
    pub body: Bytes,
}

/// Encodes records of one project as one write.
///
/// # Errors
/// A block does not fit a frame.
pub fn encode_write<'a>(
    project: u32,
    days: impl Iterator<Item = (Day, Tier, &'a [Record])>,
    skip_present: bool,
) -> Result<ProjectWrite, InvalidPayloadLength> {
    let mut parts = Vec::new();
    let mut body = BytesMut::new();
    for (day, tier, records) in days {
        for chunk in records.chunks(RECORDS_PER_FRAME) {
            let framed = encode_framed_block(project, day, chunk)?;
            parts.push(WriteBlock { day, tier, frame_bytes: framed.len() as u32 });
            body.extend_from_slice(&framed);
        }
    }
    Ok(ProjectWrite { call: ArbRequest::Write { project, parts, skip_present }, body: body.freeze() })
}
