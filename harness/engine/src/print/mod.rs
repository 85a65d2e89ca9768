//! What a report looks like: one screen for people, one JSON object for programs.

pub(crate) mod enumerate;
pub(crate) mod json;
pub(crate) mod out;
mod screen;
pub(crate) mod sweep;
pub(crate) mod text;
pub mod words;

#[cfg(test)]
mod tests;

pub use screen::{Screen, Text};
