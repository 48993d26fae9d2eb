//! Counts that add up.

use std::sync::Arc;
use std::time::Duration;

use crate::contracts::controls::{
    Buckets, Controls, HistoryRetention, Traffic, TrafficCount, TrafficKey, TrafficOutcome, TrafficRange,
    TrafficStep,
};
use crate::domain::lane::Lane;
use crate::domain::reason::Reason;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

const SENT: TrafficKey = TrafficKey { lane: Lane::Normal, outcome: TrafficOutcome::Sent, reason: None };
const FAILED: TrafficKey =
    TrafficKey { lane: Lane::Bulk, outcome: TrafficOutcome::Failed, reason: Some(Reason::MailboxFull) };

fn buckets(durations: &[Duration]) -> Buckets {
    let mut buckets = Buckets::default();
    durations.iter().for_each(|&duration| buckets.record(duration));
    buckets
}

/// As many as there are waits.
fn count(key: TrafficKey, age: Duration, waits: &[Duration]) -> TrafficCount {
    let took = buckets(&[HOUR]);
    TrafficCount { key, age, number: waits.len() as u64, wait: buckets(waits), took }
}

async fn add(controls: &Arc<dyn Controls>, counts: &[TrafficCount]) {
    controls.add_traffic(counts).await.expect("counts are added");
}

async fn read(controls: &Arc<dyn Controls>, back: Duration, step: Duration) -> Traffic {
    controls.traffic(&TrafficRange { back, step }).await.expect("counts can be read")
}

fn sum(steps: &[TrafficStep], key: TrafficKey) -> (u64, Buckets, Buckets) {
    let mut sum = (0, Buckets::default(), Buckets::default());
    for step in steps.iter().filter(|step| step.key == key) {
        sum.0 += step.number;
        sum.1.add(&step.wait);
        sum.2.add(&step.took);
    }
    sum
}

/// Adds a count to what is there, bucket by bucket, in whole minutes.
pub async fn adds_what_is_counted_to_its_minute(controls: Arc<dyn Controls>) {
    assert_eq!(read(&controls, HOUR, MINUTE).await.steps, []);
    add(&controls, &[count(SENT, Duration::ZERO, &[MINUTE, HOUR])]).await;
    add(&controls, &[count(SENT, Duration::ZERO, &[MINUTE])]).await;
    let traffic = read(&controls, HOUR, MINUTE).await;
    assert_eq!(
        sum(&traffic.steps, SENT),
        (3, buckets(&[MINUTE, MINUTE, HOUR]), buckets(&[HOUR, HOUR])),
        "{traffic:?}"
    );
    for step in &traffic.steps {
        assert_eq!((step.start.second(), step.start.nanosecond()), (0, 0));
        assert!(step.start <= traffic.now);
    }
}

/// Keeps lanes, outcomes and reasons apart.
pub async fn keeps_keys_apart(controls: Arc<dyn Controls>) {
    let other = TrafficKey { reason: Some(Reason::Policy), ..FAILED };
    let counts = [SENT, FAILED, other].map(|key| count(key, Duration::ZERO, &[MINUTE]));
    add(&controls, &counts).await;
    add(&controls, &[count(other, Duration::ZERO, &[MINUTE])]).await;
    let steps = read(&controls, HOUR, DAY).await.steps;
    assert_eq!([SENT, FAILED, other].map(|key| sum(&steps, key).0), [1, 1, 2]);
}

/// Puts a count that could not be added at once into the minute in which it was counted.
pub async fn puts_a_late_count_into_its_own_minute(controls: Arc<dyn Controls>) {
    add(&controls, &[count(SENT, MINUTE * 10, &[MINUTE]), count(SENT, Duration::ZERO, &[HOUR])]).await;
    let traffic = read(&controls, HOUR, MINUTE).await;
    let starts: Vec<_> = traffic.steps.iter().map(|step| step.start).collect();
    assert_eq!(starts.len(), 2, "{traffic:?}");
    let apart = starts[1] - starts[0];
    // A minute may end between the two.
    assert!(apart == time::Duration::minutes(10) || apart == time::Duration::minutes(11), "{apart}");
}

