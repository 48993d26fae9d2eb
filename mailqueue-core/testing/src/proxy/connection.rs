//! One connection through the proxy.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::direction::Direction;
use super::trigger::{MAX_NEEDLE_LEN, Trigger};
use super::valve::{Flow, Valve};

/// What a proxy's connections share.
pub(super) struct Shared {
    target: Mutex<SocketAddr>,
    pub(super) valve: watch::Sender<Valve>,
    pub(super) cuts: watch::Sender<usize>,
    pub(super) accepted: watch::Sender<usize>,
    triggers: Mutex<Vec<Trigger>>,
    /// Cancelled and replaced by a cut of all connections.
    cut: Mutex<CancellationToken>,
}

impl Shared {
    pub(super) fn new(target: SocketAddr) -> Self {
        Self {
            target: Mutex::new(target),
            valve: watch::Sender::new(Valve::default()),
            cuts: watch::Sender::new(0),
            accepted: watch::Sender::new(0),
            triggers: Mutex::default(),
            cut: Mutex::default(),
        }
    }

    /// Where connections lead from now on.
    pub(super) fn lead_to(&self, target: SocketAddr) {
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = target;
    }

    fn target(&self) -> SocketAddr {
        *self.target.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn arm(&self, trigger: Trigger) {
        self.triggers().push(trigger);
    }

    pub(super) fn disarm(&self) {
        self.triggers().clear();
    }

    pub(super) fn cut_all(&self) {
        // Replaced under the lock: a connection gets this cut's token or the next one's, never none.
        let mut cut = self.cut.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *cut).cancel();
    }

    /// Counts a new connection and returns what will cut it.
    pub(super) fn connected(&self) -> CancellationToken {
        self.accepted.send_modify(|accepted| *accepted += 1);
        self.cut.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How much of `new` is still passed on, if an armed cut comes within it. That cut is then spent.
    fn meets(&self, direction: Direction, past: &[u8], new: &[u8]) -> Option<usize> {
        let mut triggers = self.triggers();
        let mut met = None;
        triggers.retain_mut(|trigger| match trigger.meets(direction, past, new) {
            // One cut for each piece: a second one within it stays armed.
            Some(passed) if met.is_none() => {
                met = Some(passed);
                false
            }
            _ => true,
        });
        met
    }

    fn triggers(&self) -> MutexGuard<'_, Vec<Trigger>> {
        self.triggers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a connection ends before both sides have closed it.
enum Cut {
    /// An armed cut came.
    Armed,
    /// A side broke, or its bytes had been swallowed.
    Broken,
}

/// Serves one client to the end.
pub(super) async fn serve(client: TcpStream, shared: Arc<Shared>, cut: CancellationToken) {
    let _ = client.set_nodelay(true);
    let (mut from_client, mut to_client) = client.into_split();
    let reached = cut.run_until_cancelled(reach(&shared, &mut from_client)).await.flatten();
    let Some(target) = reached else { return };
    let _ = target.set_nodelay(true);
    let (mut from_target, mut to_target) = target.into_split();
    let both = async {
        tokio::try_join!(
            pump(&shared, Direction::ToTarget, &mut from_client, &mut to_target),
            pump(&shared, Direction::FromTarget, &mut from_target, &mut to_client),
        )
    };
    let ended = cut.run_until_cancelled(both).await;
    let _ = to_client.shutdown().await;
    drop((from_client, to_client));
    if matches!(ended, Some(Err(Cut::Armed))) {
        shared.cuts.send_modify(|cuts| *cuts += 1);
    }
    close_target(from_target, to_target).await;
}

/// Connects to the target as soon as bytes pass; a client that lost bytes before that gets no further.
async fn reach(shared: &Shared, from_client: &mut OwnedReadHalf) -> Option<TcpStream> {
    let mut valve = shared.valve.subscribe();
    let lost = tokio::select! {
        // In this order, so that an open valve never loses a byte.
        biased;
        _ = valve.wait_for(Valve::is_open) => false,
        () = lose(shared, from_client) => true,
    };
    if !lost {
        return TcpStream::connect(shared.target()).await.ok();
    }
    tokio::select! {
        _ = valve.wait_for(Valve::is_open) => {}
        () = async { while swallow(from_client).await {} } => {}
    }
    None
}

/// Returns once something has been swallowed.
async fn lose(shared: &Shared, from_client: &mut OwnedReadHalf) {
    let mut valve = shared.valve.subscribe();
    let _ = valve.wait_for(|valve| valve.flow(Direction::ToTarget) == Flow::Swallow).await;
    swallow(from_client).await;
}

/// Takes what comes next; false at the end.
async fn swallow(from: &mut OwnedReadHalf) -> bool {
    let mut lost = vec![0; 16 * 1024];
    from.read(&mut lost).await.is_ok_and(|read| read > 0)
}

/// Passes bytes on one way until end of file.
async fn pump(
    shared: &Shared,
    direction: Direction,
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
) -> Result<(), Cut> {
    let mut valve = shared.valve.subscribe();
    let (mut buffer, mut past, mut lost) = (vec![0; 64 * 1024], Vec::new(), false);
    loop {
        let read = from.read(&mut buffer).await.map_err(|_| Cut::Broken)?;
        let new = &buffer[..read];
        // Asked after the read: a new setting holds for every byte that comes after it.
        let setting =
            *valve.wait_for(|valve| valve.flow(direction) != Flow::Stall).await.map_err(|_| Cut::Broken)?;
        if setting.flow(direction) == Flow::Swallow {
            if read == 0 {
                // Not even the end of file comes through.
                let _ = valve.wait_for(|valve| valve.flow(direction) == Flow::Pass).await;
                return Err(Cut::Broken);
            }
            lost = true;
            continue;
        }
        // A TCP stream has no holes: after lost bytes the connection can only end.
        if lost {
            return Err(Cut::Broken);
        }
        if read == 0 {
            return to.shutdown().await.map_err(|_| Cut::Broken);
        }
        if !setting.delay.is_zero() {
            sleep(setting.delay).await;
        }
        let cut = shared.meets(direction, &past, new);
        to.write_all(&new[..cut.unwrap_or(read)]).await.map_err(|_| Cut::Broken)?;
        if cut.is_some() {
            return Err(Cut::Armed);
        }
        remember(&mut past, new);
    }
}

fn remember(past: &mut Vec<u8>, new: &[u8]) {
    past.extend_from_slice(&new[new.len().saturating_sub(MAX_NEEDLE_LEN)..]);
    past.drain(..past.len().saturating_sub(MAX_NEEDLE_LEN));
}

/// The target gets end of file, not a reset, after what was passed on: a reset could overtake the last
/// bytes.
async fn close_target(mut from_target: OwnedReadHalf, mut to_target: OwnedWriteHalf) {
    let _ = timeout(Duration::from_secs(10), async {
        let _ = to_target.shutdown().await;
        while swallow(&mut from_target).await {}
    })
    .await;
}
