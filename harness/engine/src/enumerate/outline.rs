//! Which strikes there are: pure, from the operations that a survey saw.

use super::strike::{Kind, Strike};
use crate::case::wire::OpLine;
use latent_sim::OpKind;

/// Which kinds of faults are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Faults {
    /// A crash at each operation, three ways.
    Crash,
    /// One error at each disk operation, and each message of each call lost once.
    Error,
}

/// Which operations are wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// Only this kind of fault.
    pub faults: Option<Faults>,
    /// Only at this node.
    pub node: Option<String>,
    /// Only from this instant on, milliseconds since 1970.
    pub from_ms: Option<i64>,
    /// Only before this instant, milliseconds since 1970.
    pub to_ms: Option<i64>,
}

/// A strike, and what it stands for.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    /// The strike.
    pub strike: Strike,
    /// The operation that it strikes, by its place among the outline's.
    pub op: usize,
    /// How many faults this one run stands for.
    pub stands_for: u64,
}

/// Everything that is to be run.
#[derive(Clone, Debug)]
pub(crate) struct Outline {
    /// The operations, in order of time.
    pub ops: Vec<OpLine>,
    /// What strikes them.
    pub strikes: Vec<Planned>,
}

impl Outline {
    /// Chooses from what a survey saw. Nodes of `outside` are not part of the system.
    pub(crate) fn of(ops: Vec<OpLine>, wanted: &Wanted, outside: &[&str]) -> Outline {
        let chosen = |op: &OpLine| {
            !outside.contains(&op.node.as_str())
                && wanted.node.as_ref().is_none_or(|node| *node == op.node)
                && wanted.from_ms.is_none_or(|from_ms| op.at_ms >= from_ms)
                && wanted.to_ms.is_none_or(|to_ms| op.at_ms < to_ms)
        };
        let ops: Vec<OpLine> = ops.into_iter().filter(chosen).collect();
        let mut strikes = Vec::new();
        for (index, op) in ops.iter().enumerate() {
            let mut plan = |kind, stands_for| {
                let strike = Strike { kind, node: op.node.clone(), n: op.n };
                strikes.push(Planned { strike, op: index, stands_for });
            };
            if wanted.faults != Some(Faults::Error) {
                crashes(op).iter().for_each(|(kind, stands_for)| plan(*kind, *stands_for));
            }
            if wanted.faults != Some(Faults::Crash) {
                errors(op).iter().for_each(|kind| plan(*kind, 1));
            }
        }
        Outline { ops, strikes }
    }
}

fn crashes(op: &OpLine) -> &'static [(Kind, u64)] {
    if op.leaves_unsynced {
        &[(Kind::CrashNothing, 1), (Kind::CrashEverything, 1), (Kind::CrashDrawn, 1)]
    } else {
        &[(Kind::CrashNothing, 3)]
    }
}

fn errors(op: &OpLine) -> &'static [Kind] {
    match op.op {
        OpKind::Send => &[Kind::RequestLost, Kind::AnswerLost],
        OpKind::Receive | OpKind::Answer => &[],
        _ => &[Kind::Error],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(node: &str, op: OpKind, n: u64, leaves_unsynced: bool) -> OpLine {
        OpLine { node: node.into(), op, n, at_ms: n as i64, path: String::new(), leaves_unsynced }
    }

    fn strikes(wanted: &Wanted) -> Vec<String> {
        let seen = vec![
            op("disk", OpKind::Append, 1, true),
            op("disk", OpKind::Read, 2, false),
            op("edge", OpKind::Send, 1, false),
            op("disk", OpKind::Receive, 3, false),
            op("clients", OpKind::Send, 1, false),
        ];
        Outline::of(seen, wanted, &["clients"]).strikes.iter().map(|one| one.strike.to_string()).collect()
    }

    #[test]
    fn a_crash_is_run_three_ways_where_that_makes_a_difference() {
        let crashes = strikes(&Wanted { faults: Some(Faults::Crash), ..Wanted::default() });
        let three = ["crash-nothing@disk:1", "crash-everything@disk:1", "crash-drawn@disk:1"];
        let once = ["crash-nothing@disk:2", "crash-nothing@edge:1", "crash-nothing@disk:3"];
        assert_eq!(crashes, [three, once].concat());
    }

    #[test]
    fn an_error_strikes_a_disk_operation_once_and_a_call_twice() {
        let errors = strikes(&Wanted { faults: Some(Faults::Error), ..Wanted::default() });
        assert_eq!(errors, ["error@disk:1", "error@disk:2", "request-lost@edge:1", "answer-lost@edge:1"]);
    }

    #[test]
    fn node_and_time_choose() {
        let wanted =
            Wanted { node: Some("disk".into()), from_ms: Some(2), to_ms: Some(3), ..Wanted::default() };
        assert_eq!(strikes(&wanted), ["crash-nothing@disk:2", "error@disk:2"]);
    }
}
