//! Numbers for requests: boot number << 40 | count, so that no number is used twice.
//!
//! A boot number is durable before the first request that carries it is numbered. It is taken at boot, and again
//! whenever a tee file is closed before its hour is over: a file's name ends in it, and no name is used twice.
//!
//! An edge that finds no number on its disk (the first boot ever, or a replaced disk) must not begin at 1 again:
//! a replay skips numbers that are present, and reused ones would be skipped with their events. It begins at the
//! count of ten-minute steps since 1970, far above any number that boots could have reached. What that does not
//! cover: a replaced disk and, at the same boot, a clock that is wrong by longer than the lost disk had lived.

use crate::frame::{End, encode_frame, scan};
use crate::local::{read_file, replace};
use crate::tee::TeeName;
use bytes::Bytes;
use latent_ports::{Clock, Disk, DiskError, DiskErrorKind, DiskOp, Env, Mark};
use std::sync::{Arc, Mutex, PoisonError};

/// The directory of the boot number and the record of gaps.
pub(crate) const DIR: &str = "edge";
const FILE: &str = "boot";
const COUNT_BITS: u32 = 40;
const MOST_BOOTS: u32 = 1 << 24;
const STEP_MS: i64 = 600_000;

/// The numbers of one edge; clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Numbers(Arc<Mutex<Next>>);

#[derive(Debug)]
struct Next {
    boot: u32,
    count: u64,
}

impl Numbers {
    /// The last boot number that this disk knows of. Before a number is used, [`Numbers::next_boot`] takes one.
    pub(crate) async fn find<E: Env>(env: &E) -> Result<Numbers, DiskError> {
        let stored = stored(env).await?;
        let named = env
            .disk()
            .list("tee")
            .await?
            .iter()
            .filter_map(|entry| entry.name.parse().ok())
            .fold(None, |most: Option<u32>, name: TeeName| most.max(Some(name.boot)));
        let from_clock = || u32::try_from(env.clock().wall().0 / STEP_MS).unwrap_or(0);
        let before = stored.unwrap_or_else(from_clock).max(named.unwrap_or(0));
        Ok(Numbers(Arc::new(Mutex::new(Next { boot: before, count: 0 }))))
    }

    /// Takes the next boot number, durably, and counts from 0 again.
    pub(crate) async fn next_boot<E: Env>(&self, env: &E) -> Result<u32, DiskError> {
        let boot = self.boot_number() + 1;
        if boot >= MOST_BOOTS {
            return Err(DiskError {
                kind: DiskErrorKind::InvalidInput,
                op: DiskOp::Rename,
                path: format!("{DIR}/{FILE}"),
            });
        }
        let framed = encode_frame(&boot.to_le_bytes()).expect("four bytes fit a frame");
        replace(env.disk(), DIR, FILE, framed).await?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Next { boot, count: 0 };
        Ok(boot)
    }

    /// The boot number of the next request.
    pub(crate) fn boot_number(&self) -> u32 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).boot
    }

    /// A number for one request.
    pub(crate) fn take(&self) -> u64 {
        let mut next = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        next.count += 1;
        u64::from(next.boot) << COUNT_BITS | next.count
    }
}

/// The boot number in a request's number.
pub(crate) fn boot_of(sequence: u64) -> u32 {
    (sequence >> COUNT_BITS) as u32
}

/// The number on the disk; `None` when there is none or it is damaged. A disk that cannot be read is an error.
async fn stored<E: Env>(env: &E) -> Result<Option<u32>, DiskError> {
    let Some(file) = read_file(env.disk(), &format!("{DIR}/{FILE}")).await? else {
        return Ok(None);
    };
    let number = number_in(&file);
    if number.is_none() {
        env.mark(Mark { name: "edge.boot-number-damaged", subject: "" });
    }
    Ok(number)
}

fn number_in(file: &Bytes) -> Option<u32> {
    let found = scan(file, 0);
    match (found.payloads.as_slice(), found.end) {
        ([payload], End::Clean) => Some(u32::from_le_bytes(payload.as_ref().try_into().ok()?)),
        _ => None,
    }
}
