//! Pairs of names and values as browsers send them (`application/x-www-form-urlencoded`), read strictly.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use crate::wire::problem::Problem;

/// The largest number of pairs.
const MAX_PAIRS: usize = 1000;

/// The pairs in their order.
///
/// # Errors
///
/// 400 for what is not UTF-8 (reading it loosely would store something that was not sent), 422 for too many pairs.
pub(crate) fn pairs(bytes: &[u8]) -> Result<Vec<(String, String)>, Problem> {
    let mut pairs = Vec::new();
    for pair in bytes.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
        if pairs.len() == MAX_PAIRS {
            return Err(Problem::field("", format!("must have at most {MAX_PAIRS} fields")));
        }
        let equals = pair.iter().position(|b| *b == b'=').unwrap_or(pair.len());
        let value = pair.get(equals + 1..).unwrap_or_default();
        pairs.push((decode(&pair[..equals])?, decode(value)?));
    }
    Ok(pairs)
}

fn decode(bytes: &[u8]) -> Result<String, Problem> {
    // Before the percent signs: `%2B` is a plus that was meant.
    let spaced: Cow<'_, [u8]> = if bytes.contains(&b'+') {
        bytes.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect::<Vec<u8>>().into()
    } else {
        bytes.into()
    };
    let decoded = percent_decode(&spaced).decode_utf8();
    decoded.map(Cow::into_owned).map_err(|_| Problem::malformed("The fields must be encoded as UTF-8."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded_as_browsers_encode_them() {
        let read = pairs(b"assunto=Ol%C3%A1+voc%C3%AA&&mensagem=a%0D%0Ab=c&x&100%=%zz").unwrap();
        let expected = [("assunto", "Olá você"), ("mensagem", "a\r\nb=c"), ("x", ""), ("100%", "%zz")];
        assert_eq!(read, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn pairs_that_are_not_utf8_are_refused_and_not_mended() {
        assert_eq!(pairs(b"assunto=%FF").unwrap_err().status, 400);
        assert_eq!(pairs(b"assunto=\xC3").unwrap_err().status, 400);
        assert_eq!(pairs("a&".repeat(MAX_PAIRS + 1).as_bytes()).unwrap_err().status, 422);
    }
}
