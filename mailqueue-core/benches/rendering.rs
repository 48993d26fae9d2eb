//! What it costs to check and render a message, in nanoseconds for each octet of its text, from 10 KiB to 10 MiB: flat.
//!
//! `cargo bench -p mailqueue-core --bench rendering` prints a Markdown table. Sizes take turns, so that a machine whose
//! speed drifts slows all of them alike, and the last column, the dearest octet by the cheapest, is what to look at.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use mailqueue_core::domain::render::render;
use mailqueue_core::{Draft, Limits, MessageId};
use time::OffsetDateTime;

const SIZES: [usize; 4] = [10 << 10, 100 << 10, 1 << 20, 10 << 20];
const ROUNDS: usize = 9;

/// How many octets are rendered for one figure, so that small messages are measured as long as large ones.
const OCTETS: usize = 20 << 20;

/// Texts of all encodings, by what they are made of.
const KINDS: [(&str, &str); 6] = [
    ("short lines, LF", "It is on its way.\n"),
    ("short lines, CRLF", "It is on its way.\r\n"),
    ("empty lines, LF", "\n"),
    ("one long line", "It is on its way. "),
    ("Portuguese lines, LF", "A sua encomenda já está a caminho e chega amanhã.\n"),
    ("Russian lines, LF", "Ваш заказ уже в пути.\n"),
];

fn main() {
    // `cargo test --benches` only wants to know whether it runs.
    let quick = std::env::args().any(|argument| argument == "--test");
    let (rounds, octets, sizes) = if quick { (1, 1, &SIZES[..1]) } else { (ROUNDS, OCTETS, &SIZES[..]) };
    println!("| ns an octet | 10 KiB | 100 KiB | 1 MiB | 10 MiB | most by least |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    for (name, piece) in KINDS {
        let drafts: Vec<Draft> = sizes.iter().map(|size| draft(piece, *size)).collect();
        let mut least = vec![f64::INFINITY; drafts.len()];
        for _ in 0..rounds {
            for (least, draft) in least.iter_mut().zip(&drafts) {
                *least = least.min(cost(draft, octets));
            }
        }
        let figures: Vec<String> = least.iter().map(|cost| format!("{cost:.2}")).collect();
        let (most, fewest) =
            (least.iter().copied().fold(0.0, f64::max), least.iter().copied().fold(f64::MAX, f64::min));
        println!("| {name} | {} | {:.2} |", figures.join(" | "), most / fewest);
    }
}

/// A message whose text is as long as `size` allows.
fn draft(piece: &str, size: usize) -> Draft {
    Draft::new("Shop <shop@example.com>", "ana@example.org", "Your order")
        .text(piece.repeat(size / piece.len()))
}

/// Nanoseconds for each octet of the text, over as many messages as `octets` make.
fn cost(draft: &Draft, octets: usize) -> f64 {
    let size = draft.text.as_ref().map_or(1, String::len);
    let times = octets.div_ceil(size);
    let (limits, now) = (Limits::default(), OffsetDateTime::UNIX_EPOCH);
    let begun = Instant::now();
    for _ in 0..times {
        let message = draft.check(&limits, now).expect("the draft is right");
        black_box(render(&message, MessageId::new(now), now).expect("it can be rendered"));
    }
    let took: Duration = begun.elapsed();
    took.as_nanos() as f64 / (times * size) as f64
}
