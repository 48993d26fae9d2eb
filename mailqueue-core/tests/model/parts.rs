//! What workers, stores and servers do.

use mailqueue_core::domain::transition::Event;

use super::{Holder, Missing, Protocol, Row, Said, Settling, Word, Worker, World};

impl<const R: usize> Protocol<R> {
    pub(super) fn claim(&self, world: &mut World<R>, worker: usize, with_dot: bool) -> Option<()> {
        let mut row = self.decide(&world.row, &Event::Claimed)?;
        if with_dot && self.missing != Missing::GateWritesDown {
            row = self.decide(&row, &Event::DotAllowed)?;
        }
        if self.missing == Missing::MemoryOfDoubt {
            row.recipients.iter_mut().for_each(|(_, maybe_sent)| *maybe_sent = false);
        }
        (world.row, world.holder, world.logged) = (row, Holder::Worker(worker), false);
        world.workers[worker] = if with_dot { Worker::PastGate(row) } else { Worker::Talking(row) };
        Some(())
    }

    pub(super) fn gate(&self, world: &mut World<R>, worker: usize, is_heard: bool) -> Option<()> {
        let (Worker::Talking(claimed) | Worker::PastGate(claimed)) = world.workers[worker] else {
            return None;
        };
        let is_held = world.holder == Holder::Worker(worker);
        if is_held && self.missing != Missing::GateWritesDown {
            world.row = self.decide(&world.row, &Event::DotAllowed)?;
        }
        let may = is_held || self.missing == Missing::GateAsksForLease;
        world.workers[worker] = if may && is_heard {
            Worker::PastGate(claimed)
        } else {
            Worker::Reporting(claimed, Said::Withheld)
        };
        Some(())
    }

    pub(super) fn dot(
        &self,
        world: &mut World<R>,
        worker: usize,
        words: [Option<Word>; R],
        is_taken: bool,
    ) -> Option<()> {
        let Worker::PastGate(claimed) = world.workers[worker] else { return None };
        for (copies, word) in world.copies.iter_mut().zip(words) {
            if word == Some(Word::Accepted) || word == Some(Word::Lost) && is_taken {
                *copies += 1;
            }
        }
        world.workers[worker] = Worker::Reporting(claimed, Said::Answered(words));
        Some(())
    }

    pub(super) fn settle(&self, world: &mut World<R>, worker: usize, is_heard: bool) -> Option<()> {
        let Worker::Reporting(claimed, said) = world.workers[worker] else { return None };
        let is_held = world.holder == Holder::Worker(worker) || self.missing == Missing::Fence;
        if let Some(row) = self.settled(world, &claimed, said, is_held) {
            world.logged |= !is_held;
            world.row = row;
            if let (Said::Answered(words), true) = (said, is_held) {
                world.ambiguous += u8::from(words.contains(&Some(Word::Lost)));
                for (refused, word) in world.refused.iter_mut().zip(words) {
                    *refused |= word == Some(Word::Refused);
                }
            }
        }
        if let Said::Answered(words) = said {
            for (accepted, word) in world.heard_accepted.iter_mut().zip(words) {
                *accepted |= word == Some(Word::Accepted);
            }
        }
        if is_heard {
            world.workers[worker] = Worker::Idle;
        }
        Some(())
    }

    /// The row that a result leads to; `None` when nothing is written.
    pub(super) fn settled(
        &self,
        world: &World<R>,
        claimed: &Row<R>,
        said: Said<R>,
        is_held: bool,
    ) -> Option<Row<R>> {
        let (report, context) = (self.report(said), self.context(claimed.attempt));
        let as_claimed = self.settling == Settling::Fenced
            && is_held
            && (!world.logged || self.missing == Missing::LookAtTheLog);
        match (is_held, as_claimed) {
            (true, true) => self.decide(claimed, &Event::Reported(report, context)),
            (true, false) => self.decide(&world.row, &Event::Reported(report, context)),
            (false, _) if self.missing == Missing::LateSuccess => None,
            (false, _) => self.decide(&world.row, &Event::ReportedLate(report, context)),
        }
    }

    pub(super) fn end_lease(&self, world: &mut World<R>) -> Option<()> {
        let row = self.decide(&world.row, &Event::LeaseExpired(self.context(world.row.attempt)))?;
        world.ambiguous += u8::from(world.row.dot_allowed);
        world.row = row;
        Some(())
    }
}
