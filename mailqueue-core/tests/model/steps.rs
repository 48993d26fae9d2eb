//! Every step that can be taken from a state, and where it leads.

use mailqueue_core::Status;
use mailqueue_core::domain::recipient::RecipientStatus;
use mailqueue_core::domain::transition::Event;
use stateright::{Model, Property};

use super::{Holder, Missing, Protocol, Row, Said, Step, Word, Worker, World, properties};

/// All ways to fill the places of pending recipients with one of `words`.
fn answers<const R: usize>(row: &Row<R>, words: &[Word]) -> Vec<[Option<Word>; R]> {
    let mut all = vec![[None; R]];
    for n in (0..R).filter(|n| row.recipients[*n].0 == RecipientStatus::Queued) {
        let with = |one: &[Option<Word>; R], word| {
            let mut one = *one;
            one[n] = Some(word);
            one
        };
        all = all.iter().flat_map(|one| words.iter().map(move |word| with(one, *word))).collect();
    }
    all
}

/// What a worker can report of a conversation that ended before the dot.
fn early<const R: usize>(row: &Row<R>) -> impl Iterator<Item = Said<R>> {
    let answered =
        answers(row, &[Word::Deferred, Word::Throttled, Word::Refused]).into_iter().map(Said::Answered);
    answered.chain([Said::Withheld, Said::Fault])
}

impl<const R: usize> Model for Protocol<R> {
    type State = World<R>;
    type Action = Step<R>;

    fn init_states(&self) -> Vec<World<R>> {
        let row = Row {
            status: Status::Queued,
            attempt: 0,
            lost_leases: 0,
            dot_allowed: false,
            recipients: [(RecipientStatus::Queued, false); R],
        };
        vec![World {
            row,
            holder: Holder::Nobody,
            logged: false,
            workers: [Worker::Idle; 2],
            copies: [0; R],
            ambiguous: 0,
            refused: [false; R],
            said_sent: [false; R],
            heard_accepted: [false; R],
            has_ended: false,
        }]
    }

    fn actions(&self, world: &World<R>, steps: &mut Vec<Step<R>>) {
        for (n, worker) in world.workers.iter().enumerate() {
            if *worker != Worker::Idle {
                steps.push(Step::Crash(n));
            }
            match worker {
                Worker::Idle => steps.extend([Step::Claim(n, false), Step::Claim(n, true)]),
                Worker::Talking(row) => {
                    steps.extend([Step::Gate(n, true), Step::Gate(n, false)]);
                    steps.extend(early(row).map(|said| Step::EndEarly(n, said)));
                }
                Worker::PastGate(row) => {
                    steps.extend([Step::Gate(n, true), Step::Gate(n, false)]);
                    // The dot may be allowed before the conversation, which can still end early then.
                    steps.extend(early(row).map(|said| Step::EndEarly(n, said)));
                    for words in answers(row, &[Word::Accepted, Word::Deferred, Word::Refused, Word::Lost]) {
                        steps.extend([Step::Dot(n, words, false), Step::Dot(n, words, true)]);
                    }
                }
                Worker::Reporting(..) => steps.extend([Step::Report(n, true), Step::Report(n, false)]),
            }
        }
        if world.row.status == Status::Sending && self.missing != Missing::Reclaim {
            steps.push(Step::LeaseEnds);
        }
        steps.push(Step::Cancel);
    }

    fn next_state(&self, world: &World<R>, step: Step<R>) -> Option<World<R>> {
        let mut next = *world;
        match step {
            Step::Claim(n, with_dot) => self.claim(&mut next, n, with_dot)?,
            Step::Gate(n, is_heard) => self.gate(&mut next, n, is_heard)?,
            Step::EndEarly(n, said) => {
                let (Worker::Talking(claimed) | Worker::PastGate(claimed)) = world.workers[n] else {
                    return None;
                };
                next.workers[n] = Worker::Reporting(claimed, said);
            }
            Step::Dot(n, words, is_taken) => self.dot(&mut next, n, words, is_taken)?,
            Step::Report(n, is_heard) => self.settle(&mut next, n, is_heard)?,
            Step::Crash(n) => next.workers[n] = Worker::Idle,
            Step::LeaseEnds => self.end_lease(&mut next)?,
            Step::Cancel => next.row = self.decide(&world.row, &Event::Cancelled)?,
        }
        Some(next.seen())
    }

    /// Without one of its mechanisms the protocol may go on for ever.
    fn within_boundary(&self, world: &World<R>) -> bool {
        self.missing == Missing::Nothing || world.copies.iter().all(|n| *n <= 3) && world.ambiguous <= 3
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}

impl<const R: usize> World<R> {
    pub(super) fn is(&self, n: usize, status: RecipientStatus) -> bool {
        self.row.recipients[n].0 == status
    }

    /// The same world, with what is to be judged noted down and forgotten claims made alike.
    pub(super) fn seen(mut self) -> Self {
        for n in 0..R {
            self.said_sent[n] |= self.is(n, RecipientStatus::Sent);
        }
        self.has_ended |= self.row.status.is_final();
        if self.row.status != Status::Sending {
            (self.holder, self.logged) = (Holder::Nobody, false);
        } else if let Holder::Worker(n) = self.holder
            && self.workers[n] == Worker::Idle
        {
            self.holder = Holder::Dead;
        }
        self
    }
}
