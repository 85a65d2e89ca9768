//! The system as the nemesis sees it: what a fault can strike, and when.

use crate::part_draws::PartDraws;
use latent_ports::MarkName;
use latent_sim::RemoveDirectory;
use std::ops::RangeInclusive;

/// A system under faults.
///
/// Roles, marks and conditions are in a fixed order: draws select by index.
pub trait FaultTargets {
    /// Roles of the system's nodes. There is at least one, and each has at least one node.
    fn roles(&self) -> &[Role];

    /// Index of the role whose nodes hold the data: half of the faults strike them.
    fn data_role(&self) -> usize {
        0
    }

    /// Times within which faults strike.
    fn window(&self) -> RunWindow;

    /// Marks of jobs, for which faults wait. Empty: no fault waits for one.
    fn marks(&self) -> &[MarkName] {
        &[]
    }

    /// Conditions of the system's own that a fault may activate. `None`: it has none.
    fn conditions(&self) -> Option<&Conditions> {
        None
    }

    /// Returns the time of the scheduled job that follows `at_ms`, beside which more faults strike. It may draw, from
    /// the parts 96 and 97.
    fn next_job_ms(&self, _draws: PartDraws<'_>, _at_ms: i64) -> Option<i64> {
        None
    }

    /// Whether [`FaultTargets::removed_directory`] returns directories.
    fn has_removable_directories(&self) -> bool {
        false
    }

    /// Draws a directory whose removal at `at_ms` the system survives. It may draw from the parts below 10.
    fn removed_directory(&self, _draws: PartDraws<'_>, _at_ms: i64) -> Option<RemoveDirectory> {
        None
    }
}

/// Nodes that do the same work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Names of the nodes.
    pub nodes: Vec<String>,
    /// Prefixes of the paths on their disks, at whose operations faults strike. Empty: only at all paths together.
    pub path_prefixes: Vec<String>,
    /// Prefixes of the files whose stored bytes may be damaged. Empty: their disks are never damaged.
    pub damaged_paths: Vec<String>,
    /// Whether the system survives the loss of a whole disk of the role.
    pub is_disk_replaceable: bool,
    /// Whether the network may deliver their messages twice.
    pub may_duplicate: bool,
}

impl Role {
    /// A role whose nodes may fail in every way that loses no durable bytes.
    #[must_use]
    pub fn of(nodes: Vec<String>) -> Role {
        Role {
            nodes,
            path_prefixes: Vec::new(),
            damaged_paths: Vec::new(),
            is_disk_replaceable: false,
            may_duplicate: true,
        }
    }
}

/// Times within which faults strike, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunWindow {
    /// Start of the run, from which triggers count.
    pub start_ms: i64,
    /// First time of a fault: every node has booted.
    pub first_ms: i64,
    /// Last time of a fault.
    pub last_ms: i64,
    /// Last time of damage: what is damaged then is repaired before the final check.
    pub last_damage_ms: i64,
    /// Longest duration of a fault, in milliseconds.
    pub longest_ms: u64,
}

/// Conditions that some nodes can be in, by the names that the system gives them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// Names of the nodes; at least one.
    pub nodes: Vec<String>,
    /// The conditions; at least one.
    pub kinds: Vec<ConditionRange>,
}

/// A condition and the range of its level, whose meaning is the system's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionRange {
    /// Name of the condition.
    pub name: &'static str,
    /// Levels from mild to severe.
    pub levels: RangeInclusive<u64>,
}

/// Returns the role of a node.
pub(crate) fn role_of<'t>(targets: &'t dyn FaultTargets, node: &str) -> Option<&'t Role> {
    targets.roles().iter().find(|role| role.nodes.iter().any(|name| name == node))
}
