//! Domain names, as they are written and as the DNS holds them.

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::props::{GeneralCategory, GeneralCategoryGroup, Script};
use icu_properties::{CodePointMapData, CodePointMapDataBorrowed};

const CATEGORY: CodePointMapDataBorrowed<'static, GeneralCategory> =
    CodePointMapData::<GeneralCategory>::new();
const SCRIPT: CodePointMapDataBorrowed<'static, Script> = CodePointMapData::<Script>::new();

/// The longest domain that is looked at, in octets: 253 letters of any script, decomposed. What is longer cannot be one, and
/// to find that out by mapping it would take long.
const MAX_WRITTEN_OCTETS: usize = 4096;

/// A fully qualified domain name in ASCII and lower case, labels with other letters as A-labels (RFC 5890).
///
/// Upper case is folded and letters are composed (NFC). Nothing else is mapped, unlike browsers do (UTS 46): mail
/// to a name that only looks like another one would go to a stranger. What is given as an A-label is taken
/// as it is.
///
/// # Errors
///
/// A sentence that says what would be right.
pub(super) fn ascii(domain: &str) -> Result<String, String> {
    let fault = || "must name a full domain such as example.com after the @".to_owned();
    if domain.len() > MAX_WRITTEN_OCTETS {
        return Err(fault());
    }
    // Checks what a label may begin with, joiners (RFC 5892), bidi (RFC 5893), hyphens and lengths.
    let ascii = idna::domain_to_ascii_strict(domain).map_err(|_| fault())?;
    let last = ascii.rsplit('.').next().unwrap_or_default();
    if !ascii.contains('.') || last.len() < 2 || last.bytes().all(|b| b.is_ascii_digit()) || ascii.len() > 253
    {
        return Err(fault());
    }
    if !domain.is_ascii() && !is_as_written(domain, &ascii) {
        return Err("must name a domain after the @ by letters that IDNA 2008 allows".into());
    }
    Ok(ascii)
}

/// True if a domain is in other letters what it is in ASCII, and IDNA 2008 allows them.
fn is_as_written(domain: &str, ascii: &str) -> bool {
    let nfc = ComposingNormalizerBorrowed::new_nfc();
    // What is only there for old encodings, such as the sign for Kelvin.
    if domain.chars().any(|c| !nfc.is_normalized(c.encode_utf8(&mut [0; 4]))) {
        return false;
    }
    let folded: String = domain.chars().flat_map(fold).collect();
    let folded = nfc.normalize(&folded);
    let (unicode, Ok(())) = idna::domain_to_unicode(ascii) else { return false };
    let labels = || ascii.split('.').zip(unicode.split('.'));
    let is_same = |(written, (ascii, unicode)): (&str, (&str, &str))| {
        written == ascii || (written == unicode && is_allowed(unicode))
    };
    folded.split('.').count() == labels().count() && folded.split('.').zip(labels()).all(is_same)
}

/// A character in lower case; Cherokee, whose lower case came later, in upper case.
fn fold(c: char) -> Vec<char> {
    match c {
        '\u{13A0}'..='\u{13FF}' | '\u{AB70}'..='\u{ABBF}' => c.to_uppercase().collect(),
        _ => c.to_lowercase().collect(),
    }
}

/// True if IDNA 2008 allows every character of a label where it stands (RFC 5892).
fn is_allowed(label: &str) -> bool {
    let characters: Vec<char> = label.chars().collect();
    (0..characters.len()).all(|n| {
        let c = characters[n];
        c.is_ascii() || is_letter(c) || is_allowed_by_context(&characters, n)
    })
}

/// `LetterDigits` of RFC 5892 section 2.1 with the exceptions of 2.6, less the blocks of 2.4 and 2.9. What is unstable
/// (2.2) or ignorable (2.3) has been found out by comparing.
fn is_letter(c: char) -> bool {
    match c {
        '\u{06FD}' | '\u{06FE}' | '\u{0F0B}' | '\u{3007}' => return true,
        '\u{0640}' | '\u{07FA}' | '\u{302E}' | '\u{302F}' | '\u{3031}'..='\u{3035}' | '\u{303B}' => {
            return false;
        }
        '\u{20D0}'..='\u{20FF}' | '\u{1D100}'..='\u{1D24F}' => return false,
        '\u{1100}'..='\u{11FF}' | '\u{A960}'..='\u{A97F}' | '\u{D7B0}'..='\u{D7FF}' => return false,
        // Digits that must not be mixed.
        '\u{0660}'..='\u{0669}' | '\u{06F0}'..='\u{06F9}' => return false,
        _ => {}
    }
    let category = CATEGORY.get(c);
    GeneralCategoryGroup::LowercaseLetter.contains(category)
        || GeneralCategoryGroup::UppercaseLetter.contains(category)
        || GeneralCategoryGroup::OtherLetter.contains(category)
        || GeneralCategoryGroup::ModifierLetter.contains(category)
        || GeneralCategoryGroup::NonspacingMark.contains(category)
        || GeneralCategoryGroup::SpacingMark.contains(category)
        || GeneralCategoryGroup::DecimalNumber.contains(category)
}

/// The rules of RFC 5892 appendix A. Joiners have been checked by then.
fn is_allowed_by_context(label: &[char], n: usize) -> bool {
    let before = n.checked_sub(1).map(|before| label[before]);
    let after = label.get(n + 1).copied();
    let is_in = |c: Option<char>, scripts: &[Script]| c.is_some_and(|c| scripts.contains(&SCRIPT.get(c)));
    match label[n] {
        '\u{200C}' | '\u{200D}' => true,
        '\u{00B7}' => before == Some('l') && after == Some('l'),
        '\u{0375}' => is_in(after, &[Script::Greek]),
        '\u{05F3}' | '\u{05F4}' => is_in(before, &[Script::Hebrew]),
        '\u{30FB}' => {
            label.iter().any(|c| is_in(Some(*c), &[Script::Hiragana, Script::Katakana, Script::Han]))
        }
        '\u{0660}'..='\u{0669}' => !label.iter().any(|c| ('\u{06F0}'..='\u{06F9}').contains(c)),
        '\u{06F0}'..='\u{06F9}' => !label.iter().any(|c| ('\u{0660}'..='\u{0669}').contains(c)),
        _ => false,
    }
}
