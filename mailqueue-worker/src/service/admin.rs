//! The worker's own address: health and metrics.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use mailqueue_core::health::Health;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::supervision::{self, METRICS, OK, TEXT};

/// The time for a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The pause after a failed accept.
const ACCEPT_RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// Serves `/livez`, `/readyz` and `/metrics`.
pub struct Admin {
    listener: TcpListener,
    state: Arc<State>,
}

struct State {
    health: Arc<Health>,
    metrics: PrometheusHandle,
    draining: CancellationToken,
}

impl Admin {
    /// Listens. A process is ready while the store takes its writes and `draining` is not cancelled.
    ///
    /// # Errors
    ///
    /// The operating system's, if the address is taken or not of this machine.
    pub async fn bind(
        address: SocketAddr,
        health: Arc<Health>,
        metrics: PrometheusHandle,
        draining: CancellationToken,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self { listener, state: Arc::new(State { health, metrics, draining }) })
    }

    /// Serves for ever.
    pub async fn serve(self) {
        loop {
            let Ok((stream, _)) = self.listener.accept().await else {
                // Out of file descriptors: other connections have to close first.
                tokio::time::sleep(ACCEPT_RETRY_INTERVAL).await;
                continue;
            };
            let state = Arc::clone(&self.state);
            tokio::spawn(async move {
                let service = service_fn(move |request| answer(Arc::clone(&state), request));
                let mut http = hyper::server::conn::http1::Builder::new();
                // hyper panics at a timeout without a timer.
                http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
                // A client that goes away in the middle is no event.
                let _ = http.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    }
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    // hyper leaves the body out of an answer to HEAD.
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET\n"));
    }
    Ok(match request.uri().path() {
        "/livez" => response(StatusCode::OK, TEXT, OK),
        "/readyz" => match ready(&state).await {
            Ok(()) => response(StatusCode::OK, TEXT, OK),
            Err(reason) => response(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{reason}\n")),
        },
        "/metrics" => response(StatusCode::OK, METRICS, state.metrics.render()),
        _ => response(StatusCode::NOT_FOUND, TEXT, "there are /livez, /readyz and /metrics\n"),
    })
}

async fn ready(state: &State) -> Result<(), &'static str> {
    // Before the store is asked: a process that ends is not ready even with a healthy store.
    if state.draining.is_cancelled() {
        return Err("draining");
    }
    supervision::ready(&state.health).await
}

fn response(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
