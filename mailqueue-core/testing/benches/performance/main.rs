//! How fast mail comes in and goes out, beside the tools everybody knows, in one run.
//!
//! `make bench` prints a Markdown table; PERFORMANCE.md says what is measured and how. Every figure is the median of several
//! rounds that take turns, so that a machine whose speed drifts slows all of them alike; compare within one table
//! only. The programs measured are mailqueue-http and mailqueue-worker as they are shipped, with their default settings, or
//! those that `MAILQUEUE_BENCH_HTTP` and `MAILQUEUE_BENCH_WORKER` name.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

mod binaries;
mod client;
mod deliver;
mod disk;
mod figures;
mod growth;
mod latency;
mod library;
mod limits;
mod machine;
mod mail;
mod options;
mod rows;
mod service;
mod site;
mod submit;
mod through;
mod usage;

use std::os::unix::process::CommandExt;
use std::process::Command;

use mailqueue_testing::{Postgres, Redis};

use self::binaries::Binaries;
use self::disk::Disk;
use self::figures::Figures;
use self::options::{Options, Part};
use self::site::Bench;

fn main() {
    let options = Options::read();
    let Some(disk) = Disk::loaded() else { begin_again(&options) };
    let bench =
        Bench { binaries: Binaries::find(), disk, postgres: Postgres::durable(), redis: Redis::start() };
    let mut figures = Figures::default();
    for _ in 0..options.rounds {
        round(&bench, &options, &mut figures);
    }
    if options.wants(Part::Through) {
        through::measure(&bench, &options, &mut figures.section("through"));
    }
    println!("{}\n{}", figures.table(), machine::describe(&bench));
}

/// Starts this program anew on the disk of a known speed.
fn begin_again(options: &Options) -> ! {
    let disk = std::mem::ManuallyDrop::new(Disk::build());
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command.args(std::env::args_os().skip(1));
    Binaries::find().name_to(&mut command);
    disk.put_under(&mut command, !options.test);
    panic!("this program starts again: {}", command.exec())
}

fn round(bench: &Bench, options: &Options, figures: &mut Figures) {
    if options.wants(Part::Submit) {
        submit::measure(bench, &bench.postgres, options, &mut figures.section("submit over HTTP"));
    }
    if options.wants(Part::Core) {
        library::measure(bench, options, &mut figures.section("submit, library"));
    }
    if options.wants(Part::Deliver) {
        deliver::measure(bench, &bench.postgres, &[1, 2, 4], options, &mut figures.section("deliver"));
    }
    if options.wants(Part::SlowDisk) {
        let environment = disk::slow();
        let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
        let slow = Postgres::durable_with_environment(&environment);
        let section = &mut figures.section("+2 ms an fsync");
        submit::measure(bench, &slow, options, section);
        deliver::measure(bench, &slow, &[1], options, section);
    }
    if options.wants(Part::Latency) {
        latency::measure(bench, options, &mut figures.section("latency, idle"));
    }
    if options.wants(Part::Growth) {
        growth::measure(bench, options, &mut figures.section("growth"));
    }
}
