//! How far a sweep is: a bar on a terminal, a plain line now and then elsewhere.

use crate::print::out;
use crate::print::words::{count, span_ms};
use crate::sweep::go;
use crate::sweep::results::Ran;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::{Duration, Instant};

/// Without a terminal, a line comes so often.
pub(super) const LINE_EVERY: Duration = Duration::from_secs(20);

pub(super) struct Bar {
    bar: ProgressBar,
    all: Option<u64>,
    /// Cases of an earlier sitting.
    before: u64,
    done: u64,
    sim_ms: u64,
    failed: u64,
    began: Instant,
    lasts: Option<Duration>,
    last_line: Instant,
}

impl Bar {
    /// Of `all` cases, of which `before` are done; cases are begun for `lasts` at most.
    pub fn new(all: Option<u64>, before: u64, lasts: Option<Duration>) -> Bar {
        let bar = ProgressBar::with_draw_target(all, ProgressDrawTarget::stderr());
        let template = if all.is_some() { "{bar:24} {msg}" } else { "{spinner} {msg}" };
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.set_position(before);
        let now = go::now();
        Bar { bar, all, before, done: 0, sim_ms: 0, failed: 0, began: now, lasts, last_line: now }
    }

    /// A case ended.
    pub fn ran(&mut self, ran: &Ran) {
        self.done += 1;
        self.sim_ms += ran.finding.sim_ms;
        self.failed += u64::from(!ran.as_expected);
        self.bar.inc(1);
        self.bar.set_message(self.words());
    }

    /// Prints a line if it is time for one.
    pub fn look(&mut self) {
        if self.bar.is_hidden() && self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = go::now();
            out::complain(&format!("{}\n", self.words()));
        }
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn words(&self) -> String {
        let of = self.all.map_or(String::new(), |all| format!(" of {}", count(all)));
        let wall_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        let speed = self.sim_ms / wall_ms;
        let failed =
            if self.failed == 0 { String::new() } else { format!(", {} failed", count(self.failed)) };
        let left = self.left_ms(wall_ms).map_or(String::new(), |ms| format!(", {} left", left(ms)));
        format!(
            "{}{of} cases, {} simulated, {} times real time{failed}{left}",
            count(self.before + self.done),
            span_ms(self.sim_ms),
            count(speed)
        )
    }

    /// Until the last case or the end of the time, whichever is sooner.
    fn left_ms(&self, wall_ms: u64) -> Option<u64> {
        let by_cases = self.all.filter(|_| self.done > 0).map(|all| {
            let left = all.saturating_sub(self.before + self.done);
            u64::try_from(u128::from(wall_ms) * u128::from(left) / u128::from(self.done)).unwrap_or(u64::MAX)
        });
        let by_time = self
            .lasts
            .map(|lasts| u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX).saturating_sub(wall_ms));
        by_cases.into_iter().chain(by_time).min()
    }
}

/// In whole seconds, and never none: a guess needs no tenths, and what is left takes some time.
fn left(ms: u64) -> String {
    match ms.div_ceil(1000).max(1) {
        secs @ 1..60 => format!("{secs} s"),
        secs => span_ms(secs * 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told_in_whole_seconds() {
        assert_eq!([0, 900, 59_000, 59_001, 61_500].map(left), ["1 s", "1 s", "59 s", "1 m", "1 m 2 s"]);
    }
}
