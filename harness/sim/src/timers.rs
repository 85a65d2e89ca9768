//! Queue of all future events, and the pump that handles them.
//!
//! madsim's timers cannot be cancelled: a dropped sleep stays in its heap until its deadline, a sleep that is polled
//! twice is in it twice, and a sleep is never shorter than 1 ms. Therefore sleeps, message deliveries, call time-outs
//! and faults use this queue, ordered by (deadline, insertion), and madsim only wakes the pump at the first deadline.

use crate::lock::lock;
use madsim::time::TimeHandle;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

slotmap::new_key_type! {
    /// A call that has not ended. Once it has, the key finds nothing.
    pub(crate) struct CallKey;
    /// A message in flight. Once it is delivered or lost, the key finds nothing.
    pub(crate) struct MessageKey;
}

/// Event that is handled at its deadline.
#[derive(Debug)]
pub(crate) enum TimerEvent {
    /// Wakes a sleeping task.
    WakeTask(Waker),
    /// Delivers a message.
    DeliverMessage(MessageKey),
    /// Ends a call with a time-out.
    TimeOutCall(CallKey),
    /// Triggers the fault with this index.
    TriggerFault(usize),
    /// Ends the current phase of the fault with this index.
    EndFaultPhase(usize),
    /// Last event of every world: no other event is left, so every task waits indefinitely.
    Idle,
}

/// Key of a queue entry: deadline in nanoseconds since the start of the world, then insertion number.
pub(crate) type TimerKey = (u64, u64);

pub(crate) struct Timers {
    time: TimeHandle,
    /// madsim's instant at the start of the world.
    start_instant: Instant,
    start_elapsed: Duration,
    state: Mutex<TimerState>,
}

#[derive(Default)]
struct TimerState {
    queue: BTreeMap<TimerKey, TimerEvent>,
    next_sequence: u64,
    /// Deadlines at which madsim wakes the pump, latest first.
    armed: Vec<u64>,
    pump: Option<Waker>,
}

/// 400 years. Reached only when no other event is left.
const IDLE_NS: u64 = 400 * 365 * 86_400 * 1_000_000_000;

impl Timers {
    /// Creates the queue. Must be called inside the madsim runtime.
    pub(crate) fn new() -> Timers {
        let time = TimeHandle::current();
        let (start_instant, start_elapsed) = (time.now_instant(), time.elapsed());
        let timers = Timers { time, start_instant, start_elapsed, state: Mutex::default() };
        timers.insert(IDLE_NS, TimerEvent::Idle);
        timers
    }

    /// Returns nanoseconds since the start of the world.
    pub(crate) fn now_ns(&self) -> u64 {
        let since = self.time.elapsed() - self.start_elapsed;
        // Fits 584 years; the idle entry ends a world before that.
        since.as_secs() * 1_000_000_000 + u64::from(since.subsec_nanos())
    }

    pub(crate) fn insert(&self, deadline_ns: u64, due: TimerEvent) -> TimerKey {
        let mut state = lock(&self.state);
        let key = (deadline_ns, state.next_sequence);
        state.next_sequence += 1;
        state.queue.insert(key, due);
        self.arm(&mut state);
        key
    }

    pub(crate) fn remove(&self, key: TimerKey) {
        let removed = lock(&self.state).queue.remove(&key);
        drop(removed);
    }

    /// Ensures that madsim wakes the pump at the first deadline.
    fn arm(&self, state: &mut TimerState) {
        let Some(((first_ns, _), _)) = state.queue.first_key_value() else { return };
        if state.armed.last().is_some_and(|armed_ns| armed_ns <= first_ns) {
            return;
        }
        let Some(pump) = &state.pump else { return };
        let deadline = self.start_instant + Duration::from_nanos(*first_ns);
        let mut sleep = pin!(self.time.sleep_until(deadline));
        // `reset` is exempt from the minimum of 1 ms.
        sleep.as_mut().reset(deadline);
        match sleep.poll(&mut Context::from_waker(pump)) {
            Poll::Pending => state.armed.push(*first_ns),
            Poll::Ready(()) => pump.wake_by_ref(),
        }
    }

    /// Passes every due event to `handle`, indefinitely.
    pub(crate) async fn pump(&self, mut handle: impl FnMut(TimerEvent)) {
        std::future::poll_fn(|cx| {
            {
                let mut state = lock(&self.state);
                if !state.pump.as_ref().is_some_and(|pump| pump.will_wake(cx.waker())) {
                    state.pump = Some(cx.waker().clone());
                }
            }
            while let Some(due) = self.pop_due() {
                handle(due);
            }
            self.arm(&mut lock(&self.state));
            Poll::Pending
        })
        .await
    }

    fn pop_due(&self) -> Option<TimerEvent> {
        let now_ns = self.now_ns();
        let mut state = lock(&self.state);
        while state.armed.last().is_some_and(|armed_ns| *armed_ns <= now_ns) {
            state.armed.pop();
        }
        let entry = state.queue.first_entry()?;
        if entry.key().0 <= now_ns { Some(entry.remove()) } else { None }
    }

    /// Drops all events and the pump's waker.
    pub(crate) fn clear(&self) {
        let state = std::mem::take(&mut *lock(&self.state));
        drop(state);
    }
}

/// Sleeps until a deadline. Dropping it removes its queue entry.
pub(crate) struct Sleep<T: AsRef<Timers>> {
    timers: T,
    deadline_ns: u64,
    entry: Option<TimerKey>,
}

impl<T: AsRef<Timers>> Sleep<T> {
    pub(crate) fn until(timers: T, deadline_ns: u64) -> Sleep<T> {
        Sleep { timers, deadline_ns, entry: None }
    }
}

impl<T: AsRef<Timers> + Unpin> Future for Sleep<T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let timers = this.timers.as_ref();
        if timers.now_ns() >= this.deadline_ns {
            if let Some(entry) = this.entry.take() {
                timers.remove(entry);
            }
            return Poll::Ready(());
        }
        if let Some(entry) = this.entry {
            let mut state = lock(&timers.state);
            if let Some(TimerEvent::WakeTask(waker)) = state.queue.get_mut(&entry) {
                waker.clone_from(cx.waker());
            }
        } else {
            this.entry = Some(timers.insert(this.deadline_ns, TimerEvent::WakeTask(cx.waker().clone())));
        }
        Poll::Pending
    }
}

impl<T: AsRef<Timers>> Drop for Sleep<T> {
    fn drop(&mut self) {
        if let Some(entry) = self.entry {
            self.timers.as_ref().remove(entry);
        }
    }
}
