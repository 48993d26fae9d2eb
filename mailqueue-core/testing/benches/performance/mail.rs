//! The message that everything is measured with: 1 KiB as it is sent.

use std::net::SocketAddr;

use mailqueue_core::Draft;

/// How many messages stand in one request when many are handed over.
pub(crate) const BATCH: usize = 100;

const LINE: &str = "It is on its way, and this line is here to make it as long as mail is. ";
const LINES: usize = 9;

/// The message as a program submits it.
pub(crate) fn draft(n: usize) -> Draft {
    Draft::new("Shop <shop@example.com>", format!("user{n}@example.org"), format!("Order {n}"))
        .text(LINE.repeat(LINES))
}

/// A request that hands over one message, or a batch of them.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) octets: Vec<u8>,
}

impl Request {
    /// `POST /emails`.
    pub(crate) fn single(address: SocketAddr, n: usize) -> Self {
        Self { octets: post(address, "/emails", &email(n)) }
    }

    /// `POST /emails/batch`.
    pub(crate) fn batch(address: SocketAddr, n: usize, messages: usize) -> Self {
        let emails: Vec<String> = (0..messages).map(|k| email(n + k)).collect();
        let body = format!("[{}]", emails.join(","));
        Self { octets: post(address, "/emails/batch", &body) }
    }
}

fn email(n: usize) -> String {
    let text = LINE.repeat(LINES);
    format!(
        r#"{{"from":"Shop <shop@example.com>","to":"user{n}@example.org","subject":"Order {n}","text":"{text}"}}"#
    )
}

fn post(address: SocketAddr, path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    (head + body).into_bytes()
}
