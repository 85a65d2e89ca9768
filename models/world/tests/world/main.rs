//! Tests of the world that need its public interface only: the glossary, zones, and complete runs of small scenarios.

mod glossary;
mod runs;
mod zones;
