//! A server process that cannot outlive this one.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use crate::directory::Directory;

const WATCHDOG: &str = include_str!("watchdog.sh");

/// How long a server may take to start or to stop.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A running server, its watchdog (`watchdog.sh`), and the pipe whose closing ends both.
///
/// On drop the server is ended and its directory removed before the drop returns.
#[derive(Debug)]
pub(crate) struct ServerProcess {
    watchdog: Child,
    tether: Option<ChildStdin>,
    // In a mutex only to be `Sync`, which a receiver is not.
    status: Mutex<Receiver<String>>,
    exited: Option<String>,
    pid: u32,
}

impl ServerProcess {
    /// Starts `program` in `directory`; at the latest when this process ends it gets `last_signal`.
    pub(crate) fn spawn<'a>(
        directory: &mut Directory,
        last_signal: &str,
        program: &Path,
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        Self::spawn_with_environment(directory, last_signal, program, arguments, &[])
    }

    /// Like [`ServerProcess::spawn`], with further environment variables.
    pub(crate) fn spawn_with_environment<'a>(
        directory: &mut Directory,
        last_signal: &str,
        program: &Path,
        arguments: impl IntoIterator<Item = &'a str>,
        environment: &[(String, String)],
    ) -> Self {
        let mut watchdog = directory
            .command(Path::new("/bin/sh"))
            .args(["-c", WATCHDOG, "watchdog"])
            .arg(directory.path())
            .arg(last_signal)
            .arg(program)
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Ctrl-C and a test runner's signals reach this process's group only; the watchdog goes by
            // the pipe.
            .process_group(0)
            .spawn()
            .expect("/bin/sh could not be started");
        let tether = watchdog.stdin.take();
        let status = follow(&mut watchdog);
        let pid = status.recv_timeout(START_TIMEOUT).ok().and_then(|line| line.parse().ok());
        let pid = pid.expect("the watchdog did not tell the server's pid");
        directory.set_watched(true);
        Self { watchdog, tether, status: Mutex::new(status), exited: None, pid }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Calls `answers` until it says yes; false when the server has exited instead.
    pub(crate) fn ready(&mut self, mut answers: impl FnMut() -> bool) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < START_TIMEOUT {
            if answers() {
                return true;
            }
            // There is no signal for readiness; there is one for exit, and waiting for it is the pause.
            if self.exited_within(Duration::from_millis(10)) {
                return false;
            }
        }
        panic!("process {} runs, but has not answered for {START_TIMEOUT:?}", self.pid);
    }

    /// Sends a signal to the server alone.
    pub(crate) fn signal(&self, signal: &str) {
        send(signal, &[self.pid]);
    }

    /// Sends a signal to the server first and then to all its children: a parent that has been stopped
    /// forks no more. Children are found by their parent, as Postgres puts each into a session of its
    /// own.
    pub(crate) fn signal_family(&self, signal: &str) {
        send(signal, &[self.pid]);
        send(signal, &children(self.pid));
    }

    /// Returns once the server has exited and its port is free.
    pub(crate) fn wait_for_exit(&mut self) {
        assert!(
            self.exited_within(START_TIMEOUT),
            "process {} has not exited for {START_TIMEOUT:?}",
            self.pid
        );
    }

    /// Ends the watchdog of an exited server and leaves it the directory for the next start.
    pub(crate) fn give_back(mut self, directory: &mut Directory) {
        self.wait_for_exit();
        if let Some(mut tether) = self.tether.take() {
            tether.write_all(b"keep\n").expect("the watchdog has gone");
            // The line must be read before the end of input is.
            self.watchdog.wait().expect("the watchdog could not be waited for");
            directory.set_watched(false);
        }
    }

    fn exited_within(&mut self, limit: Duration) -> bool {
        if self.exited.is_none() {
            let status = self.status.get_mut().expect("nobody panics while holding this");
            self.exited = match status.recv_timeout(limit) {
                Ok(line) => Some(line),
                Err(mpsc::RecvTimeoutError::Timeout) => None,
                Err(mpsc::RecvTimeoutError::Disconnected) => Some("unknown".to_owned()),
            };
        }
        self.exited.is_some()
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // End of input makes the watchdog end the server and remove the directory.
        drop(self.tether.take());
        let _ = self.watchdog.wait();
    }
}

/// Passes the watchdog's lines on: a channel can be waited on with a limit, a pipe cannot.
fn follow(watchdog: &mut Child) -> Receiver<String> {
    let output = watchdog.stdout.take().expect("the watchdog's output is a pipe");
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// The shell's own `kill`, since a signal needs either a program or unsafe code. A process that has gone
/// in the meantime is no fault.
fn send(signal: &str, pids: &[u32]) {
    let sent = Command::new("/bin/sh")
        .args(["-c", "for pid; do kill -\"$0\" \"$pid\"; done", signal])
        .args(pids.iter().map(u32::to_string))
        .stderr(Stdio::null())
        .status();
    sent.expect("/bin/sh could not be started");
}

fn children(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").expect("/proc is not mounted");
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|pid| parent_of(*pid) == Some(parent)).collect()
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // "pid (name) state ppid …", where the name may contain anything, parentheses included.
    let (_, after_name) = stat.rsplit_once(") ")?;
    after_name.split(' ').nth(1)?.parse().ok()
}
