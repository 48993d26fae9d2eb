//! Metrics, in Prometheus' text format.

use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// Durations from a local write to a lost lease, in seconds.
const SECONDS: &[f64] =
    &[0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// How often what was measured is put together. Without that, samples pile up until somebody asks for them.
const UPKEEP: Duration = Duration::from_secs(5);

/// Starts collecting; the handle renders what was collected. Needs a tokio runtime.
///
/// # Errors
///
/// When this process collects metrics elsewhere already.
pub fn start() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?
        .install_recorder()?;
    metrics::gauge!("mailqueue_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    let kept_up = handle.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP).await;
            kept_up.run_upkeep();
        }
    });
    Ok(handle)
}
