//! Systems that the tests run under faults.

pub mod chatter;
pub mod counter;
pub mod mesh;
pub mod nodes;
pub mod script;
pub mod ticker;
