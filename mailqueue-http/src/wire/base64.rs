//! Base64 as people send it: whole, or broken into lines.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The digits that are decoded at a time where white space stands between them; a multiple of four.
const PIECE: usize = 16 << 10;

/// The octets that some digits stand for, white space left out; `None` when these are not base64 with its padding. What
/// it makes beside them is small, however long they are.
pub(crate) fn decoded(digits: &[u8]) -> Option<Vec<u8>> {
    // Without white space no copy of the digits is needed.
    if !digits.iter().any(u8::is_ascii_whitespace) {
        return STANDARD.decode(digits).ok();
    }
    let mut octets = Vec::with_capacity(digits.len() / 4 * 3);
    let mut piece = Vec::with_capacity(PIECE);
    let mut ended = false;
    for line in digits.split(u8::is_ascii_whitespace) {
        let mut line = line;
        while !line.is_empty() {
            let (some, rest) = line.split_at(line.len().min(PIECE - piece.len()));
            piece.extend_from_slice(some);
            line = rest;
            if piece.len() == PIECE {
                append(&mut piece, &mut ended, &mut octets)?;
            }
        }
    }
    append(&mut piece, &mut ended, &mut octets)?;
    Some(octets)
}

/// Decodes a piece, of which none may follow one that ended in padding.
fn append(piece: &mut Vec<u8>, ended: &mut bool, octets: &mut Vec<u8>) -> Option<()> {
    if *ended && !piece.is_empty() {
        return None;
    }
    STANDARD.decode_vec(&*piece, octets).ok()?;
    *ended = piece.ends_with(b"=");
    piece.clear();
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As it is, and in lines as MIME breaks them, with white space everywhere else too.
    fn written(octets: &[u8]) -> [String; 3] {
        let whole = STANDARD.encode(octets);
        let lines: Vec<&str> =
            whole.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect();
        let spaced = whole.chars().flat_map(|digit| [digit, ' ', '\n']).collect();
        [lines.join("\r\n") + "\r\n", spaced, whole]
    }

    #[test]
    fn it_comes_back_however_it_is_broken() {
        for length in [0, 1, 2, 3, 57, 58, 12_286, 12_287, 12_288, 12_289, 12_290, 24_577, 100_000] {
            let octets: Vec<u8> = (0..length).map(|n| (n * 31 % 251) as u8).collect();
            for digits in written(&octets) {
                assert!(decoded(digits.as_bytes()) == Some(octets.clone()), "{length} octets");
            }
        }
    }

    #[test]
    fn text_that_is_not_base64_is_refused() {
        let late = |wrong: &str| "AAAA".repeat(PIECE / 4) + "\n" + wrong;
        let early = |wrong: &str| "AAAA".repeat(PIECE / 4 - 1) + wrong + "\nAAAA";
        let wrong = ["A", "AA", "AAA", "A=", "AA=", "====", "AA==AA==", "A-A_", "AA\u{e9}A"];
        for digits in wrong.iter().flat_map(|wrong| [(*wrong).to_owned(), late(wrong), early(wrong)]) {
            assert_eq!(decoded(digits.as_bytes()), None, "{digits}");
        }
        for digits in [early("AA=="), early("AAA="), late("AA==\nAA=="), "AA==\nAAAA".to_owned()] {
            assert_eq!(decoded(digits.as_bytes()), None, "padding is the end: {digits}");
        }
        assert_eq!(decoded(late("AA==\n").as_bytes()).unwrap().len(), PIECE / 4 * 3 + 1);
    }
}
