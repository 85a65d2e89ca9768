//! A run after its last check: its state does not change any more, and its judgement is complete.

use super::state::RunState;
use crate::judge::judgement::Judgement;
use crate::judge::phases::Judge;
use crate::mutex::lock;

/// A run whose final state was judged.
pub(super) struct FinishedRun<'a> {
    pub state: RunState<'a>,
    pub judgement: Judgement,
    pub acknowledgements_checked: u64,
}

impl<'a> FinishedRun<'a> {
    /// Checks the final state.
    pub fn new(mut state: RunState<'a>, judge: Judge) -> FinishedRun<'a> {
        state.progress.phase("judging");
        let last = state.final_observations();
        let (mut judge, production) = judge.healed(&state.world, &state.nodes, last);
        // If production lacks events at the end, a drill shows whether they are recoverable.
        let config = &state.scenario.config;
        if config.checks.is_full() && (config.protection.backup.is_some() || judge.is_short()) {
            state
                .drill(|drilled, now_ms, promised| judge.check_drill(drilled, &production, now_ms, promised));
        }
        *lock(&state.client_state.on_acknowledged) = None;
        let (acknowledgements_checked, mut found) = lock(&state.durability_sampler).take_results();
        found.extend(state.tee_sampler.iter().flat_map(|tee| lock(tee).take_results()));
        found.extend(lock(&state.client_state.answers).violations());
        let judgement = judge.judgement(&state.world, &state.nodes, found);
        FinishedRun { state, judgement, acknowledgements_checked }
    }
}
