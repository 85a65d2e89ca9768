//! Events in words, for people.

use super::event::{CallOutcome, Event};
use crate::faults::FaultAction;
use latent_ports::NodeId;
use std::fmt;

impl Event<'_> {
    /// Describes the event in words; `name_of` names the nodes.
    #[must_use]
    pub fn describe<N: fmt::Display>(&self, name_of: impl Fn(NodeId) -> N) -> String {
        let of = |node: &NodeId| name_of(*node);
        match self {
            Event::Boot => "boot".to_owned(),
            Event::Kill(keeps) => format!("killed, un-synced disk operations: {keeps:?}"),
            Event::Pause => "paused".to_owned(),
            Event::Resume => "resumed".to_owned(),
            Event::Send { to, len_bytes, digest } => {
                format!("calls {} with {len_bytes} bytes {}", of(to), short_digest(*digest))
            }
            Event::Receive { from, len_bytes, digest } => {
                format!("receives from {}: {len_bytes} bytes {}", of(from), short_digest(*digest))
            }
            Event::Answer { to, len_bytes, digest } => {
                format!("answers {} with {len_bytes} bytes {}", of(to), short_digest(*digest))
            }
            Event::CallEnded { to, outcome: CallOutcome::Answered, len_bytes, digest } => {
                format!("is answered by {}: {len_bytes} bytes {}", of(to), short_digest(*digest))
            }
            Event::CallEnded { to, outcome: CallOutcome::Failed(kind), .. } => {
                format!("call to {} failed: {kind:?}", of(to))
            }
            Event::MessageLost { to, digest } => {
                format!("message to {} lost {}", of(to), short_digest(*digest))
            }
            Event::MessageDuplicated { to, digest } => {
                format!("message to {} duplicated {}", of(to), short_digest(*digest))
            }
            Event::Disk { op, path, to, offset, len_bytes, digest, outcome } => {
                let to = if to.is_empty() { String::new() } else { format!(" to '{to}'") };
                let place = if *len_bytes > 0 || *offset > 0 {
                    format!(" at {offset}, {len_bytes} bytes")
                } else {
                    String::new()
                };
                let written =
                    if *digest == 0 { String::new() } else { format!(" {}", short_digest(*digest)) };
                let ended = outcome.map_or_else(|kind| format!(": {kind:?}"), |()| String::new());
                format!("{op:?} '{path}'{to}{place}{written}{ended}")
            }
            Event::Mark { name, subject: "" } => format!("mark {name}"),
            Event::Mark { name, subject } => format!("mark {name} {subject}"),
            Event::Note(what) => format!("note {what}"),
            Event::Fault { action, ends: false } => format!("fault {}", action_json(action)),
            Event::Fault { action, ends: true } => format!("end of fault {}", action_json(action)),
        }
    }
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe(|node| format!("node {}", node.0)))
    }
}

/// Returns a fault action as plans and cases write it, without null fields, so that it can be searched there and
/// copied from here.
fn action_json(action: &FaultAction) -> String {
    let mut value = serde_json::to_value(action).expect("names and numbers only, all representable in JSON");
    for fields in value.as_object_mut().into_iter().flat_map(|kinds| kinds.values_mut()) {
        if let Some(fields) = fields.as_object_mut() {
            fields.retain(|_, field| !field.is_null());
        }
    }
    value.to_string()
}

fn short_digest(digest: u128) -> String {
    format!("#{:08x}", digest >> 96)
}
