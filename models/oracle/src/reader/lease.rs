//! Leases: `arb/<project>/lease`, the right to order a disk to work on a project. The last frame counts; tokens rise.

use super::ReadErrorKind;
use super::frame::{self, FieldReader, FileTail};
use bytes::Bytes;

const MAGIC: [u8; 8] = *b"LARBLSE1";

/// One grant of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseGrant {
    /// Fencing token.
    pub token: u64,
    /// Node that holds the lease.
    pub holder: u16,
    /// Time of the grant, by the disk's clock.
    pub granted_ms: i64,
    /// End of the lease, by the disk's clock.
    pub expires_ms: i64,
}

/// Reads a lease file: its grants in order, and the end of the file.
pub(crate) fn read(chunks: &[Bytes]) -> Result<(Vec<LeaseGrant>, FileTail), (u64, ReadErrorKind)> {
    let (_, frames, tail) = frame::read_file(chunks, MAGIC, 8)?;
    let mut grants: Vec<LeaseGrant> = Vec::with_capacity(frames.len());
    for frame in frames {
        let grant = grant(&frame.payload).map_err(|flaw| (frame.at, flaw))?;
        // A renewal may repeat its token; a lower token must not follow.
        if grants.last().is_some_and(|last| last.token > grant.token) {
            return Err((
                frame.at,
                ReadErrorKind::RuleViolated("a lease's token is lower than the one before it"),
            ));
        }
        grants.push(grant);
    }
    Ok((grants, tail))
}

fn grant(payload: &[u8]) -> Result<LeaseGrant, ReadErrorKind> {
    let mut fields = FieldReader::of(payload);
    let grant = LeaseGrant {
        token: fields.u64()?,
        holder: fields.u16()?,
        granted_ms: fields.i64()?,
        expires_ms: fields.i64()?,
    };
    fields.end()?;
    Ok(grant)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::frame;

    fn grant_bytes(token: u64) -> Vec<u8> {
        frame(&[&token.to_le_bytes()[..], &[5, 0], &10i64.to_le_bytes(), &20i64.to_le_bytes()].concat())
    }

    fn read_all(tokens: &[u64]) -> Result<(Vec<LeaseGrant>, FileTail), (u64, ReadErrorKind)> {
        let frames: Vec<u8> = tokens.iter().flat_map(|token| grant_bytes(*token)).collect();
        read(&[Bytes::from([&MAGIC[..], &frames].concat())])
    }

    #[test]
    fn the_last_grant_counts_and_tokens_never_fall() {
        let (grants, tail) = read_all(&[1, 2, 2]).unwrap();
        assert_eq!(grants.last(), Some(&LeaseGrant { token: 2, holder: 5, granted_ms: 10, expires_ms: 20 }));
        assert_eq!(tail, FileTail::Clean);
        assert!(matches!(read_all(&[2, 1]), Err((42, ReadErrorKind::RuleViolated(_)))));
    }
}
