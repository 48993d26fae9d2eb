//! A write that proves that results could be written down.

use std::sync::Arc;

use super::harness::{Harness, LONG, SHORT, draft, eager};
use crate::contracts::store::MessageStore;

/// Each write returns the store's time, which never goes back.
pub async fn tells_the_time_of_a_write(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let before = harness.now().await;
    for _ in 0..3 {
        let probe = harness.store.probe().await.expect("an idle store takes writes");
        assert!(before <= probe.now && probe.now <= harness.now().await, "{probe:?}");
        assert!(probe.has_space, "nothing is full");
    }
}

/// A lease that ran out is told of until it is ended.
pub async fn tells_of_a_lease_that_ran_out(store: Arc<dyn MessageStore>) {
    let harness = Harness::new(store);
    let has_lapsed =
        async || harness.store.probe().await.expect("an idle store takes writes").has_lapsed_lease;
    let (held, lost) = (harness.submit(&draft("held")).await, harness.submit(&draft("lost")).await);
    harness.claim(held, LONG).await;
    assert!(!has_lapsed().await);
    harness.claim(lost, SHORT).await;
    harness.tick().await;
    assert!(has_lapsed().await);
    harness.reclaim(lost, &eager()).await;
    assert!(!has_lapsed().await);
}

/// Many probes at once are all answered.
pub async fn answers_many_at_once(store: Arc<dyn MessageStore>) {
    let probes = (0..16).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.probe().await })
    });
    for probe in probes.collect::<Vec<_>>() {
        probe.await.expect("no task panics").expect("an idle store takes writes");
    }
}
