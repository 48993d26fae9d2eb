//! Lanes share what is sent, by the queue and without it.

mod system;

use std::collections::HashMap;

use mailqueue_core::{Draft, Lane, MessageId};
use system::System;

/// The messages that wait in each lane; more than are looked at.
const WAITING: usize = 160;

/// How many are looked at: twelve rounds of 8, 4 and 1.
const LOOKED_AT: usize = 12 * 13;

/// How many messages may be off: two in a hundred, and what was taken before anything was known of the lanes.
const OFF: usize = LOOKED_AT / 50 + 3;

async fn submit(system: &System) -> HashMap<String, Lane> {
    let mut lanes = HashMap::new();
    for lane in Lane::ALL {
        let drafts: Vec<Draft> = (0..WAITING)
            .map(|n| {
                let draft = Draft::new("s@example.com", "r@example.org", format!("{lane} {n}")).text("text");
                Draft { lane, ..draft }
            })
            .collect();
        let ids = system
            .outbox
            .submit_many(drafts)
            .await
            .into_iter()
            .map(|receipt| receipt.expect("it is taken").id);
        lanes.extend(ids.map(|id: MessageId| (id.to_string(), lane)));
    }
    lanes
}

/// The first messages at the peer, by lane.
async fn first_sent(system: &System, lanes: &HashMap<String, Lane>) -> [usize; 3] {
    system.sink.wait_until(|record| record.messages.len() >= LOOKED_AT).await;
    let mut counts = [0; 3];
    for message in system.sink.messages().iter().take(LOOKED_AT) {
        counts[lanes[&system::message_id(&message.text())] as usize] += 1;
    }
    counts
}

fn assert_fair(counts: [usize; 3]) {
    for (count, share) in counts.into_iter().zip([8, 4, 1]) {
        assert!(count.abs_diff(share * LOOKED_AT / 13) <= OFF, "{counts:?} is not 8 : 4 : 1");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_slot_serves_all_lanes_by_weight() {
    let system = System::start().await;
    let lanes = submit(&system).await;
    let _worker = system.worker(&[("MAILQUEUE_CONCURRENCY", "1")]);
    assert_fair(first_sent(&system, &lanes).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_lanes_are_served_by_weight_while_the_queue_is_out_of_reach() {
    let mut system = System::start().await;
    system.redis.stop();
    let lanes = submit(&system).await;
    let _worker = system.worker(&[("MAILQUEUE_CONCURRENCY", "1")]);
    assert_fair(first_sent(&system, &lanes).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_can_be_set() {
    let system = System::start().await;
    let lanes = submit(&system).await;
    let _worker = system.worker(&[("MAILQUEUE_CONCURRENCY", "1"), ("MAILQUEUE_LANE_WEIGHTS", "1,1,1")]);
    let counts = first_sent(&system, &lanes).await;
    assert!(
        counts.into_iter().all(|count| count.abs_diff(LOOKED_AT / 3) <= OFF),
        "{counts:?} is not 1 : 1 : 1"
    );
}
