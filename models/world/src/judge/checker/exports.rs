//! Checks of the exports that customers read.

use super::OracleChecker;
use super::protection::project_day;
use crate::cluster::node_ids::NodeIds;
use crate::mutex::lock;
use crate::observe::client_state::ExportResult;
use latent_engine::sim::World;
use latent_engine::verdict::Violation;
use latent_oracle::invariants::{i1_readable, i2_provenance, i3_duplicates, i5_content};
use latent_oracle::reader::export;
use latent_oracle::{ProjectDay, ReadView};

/// Maximum duration of an export: two attempts at each edge, some minutes each.
const MAX_EXPORT_MS: i64 = 30 * 60_000;

impl OracleChecker {
    /// Checks the exports that customers read.
    pub fn check_exports(&mut self, world: &World, nodes: &NodeIds, exports: Vec<ExportResult>) {
        if exports.is_empty() {
            return;
        }
        self.apply_fault_log(world, nodes);
        let excused = self.excuses.for_job(&self.job_dependencies.export());
        for exported in exports {
            let mut now = self.check_context(world, "export", false);
            let subject = format!("p{}", exported.project);
            let client_state = self.client_state.clone();
            let ledger = lock(&client_state.ledger);
            let at_ms = now.at_ms;
            let failed = |kind, why: String| {
                Violation::new("I13", kind, "export").of(&subject, 0).at(at_ms).because(why)
            };
            let days = match &exported.body {
                Ok(body) => export::read_by_day(
                    &mut self.decode_cache,
                    ledger.zones(),
                    exported.project,
                    "export",
                    body,
                )
                .map_err(|error| Some(failed("export-malformed", error.to_string()))),
                // While faults are active an export may stay unanswered, but must not be wrong.
                Err(_) if !excused.covers_none_of(exported.at_ms, exported.at_ms + MAX_EXPORT_MS) => {
                    Err(None)
                }
                // A check that could not run has failed.
                Err(why) => Err(Some(failed("export-failed", why.clone()))),
            };
            let mut found = Vec::new();
            match days {
                Ok(days) => {
                    now.settled_before_ms = exported.at_ms;
                    let is_asked = |project_day: &ProjectDay| {
                        project_day.project == exported.project && exported.days.contains(&project_day.day)
                    };
                    let scope = ledger.project_days().filter(is_asked).collect();
                    let read_view = ReadView::of_single(&days).with_scope(scope);
                    found.extend(i1_readable::check(&ledger, &read_view, &now));
                    found.extend(i2_provenance::check(&ledger, &read_view, &now));
                    found.extend(i3_duplicates::check_export(&days, &now));
                    found.extend(i5_content::check(&ledger, &read_view, &now));
                }
                Err(failed) => found.extend(failed),
            }
            drop(ledger);
            // A day that cannot be read whole is refused, not answered in part: unless a release has a mistake, or so
            // many disks lost directories that too few are left to tell that the day existed.
            let remembers = {
                let fault_log = lock(&self.fault_log);
                nodes.disks.iter().filter(|disk| !fault_log.is_emptied(&world.node_name(**disk))).count()
            };
            if !self.has_planted_bugs && remembers >= self.read_disks {
                let lost: u64 =
                    found.iter().filter(|lost| lost.kind == "missing").map(|lost| lost.items).sum();
                let why = "an export was answered without events that were acknowledged before it began";
                found.extend((lost > 0).then(|| failed("export-incomplete", why.to_owned())));
            }
            for lost in found.iter().filter(|violation| violation.loses_items) {
                if let Some(project_day) = project_day(lost) {
                    self.loss.record_seen_by_reader(project_day, at_ms);
                }
            }
            self.report(found);
        }
    }
}
