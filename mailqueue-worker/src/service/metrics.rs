//! Metrics, in Prometheus' text format.

use std::time::Duration;

use mailqueue_core::telemetry;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// Bounds of the buckets in seconds, from a local write to a lost lease.
const DURATION_BUCKETS: &[f64] =
    &[0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// The pause between aggregations. Without them samples pile up until a scrape.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Starts collecting; the handle renders the metrics. Needs a tokio runtime.
///
/// # Errors
///
/// Fails if this process has a recorder already.
pub fn start() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), DURATION_BUCKETS)?
        .install_recorder()?;
    telemetry::describe();
    telemetry::started(env!("CARGO_PKG_VERSION"));
    let upkeep = handle.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP_INTERVAL).await;
            upkeep.run_upkeep();
        }
    });
    Ok(handle)
}
