//! What is wrong, and how to fix it.

use std::fmt;

/// A problem that a person can fix: one line that says what is wrong, and one that says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Description of the problem, with the value.
    pub message: String,
    /// How to fix it. May be empty.
    pub hint: String,
}

impl Problem {
    /// Creates a problem.
    #[must_use]
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Problem {
        Problem { message: message.into(), hint: hint.into() }
    }
}

/// The message, then the hint on a line of its own.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if self.hint.is_empty() { Ok(()) } else { write!(f, "\n{}", self.hint) }
    }
}

impl std::error::Error for Problem {}
