//! E-mail addresses, with and without a name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{domain_name, text};

/// An address that mail can be sent to: `local@domain`, the domain as ASCII (IDNs as A-labels, RFC 5891),
/// fully qualified, no address literal, within the lengths of RFC 5321 section 4.5.3.1.
///
/// Guaranteed: no control character, no space outside quotes, no source route, nothing that a shell or
/// an old relay takes for an option or a path.
///
/// ```
/// use mailqueue_core::domain::address::Address;
///
/// let address: Address = "ana@Exämple.com".parse()?;
/// assert_eq!((address.local(), address.domain()), ("ana", "xn--exmple-cua.com"));
/// # Ok::<(), mailqueue_core::domain::address::AddressError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    text: String,
    at: usize,
}

/// The error for a text that is no address or no mailbox: a sentence that never repeats the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AddressError(String);

impl Address {
    fn parse(text: &str) -> Result<Self, String> {
        // The last one, because a quoted local part may hold others.
        let (local, domain) = text.rsplit_once('@').ok_or("must be an address such as name@example.com")?;
        check_local(local)?;
        let domain = domain_name::ascii(domain)?;
        let address = Self { text: format!("{local}@{domain}"), at: local.len() };
        // RFC 5321 allows a path 256 octets, of which two are its brackets.
        if address.text.len() > 254 {
            return Err("must be at most 254 octets long".into());
        }
        Ok(address)
    }

    /// The part before the `@`, as given.
    #[must_use]
    pub fn local(&self) -> &str {
        &self.text[..self.at]
    }

    /// The domain in lower case.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.text[self.at + 1..]
    }

    /// The whole address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// True if a server must offer SMTPUTF8 (RFC 6531) to take it.
    #[must_use]
    pub fn needs_smtputf8(&self) -> bool {
        !self.text.is_ascii()
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text).map_err(AddressError)
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.text
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn check_local(local: &str) -> Result<(), String> {
    if local.is_empty() || local.len() > 64 {
        return Err("must have 1 to 64 octets before the @".into());
    }
    if let Some(quoted) = local.strip_prefix('"') {
        return check_quoted(quoted);
    }
    // A program may take - for an option, and old relays take % and ! for source routes.
    if local.starts_with('-') || local.contains(['%', '!']) {
        return Err("must not start with - nor contain % or ! before the @".into());
    }
    let atom = |c: char| c.is_ascii_alphanumeric() || "#$&'*+-/=?^_`{|}~".contains(c) || is_utf8_letter(c);
    if local.split('.').any(|part| part.is_empty() || !part.chars().all(atom)) {
        return Err("must be an address such as name@example.com".into());
    }
    Ok(())
}

/// A letter that RFC 6531 adds to an atom, invisible ones left out.
fn is_utf8_letter(c: char) -> bool {
    !c.is_ascii()
        && !c.is_control()
        && !c.is_whitespace()
        && text::check_line(c.encode_utf8(&mut [0; 4])).is_ok()
}

/// RFC 5321 `Quoted-string`, without its opening quote.
fn check_quoted(rest: &str) -> Result<(), String> {
    let fault = || Err("must close its quotes and hold only printable ASCII between them".to_owned());
    let Some(inner) = rest.strip_suffix('"') else { return fault() };
    let mut characters = inner.chars();
    while let Some(c) = characters.next() {
        let allowed = match c {
            '\\' => characters.next().is_some_and(|next| (' '..='~').contains(&next)),
            '"' => false,
            other => (' '..='~').contains(&other),
        };
        if !allowed {
            return fault();
        }
    }
    Ok(())
}

/// An address with the name of who reads or writes there: `Ana <ana@example.com>`.
///
/// ```
/// use mailqueue_core::domain::address::Mailbox;
///
/// let mailbox: Mailbox = "\"Doe, Ana\" <ana@example.com>".parse()?;
/// assert_eq!(mailbox.name.as_deref(), Some("Doe, Ana"));
/// # Ok::<(), mailqueue_core::domain::address::AddressError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mailbox {
    /// The display name, free of control characters; `None` when there is none.
    pub name: Option<String>,
    /// The address.
    pub address: Address,
}

impl Mailbox {
    fn parse(text: &str) -> Result<Self, String> {
        text::check_prose(text)?;
        let trimmed = text.trim();
        let Some(rest) = trimmed.strip_suffix('>') else {
            return Ok(Self { name: None, address: Address::parse(trimmed)? });
        };
        let (name, address) = split(rest)?;
        let name = read_name(name.trim())?;
        // Checked again by itself: a direction that the name opens must end within the name.
        text::check_prose(&name)?;
        text::check_length(&name, 320)?;
        Ok(Self { name: Some(name).filter(|name| !name.is_empty()), address })
    }
}

impl FromStr for Mailbox {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text).map_err(AddressError)
    }
}

/// `Name <address` in its two parts. The last `<` opens the address, unless it stands in a quoted local part, where
/// there is room for 62 of them.
fn split(text: &str) -> Result<(&str, Address), String> {
    let mut fault = None;
    for (at, _) in text.rmatch_indices('<').take(63) {
        match Address::parse(text[at + 1..].trim()) {
            Ok(address) => return Ok((&text[..at], address)),
            Err(error) => fault = fault.or(Some(error)),
        }
    }
    Err(fault.unwrap_or_else(|| "must be an address such as name@example.com".to_owned()))
}

/// A display name as it is meant: one that is quoted as a whole (RFC 5322 `quoted-string`) without its quotes, any
/// other as it is.
///
/// What separates addresses, and is not quoted, is refused: a string holds one mailbox, and taking a list of them for a
/// name would leave somebody without the message.
fn read_name(name: &str) -> Result<String, String> {
    let mut rest = name;
    while let Some(at) = rest.find(['"', ',', '<', '>', '@', ';']) {
        let quoted = rest[at..].strip_prefix('"').map(quoted_string);
        let Some((inner, after)) = quoted else {
            return Err("must be one mailbox: a name with , < > @ or ; has to stand in quotes".into());
        };
        if at == 0 && rest.len() == name.len() && after == Some("") {
            return Ok(inner.trim().to_owned());
        }
        // A quote that nobody closes is a character like others.
        rest = after.unwrap_or(&rest[at + 1..]);
    }
    Ok(name.to_owned())
}

/// The text up to the closing quote, without the backslashes that quote, and the text after it, if it is closed.
fn quoted_string(text: &str) -> (String, Option<&str>) {
    let mut inner = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return (inner, Some(&text[at + 1..])),
            '\\' => inner.extend(characters.next().map(|(_, quoted)| quoted)),
            _ => inner.push(c),
        }
    }
    (inner, None)
}

impl TryFrom<String> for Mailbox {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Mailbox> for String {
    fn from(mailbox: Mailbox) -> Self {
        mailbox.to_string()
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(name) = &self.name else { return self.address.fmt(f) };
        // Without the dot, which RFC 5322 allows outside quotes only as obsolete syntax.
        let plain = |c: char| c.is_alphanumeric() || " !#$%&'*+-/=?^_`{|}~".contains(c);
        if name.chars().all(plain) {
            return write!(f, "{name} <{}>", self.address);
        }
        write!(f, "\"{}\" <{}>", name.replace('\\', "\\\\").replace('"', "\\\""), self.address)
    }
}
