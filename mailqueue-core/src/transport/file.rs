//! Mail that is written to a directory.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::task::spawn_blocking;

use super::for_all;
use crate::contracts::transport::{Gate, Outgoing, Transport};
use crate::domain::report::{Outcome, RelayFault, Reply, Report, Verdict};

/// The pause after a directory could not be written to.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Writes each message to `ID.eml` in a directory, exactly the bytes that SMTP would transfer.
///
/// A file with that name is whole and survives a crash: it was written and synced under another name, renamed once
/// the gate allowed it, and the directory was synced. A message that is sent again replaces its own file.
///
/// ```
/// use std::path::Path;
///
/// use mailqueue_core::transport::file::FileTransport;
///
/// let transport = FileTransport::new("/var/spool/outbox");
/// assert_eq!(transport.directory(), Path::new("/var/spool/outbox"));
/// ```
#[derive(Debug, Clone)]
pub struct FileTransport {
    directory: PathBuf,
    name: String,
}

impl FileTransport {
    /// Writes to `directory`, which is created with its parents when the first message comes.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        let directory = directory.into();
        let name = format!("file://{}", directory.display());
        Self { directory, name }
    }

    /// The directory of the files.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Finds out whether messages can be written: creates the directory where it is missing, and a file that is removed
    /// again.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub fn check(&self) -> io::Result<()> {
        // A name of its own, since another process may check at the same moment.
        Draft::write(&self.directory, "check", &Bytes::new()).map(drop)
    }

    fn report(&self, dot_sent: bool, verdict: Verdict) -> Report {
        Report { relay: Some(self.name.clone()), dot_sent, verdict }
    }

    /// Nothing that can go wrong before the rename has to do with the message: the disk is full, or is not there.
    fn fault(&self, message: &Outgoing, error: &io::Error) -> Report {
        tracing::warn!(event = "relay.fault", message_id = %message.id, relay = %self.name, %error, "the message cannot be written");
        let reply = Reply::new(None, error.to_string());
        self.report(false, Verdict::Fault { fault: RelayFault::Connect, reply, retry_after: RETRY_INTERVAL })
    }
}

#[async_trait]
impl Transport for FileTransport {
    async fn send(&self, message: &Outgoing, gate: &dyn Gate) -> Report {
        let (directory, name, raw) = (self.directory.clone(), message.id.to_string(), message.raw.clone());
        let written = blocking(move || Draft::write(&directory, &name, &raw)).await;
        let draft = match written {
            Ok(draft) => draft,
            Err(error) => return self.fault(message, &error),
        };
        if !gate.may_send_dot().await {
            return self.report(false, Verdict::Withheld);
        }
        let name = format!("{}.eml", message.id);
        let outcome = match blocking(move || draft.publish(&name)).await {
            Ok(path) => Outcome::Accepted(Reply::new(None, format!("written to {}", path.display()))),
            // Ambiguous whichever step failed, because the rename may have taken effect before it.
            Err(error) => Outcome::Ambiguous(Reply::new(None, format!("the file may be there: {error}"))),
        };
        self.report(true, Verdict::Answered(for_all(message, &outcome)))
    }

    async fn ready(&self) -> usize {
        usize::MAX
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    // A panic counts as an I/O error, so that the step it stopped decides what it means.
    spawn_blocking(work).await.unwrap_or_else(|stopped| Err(io::Error::other(stopped)))
}

/// A file under a name that nobody reads; dropped, it is removed.
struct Draft {
    directory: PathBuf,
    path: PathBuf,
    published: bool,
}

impl Draft {
    fn write(directory: &Path, name: &str, raw: &Bytes) -> io::Result<Self> {
        // Unique, since the same message may be under way twice; a dot in front hides it from a reader's `*`.
        let path = directory.join(format!(".{name}.{:016x}.tmp", fastrand::u64(..)));
        let mut file = create(directory, &path)?;
        // Made before the first octet is written, so that its drop removes a file that is half written.
        let draft = Self { directory: directory.to_owned(), path, published: false };
        file.write_all(raw)?;
        // Synced before the gate is asked, so that a full disk is a plain fault and no ambiguous outcome.
        file.sync_all()?;
        Ok(draft)
    }

    fn publish(mut self, name: &str) -> io::Result<PathBuf> {
        let target = self.directory.join(name);
        fs::rename(&self.path, &target)?;
        self.published = true;
        // A rename survives a crash only once its directory is synced.
        File::open(&self.directory)?.sync_all()?;
        Ok(target)
    }
}

fn create(directory: &Path, path: &Path) -> io::Result<File> {
    match File::create_new(path) {
        // Creates the directory only when it is missing, so that the usual message costs one call.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(directory)?;
            File::create_new(path)
        }
        other => other,
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.published {
            // What is left behind is not mail, and nothing better can be done about it here.
            let _ = fs::remove_file(&self.path);
        }
    }
}
