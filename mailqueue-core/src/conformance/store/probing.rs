//! A write that proves that results could be written down.

use std::sync::Arc;

use super::harness::Harness;
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
