//! Drills at marks: a narrow window, such as a compaction in progress, is met when the system enters it.
//!
//! An observer compares marks with the drills of the plan and wakes the run's main task. Like the fault triggers of a
//! plan, this decides what happens in a run and takes no part in its judgement.

use crate::mutex::lock;
use crate::plan::{DrillTrigger, PlannedDrill};
use futures_util::future::{Either, select};
use latent_engine::sim::{Event, Observer, Record, World};
use latent_ports::UnixMs;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

/// The drills of a plan that wait for a mark.
pub(crate) struct DrillTriggers {
    waiting: Arc<Mutex<WaitingDrills>>,
}

#[derive(Default)]
struct WaitingDrills {
    /// Drills whose mark was not reached.
    waiting: Vec<PlannedDrill>,
    /// Times of the drills whose mark was reached, in milliseconds since 1970.
    due_ms: Vec<i64>,
    /// Whether later marks trigger nothing.
    is_over: bool,
    waker: Option<Waker>,
}

impl WaitingDrills {
    fn mark_reached(&mut self, name: &str, now_ms: i64) {
        if self.is_over {
            return;
        }
        let due_ms = &mut self.due_ms;
        self.waiting.retain(|drill| match &drill.trigger {
            DrillTrigger::Mark { name: awaited, not_before_ms, delay_ms }
                if awaited == name && *not_before_ms <= now_ms =>
            {
                due_ms.push(now_ms + delay_ms);
                false
            }
            _ => true,
        });
        if !self.due_ms.is_empty()
            && let Some(waker) = self.waker.take()
        {
            waker.wake();
        }
    }
}

impl DrillTriggers {
    /// Registers the observer if a drill waits for a mark.
    pub fn attach(world: &World, drills: &[PlannedDrill]) -> DrillTriggers {
        let waits = |drill: &&PlannedDrill| matches!(drill.trigger, DrillTrigger::Mark { .. });
        let waiting: Vec<PlannedDrill> = drills.iter().filter(waits).cloned().collect();
        let has_any = !waiting.is_empty();
        let waiting = Arc::new(Mutex::new(WaitingDrills { waiting, ..WaitingDrills::default() }));
        if has_any {
            world.observe(Box::new(MarkObserver { start: world.start(), waiting: waiting.clone() }));
        }
        DrillTriggers { waiting }
    }

    /// Waits until `until`, or until a mark triggers a drill: returns its time, in milliseconds since 1970.
    pub async fn wait(&self, world: &World, until: UnixMs) -> Option<i64> {
        if self.is_done() {
            world.sleep_until(until).await;
            return None;
        }
        match select(pin!(self.next()), pin!(world.sleep_until(until))).await {
            Either::Left((due_ms, _)) => Some(due_ms),
            Either::Right(_) => None,
        }
    }

    /// Stops waiting: the system heals.
    pub fn stop(&self) {
        lock(&self.waiting).is_over = true;
    }

    /// Returns the drills whose mark was not reached.
    pub fn untriggered(&self) -> Vec<PlannedDrill> {
        lock(&self.waiting).waiting.clone()
    }

    fn is_done(&self) -> bool {
        let drills = lock(&self.waiting);
        (drills.is_over || drills.waiting.is_empty()) && drills.due_ms.is_empty()
    }

    async fn next(&self) -> i64 {
        poll_fn(|context| {
            let mut drills = lock(&self.waiting);
            match drills.due_ms.pop() {
                Some(due_ms) => Poll::Ready(due_ms),
                None => {
                    drills.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

struct MarkObserver {
    start: UnixMs,
    waiting: Arc<Mutex<WaitingDrills>>,
}

impl Observer for MarkObserver {
    fn on_record(&mut self, record: &Record<'_>, _: &World) {
        if let Event::Mark { name, .. } = record.event {
            let now = self.start + Duration::from_nanos(record.time_ns);
            lock(&self.waiting).mark_reached(name.name(), now.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_mark_after_its_time_triggers_a_drill_once() {
        let drill = |not_before_ms| PlannedDrill {
            trigger: DrillTrigger::Mark { name: "backup.started".into(), not_before_ms, delay_ms: 7 },
        };
        let mut drills =
            WaitingDrills { waiting: vec![drill(10), drill(20), drill(20)], ..WaitingDrills::default() };
        drills.mark_reached("backup.started", 9);
        drills.mark_reached("backup.failed", 30);
        assert_eq!((drills.due_ms.as_slice(), drills.waiting.len()), (&[][..], 3));
        drills.mark_reached("backup.started", 10);
        assert_eq!((drills.due_ms.as_slice(), drills.waiting.len()), (&[17][..], 2));
        drills.mark_reached("backup.started", 25);
        drills.mark_reached("backup.started", 26);
        assert_eq!((drills.due_ms.as_slice(), drills.waiting.len()), (&[17, 32, 32][..], 0));
    }
}
