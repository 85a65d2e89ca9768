//! An observer that sees no marks: the verdict depends on bytes, client answers and the plan, not on what the system
//! reports about itself.

use latent_engine::sim::{Event, Observer, Record, World};

/// Passes every record but marks to `O`.
pub(crate) struct WithoutMarks<O>(pub O);

impl<O: Observer> Observer for WithoutMarks<O> {
    fn on_record(&mut self, record: &Record<'_>, world: &World) {
        if !matches!(record.event, Event::Mark { .. }) {
            self.0.on_record(record, world);
        }
    }
}
