//! One API key, as it is configured: by its hash, with what it may be used for.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use mailqueue_core::domain::address::Address;
use sha2::{Digest, Sha256};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Date, OffsetDateTime};

use crate::wire::access::Access;

/// The prefix of every key that is made here, so that scanners recognise it in places where no key belongs.
const PREFIX: &str = "mq_";

const DAY: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");

/// The use that a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    /// All that can be done with the mail of its tenant.
    #[default]
    Full,
    /// Handing mail over, and nothing else.
    Send,
    /// Looking at the mail of its tenant, and changing nothing.
    Read,
    /// All that can be done with the mail of every tenant, and of the form.
    Operate,
}

impl Scope {
    const ALL: [Self; 4] = [Self::Full, Self::Send, Self::Read, Self::Operate];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Send => "send",
            Self::Read => "read",
            Self::Operate => "operate",
        }
    }

    /// True where a key of this scope has the right.
    pub(crate) fn allows(self, access: Access) -> bool {
        match self {
            Self::Full | Self::Operate => true,
            Self::Send => access == Access::Send,
            Self::Read => access == Access::Read,
        }
    }
}

impl FromStr for Scope {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let scope = Self::ALL.into_iter().find(|scope| scope.as_str() == text);
        scope.ok_or("must be full, send, read or operate")
    }
}

/// The rights of a key, and their end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rights {
    /// Its use.
    pub scope: Scope,
    /// The domains that From addresses may be at, in lower case and ASCII; none: any.
    pub domains: Vec<String>,
    /// The first day (UTC) on which it is not valid any more.
    pub expires: Option<Date>,
}

/// A key of the API, known only by its SHA-256. Its text is the entry that is configured:
/// `name:hash`, then as many as wanted of `:scope=send`, `:domain=example.com` and `:expires=2027-12-31`.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// The tenant. Several keys may carry one name.
    pub(super) name: Arc<str>,
    pub(super) hash: [u8; 32],
    pub(super) rights: Rights,
    /// The rights' domains, ready to be shared.
    pub(super) domains: Option<Arc<[String]>>,
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey")
            .field("name", &self.name)
            .field("rights", &self.rights)
            .finish_non_exhaustive()
    }
}

/// A fault of an entry. It never repeats the entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeyError {
    /// It does not begin with `name:hash`.
    #[error("must begin with name:sha256, the hash as 64 hexadecimal digits")]
    Form,
    /// The name holds something else than letters, digits, `_`, `-` and `.`, or is too long.
    #[error("must have a name of 1 to 64 ASCII letters, digits, _, - or .")]
    Name,
    /// A further part is unknown, faulty, or stands there twice.
    #[error(
        "may go on with scope=full, send, read or operate, domain=example.com (several) and expires=2027-12-31 only"
    )]
    Part,
}

impl ApiKey {
    /// Makes a key: 256 random bits. The first of the answer is the key itself, which nothing here keeps.
    ///
    /// # Errors
    ///
    /// [`ApiKeyError::Name`] when the name is none; the system's, when it has no random numbers.
    pub fn generate(name: &str, rights: Rights) -> Result<(String, Self), GenerateError> {
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|error| GenerateError::Random(error.to_string()))?;
        let key = format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(random));
        // A fast hash suffices, because 256 random bits cannot be guessed.
        let hash = Sha256::digest(&key).into();
        Ok((key, Self::new(name, hash, rights)?))
    }

    fn new(name: &str, hash: [u8; 32], rights: Rights) -> Result<Self, ApiKeyError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
        if name.is_empty() || name.len() > 64 || !name.bytes().all(allowed) {
            return Err(ApiKeyError::Name);
        }
        let domains = Some(rights.domains.clone().into()).filter(|_| !rights.domains.is_empty());
        Ok(Self { name: name.into(), hash, rights, domains })
    }

    /// True once its last day is over.
    pub(super) fn is_expired(&self, now: OffsetDateTime) -> bool {
        self.rights.expires.is_some_and(|day| day <= now.to_offset(time::UtcOffset::UTC).date())
    }
}

/// The reason for which no key was made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GenerateError {
    /// The entry would not be one.
    #[error("the entry {0}")]
    Entry(#[from] ApiKeyError),
    /// The system gave no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(String),
}

