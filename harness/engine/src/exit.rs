//! Exit codes of the command line: what a shell script may rely on.

/// The run ended as its scenario expects, or the command did what it was asked.
pub const AS_EXPECTED: u8 = 0;
/// A fault of the program itself: the process of a case died or panicked, or output could not be written.
pub const INTERNAL: u8 = 1;
/// The command line or a scenario is wrong. Nothing ran.
pub const USAGE: u8 = 2;
/// The run ended, and not as its scenario expects: another outcome, or a required mark that was never reached.
pub const NOT_AS_EXPECTED: u8 = 100;

/// Each code with what it means, for the help text.
pub const MEANINGS: [(u8, &str); 4] = [
    (AS_EXPECTED, "as expected"),
    (INTERNAL, "internal error"),
    (USAGE, "wrong usage or bad scenario"),
    (NOT_AS_EXPECTED, "not as expected"),
];
