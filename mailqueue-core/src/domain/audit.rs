//! What must hold of every record.

use super::record::Record;

/// The rules that a record breaks, each as a sentence; none of a sound one. A broken rule is a bug, or the work of somebody
/// who edited the database.
#[must_use]
pub fn faults(record: &Record) -> Vec<&'static str> {
    let (delivery, mut faults) = (&record.delivery, Vec::new());
    let is_final = delivery.status.is_final();
    if delivery.recipients.is_empty() {
        faults.push("it has no recipient");
    }
    if is_final != record.finished_at.is_some() {
        faults.push("its end has no time, or its time has no end");
    }
    if is_final && delivery.settled_status() != delivery.status {
        faults.push("its status does not follow from its recipients");
    }
    if !is_final && delivery.pending().next().is_none() {
        faults.push("it waits for no recipient");
    }
    if record.finished_at.is_some_and(|finished_at| finished_at < record.created_at) {
        faults.push("it ended before it was accepted");
    }
    faults
}
