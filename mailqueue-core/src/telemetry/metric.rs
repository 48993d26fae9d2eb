//! All metrics: name, unit, labels and help text.

use metrics::{Counter, Gauge, Histogram, Label, SharedString, Unit};

#[derive(Debug, Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A metric, described once and recorded by its events.
#[derive(Debug)]
pub(super) struct Metric {
    kind: Kind,
    name: &'static str,
    unit: Unit,
    labels: &'static [&'static str],
    help: &'static str,
}

impl Metric {
    /// The counter with these values of its labels.
    pub(super) fn counter<const N: usize>(&self, values: [&'static str; N]) -> Counter {
        metrics::counter!(self.name, self.labelled(values))
    }

    /// The gauge with these values of its labels.
    pub(super) fn gauge<const N: usize>(&self, values: [&'static str; N]) -> Gauge {
        metrics::gauge!(self.name, self.labelled(values))
    }

    /// The histogram with these values of its labels.
    pub(super) fn histogram<const N: usize>(&self, values: [SharedString; N]) -> Histogram {
        metrics::histogram!(self.name, self.labelled(values))
    }

    fn labelled<const N: usize>(&self, values: [impl Into<SharedString>; N]) -> Vec<Label> {
        // Checked in debug builds alone: a missing label must not stop mail in production.
        debug_assert_eq!(self.labels.len(), N, "each label of {} has a value", self.name);
        self.labels.iter().zip(values).map(|(label, value)| Label::new(*label, value)).collect()
    }

    fn describe(&self) {
        match self.kind {
            Kind::Counter => metrics::describe_counter!(self.name, self.unit, self.help),
            Kind::Gauge => metrics::describe_gauge!(self.name, self.unit, self.help),
            Kind::Histogram => metrics::describe_histogram!(self.name, self.unit, self.help),
        }
    }
}

/// Tells the recorder of this process the unit and the help text of every metric, so that `/metrics` serves HELP. To be
/// called once, after the recorder is installed.
pub fn describe() {
    ALL.iter().for_each(Metric::describe);
}

/// Makes a constant of each line, and the list of all.
macro_rules! table {
    ($($constant:ident: $kind:ident $name:literal [$($label:literal)*] in $unit:ident, $help:literal;)*) => {
        $(pub(super) const $constant: Metric = Metric {
            kind: Kind::$kind,
            name: $name,
            unit: Unit::$unit,
            labels: &[$($label),*],
            help: $help,
        };)*

        const ALL: &[Metric] = &[$($constant),*];
    };
}

table! {
    ACCEPTED: Counter "mailqueue_messages_accepted_total" [] in Count,
        "Messages taken in.";
    REJECTED: Counter "mailqueue_rejected_total" ["reason"] in Count,
        "Submissions over HTTP that were refused, by the name of the problem.";
    FINISHED: Counter "mailqueue_finished_total" ["outcome"] in Count,
        "Messages that reached a final status, by this status.";
    ATTEMPTS: Counter "mailqueue_delivery_attempts_total" ["outcome" "reason"] in Count,
        "Attempts to deliver, by outcome and, of those that did not end well, by reason.";
    AMBIGUOUS: Counter "mailqueue_ambiguous_total" ["cause"] in Count,
        "Messages that may have been sent although nobody knows, by cause.";
    LEASES_EXPIRED: Counter "mailqueue_leases_expired_total" [] in Count,
        "Leases that ran out before their result was written down.";
    DELIVERY_DURATION: Histogram "mailqueue_delivery_duration_seconds" [] in Seconds,
        "Time from when a message was taken in to when it was sent; a scheduled one has waited for its time as well.";
    QUEUE_WAIT: Histogram "mailqueue_queue_wait_seconds" [] in Seconds,
        "Time from when a message was due to its claim.";
    ATTEMPT_DURATION: Histogram "mailqueue_attempt_duration_seconds" [] in Seconds,
        "Time that an attempt to deliver took.";
    OLDEST_QUEUED: Gauge "mailqueue_oldest_queued_message_age_seconds" [] in Seconds,
        "Time for which the oldest queued message has been due.";
    REFILLED: Counter "mailqueue_refilled_total" [] in Count,
        "Entries that the sweep put back into the queue.";
    PUSHES_LOST: Counter "mailqueue_pushes_lost_total" [] in Count,
        "Entries that the queue did not get from a submission; the sweep puts them back.";
    QUEUE_DEPTH: Gauge "mailqueue_queue_depth" ["lane"] in Count,
        "Entries in the queue, by lane.";
    QUEUE_ERRORS: Counter "mailqueue_queue_errors_total" ["operation"] in Count,
        "Calls of the queue that failed, by operation.";
    STORE_ERRORS: Counter "mailqueue_store_errors_total" ["kind"] in Count,
        "Requests to the message store that failed, by kind.";
    STORE_WRITABLE: Gauge "mailqueue_store_writable" [] in Count,
        "1 while the store takes writes, else 0.";
    DATABASE_UNSAFE: Gauge "mailqueue_database_unsafe" [] in Count,
        "1 while the database server may lose accepted mail in a crash, else 0.";
    REFUSED_ROWS: Counter "mailqueue_refused_rows_total" ["operation"] in Count,
        "Messages that the database refuses to change, by operation.";
    RESULTS_REDUCED: Counter "mailqueue_results_reduced_total" [] in Count,
        "Results that were written down without the relay's words.";
    UNREADABLE: Counter "mailqueue_unreadable_messages_total" ["operation"] in Count,
        "Messages that were left alone because they cannot be read, by operation.";
    HTTP_DURATION: Histogram "mailqueue_http_request_duration_seconds" ["route" "method" "status"] in Seconds,
        "Time that the answer to an HTTP request took.";
    BUILD_INFO: Gauge "mailqueue_build_info" ["version"] in Count,
        "Always 1; the version of mailqueue is a label.";
}
