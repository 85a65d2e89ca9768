//! The project-day with the smallest loss, whose events a report shows before and after.

use super::OracleChecker;
use latent_engine::verdict::Violation;
use latent_oracle::{ProjectDay, ReadView, day};
use std::collections::BTreeSet;

impl OracleChecker {
    /// Keeps the events of the day with the smallest loss, if the violation names all missing keys.
    pub(super) fn keep_smallest_loss(&mut self, found: &[Violation], read_view: &ReadView) {
        let named =
            |v: &&Violation| v.invariant == "I1" && v.kind == "missing" && v.items == v.keys.len() as u64;
        for lost in found.iter().filter(named) {
            let known = self.smallest.as_ref().map_or(u64::MAX, |(items, _)| *items);
            let project = lost.subject.strip_prefix('p').and_then(|number| number.parse().ok());
            let day = lost.label(day::DAY_LABEL).and_then(day::parse_day);
            let Some((project, day)) = project.zip(day).filter(|_| lost.items < known) else { continue };
            let held = read_view.days.get(&ProjectDay { project, day }).map_or(&[][..], |seen| &seen.events);
            let after: BTreeSet<String> = held.iter().map(|held| held.key.to_string()).collect();
            let before: BTreeSet<String> = after.iter().cloned().chain(lost.keys.iter().cloned()).collect();
            let title = format!(
                "{} {}: keys of {} events, {} lost",
                lost.subject,
                day::format_day(day),
                before.len(),
                lost.items
            );
            self.smallest =
                Some((lost.items, (title, before.into_iter().collect(), after.into_iter().collect())));
        }
    }
}