impl FromStr for ApiKey {
    type Err = ApiKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split(':');
        let (Some(name), Some(digits)) = (parts.next(), parts.next()) else { return Err(ApiKeyError::Form) };
        let hash = unhex(digits).ok_or(ApiKeyError::Form)?;
        let mut rights = Rights::default();
        let mut seen = Vec::new();
        for part in parts {
            let (word, value) = part.split_once('=').ok_or(ApiKeyError::Part)?;
            if word != "domain" && seen.contains(&word) {
                return Err(ApiKeyError::Part);
            }
            seen.push(word);
            match word {
                "scope" => rights.scope = value.parse().map_err(|_| ApiKeyError::Part)?,
                "domain" => rights.domains.push(read_domain(value).map_err(|_| ApiKeyError::Part)?),
                "expires" => rights.expires = Some(read_day(value).map_err(|_| ApiKeyError::Part)?),
                _ => return Err(ApiKeyError::Part),
            }
        }
        Self::new(name, hash, rights)
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.name)?;
        self.hash.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        if self.rights.scope != Scope::default() {
            write!(f, ":scope={}", self.rights.scope.as_str())?;
        }
        self.rights.domains.iter().try_for_each(|domain| write!(f, ":domain={domain}"))?;
        match self.rights.expires {
            Some(day) => write!(f, ":expires={}", day.format(DAY).map_err(|_| fmt::Error)?),
            None => Ok(()),
        }
    }
}

/// A domain in the form in which addresses carry it: lower case and ASCII.
///
/// # Errors
///
/// A sentence that says what would be right.
pub fn read_domain(text: &str) -> Result<String, String> {
    let somebody: Result<Address, _> = format!("somebody@{text}").parse();
    // Another `@` would make a domain out of what follows it.
    let somebody = somebody.ok().filter(|_| !text.contains('@'));
    somebody
        .map(|one| one.domain().to_owned())
        .ok_or_else(|| "must be a domain such as example.com".to_owned())
}

/// A day such as `2027-12-31`.
///
/// # Errors
///
/// A sentence that says what would be right.
pub fn read_day(text: &str) -> Result<Date, String> {
    Date::parse(text, DAY).map_err(|_| "must be a day such as 2027-12-31".to_owned())
}

fn unhex(digits: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    // Only ASCII can be cut after any two octets.
    if digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    for (n, byte) in bytes.iter_mut().enumerate() {
        let pair = &digits[2 * n..2 * n + 2];
        // `from_str_radix` accepts a sign.
        *byte = u8::from_str_radix(pair, 16).ok().filter(|_| !pair.starts_with('+'))?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(parts: &str) -> Result<ApiKey, ApiKeyError> {
        format!("shop:{}{parts}", "0a".repeat(32)).parse()
    }

    #[test]
    fn an_entry_says_what_a_key_may_be_used_for() {
        let plain = read("").unwrap();
        assert_eq!(plain.rights, Rights::default());
        let key = read(":scope=send:domain=Example.com:domain=пример.рф:expires=2027-12-31").unwrap();
        assert_eq!(key.rights.scope, Scope::Send);
        assert_eq!(key.rights.domains, ["example.com", "xn--e1afmkfd.xn--p1ai"]);
        assert!(!key.is_expired(time::macros::datetime!(2027-12-31 01:00 +2)));
        assert!(key.is_expired(time::macros::datetime!(2027-12-31 00:00 UTC)));
        let scoped = Scope::ALL.map(|scope| read(&format!(":scope={}", scope.as_str())).unwrap());
        assert_eq!(scoped.clone().map(|key| key.rights.scope), Scope::ALL);
        for one in [plain, key].into_iter().chain(scoped) {
            assert_eq!(one.to_string().parse(), Ok(one));
        }
    }

    #[test]
    fn an_unknown_right_of_a_key_is_refused() {
        for parts in [
            ":",
            ":send",
            ":scope=all",
            ":scope=send:scope=full",
            ":domain=",
            ":domain=a b",
            ":domain=x@example.com",
            ":expires=tomorrow",
            ":expires=2027-02-30",
            ":colour=red",
        ] {
            assert_eq!(read(parts).unwrap_err(), ApiKeyError::Part, "{parts}");
        }
        assert_eq!("shop".parse::<ApiKey>().unwrap_err(), ApiKeyError::Form);
        assert_eq!(format!("ü:{}", "0".repeat(64)).parse::<ApiKey>().unwrap_err(), ApiKeyError::Name);
    }

    #[test]
    fn a_key_that_is_made_is_the_one_of_its_entry() {
        let rights = Rights { scope: Scope::Send, ..Rights::default() };
        let (key, entry) = ApiKey::generate("shop", rights.clone()).unwrap();
        assert_eq!(key.len(), 3 + 43);
        assert!(key.starts_with(PREFIX));
        assert_eq!(entry.hash, <[u8; 32]>::from(Sha256::digest(&key)));
        assert_ne!(ApiKey::generate("shop", rights.clone()).unwrap().0, key);
        assert_eq!(ApiKey::generate("a b", rights).unwrap_err(), GenerateError::Entry(ApiKeyError::Name));
    }
}
