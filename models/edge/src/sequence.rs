//! Sequence numbers for requests: `boot number << 40 | count`. No sequence number is used twice.
//!
//! A boot number is durable before the first request that uses it. It is taken at boot, and again whenever a tee file
//! is closed before its hour is over: the file name contains the boot number, and no name is used twice.
//!
//! An edge without a boot number on its disk (first boot, or a replaced disk) must not start at 1: a replay skips
//! sequence numbers that are present, so events under reused numbers would be lost. It starts at the number of
//! ten-minute steps since 1970, far above any number that boots could have reached. Not covered: a replaced disk
//! combined with a clock that is wrong, at the same boot, by more than the lifetime of the lost disk.

use crate::marks;
use crate::tee::TeeName;
use bytes::Bytes;
use latent_ports::{Clock, Disk, DiskError, DiskErrorKind, DiskOp, Env, Mark};
use latent_storekit::files::read_file;
use latent_storekit::frame::{ScanEnd, encode_frame, scan};
use latent_storekit::replace_file::{Leftover, NameSync, replace_file};
use std::sync::{Arc, Mutex, PoisonError};

/// Directory of the boot number and the gap log.
pub(crate) const DIR: &str = "edge";
const FILE: &str = "boot";
const COUNT_BITS: u32 = 40;
const MAX_BOOTS: u32 = 1 << 24;
const CLOCK_STEP_MS: i64 = 600_000;

/// Sequence number allocator of one edge. Clones share the state.
#[derive(Clone, Debug)]
pub(crate) struct SequenceAllocator(Arc<Mutex<SequenceState>>);

#[derive(Debug)]
struct SequenceState {
    boot: u32,
    count: u64,
}

impl SequenceAllocator {
    /// Loads the last boot number that this disk knows. [`SequenceAllocator::next_boot`] must be called before a number
    /// is used.
    pub(crate) async fn load<E: Env>(env: &E) -> Result<SequenceAllocator, DiskError> {
        let stored = read_boot_number(env).await?;
        let named = env
            .disk()
            .list("tee")
            .await?
            .iter()
            .filter_map(|entry| entry.name.parse().ok())
            .fold(None, |most: Option<u32>, name: TeeName| most.max(Some(name.boot)));
        let from_clock = || u32::try_from(env.clock().wall().0 / CLOCK_STEP_MS).unwrap_or(0);
        let before = stored.unwrap_or_else(from_clock).max(named.unwrap_or(0));
        Ok(SequenceAllocator(Arc::new(Mutex::new(SequenceState { boot: before, count: 0 }))))
    }

    /// Takes the next boot number, durably, and resets the count to 0.
    pub(crate) async fn next_boot<E: Env>(&self, env: &E) -> Result<u32, DiskError> {
        let boot = self.boot_number() + 1;
        if boot >= MAX_BOOTS {
            return Err(DiskError {
                kind: DiskErrorKind::InvalidInput,
                op: DiskOp::Rename,
                path: format!("{DIR}/{FILE}"),
            });
        }
        let framed = encode_frame(&boot.to_le_bytes()).expect("four bytes fit a frame");
        let path = format!("{DIR}/{FILE}");
        replace_file(env.disk(), &path, framed, Leftover::Remove, NameSync::Now).await?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = SequenceState { boot, count: 0 };
        Ok(boot)
    }

    /// Returns the boot number of the next request.
    pub(crate) fn boot_number(&self) -> u32 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).boot
    }

    /// Returns the next sequence number.
    pub(crate) fn next(&self) -> u64 {
        let mut next = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        next.count += 1;
        u64::from(next.boot) << COUNT_BITS | next.count
    }
}

/// Returns the boot number of a sequence number.
pub(crate) fn boot_of(sequence: u64) -> u32 {
    (sequence >> COUNT_BITS) as u32
}

/// Reads the boot number from the disk; `None` when it is missing or damaged.
///
/// # Errors
/// The disk cannot be read.
async fn read_boot_number<E: Env>(env: &E) -> Result<Option<u32>, DiskError> {
    let Some(file) = read_file(env.disk(), &format!("{DIR}/{FILE}")).await? else {
        return Ok(None);
    };
    let number = decode_boot_number(&file);
    if number.is_none() {
        env.mark(Mark { name: marks::EDGE_BOOT_NUMBER_DAMAGED, subject: "" });
    }
    Ok(number)
}

fn decode_boot_number(file: &Bytes) -> Option<u32> {
    let found = scan(file, 0);
    match (found.payloads.as_slice(), found.end) {
        ([payload], ScanEnd::Clean) => Some(u32::from_le_bytes(payload.as_ref().try_into().ok()?)),
        _ => None,
    }
}
