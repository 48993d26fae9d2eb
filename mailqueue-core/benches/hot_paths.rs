//! What is done for every message and touches neither disk nor network.
//!
//! `cargo bench -p mailqueue-core --bench hot_paths` tells how long each takes. The figures of two commits can be compared
//! with criterion's `--save-baseline` and `--baseline`.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use mailqueue_core::domain::address::{Address, Mailbox};
use mailqueue_core::domain::delivery::Delivery;
use mailqueue_core::domain::render::render;
use mailqueue_core::domain::report::{Outcome, Reply, Report, Verdict};
use mailqueue_core::domain::transition::{AttemptContext, Event, decide};
use mailqueue_core::{DeliveryPolicy, Draft, Limits, MessageId};
use time::OffsetDateTime;

// Nobody outside reads replies or stuffs dots, so that the files themselves are measured.
#[expect(dead_code, reason = "most of it is for the conversation")]
#[path = "../src/transport/smtp/data.rs"]
mod data;
#[expect(dead_code, reason = "most of it is for the conversation")]
#[path = "../src/transport/smtp/reply.rs"]
mod reply;

/// The name under which `reply.rs` knows the domain.
mod domain {
    pub(crate) use mailqueue_core::domain::report;
}

const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

/// A message of 1 KiB.
fn draft() -> Draft {
    Draft::new("Shop <shop@example.com>", "ana@example.org", "Your order")
        .text("It is on its way, and this line is here to make it as long as mail is. ".repeat(9))
}

fn submission(criterion: &mut Criterion) {
    let (draft, limits) = (draft(), Limits::default());
    let message = draft.check(&limits, NOW).expect("the draft is right");
    let mut group = criterion.benchmark_group("submission");
    group.bench_function("address", |bencher| {
        bencher.iter(|| black_box("Ana Souza <ana.souza@example.org>").parse::<Mailbox>());
    });
    group.bench_function("check", |bencher| bencher.iter(|| black_box(&draft).check(&limits, NOW)));
    group.bench_function("render", |bencher| {
        let id = MessageId::new(NOW);
        bencher.iter(|| render(black_box(&message), id, NOW));
    });
    group.bench_function("fingerprint", |bencher| bencher.iter(|| black_box(&draft).fingerprint()));
    group.finish();
}

fn transitions(criterion: &mut Criterion) {
    let address: Address = "ana@example.org".parse().expect("an address");
    let policy = DeliveryPolicy::default();
    let queued = Delivery::new([address.clone()]);
    let sending = decide(&queued, &Event::Claimed, &policy).expect("what is queued can be claimed").delivery;
    let report = |outcome| Report {
        relay: Some("127.0.0.1:25".to_owned()),
        dot_sent: true,
        verdict: Verdict::Answered(vec![(address.clone(), outcome)]),
    };
    let context = AttemptContext {
        attempt: 1,
        started_at: NOW,
        duration: Duration::from_millis(5),
        age: Duration::from_millis(5),
        worker: "worker-1".to_owned(),
        jitter: 0.5,
    };
    let reported = |outcome| Event::Reported(report(outcome), context.clone());
    let reply = |code, text: &str| Reply::new(Some(code), text);
    let mut group = criterion.benchmark_group("transition");
    for (name, delivery, event) in [
        ("claimed", &queued, Event::Claimed),
        ("sent", &sending, reported(Outcome::Accepted(reply(250, "2.0.0 Ok: queued as 4XYZ")))),
        ("deferred", &sending, reported(Outcome::Deferred(reply(451, "4.2.0 try again")))),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| decide(black_box(delivery), black_box(&event), &policy));
        });
    }
    group.finish();
}

fn conversation(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("smtp");
    group.bench_function("reply", |bencher| {
        bencher.iter_batched_ref(
            reply::ReplyParser::default,
            |parser| parser.line(black_box(b"250 2.0.0 Ok: queued as 4XYZ\r")),
            BatchSize::SmallInput,
        );
    });
    for (name, line) in
        [("data", "It is on its way, and this line is as long as lines are.\r\n"), ("data of dots", ".\r\n")]
    {
        let raw = line.repeat((64 << 10) / line.len()).into_bytes();
        group.throughput(Throughput::Bytes(raw.len() as u64));
        group.bench_function(name, |bencher| {
            let mut output = Vec::with_capacity(raw.len() * 2);
            bencher.iter(|| {
                output.clear();
                assert!(!data::has_bare_line_end(black_box(&raw)), "all line ends are whole");
                data::DotStuffer::new().push(&raw, &mut output);
                black_box(&output);
            });
        });
    }
    group.finish();
}

criterion_group!(hot_paths, submission, transitions, conversation);
criterion_main!(hot_paths);
