//! Work that is still waiting after its deadline, once faults have ended.
//!
//! Liveness properties are checked within stated virtual time after the end of faults. What still waits then is not a
//! safety violation but the reason why a run hung.

use crate::day::format_day;
use crate::identity::ProjectDay;
use std::fmt;

/// One overdue piece of work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LivenessViolation {
    /// Violated property, such as `L1`.
    pub property: &'static str,
    /// Node on which the work waits.
    pub node: String,
    /// Project-day, where days matter.
    pub project_day: Option<ProjectDay>,
    /// File, if the work is one.
    pub file: String,
    /// Description that follows node, day and file: `is not handed off`.
    pub what: String,
    /// Start of the wait, in milliseconds since 1970: no earlier than the end of faults.
    pub since_ms: i64,
    /// Deadline, in milliseconds since 1970.
    pub due_ms: i64,
}

impl LivenessViolation {
    /// Returns `None` unless the deadline of `within_ms` after `since_ms` has passed.
    pub(crate) fn if_overdue(
        property: &'static str,
        since_ms: i64,
        within_ms: i64,
        now_ms: i64,
    ) -> Option<LivenessViolation> {
        let due_ms = since_ms.saturating_add(within_ms);
        let (node, file, what) = (String::new(), String::new(), String::new());
        (now_ms > due_ms).then_some(LivenessViolation {
            property,
            node,
            project_day: None,
            file,
            what,
            since_ms,
            due_ms,
        })
    }

    pub(crate) fn at(self, node: &str) -> LivenessViolation {
        LivenessViolation { node: node.to_owned(), ..self }
    }

    pub(crate) fn of(self, project_day: ProjectDay) -> LivenessViolation {
        LivenessViolation { project_day: Some(project_day), ..self }
    }

    pub(crate) fn file(self, file: &str) -> LivenessViolation {
        LivenessViolation { file: file.to_owned(), ..self }
    }

    pub(crate) fn what(self, what: impl Into<String>) -> LivenessViolation {
        LivenessViolation { what: what.into(), ..self }
    }
}

impl fmt::Display for LivenessViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.property)?;
        if let Some(project_day) = self.project_day {
            write!(f, " p{} {}", project_day.project, format_day(project_day.day))?;
        }
        for name in [&self.node, &self.file, &self.what].into_iter().filter(|name| !name.is_empty()) {
            write!(f, " {name}")?;
        }
        Ok(())
    }
}

/// Sorts by severity: longest overdue first, then by property.
pub fn sort_worst_first(waiting: &mut [LivenessViolation]) {
    waiting.sort_by(|a, b| {
        (a.due_ms, a.property, &a.node, a.project_day, &a.file).cmp(&(
            b.due_ms,
            b.property,
            &b.node,
            b.project_day,
            &b.file,
        ))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_overdue_work_comes_first() {
        let project_day = ProjectDay { project: 17, day: 16_853 };
        let late = |property, since_ms| LivenessViolation::if_overdue(property, since_ms, 10, 100).unwrap();
        let mut all = vec![
            late("L2", 50).at("disk-1").of(project_day).what("is not compacted"),
            late("L1", 20).at("ingest-1").file("hints/3-7").what("is not handed off"),
        ];
        assert_eq!(LivenessViolation::if_overdue("L1", 90, 10, 100), None, "not past its time");
        sort_worst_first(&mut all);
        let messages: Vec<String> = all.iter().map(LivenessViolation::to_string).collect();
        assert_eq!(
            messages,
            ["L1 ingest-1 hints/3-7 is not handed off", "L2 p17 2016-02-22 disk-1 is not compacted"]
        );
    }
}
