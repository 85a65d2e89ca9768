//! The event log of `run --log` and `repro --log`: one format, one stream, one way to write a time. Each line begins
//! with its time in the format of `--from`, `--to` and `--until`.

use super::CliError;
use crate::case::ipc::{CaseResult, LogRecord, WORLD};
use crate::print::terminal;
use crate::scenario::Timestamp;
use crate::scenario::suggest::suggest;
use indicatif::ProgressBar;
use std::io;

#[derive(Debug, clap::Args)]
pub(super) struct LogArgs {
    /// Print the event log to the standard output, in order of virtual time
    #[arg(long, conflicts_with = "json")]
    pub log: bool,
    /// Show only this node's log; may be given several times
    #[arg(long, value_name = "NAME", requires = "log")]
    node: Vec<String>,
    /// Show only the log from this time on, such as 2016-02-20T15:00:00Z
    #[arg(long, value_name = "T", requires = "log")]
    from: Option<Timestamp>,
    /// Show only the log before this time
    #[arg(long, value_name = "T", requires = "log")]
    to: Option<Timestamp>,
}

impl LogArgs {
    fn wants(&self, record: &LogRecord, start_ms: i64) -> bool {
        let at_ms = start_ms.saturating_add_unsigned(record.time_ns / 1_000_000);
        (self.node.is_empty() || self.node.contains(&record.node))
            && self.from.is_none_or(|from| at_ms >= from.0.0)
            && self.to.is_none_or(|to| at_ms < to.0.0)
    }

    /// Checks that every requested node exists: the log of an unknown node would be empty.
    pub fn check_nodes(&self, judged: &CaseResult) -> Result<(), CliError> {
        let known: Vec<&str> = judged.nodes.iter().map(|node| node.name.as_str()).chain([WORLD]).collect();
        match self.node.iter().find(|name| !known.contains(&name.as_str())) {
            Some(unknown) => Err(unknown_node(&format!("--node {unknown}"), unknown, &known)),
            None => Ok(()),
        }
    }
}

/// Creates the error for an option that names an unknown node.
pub(super) fn unknown_node(option: &str, unknown: &str, known: &[&str]) -> CliError {
    let suggestion = match suggest(unknown, known.iter().copied()).first() {
        Some(similar) => format!("did you mean '{similar}'? "),
        None => String::new(),
    };
    CliError::Usage(format!(
        "{option}: no node is called '{unknown}'\n  {suggestion}nodes: {}",
        known.join(", ")
    ))
}

/// Prints the requested records, until one cannot be written.
pub(super) struct LogPrinter<'a> {
    wanted: &'a LogArgs,
    start_ms: i64,
    failed: Option<io::Error>,
}

impl LogPrinter<'_> {
    pub fn new(wanted: &LogArgs, start_ms: i64) -> LogPrinter<'_> {
        LogPrinter { wanted, start_ms, failed: None }
    }

    pub fn record(&mut self, bar: &ProgressBar, record: &LogRecord) {
        if self.failed.is_none() && self.wanted.wants(record, self.start_ms) {
            let line = format!("{}\n", log_line(record, self.start_ms));
            self.failed = bar.suspend(|| terminal::print(&line)).err();
        }
    }

    /// # Errors
    /// A line could not be written.
    pub fn end(self) -> io::Result<()> {
        self.failed.map_or(Ok(()), Err)
    }
}

/// `2016-02-20T15:00:00.123456Z disk-1       Sync 'arb/3/…'`
fn log_line(record: &LogRecord, start_ms: i64) -> String {
    let at_us = start_ms.saturating_mul(1000).saturating_add_unsigned(record.time_ns / 1000);
    let at = jiff::Timestamp::from_microsecond(at_us)
        .map_or_else(|_| format!("{at_us} us"), |at| at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string());
    format!("{at} {:<12} {}", record.node, record.what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_line_can_be_given_to_from() {
        let record = LogRecord { time_ns: 1_234_567_000, node: "disk-1".into(), what: "Sync 'a'".into() };
        let line = log_line(&record, 1_456_190_460_000);
        assert_eq!(line, "2016-02-23T01:21:01.234567Z disk-1       Sync 'a'");
        let from: Timestamp = line.split(' ').next().unwrap().parse().unwrap();
        let wanted = LogArgs { log: true, node: Vec::new(), from: Some(from), to: None };
        assert!(wanted.wants(&record, 1_456_190_460_000));
        // The verdict writes times with a space, which is valid here too.
        let first: Timestamp = crate::print::humanize::moment_ms(1_456_190_461_000).parse().unwrap();
        assert_eq!(first.0.0, 1_456_190_461_000);
    }
}
