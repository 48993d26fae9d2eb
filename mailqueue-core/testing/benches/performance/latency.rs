//! How long a message takes from the call to the relay, when nothing else is to be done.

use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use mailqueue_testing::{Action, Phase, SmtpSink};

use crate::client::{self, Answers, Connection};
use crate::figures::Section;
use crate::mail::Request;
use crate::options::Options;
use crate::service::Service;
use crate::site::Bench;

/// How many messages go before those that count: connections are opened meanwhile.
const WARM_UP: usize = 10;

/// Measures it with two processes on Postgres and Redis, and with one process on SQLite.
pub(crate) fn measure(bench: &Bench, options: &Options, section: &mut Section<'_>) {
    let (sink, arrivals) = sink();
    let site = bench.site();
    let mut http = site.http();
    let worker = site.worker(&sink.url());
    record(section, "Postgres and Redis", &time(http.address(), &arrivals, options));
    drop((http, worker));

    let (sink, arrivals) = self::sink();
    let folder = tempfile::tempdir().expect("a temporary directory");
    let database = format!("sqlite://{}", folder.path().join("mail.db").display());
    let settings = [("DATABASE_URL", &*database), ("SMTP_URL", &sink.url())];
    let mut http = Service::start(&bench.binaries.http, &bench.disk, &settings);
    record(section, "SQLite, one process", &time(http.address(), &arrivals, options));
}

/// A relay that tells when a message is there.
fn sink() -> (SmtpSink, Receiver<Instant>) {
    let (sender, arrivals) = mpsc::channel();
    let sink = SmtpSink::builder().rule(move |event| {
        if event.phase == Phase::Dot {
            // Nobody listens any more when the bench is over.
            let _ = sender.send(Instant::now());
        }
        Action::Default
    });
    (client::runtime().block_on(sink.start()), arrivals)
}

/// Times messages one by one, with pauses in which everything comes to rest.
fn time(address: SocketAddr, arrivals: &Receiver<Instant>, options: &Options) -> Answers {
    let messages = WARM_UP + options.single_messages();
    client::runtime().block_on(async {
        let mut connection = Connection::open(address).await;
        let mut times = Vec::with_capacity(messages);
        for n in 0..messages {
            let request = Request::single(address, n);
            let begun = Instant::now();
            connection.send(&request).await;
            let arrival = arrivals.recv_timeout(Duration::from_secs(30)).expect("the message arrives");
            times.push(arrival - begun);
            std::thread::sleep(Duration::from_millis(fastrand::u64(10..30)));
        }
        Answers::new(times.split_off(WARM_UP), Duration::from_secs(1))
    })
}

fn record(section: &mut Section<'_>, name: &str, answers: &Answers) {
    section.record(format!("{name}, p50"), "ms", answers.percentile(0.5));
    section.record(format!("{name}, p99"), "ms", answers.percentile(0.99));
}
