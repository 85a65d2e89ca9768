//! Marks: names for the narrow places of a program, declared once with their meaning.

use std::fmt;

/// A notable event: a narrow window was entered, a rare branch taken.
///
/// Marks trigger faults ("crash at the third `compaction.output-durable`") and prove that a run reached what it claims
/// to test. On a real machine they are metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark<'a> {
    /// A declared name: `marks::TEE_EXPIRED`.
    pub name: MarkName,
    /// The subject of the event, for people: `p17/2016-02-22`. May be empty.
    pub subject: &'a str,
}

/// Name of a mark, with its meaning. Only [`marks!`](crate::marks!) declares one, so code cannot report a mark that no
/// list contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarkName {
    name: &'static str,
    meaning: &'static str,
}

impl MarkName {
    /// Called by [`marks!`](crate::marks!). Evaluated by the compiler: a wrong constant does not compile.
    #[doc(hidden)]
    #[must_use]
    pub const fn declared(constant: &str, name: &'static str, meaning: &'static str) -> MarkName {
        assert!(
            is_constant_of(constant, name),
            "the constant of a mark is its name in upper case: TEE_EXPIRED of \"tee.expired\""
        );
        let meaning = meaning.trim_ascii();
        assert!(!meaning.is_empty(), "a mark has a meaning");
        MarkName { name, meaning }
    }

    /// The name in traces, scenarios and reports: `tee.expired`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// One sentence: the event that the mark reports.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        self.meaning
    }
}

/// Whether `constant` is `name` in upper case, with `_` in place of each character that an identifier cannot have.
/// Equal names then have equal constants, which the compiler refuses.
const fn is_constant_of(constant: &str, name: &str) -> bool {
    let (constant, name) = (constant.as_bytes(), name.as_bytes());
    let mut at = 0;
    while at < name.len() && at < constant.len() {
        let upper = if name[at].is_ascii_alphanumeric() { name[at].to_ascii_uppercase() } else { b'_' };
        if constant[at] != upper {
            return false;
        }
        at += 1;
    }
    name.len() == constant.len()
}

impl fmt::Display for MarkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// For a fault that waits for the mark.
impl From<MarkName> for String {
    fn from(mark: MarkName) -> String {
        mark.name.to_owned()
    }
}

/// Declares the marks of a crate, each with its meaning as the doc comment, and a list `ALL` of them. Stands alone in a
/// module, by convention `marks.rs`.
///
/// ```
/// mod marks {
///     latent_ports::marks! {
///         /// A run's new manifest is durable.
///         COMPACTION_COMMITTED = "compaction.committed";
///     }
/// }
/// assert_eq!(marks::COMPACTION_COMMITTED.name(), "compaction.committed");
/// assert_eq!(marks::ALL[0].meaning(), "A run's new manifest is durable.");
/// ```
///
/// The constant is the name in upper case, so that two marks cannot share a name:
///
/// ```compile_fail
/// latent_ports::marks! {
///     /// A run's new manifest is durable.
///     COMMITTED = "compaction.committed";
/// }
/// ```
///
/// A name that is not declared cannot be reported:
///
/// ```compile_fail
/// let mark = latent_ports::Mark { name: "compaction.committed", subject: "" };
/// ```
#[macro_export]
macro_rules! marks {
    ($($(#[doc = $meaning:literal])+ $constant:ident = $name:literal;)+) => {
        $(
            $(#[doc = $meaning])+
            pub const $constant: $crate::MarkName =
                $crate::MarkName::declared(stringify!($constant), $name, concat!($($meaning),+));
        )+

        /// Every mark that is declared here.
        pub const ALL: &[$crate::MarkName] = &[$($constant),+];

        // A use of the list: a test may declare marks that no glossary lists.
        const _: &[$crate::MarkName] = ALL;
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    mod marks {
        crate::marks! {
            /// A run's new manifest is durable.
            COMPACTION_COMMITTED = "compaction.committed";
            /// A day was compacted again because late events
            /// had arrived.
            COMPACTION_SECOND_RUN = "compaction.second-run";
        }
    }

    #[test]
    fn a_declared_mark_has_its_name_and_its_meaning() {
        let [committed, second_run] = marks::ALL else { panic!("two are declared: {:?}", marks::ALL) };
        assert_eq!(committed, &marks::COMPACTION_COMMITTED);
        assert_eq!(
            (second_run.name(), second_run.meaning()),
            ("compaction.second-run", "A day was compacted again because late events had arrived.")
        );
    }

    #[test]
    fn a_fault_waits_for_a_mark_by_its_name() {
        assert_eq!(String::from(marks::COMPACTION_COMMITTED), "compaction.committed");
        assert_eq!(String::from(marks::COMPACTION_COMMITTED), marks::COMPACTION_COMMITTED.to_string());
    }

    #[test]
    fn a_constant_is_the_name_in_upper_case() {
        assert!(is_constant_of("TEE_COPY_FAILED", "tee.copy-failed"));
        for wrong in ["TEE_COPY", "TEE_COPY_FAILED_TWICE", "TEE_COPY_FAILEd", ""] {
            assert!(!is_constant_of(wrong, "tee.copy-failed"), "{wrong}");
        }
    }
}
