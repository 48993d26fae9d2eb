//! A connection's place in the record.

use std::sync::Arc;

use super::shared::Shared;

/// Keeps the record's counts right however a session ends, a stop of the sink included.
pub(super) struct Presence {
    pub(super) shared: Arc<Shared>,
    pub(super) connection: usize,
    pub(super) in_body: bool,
    pub(super) held: bool,
}

impl Presence {
    pub(super) fn hold(&mut self, held: bool) {
        self.held = held;
        self.shared.record.send_modify(|record| if held { record.held += 1 } else { record.held -= 1 });
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.shared.record.send_modify(|record| {
            record.open -= 1;
            record.held -= usize::from(self.held);
            record.aborted += usize::from(self.in_body);
            record.conversation(self.connection).ended = true;
        });
    }
}
