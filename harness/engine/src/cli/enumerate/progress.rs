//! Progress of an enumeration.

use crate::cli::progress::LINE_INTERVAL;
use crate::enumerate::EnumerationStats;
use crate::print::humanize::{count, span_ms};
use crate::print::terminal;
use crate::sweep::runner::now;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::Instant;

/// Progress of an enumeration: a bar on a terminal, a plain line at intervals elsewhere.
pub(super) struct EnumerationProgress {
    bar: ProgressBar,
    before: u64,
    began: Instant,
    last_line: Instant,
}

impl EnumerationProgress {
    pub(super) fn new(all: u64, before: u64) -> EnumerationProgress {
        let bar = ProgressBar::with_draw_target(Some(all), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{bar:24} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_position(before);
        let began = now();
        EnumerationProgress { bar, before, began, last_line: began }
    }

    /// Shows a completed run.
    pub(super) fn ran(&mut self, stats: &EnumerationStats) {
        self.bar.inc(1);
        let message = self.message(stats);
        if self.bar.is_hidden() && self.last_line.elapsed() >= LINE_INTERVAL {
            self.last_line = now();
            terminal::eprint(&format!("{message}\n"));
        }
        self.bar.set_message(message);
    }

    /// Removes the bar.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }

    fn message(&self, stats: &EnumerationStats) -> String {
        let all = self.bar.length().unwrap_or_default();
        let (done, left) = (stats.runs.saturating_sub(self.before).max(1), all.saturating_sub(stats.runs));
        let took_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let left_ms = took_ms.saturating_mul(left) / done;
        let failed = match stats.failed_runs() {
            0 => String::new(),
            failed => format!(", {} failed", count(failed)),
        };
        format!(
            "{} of {} runs{failed}, {} left",
            count(stats.runs),
            count(all),
            span_ms(left_ms / 1000 * 1000)
        )
    }
}
