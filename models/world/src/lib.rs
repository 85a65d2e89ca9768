//! The parts put together: topology, clients, operators, drills.
