//! Progress of a sweep: a bar on a terminal, a plain line at intervals elsewhere.

use crate::print::humanize::{self, count, span_ms};
use crate::print::terminal;
use crate::sweep::results::CaseRecord;
use crate::sweep::runner;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::{Duration, Instant};

/// Interval of lines without a terminal.
pub(super) const LINE_INTERVAL: Duration = Duration::from_secs(20);

pub(super) struct SweepProgress {
    bar: ProgressBar,
    all: Option<u64>,
    /// Cases of earlier sessions.
    before: u64,
    done: u64,
    sim_ms: u64,
    failed: u64,
    began: Instant,
    duration: Option<Duration>,
    last_line: Instant,
}

impl SweepProgress {
    /// Progress of `all` cases, of which `before` are done; no case starts after `duration`.
    pub fn new(all: Option<u64>, before: u64, duration: Option<Duration>) -> SweepProgress {
        let bar = ProgressBar::with_draw_target(all, ProgressDrawTarget::stderr());
        let template = if all.is_some() { "{bar:24} {msg}" } else { "{spinner} {msg}" };
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.set_position(before);
        let now = runner::now();
        SweepProgress {
            bar,
            all,
            before,
            done: 0,
            sim_ms: 0,
            failed: 0,
            began: now,
            duration,
            last_line: now,
        }
    }

    /// Counts a case that ended.
    pub fn ran(&mut self, ran: &CaseRecord) {
        self.done += 1;
        self.sim_ms += ran.finding.sim_ms;
        self.failed += u64::from(!ran.as_expected);
        self.bar.inc(1);
        self.bar.set_message(self.description());
    }

    /// Prints a line if the interval has passed.
    pub fn tick(&mut self) {
        if self.bar.is_hidden() && self.last_line.elapsed() >= LINE_INTERVAL {
            self.last_line = runner::now();
            terminal::eprint(&format!("{}\n", self.description()));
        }
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn description(&self) -> String {
        let of = self.all.map_or(String::new(), |all| format!(" of {}", count(all)));
        let wall_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        let speed = self.sim_ms / wall_ms;
        let failed =
            if self.failed == 0 { String::new() } else { format!(", {} failed", count(self.failed)) };
        let left = self.left_ms(wall_ms).map_or(String::new(), |ms| format!(", {} left", left(ms)));
        format!(
            "{}{of} cases, {} simulated, {}{failed}{left}",
            count(self.before + self.done),
            span_ms(self.sim_ms),
            humanize::speed(speed)
        )
    }

    /// Time to the last case or to the time limit, whichever is sooner.
    fn left_ms(&self, wall_ms: u64) -> Option<u64> {
        let by_cases = self.all.filter(|_| self.done > 0).map(|all| {
            let left = all.saturating_sub(self.before + self.done);
            u64::try_from(u128::from(wall_ms) * u128::from(left) / u128::from(self.done)).unwrap_or(u64::MAX)
        });
        let by_time = self
            .duration
            .map(|duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).saturating_sub(wall_ms));
        by_cases.into_iter().chain(by_time).min()
    }
}

/// Formats a remaining time in whole seconds, at least one.
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
    fn remaining_time_is_in_whole_seconds() {
        assert_eq!([0, 900, 59_000, 59_001, 61_500].map(left), ["1 s", "1 s", "59 s", "1 m", "1 m 2 s"]);
    }
}
