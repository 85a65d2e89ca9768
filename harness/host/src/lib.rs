//! The ports on the operating system.
