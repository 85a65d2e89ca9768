//! Violations as data, and the fingerprint that groups them.

use std::collections::BTreeMap;

/// A field of a violation, named by the system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Label {
    /// Its name: `shard`.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// A violated invariant, for one subject, at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Violation {
    /// Name of the invariant: `I1`.
    pub invariant: String,
    /// Kind of violation, a fixed word: `missing`, `resurrected`. Part of the fingerprint.
    pub kind: String,
    /// Stage at which it was detected, a fixed word: `after-compaction`. Part of the fingerprint.
    pub stage: String,
    /// Owner of the items: a tenant, a file. May be empty.
    pub subject: String,
    /// What else places it, with labels of the system: `shard 7`. Not part of the fingerprint.
    pub labels: Vec<Label>,
    /// Number of affected items.
    pub items: u64,
    /// Names of the first few items.
    pub keys: Vec<String>,
    /// True virtual time of the detection, in milliseconds since 1970.
    pub at_ms: i64,
    /// Whether the items are lost: no reader could read them.
    pub loses_items: bool,
    /// Difference between the found and the expected state, for people.
    pub detail: String,
}

impl Violation {
    /// Creates a violation of `invariant`, of some `kind`, detected at `stage`; the three fixed words of its
    /// fingerprint.
    #[must_use]
    pub fn new(invariant: impl Into<String>, kind: impl Into<String>, stage: impl Into<String>) -> Violation {
        Violation {
            invariant: invariant.into(),
            kind: kind.into(),
            stage: stage.into(),
            ..Violation::default()
        }
    }

    /// Sets the subject and the number of items.
    #[must_use]
    pub fn of(mut self, subject: impl Into<String>, items: u64) -> Violation {
        (self.subject, self.items) = (subject.into(), items);
        self
    }

    /// Adds a labelled field. Its name becomes a field of the violation in the JSON report.
    #[must_use]
    pub fn labelled(mut self, name: impl Into<String>, value: impl Into<String>) -> Violation {
        self.labels.push(Label { name: name.into(), value: value.into() });
        self
    }

    /// Returns the value of a labelled field.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|label| label.name == name).map(|label| label.value.as_str())
    }

    /// Sets the names of the first [`Violation::KEYS`] items.
    #[must_use]
    pub fn keys<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> Violation {
        self.keys = keys.into_iter().take(Violation::KEYS).map(Into::into).collect();
        self
    }

    /// Sets the virtual time, in milliseconds since 1970.
    #[must_use]
    pub fn at(mut self, at_ms: i64) -> Violation {
        self.at_ms = at_ms;
        self
    }

    /// Marks its items as lost.
    #[must_use]
    pub fn losing(mut self) -> Violation {
        self.loses_items = true;
        self
    }

    /// Sets the detail.
    #[must_use]
    pub fn because(mut self, detail: impl Into<String>) -> Violation {
        self.detail = detail.into();
        self
    }

    /// Number of keys in a violation. Run the case again to get the rest.
    pub const KEYS: usize = 8;

    /// Returns the fingerprint, which two runs share if they have the same finding: invariant, kind, stage and whether
    /// items are lost. Never the subject, the labels, the key or the time, which change from seed to seed.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let loss = if self.loses_items { "loss" } else { "breach" };
        format!("{}:{}:{}:{loss}", word(&self.invariant), word(&self.kind), word(&self.stage))
    }
}

/// Replaces characters so that a fingerprint is one shell word.
pub(crate) fn word(text: &str) -> String {
    text.chars().map(|c| if c.is_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' }).collect()
}

/// Violations that share a fingerprint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViolationGroup<'a> {
    /// Their fingerprint.
    pub fingerprint: String,
    /// Number of violations.
    pub count: usize,
    /// Items of all of them. An item seen at two stages counts twice.
    pub items: u64,
    /// The worst of them: most items, then first seen.
    pub worst: &'a Violation,
    /// The first of them in virtual time.
    pub first: &'a Violation,
}

/// Groups violations by fingerprint: those that lose items first, then by items, most first.
#[must_use]
pub fn group_by_fingerprint(violations: &[Violation]) -> Vec<ViolationGroup<'_>> {
    let mut groups: BTreeMap<String, ViolationGroup<'_>> = BTreeMap::new();
    for violation in violations {
        let fingerprint = violation.fingerprint();
        let group = groups.entry(fingerprint.clone()).or_insert(ViolationGroup {
            fingerprint,
            count: 0,
            items: 0,
            worst: violation,
            first: violation,
        });
        group.count += 1;
        group.items += violation.items;
        if violation.items > group.worst.items {
            group.worst = violation;
        }
        if violation.at_ms < group.first.at_ms {
            group.first = violation;
        }
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by_key(|group| (!group.worst.loses_items, std::cmp::Reverse(group.items)));
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(subject: &str, items: u64, at_ms: i64) -> Violation {
        Violation::new("I4", "missing", "after-compaction")
            .of(subject, items)
            .labelled("shard", "7")
            .keys((0..items).map(|item| format!("{subject}/{item}")))
            .at(at_ms)
            .losing()
            .because(format!("{items} of 100 items of {subject} are in no export"))
    }

    #[test]
    fn a_fingerprint_is_stable_across_seeds() {
        let (one, other) = (missing("p17", 812, 1_456_190_000_000), missing("p3", 2, 1_456_170_000_000));
        assert_eq!(one.fingerprint(), "I4:missing:after-compaction:loss");
        assert_eq!(one.fingerprint(), other.fingerprint());
    }

    #[test]
    fn a_fingerprint_tells_findings_apart() {
        let base = missing("p1", 1, 0);
        let others = [
            Violation { invariant: "I5".into(), ..base.clone() },
            Violation { kind: "doubled".into(), ..base.clone() },
            Violation { stage: "export".into(), ..base.clone() },
            Violation { loses_items: false, ..base.clone() },
        ];
        for other in others {
            assert_ne!(base.fingerprint(), other.fingerprint(), "{other:?}");
        }
    }

    #[test]
    fn a_labelled_field_is_found_by_its_name() {
        let found = missing("p17", 1, 0);
        assert_eq!((found.label("shard"), found.label("row")), (Some("7"), None));
        assert_eq!(found.fingerprint(), missing("p17", 1, 0).labelled("row", "3").fingerprint());
    }

    #[test]
    fn a_fingerprint_is_one_shell_word() {
        let odd = Violation::new("I1", "read of 'x' failed", "day end");
        assert_eq!(odd.fingerprint(), "I1:read-of--x--failed:day-end:breach");
    }

    #[test]
    fn keys_are_cut_items_are_not() {
        let many = missing("p1", 1000, 0);
        assert_eq!((many.keys.len(), many.items), (Violation::KEYS, 1000));
    }

    #[test]
    fn groups_put_loss_and_the_many_first() {
        let breach = Violation::new("I9", "dangling-reference", "manifest").of("p1", 9000);
        let read = Violation::new("I1", "missing", "probe").of("p2", 7).losing();
        let found = [breach, missing("p1", 4, 50), read, missing("p2", 5, 90), missing("p3", 1, 20)];
        let groups = group_by_fingerprint(&found);
        let short: Vec<_> = groups.iter().map(|g| (g.worst.invariant.as_str(), g.count, g.items)).collect();
        assert_eq!(short, [("I4", 3, 10), ("I1", 1, 7), ("I9", 1, 9000)]);
        assert_eq!((groups[0].worst.subject.as_str(), groups[0].first.subject.as_str()), ("p2", "p3"));
    }
}
