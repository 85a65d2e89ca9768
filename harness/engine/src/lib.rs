//! Scenario to plan to run to verdict, and the command line.
