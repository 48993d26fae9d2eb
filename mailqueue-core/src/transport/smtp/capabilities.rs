//! The offer of a server in answer to EHLO.

use super::reply::Answer;

/// The extensions that matter here. An answer to HELO offers none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Capabilities {
    /// RFC 2920.
    pub(super) pipelining: bool,
    /// RFC 1870.
    pub(super) size: bool,
    /// The largest message, if SIZE names one, in octets.
    pub(super) size_limit: Option<u64>,
    /// RFC 6152.
    pub(super) eight_bit: bool,
    /// RFC 6531.
    pub(super) smtputf8: bool,
    /// RFC 3207.
    pub(super) starttls: bool,
    /// RFC 4954 with RFC 4616.
    pub(super) auth_plain: bool,
    /// RFC 4954 with the login that came before it.
    pub(super) auth_login: bool,
}

impl Capabilities {
    pub(super) fn read(ehlo: &Answer) -> Self {
        let mut offered = Self::default();
        for line in ehlo.further_lines() {
            // Some servers of old say `AUTH=PLAIN`.
            let mut words = line.split([' ', '=']).filter(|word| !word.is_empty());
            let Some(keyword) = words.next() else { continue };
            match keyword.to_ascii_uppercase().as_str() {
                "PIPELINING" => offered.pipelining = true,
                "8BITMIME" => offered.eight_bit = true,
                "SMTPUTF8" => offered.smtputf8 = true,
                "STARTTLS" => offered.starttls = true,
                "SIZE" => {
                    offered.size = true;
                    // RFC 1870: zero is no limit.
                    offered.size_limit =
                        words.next().and_then(|limit| limit.parse().ok()).filter(|limit| *limit > 0);
                }
                "AUTH" => words.for_each(|mechanism| match mechanism.to_ascii_uppercase().as_str() {
                    "PLAIN" => offered.auth_plain = true,
                    "LOGIN" => offered.auth_login = true,
                    _ => {}
                }),
                _ => {}
            }
        }
        offered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &str) -> Capabilities {
        Capabilities::read(&Answer { code: 250, text: format!("PIPELINING.example\n{lines}") })
    }

    #[test]
    fn keywords_count_in_any_case_and_the_first_line_is_no_keyword() {
        assert_eq!(read(""), Capabilities::default());
        let all = read(
            "pipelining\nSize 1000\n8BitMime\nSMTPUTF8\nSTARTTLS\nAUTH CRAM-MD5 plain\nauth=LOGIN\nX-OTHER y",
        );
        let expected = Capabilities {
            pipelining: true,
            size: true,
            size_limit: Some(1000),
            eight_bit: true,
            smtputf8: true,
            starttls: true,
            auth_plain: true,
            auth_login: true,
        };
        assert_eq!(all, expected);
    }

    #[test]
    fn a_size_without_a_number_or_of_zero_is_no_limit() {
        for line in ["SIZE", "SIZE 0", "SIZE big", "SIZE 99999999999999999999999"] {
            assert_eq!(read(line), Capabilities { size: true, ..Capabilities::default() }, "{line}");
        }
    }
}
