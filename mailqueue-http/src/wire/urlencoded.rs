//! Pairs of names and values as browsers send them (`application/x-www-form-urlencoded`), read strictly.

use percent_encoding::percent_decode;

use crate::wire::problem::Problem;

/// The largest number of pairs.
const MAX_PAIRS: usize = 1000;

/// The pairs in their order.
///
/// # Errors
///
/// 400 for what is not UTF-8 (reading it loosely would store something that was not sent), 422 for too many pairs.
pub(crate) fn pairs(bytes: &[u8]) -> impl Iterator<Item = Result<(String, String), Problem>> {
    let pairs = bytes.split(|b| *b == b'&').filter(|pair| !pair.is_empty());
    pairs.enumerate().map(|(n, pair)| {
        if n == MAX_PAIRS {
            return Err(Problem::field("", format!("must have at most {MAX_PAIRS} fields")));
        }
        let equals = pair.iter().position(|b| *b == b'=').unwrap_or(pair.len());
        let value = pair.get(equals + 1..).unwrap_or_default();
        Ok((decode(&pair[..equals])?, decode(value)?))
    })
}

fn decode(bytes: &[u8]) -> Result<String, Problem> {
    let mut decoded = Vec::with_capacity(bytes.len());
    // Split before the percent signs are read: `%2B` is a plus that was meant.
    for (n, word) in bytes.split(|b| *b == b'+').enumerate() {
        decoded.extend((n > 0).then_some(b' '));
        decoded.extend(percent_decode(word));
    }
    String::from_utf8(decoded).map_err(|_| Problem::malformed("The fields must be encoded as UTF-8."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<(String, String)>, Problem> {
        pairs(bytes).collect()
    }

    #[test]
    fn pairs_are_decoded_as_browsers_encode_them() {
        let read = read(b"assunto=Ol%C3%A1+voc%C3%AA&&mensagem=a%0D%0Ab=c%2Bd&x&100%=%zz&%+2=").unwrap();
        let expected =
            [("assunto", "Olá você"), ("mensagem", "a\r\nb=c+d"), ("x", ""), ("100%", "%zz"), ("% 2", "")];
        assert_eq!(read, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn pairs_that_are_not_utf8_are_refused_and_not_mended() {
        assert_eq!(read(b"assunto=%FF").unwrap_err().status, 400);
        assert_eq!(read(b"assunto=\xC3").unwrap_err().status, 400);
        assert_eq!(read("a&".repeat(MAX_PAIRS + 1).as_bytes()).unwrap_err().status, 422);
    }
}