/// Sums up minutes to steps that begin at multiples of their length.
pub async fn sums_by_the_step(controls: Arc<dyn Controls>) {
    let counts: Vec<_> = (0..30).map(|n| count(SENT, MINUTE * n, &[MINUTE])).collect();
    add(&controls, &counts).await;
    let traffic = read(&controls, HOUR, MINUTE * 15).await;
    assert!((2..=4).contains(&traffic.steps.len()), "{traffic:?}");
    for step in &traffic.steps {
        assert_eq!(step.start.unix_timestamp() % (15 * 60), 0);
        assert!(step.number <= 15);
    }
    assert_eq!(sum(&traffic.steps, SENT).0, 30);
    assert!(traffic.steps.is_sorted_by_key(|step| step.start));
}

/// Leaves out what lies further back than the first step.
pub async fn reads_no_further_back_than_asked(controls: Arc<dyn Controls>) {
    add(&controls, &[count(SENT, HOUR * 3, &[MINUTE]), count(FAILED, MINUTE * 30, &[MINUTE])]).await;
    let steps = read(&controls, HOUR, MINUTE).await.steps;
    assert_eq!((sum(&steps, SENT).0, sum(&steps, FAILED).0), (0, 1));
    assert_eq!(sum(&read(&controls, HOUR * 4, HOUR).await.steps, SENT).0, 1);
}

/// Loses nothing of what is added side by side.
pub async fn adds_what_many_count_at_once(controls: Arc<dyn Controls>) {
    let adding: Vec<_> = (0..8)
        .map(|n| {
            let controls = Arc::clone(&controls);
            let counts = [SENT, FAILED].map(|key| count(key, Duration::ZERO, &[MINUTE]));
            let counts = if n % 2 == 0 { counts } else { [counts[1], counts[0]] };
            tokio::spawn(async move { add(&controls, &counts).await })
        })
        .collect();
    for added in adding {
        added.await.expect("no panic");
    }
    let steps = read(&controls, HOUR, HOUR).await.steps;
    assert_eq!((sum(&steps, SENT).0, sum(&steps, FAILED).0), (8, 8));
}

/// Makes an hour of minutes that are old enough; what was counted stays, however often it is pruned.
pub async fn turns_minutes_into_hours_and_keeps_the_sums(controls: Arc<dyn Controls>) {
    let old: Vec<_> = (0..120).map(|n| count(SENT, DAY * 3 + MINUTE * n, &[MINUTE, HOUR])).collect();
    add(&controls, &old).await;
    add(&controls, &[count(FAILED, DAY * 3, &[MINUTE]), count(SENT, MINUTE, &[MINUTE])]).await;
    let before = read(&controls, DAY * 4, DAY).await;
    let minutes = read(&controls, DAY * 4, MINUTE).await.steps.len();
    assert!(minutes > 120);
    for _ in 0..2 {
        controls.prune_history(&HistoryRetention::default()).await.expect("it is pruned");
        let after = read(&controls, DAY * 4, DAY).await;
        assert_eq!(sum(&after.steps, SENT), sum(&before.steps, SENT));
        assert_eq!(sum(&after.steps, FAILED), sum(&before.steps, FAILED));
        let steps = read(&controls, DAY * 4, MINUTE).await.steps;
        // Two hours have three beginnings at most; the others are one failure and the recent minute.
        assert!((4..=5).contains(&steps.len()), "{steps:?}");
    }
}

/// Drops hours that are too old, and nothing else.
pub async fn drops_what_is_too_old(controls: Arc<dyn Controls>) {
    add(&controls, &[count(SENT, DAY * 100, &[MINUTE]), count(FAILED, DAY * 80, &[MINUTE])]).await;
    controls.prune_history(&HistoryRetention::default()).await.expect("it is pruned");
    let steps = read(&controls, DAY * 200, DAY).await.steps;
    assert_eq!((sum(&steps, SENT).0, sum(&steps, FAILED).0), (0, 1));
}
