//! Which strikes there are: pure, from the operations that a survey saw.

use super::strike::{Kind, Strike};
use crate::case::wire::OpLine;
use crate::sweep::order::Slice;
use latent_sim::OpKind;

/// Which operations are wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// Only these kinds of faults; empty: all.
    pub faults: Vec<Kind>,
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
            let wants = |kind: &Kind| wanted.faults.is_empty() || wanted.faults.contains(kind);
            let crashes: Vec<Kind> = Kind::CRASHES.into_iter().filter(wants).collect();
            match crashes.first() {
                // Where nothing is un-synced all crashes are the same run.
                Some(first) if !op.leaves_unsynced => plan(*first, crashes.len() as u64),
                _ => crashes.iter().for_each(|kind| plan(*kind, 1)),
            }
            errors(op).iter().filter(|kind| wants(kind)).for_each(|kind| plan(*kind, 1));
        }
        Outline { ops, strikes }
    }

    /// Every n-th strike only, beginning with the slice's own number.
    pub(crate) fn slice(mut self, slice: Slice) -> Outline {
        let mut numbers = 0_u64..;
        self.strikes.retain(|_| numbers.next().is_some_and(|number| number % slice.of == slice.index - 1));
        self
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
        let crashes = strikes(&Wanted { faults: Kind::CRASHES.to_vec(), ..Wanted::default() });
        let three = ["crash-nothing@disk:1", "crash-everything@disk:1", "crash-drawn@disk:1"];
        let once = ["crash-nothing@disk:2", "crash-nothing@edge:1", "crash-nothing@disk:3"];
        assert_eq!(crashes, [three, once].concat());
    }

    #[test]
    fn an_error_strikes_a_disk_operation_once_and_a_call_twice() {
        let lost = [Kind::Error, Kind::RequestLost, Kind::AnswerLost];
        let errors = strikes(&Wanted { faults: lost.to_vec(), ..Wanted::default() });
        assert_eq!(errors, ["error@disk:1", "error@disk:2", "request-lost@edge:1", "answer-lost@edge:1"]);
    }

    #[test]
    fn node_and_time_choose() {
        let wanted =
            Wanted { node: Some("disk".into()), from_ms: Some(2), to_ms: Some(3), ..Wanted::default() };
        assert_eq!(strikes(&wanted), ["crash-nothing@disk:2", "error@disk:2"]);
    }

    #[test]
    fn one_kind_of_crash_is_run_at_each_operation() {
        let drawn = strikes(&Wanted { faults: vec![Kind::CrashDrawn], ..Wanted::default() });
        let at = ["disk:1", "disk:2", "edge:1", "disk:3"].map(|at| format!("crash-drawn@{at}"));
        assert_eq!(drawn, at);
    }

    #[test]
    fn slices_are_the_whole_and_share_nothing() {
        let seen = || vec![op("disk", OpKind::Append, 1, true), op("disk", OpKind::Read, 2, false)];
        let names = |outline: Outline| -> Vec<String> {
            outline.strikes.iter().map(|one| one.strike.to_string()).collect()
        };
        let whole = names(Outline::of(seen(), &Wanted::default(), &[]));
        let slice = |index| names(Outline::of(seen(), &Wanted::default(), &[]).slice(Slice { index, of: 2 }));
        let mut both = [slice(1), slice(2)].concat();
        both.sort();
        let mut sorted = whole.clone();
        sorted.sort();
        assert_eq!((both, slice(1).len()), (sorted, whole.len().div_ceil(2)));
    }
}
