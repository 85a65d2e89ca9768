//! One fault at one operation: what is enumerated, and how it is written for a person to repeat.

use crate::scenario::near::near;
use latent_sim::{CallPart, CrashPolicy, DiskError, Fault, FaultAction, Kill, LoseMessage, OpKind, Trigger};
use std::fmt;
use std::str::FromStr;

/// A node that was crashed boots again after this long, as a service manager would see to it, ms.
const RESTART_AFTER_MS: u64 = 5_000;

/// What strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// The process dies and no un-synced operation survives.
    CrashNothing,
    /// The process dies and all un-synced operations survive.
    CrashEverything,
    /// The process dies and a drawn part of the un-synced operations survives.
    CrashDrawn,
    /// The disk operation fails once.
    Error,
    /// The request of the call is lost.
    RequestLost,
    /// The answer of the call is lost.
    AnswerLost,
}

impl Kind {
    const ALL: [Kind; 6] = [
        Kind::CrashNothing,
        Kind::CrashEverything,
        Kind::CrashDrawn,
        Kind::Error,
        Kind::RequestLost,
        Kind::AnswerLost,
    ];

    pub(crate) const CRASHES: [Kind; 3] = [Kind::CrashNothing, Kind::CrashEverything, Kind::CrashDrawn];

    /// Its name, as `--strike` and `--fault` take it.
    fn name(self) -> &'static str {
        match self {
            Kind::CrashNothing => "crash-nothing",
            Kind::CrashEverything => "crash-everything",
            Kind::CrashDrawn => "crash-drawn",
            Kind::Error => "error",
            Kind::RequestLost => "request-lost",
            Kind::AnswerLost => "answer-lost",
        }
    }

    pub(crate) fn is_crash(self) -> bool {
        Kind::CRASHES.contains(&self)
    }
}

/// Kinds of faults as `--fault` takes them: one by its name, or a group of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Faults {
    /// As it was given.
    name: String,
    pub kinds: Vec<Kind>,
}

/// Groups of kinds, by name.
const GROUPS: [(&str, &[Kind]); 2] =
    [("crash", &Kind::CRASHES), ("lost", &[Kind::RequestLost, Kind::AnswerLost])];

impl FromStr for Faults {
    type Err = String;

    fn from_str(text: &str) -> Result<Faults, String> {
        let group = GROUPS.iter().find(|(name, _)| *name == text).map(|(_, kinds)| kinds.to_vec());
        let one = || Kind::ALL.into_iter().find(|kind| kind.name() == text).map(|kind| vec![kind]);
        let kinds = group.or_else(one).ok_or_else(|| {
            let all = Kind::ALL.map(Kind::name);
            let near = near(text, all).first().map_or(String::new(), |name| format!("did you mean {name}? "));
            format!(
                "no fault is called '{text}'; {near}faults: {}; crash (any of three), lost (any of two)",
                all.join(", ")
            )
        })?;
        Ok(Faults { name: text.to_owned(), kinds })
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// A fault at the n-th operation of a node. Written `crash-nothing@disk-3:417`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Strike {
    /// What strikes.
    pub kind: Kind,
    /// Where.
    pub node: String,
    /// At the how-manieth operation of the node, of any kind: the first is 1.
    pub n: u64,
}

impl Strike {
    /// The fault of the plan that does it.
    pub(crate) fn fault(&self) -> Fault {
        let node = self.node.clone();
        let crash = |keeps| {
            let (restart_after_ms, keeps) = (Some(RESTART_AFTER_MS), Some(keeps));
            FaultAction::Kill(Kill { node: node.clone(), restart_after_ms, keeps, tear_bytes: None })
        };
        let lose = |part| FaultAction::LoseMessage(LoseMessage { node: node.clone(), part, times: 1 });
        let action = match self.kind {
            Kind::CrashNothing => crash(CrashPolicy::Nothing),
            Kind::CrashEverything => crash(CrashPolicy::Everything),
            Kind::CrashDrawn => crash(CrashPolicy::Drawn),
            Kind::Error => {
                let (op, path_prefix) = (OpKind::Any, String::new());
                FaultAction::DiskError(DiskError {
                    node: node.clone(),
                    op,
                    path_prefix,
                    times: Some(1),
                    for_ms: None,
                })
            }
            Kind::RequestLost => lose(CallPart::Request),
            Kind::AnswerLost => lose(CallPart::Answer),
        };
        let trigger =
            Trigger::NthOp { node, op: OpKind::Any, path_prefix: String::new(), n: self.n, after_ms: 0 };
        Fault { trigger, action }
    }
}

impl fmt::Display for Strike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}:{}", self.kind.name(), self.node, self.n)
    }
}

impl FromStr for Strike {
    type Err = String;

    fn from_str(text: &str) -> Result<Strike, String> {
        let wrong = |what: &str| {
            let kinds = Kind::ALL.map(Kind::name).join(", ");
            format!("{what}; write FAULT@NODE:NUMBER, such as crash-nothing@disk-3:417; faults: {kinds}")
        };
        let (kind, place) = text.split_once('@').ok_or_else(|| wrong("no '@'"))?;
        let (node, n) =
            place.rsplit_once(':').ok_or_else(|| wrong("no ':' before the operation's number"))?;
        let kind = Kind::ALL.into_iter().find(|one| one.name() == kind);
        let kind = kind.ok_or_else(|| wrong("no such fault"))?;
        let n = n.parse().ok().filter(|n| *n > 0).ok_or_else(|| wrong("operations are numbered from 1"))?;
        Ok(Strike { kind, node: node.to_owned(), n })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strike_is_read_as_it_is_written() {
        for kind in Kind::ALL {
            let strike = Strike { kind, node: "disk-3".into(), n: 417 };
            assert_eq!(strike.to_string().parse(), Ok(strike));
        }
    }

    #[test]
    fn a_fault_has_one_name_wherever_it_is_given() {
        for kind in Kind::ALL {
            assert_eq!(kind.name().parse::<Faults>().unwrap().kinds, [kind]);
        }
        assert_eq!("crash".parse::<Faults>().unwrap().kinds, Kind::CRASHES);
        let said = "crash-drwan".parse::<Faults>().unwrap_err();
        assert!(said.contains("did you mean crash-drawn?"), "{said}");
    }

    #[test]
    fn what_is_no_strike_says_what_one_looks_like() {
        for (text, why) in [
            ("crash-nothing", "no '@'"),
            ("crash-nothing@disk-3", "no ':'"),
            ("burn@disk-3:1", "no such fault"),
            ("error@disk-3:0", "numbered from 1"),
        ] {
            let error = text.parse::<Strike>().unwrap_err();
            assert!(error.contains(why) && error.contains("crash-nothing@disk-3:417"), "{text}: {error}");
        }
    }
}
