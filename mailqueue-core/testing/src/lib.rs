//! Throw-away servers and scripted peers for mailqueue's own tests.
//!
//! | what | |
//! | --- | --- |
//! | [`Postgres`], [`Redis`] | real servers on ports of their own: stopped, frozen and started again at will |
//! | [`PgBouncer`] | Debian's, in transaction mode, in front of a [`Postgres`] |
//! | [`SmtpSink`] | an SMTP server that follows a script and records what it accepted before it says so |
//! | [`PostfixSink`] | Postfix's `smtp-sink`, for benches |
//! | [`Certificate`] | an authority and a server certificate for 127.0.0.1, new in every test |
//! | [`Proxy`] | a TCP proxy that refuses, stalls, swallows, delays and cuts |
//! | [`eventually`] | waits for a condition |
//!
//! Three things hold for all of them. Nothing outlives the test process, not even one that was killed
//! with SIGKILL. No port is fixed, and a stopped server's port stays reserved until it is started again.
//! What a test cannot go on without (a binary that is not installed, a server that does not start) panics
//! with a sentence that says what to do.
//!
//! The sink and the proxy run on a runtime of their own, so a test may block its thread or pause tokio's
//! clock without stopping its peers.

mod certificate;
mod directory;
mod eventually;
mod pgbouncer;
mod port;
mod postfix;
mod postgres;
mod process;
mod proxy;
mod redis;
mod runtime;
mod smtp;
mod tool;

pub use certificate::Certificate;
pub use eventually::eventually;
pub use pgbouncer::PgBouncer;
pub use port::Port;
pub use postfix::PostfixSink;
pub use postgres::Postgres;
pub use proxy::{CutAt, Direction, Proxy};
pub use redis::Redis;
pub use smtp::{
    Action, Conversation, Credentials, Event, Line, Phase, Received, Record, SmtpSink, SmtpSinkBuilder, Tls,
};
pub use tool::tool;
