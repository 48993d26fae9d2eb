//! A process asks the one that works on the same machine how it is: images without a shell need no other client.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// A little more than `/readyz` gives the store.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// Asks `/readyz` of the process that listens on `address`, where an unspecified address means this machine.
///
/// # Errors
///
/// A sentence that says that it is not ready or not there.
pub async fn ask(address: SocketAddr) -> Result<(), String> {
    let address = SocketAddr::new(reachable(address.ip()), address.port());
    match tokio::time::timeout(ANSWER_TIMEOUT, status(address)).await {
        Ok(Ok(StatusCode::OK)) => Ok(()),
        Ok(Ok(status)) => Err(format!("the process on {address} is not ready: it answers {status}")),
        Ok(Err(error)) => Err(format!("nothing on {address} answers as it should: {error}")),
        Err(_) => {
            Err(format!("the process on {address} does not answer within {} s", ANSWER_TIMEOUT.as_secs()))
        }
    }
}

async fn status(address: SocketAddr) -> Result<StatusCode, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get("/readyz").header("host", address.to_string()).body(Empty::<Bytes>::new())?;
    // Drives the connection here: a task for one request would outlive the answer.
    tokio::select! {
        answer = sender.send_request(request) => Ok(answer?.status()),
        ended = connection => Err(ended.err().map_or_else(|| "no answer".into(), Into::into)),
    }
}

/// The address of a listener on `ip`, seen from its own machine.
fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}
