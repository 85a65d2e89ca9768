//! An injection point: one fault at one operation, and its syntax on the command line.

use crate::scenario::suggest::suggest;
use latent_sim::{CallPart, CrashPolicy, DiskError, Fault, FaultAction, Kill, LoseMessage, OpKind, Trigger};
use serde::Serialize;
use std::fmt;
use std::str::FromStr;
use strum::{Display, EnumString, VariantNames};

/// Delay after which a crashed node restarts, as by a service manager, in milliseconds.
const RESTART_AFTER_MS: u64 = 5_000;

/// Kind of an enumerated fault. Its name is the syntax of `--inject` and `--fault`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Display, EnumString, VariantNames, Serialize,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub(crate) enum EnumeratedFault {
    /// The process dies and no un-synced operation survives.
    CrashNothing,
    /// The process dies and all un-synced operations survive.
    CrashEverything,
    /// The process dies and a random part of the un-synced operations survives.
    CrashDrawn,
    /// The disk operation fails once.
    Error,
    /// The request of the call is lost.
    RequestLost,
    /// The answer of the call is lost.
    AnswerLost,
}

impl EnumeratedFault {
    pub(crate) const CRASHES: [EnumeratedFault; 3] =
        [EnumeratedFault::CrashNothing, EnumeratedFault::CrashEverything, EnumeratedFault::CrashDrawn];

    pub(crate) fn is_crash(self) -> bool {
        self.group() == FaultGroup::Crash
    }

    /// Returns the group of the kind.
    pub(crate) fn group(self) -> FaultGroup {
        match self {
            EnumeratedFault::CrashNothing
            | EnumeratedFault::CrashEverything
            | EnumeratedFault::CrashDrawn => FaultGroup::Crash,
            EnumeratedFault::Error => FaultGroup::Error,
            EnumeratedFault::RequestLost | EnumeratedFault::AnswerLost => FaultGroup::Lost,
        }
    }
}

/// Group of kinds of enumerated faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Display)]
#[strum(serialize_all = "kebab-case")]
pub(crate) enum FaultGroup {
    /// The process dies.
    Crash,
    /// A disk operation fails.
    Error,
    /// A message of a call is lost.
    Lost,
}

/// Argument of `--fault`: one kind of fault by its name, or a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FaultFilter {
    /// The argument as given.
    name: String,
    pub kinds: Vec<EnumeratedFault>,
}

/// Groups of kinds, by name.
const GROUPS: [(&str, &[EnumeratedFault]); 2] = [
    ("crash", &EnumeratedFault::CRASHES),
    ("lost", &[EnumeratedFault::RequestLost, EnumeratedFault::AnswerLost]),
];

impl FromStr for FaultFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<FaultFilter, String> {
        let group = GROUPS.iter().find(|(name, _)| *name == text).map(|(_, kinds)| kinds.to_vec());
        let one = || text.parse().ok().map(|kind| vec![kind]);
        let kinds = group.or_else(one).ok_or_else(|| {
            let all = EnumeratedFault::VARIANTS;
            let similar = suggest(text, all.iter().copied());
            let similar = similar.first().map_or(String::new(), |name| format!("did you mean {name}? "));
            format!(
                "no fault is called '{text}'; {similar}faults: {}; crash (any of three), lost (any of two)",
                all.join(", ")
            )
        })?;
        Ok(FaultFilter { name: text.to_owned(), kinds })
    }
}

impl fmt::Display for FaultFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// A fault at the n-th operation of a node. Written `crash-nothing@disk-3:417`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct InjectionPoint {
    /// Kind of the fault.
    pub kind: EnumeratedFault,
    /// The node.
    pub node: String,
    /// 1-based index of the operation on its node, counting all kinds.
    pub n: u64,
}

impl InjectionPoint {
    /// Returns the fault for the plan.
    pub(crate) fn fault(&self) -> Fault {
        let node = self.node.clone();
        let crash = |keeps| {
            let (restart_after_ms, keeps) = (Some(RESTART_AFTER_MS), Some(keeps));
            FaultAction::Kill(Kill { node: node.clone(), restart_after_ms, keeps, tear_bytes: None })
        };
        let lose = |part| FaultAction::LoseMessage(LoseMessage { node: node.clone(), part, times: 1 });
        let action = match self.kind {
            EnumeratedFault::CrashNothing => crash(CrashPolicy::Nothing),
            EnumeratedFault::CrashEverything => crash(CrashPolicy::Everything),
            EnumeratedFault::CrashDrawn => crash(CrashPolicy::Drawn),
            EnumeratedFault::Error => {
                let (op, path_prefix) = (OpKind::Any, String::new());
                FaultAction::DiskError(DiskError {
                    node: node.clone(),
                    op,
                    path_prefix,
                    times: Some(1),
                    for_ms: None,
                })
            }
            EnumeratedFault::RequestLost => lose(CallPart::Request),
            EnumeratedFault::AnswerLost => lose(CallPart::Answer),
        };
        let trigger =
            Trigger::NthOp { node, op: OpKind::Any, path_prefix: String::new(), n: self.n, after_ms: 0 };
        Fault { trigger, action }
    }
}

impl fmt::Display for InjectionPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}:{}", self.kind, self.node, self.n)
    }
}

impl FromStr for InjectionPoint {
    type Err = String;

    fn from_str(text: &str) -> Result<InjectionPoint, String> {
        let wrong = |what: &str| {
            let kinds = EnumeratedFault::VARIANTS.join(", ");
            format!("{what}; write FAULT@NODE:NUMBER, such as crash-nothing@disk-3:417; faults: {kinds}")
        };
        let (kind, place) = text.split_once('@').ok_or_else(|| wrong("no '@'"))?;
        let (node, n) =
            place.rsplit_once(':').ok_or_else(|| wrong("no ':' before the operation's number"))?;
        let kind = kind.parse().map_err(|_| wrong("no such fault"))?;
        let n = n.parse().ok().filter(|n| *n > 0).ok_or_else(|| wrong("operations are numbered from 1"))?;
        Ok(InjectionPoint { kind, node: node.to_owned(), n })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strike_is_read_as_it_is_written() {
        for name in EnumeratedFault::VARIANTS {
            let strike = InjectionPoint { kind: name.parse().unwrap(), node: "disk-3".into(), n: 417 };
            assert_eq!(strike.to_string(), format!("{name}@disk-3:417"));
            assert_eq!(strike.to_string().parse(), Ok(strike));
        }
    }

    #[test]
    fn a_fault_has_one_name_wherever_it_is_given() {
        for name in EnumeratedFault::VARIANTS {
            let kind: EnumeratedFault = name.parse().unwrap();
            assert_eq!(name.parse::<FaultFilter>().unwrap().kinds, [kind]);
        }
        assert_eq!("crash".parse::<FaultFilter>().unwrap().kinds, EnumeratedFault::CRASHES);
        let message = "crash-drwan".parse::<FaultFilter>().unwrap_err();
        assert!(message.contains("did you mean crash-drawn?"), "{message}");
    }

    #[test]
    fn an_invalid_injection_point_is_reported_with_an_example() {
        for (text, why) in [
            ("crash-nothing", "no '@'"),
            ("crash-nothing@disk-3", "no ':'"),
            ("burn@disk-3:1", "no such fault"),
            ("error@disk-3:0", "numbered from 1"),
        ] {
            let error = text.parse::<InjectionPoint>().unwrap_err();
            assert!(error.contains(why) && error.contains("crash-nothing@disk-3:417"), "{text}: {error}");
        }
    }
}
