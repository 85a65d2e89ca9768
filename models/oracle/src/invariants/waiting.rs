//! Whatever waits for something when trouble is over, by name.
//!
//! Laws of liveness are judged within stated virtual time after faults end. What still waits then is no violation but
//! the reason why a run hung.

use crate::day::day_text;
use crate::identity::ProjectDay;
use std::fmt;

/// One thing that waits, past its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Which law says that it should be done: `L1`.
    pub law: &'static str,
    /// On which node.
    pub node: String,
    /// Whose day, where days matter.
    pub of: Option<ProjectDay>,
    /// Which file, where it is one.
    pub file: String,
    /// What it waits for, as words that follow node, day and file: `is not handed off`.
    pub what: String,
    /// Since when, milliseconds since 1970: no earlier than the end of faults.
    pub since_ms: i64,
    /// When it should have been done.
    pub due_ms: i64,
}

impl Waiting {
    /// `None` unless `law` gave it `within_ms` and that is over.
    pub(crate) fn past(law: &'static str, since_ms: i64, within_ms: i64, now_ms: i64) -> Option<Waiting> {
        let due_ms = since_ms.saturating_add(within_ms);
        let (node, file, what) = (String::new(), String::new(), String::new());
        (now_ms > due_ms).then_some(Waiting { law, node, of: None, file, what, since_ms, due_ms })
    }

    pub(crate) fn at(self, node: &str) -> Waiting {
        Waiting { node: node.to_owned(), ..self }
    }

    pub(crate) fn of(self, of: ProjectDay) -> Waiting {
        Waiting { of: Some(of), ..self }
    }

    pub(crate) fn file(self, file: &str) -> Waiting {
        Waiting { file: file.to_owned(), ..self }
    }

    pub(crate) fn what(self, what: impl Into<String>) -> Waiting {
        Waiting { what: what.into(), ..self }
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.law)?;
        if let Some(of) = self.of {
            write!(f, " p{} {}", of.project, day_text(of.day))?;
        }
        for name in [&self.node, &self.file, &self.what].into_iter().filter(|name| !name.is_empty()) {
            write!(f, " {name}")?;
        }
        Ok(())
    }
}

/// The worst first: what is overdue longest; of equals those of the first law.
pub fn worst_first(waiting: &mut [Waiting]) {
    waiting.sort_by(|a, b| {
        (a.due_ms, a.law, &a.node, a.of, &a.file).cmp(&(b.due_ms, b.law, &b.node, b.of, &b.file))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_overdue_longest_is_named_first() {
        let of = ProjectDay { project: 17, day: 16_853 };
        let late = |law, since_ms| Waiting::past(law, since_ms, 10, 100).unwrap();
        let mut all = vec![
            late("L2", 50).at("disk-1").of(of).what("is not compacted"),
            late("L1", 20).at("ingest-1").file("hints/3-7").what("is not handed off"),
        ];
        assert_eq!(Waiting::past("L1", 90, 10, 100), None, "not past its time");
        worst_first(&mut all);
        let words: Vec<String> = all.iter().map(Waiting::to_string).collect();
        assert_eq!(
            words,
            ["L1 ingest-1 hints/3-7 is not handed off", "L2 p17 2016-02-22 disk-1 is not compacted"]
        );
    }
}
