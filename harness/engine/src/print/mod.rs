//! Report formats: one screen for people, one JSON object for programs.

pub(crate) mod bugs;
pub(crate) mod compare;
pub(crate) mod enumerate;
mod enumerate_pairs;
pub(crate) mod escape;
pub(crate) mod finding;
pub mod humanize;
pub(crate) mod json;
mod screen;
pub(crate) mod sweep;
pub(crate) mod terminal;
pub(crate) mod text;

#[cfg(test)]
mod tests;

pub use screen::{Screen, StyledText};
