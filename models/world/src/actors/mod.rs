//! The people outside of the system: customers, the operator, and the operators of a recovery drill.

pub(crate) mod clients;
pub(crate) mod drill;
pub(crate) mod operator;
pub(crate) mod recovery_log;
pub(crate) mod recovery_task;
