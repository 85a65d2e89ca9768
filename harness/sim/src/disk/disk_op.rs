//! One disk operation: the process must be alive, triggered faults are injected, the operation takes effect and is
//! recorded, then triggered process faults are injected.

use super::store::DiskStore;
use crate::context::{NodeContext, OpTarget};
use crate::op_kind::OpKind;
use crate::trace::Event;
use latent_ports::{DiskError, DiskErrorKind, DiskOp};

/// Duration of a read or write of a slow disk, in microseconds, before its slowdown factor: the commonly assumed time
/// of a random read of 4 KiB from a solid-state drive ("latency numbers every programmer should know").
const READ_OR_WRITE_US: u64 = 150;

/// An operation on its way through faults, effect and trace.
pub(super) struct DiskOpAttempt<'a> {
    pub(super) context: &'a NodeContext,
    pub(super) op: DiskOp,
    pub(super) path: &'a str,
    pub(super) to: &'a str,
}

impl<'a> DiskOpAttempt<'a> {
    pub(super) fn error(&self, kind: DiskErrorKind) -> DiskError {
        DiskError { kind, op: self.op, path: self.path.to_owned() }
    }

    /// Runs an operation that takes no time: faults first, then its effect, the trace, and the process faults that it
    /// triggers.
    pub(super) async fn run_instantly<T>(
        self,
        kind: impl Fn(&DiskStore) -> OpKind,
        effect: impl FnOnce(&DiskStore) -> DiskOpEffect<T>,
    ) -> Result<T, DiskError> {
        let store = self.context.disk_store();
        self.wait_until_runnable().await?;
        if store.faults().slow_times() > 1 {
            self.wait_for_slow_disk(kind(store)).await?;
        }
        let deferred = self.context.trigger_faults(|| kind(store), self.target());
        let effect = if store.faults().fails(|| kind(store), self.path, self.to) {
            DiskOpEffect::failed(DiskErrorKind::Io)
        } else {
            effect(store)
        };
        self.record(&effect);
        self.context.inject_deferred(deferred).await;
        effect.result.map_err(|kind| self.error(kind))
    }

    /// Runs an operation with the duration of a sync. Process faults are injected before it ends.
    pub(super) async fn run_with_sync_latency<T>(
        self,
        kind: OpKind,
        key: u128,
        begin: impl FnOnce(&DiskStore) -> Result<T, DiskErrorKind>,
        end: impl FnOnce(&DiskStore, T) -> Result<(), DiskErrorKind>,
    ) -> Result<(), DiskError> {
        let store = self.context.disk_store();
        self.wait_until_runnable().await?;
        let deferred = self.context.trigger_faults(|| kind, self.target());
        self.context.inject_deferred(deferred).await;
        let fails = store.faults().fails(|| kind, self.path, self.to);
        let started = if fails { Err(DiskErrorKind::Io) } else { begin(store) };
        let result = match started {
            Err(error) => Err(error),
            Ok(started) => {
                let latency_us =
                    self.context.kernel().prng().draw_in_range("disk.sync", key, store.sync_latency_us());
                let slow_times = u64::from(store.faults().slow_times());
                self.context.kernel().sleep_ns(u64::from(latency_us) * 1_000 * slow_times).await;
                self.wait_until_runnable().await?;
                end(store, started)
            }
        };
        self.record(&DiskOpEffect { result, offset: 0, len_bytes: 0, digest: 0 });
        result.map_err(|kind| self.error(kind))
    }

    fn target(&self) -> OpTarget<'a> {
        OpTarget::Paths { path: self.path, to: self.to }
    }

    /// A slow disk bypasses the page cache: reads and writes take the device's time. Names are still cached.
    async fn wait_for_slow_disk(&self, kind: OpKind) -> Result<(), DiskError> {
        if matches!(kind, OpKind::Read | OpKind::Append | OpKind::WriteAt | OpKind::Truncate) {
            let slow_times = u64::from(self.context.disk_store().faults().slow_times());
            self.context.kernel().sleep_ns(READ_OR_WRITE_US * 1_000 * slow_times).await;
            self.wait_until_runnable().await?;
        }
        Ok(())
    }

    async fn wait_until_runnable(&self) -> Result<(), DiskError> {
        self.context.wait_until_runnable().await;
        if self.context.is_alive() { Ok(()) } else { Err(self.error(DiskErrorKind::Fenced)) }
    }

    fn record<T>(&self, effect: &DiskOpEffect<T>) {
        let outcome = effect.result.as_ref().map_or_else(|kind| Err(*kind), |_| Ok(()));
        self.context.disk_store().count_op();
        self.context.record(Event::Disk {
            op: self.op,
            path: self.path,
            to: self.to,
            offset: effect.offset,
            len_bytes: effect.len_bytes,
            digest: effect.digest,
            outcome,
        });
    }
}

/// Effect of an operation.
pub(super) struct DiskOpEffect<T> {
    pub(super) result: Result<T, DiskErrorKind>,
    pub(super) offset: u64,
    pub(super) len_bytes: u64,
    pub(super) digest: u128,
}

impl<T> DiskOpEffect<T> {
    pub(super) fn of(result: Result<T, DiskErrorKind>) -> DiskOpEffect<T> {
        DiskOpEffect { result, offset: 0, len_bytes: 0, digest: 0 }
    }

    pub(super) fn failed(error: DiskErrorKind) -> DiskOpEffect<T> {
        DiskOpEffect::of(Err(error))
    }
}
