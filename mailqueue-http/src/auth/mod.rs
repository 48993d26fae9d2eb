//! API keys: access to the JSON API, and the tenant that a request acts for.

mod key;
mod session;

use std::str::FromStr;
use std::sync::Arc;

use hyper::header::{AUTHORIZATION, HeaderMap};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use time::OffsetDateTime;

use crate::wire::problem::Problem;
pub use key::{ApiKey, ApiKeyError, GenerateError, Rights, Scope, read_day, read_domain};
pub(crate) use session::SESSION_LIFETIME;

/// The keys of the API, known only by their SHA-256.
#[derive(Debug, Clone, Default)]
pub struct ApiKeys(Vec<ApiKey>);

/// A fault of a list of keys. It names the place of the entry, never its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeysError {
    /// An entry is none.
    #[error("entry {0} {1}")]
    Entry(usize, ApiKeyError),
    /// Two entries share a key.
    #[error("entry {0} has the key of an earlier entry")]
    Twice(usize),
}

impl FromStr for ApiKeys {
    type Err = ApiKeysError;

    /// Reads entries as [`ApiKey`] has them, separated by commas or white space. Several keys may carry one name.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut keys: Vec<ApiKey> = Vec::new();
        let entries = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|entry| !entry.is_empty());
        for (n, entry) in (1..).zip(entries) {
            let key: ApiKey = entry.parse().map_err(|error| ApiKeysError::Entry(n, error))?;
            if keys.iter().any(|known| known.hash == key.hash) {
                return Err(ApiKeysError::Twice(n));
            }
            keys.push(key);
        }
        Ok(Self(keys))
    }
}

/// The sender of a request, by its key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client<'k> {
    key: &'k ApiKey,
    /// The place of the key in the list.
    pub(crate) number: u32,
}

impl<'k> Client<'k> {
    /// The tenant whose mail it sees.
    pub(crate) fn tenant(&self) -> &'k str {
        &self.key.name
    }

    /// The domains it may send for; `None`: any.
    pub(crate) fn domains(&self) -> Option<Arc<[String]>> {
        self.key.domains.clone()
    }

    /// The use that its key is for.
    pub(crate) fn scope(&self) -> Scope {
        self.key.rights.scope
    }
}

impl ApiKeys {
    /// True without any key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True where a key has this scope, valid or not.
    pub(crate) fn have(&self, scope: Scope) -> bool {
        self.0.iter().any(|key| key.rights.scope == scope)
    }

    /// The sender of a request; `None` for a local one while there are no keys.
    pub(crate) fn authenticate(
        &self,
        headers: &HeaderMap,
        local: bool,
        now: OffsetDateTime,
    ) -> Result<Option<Client<'_>>, Problem> {
        if self.is_empty() {
            let detail = "This server has no API keys, so its API answers on its own machine only. \
                          Set MAILQUEUE_API_KEYS to open it.";
            return if local { Ok(None) } else { Err(Problem::missing_key(detail)) };
        }
        let missing = || Problem::missing_key("Send the API key as `Authorization: Bearer KEY`.");
        let authorization = headers.get(AUTHORIZATION).ok_or_else(missing)?.as_bytes();
        // 7 is the length of `Bearer ` with its space.
        let (scheme, key) = authorization.split_at_checked(7).ok_or_else(missing)?;
        if !scheme.eq_ignore_ascii_case(b"bearer ") || key.trim_ascii().is_empty() {
            return Err(missing());
        }
        let hash = Sha256::digest(key.trim_ascii()).into();
        self.find(&hash, now).map(Some).ok_or_else(Problem::invalid_key)
    }

    /// The holder of the key with this hash.
    fn find(&self, hash: &[u8; 32], now: OffsetDateTime) -> Option<Client<'_>> {
        self.find_by(|key| key.hash, hash, now)
    }

    /// Compares with every key and branches on nothing before the end, so that the time tells nothing: not how much
    /// of a secret was right, and not that it was right once.
    fn find_by(
        &self,
        secret: impl Fn(&ApiKey) -> [u8; 32],
        sent: &[u8; 32],
        now: OffsetDateTime,
    ) -> Option<Client<'_>> {
        let (mut found, mut at) = (Choice::from(0), 0_u32);
        for (n, known) in (0..).zip(&self.0) {
            let valid = Choice::from(u8::from(!known.is_expired(now)));
            let same = secret(known)[..].ct_eq(&sent[..]) & valid;
            at.conditional_assign(&n, same);
            found |= same;
        }
        bool::from(found).then(|| Client { key: &self.0[at as usize], number: at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::StatusCode;

    const NOW: OffsetDateTime = time::macros::datetime!(2026-11-23 12:00 UTC);

    /// One entry with its hash in lower case, one in upper case.
    fn keys() -> ApiKeys {
        let hex = |key: &str| Sha256::digest(key).iter().map(|b| format!("{b:02x}")).collect::<String>();
        format!("shop:{},\nnews:{}", hex("mq_one"), hex("mq_two").to_uppercase()).parse().unwrap()
    }

    fn authenticate(
        keys: &ApiKeys,
        authorization: Option<&str>,
        local: bool,
    ) -> Result<Option<String>, StatusCode> {
        let mut headers = HeaderMap::new();
        if let Some(authorization) = authorization {
            headers.insert(AUTHORIZATION, authorization.parse().unwrap());
        }
        let authenticated = keys.authenticate(&headers, local, NOW);
        authenticated
            .map(|client| client.map(|client| client.tenant().to_owned()))
            .map_err(|problem| problem.status)
    }

    #[test]
    fn a_key_stands_for_its_name() {
        assert_eq!(authenticate(&keys(), Some("Bearer mq_one"), false), Ok(Some("shop".into())));
        assert_eq!(authenticate(&keys(), Some("bearer  mq_two "), false), Ok(Some("news".into())));
        for wrong in ["Bearer mq_onE", "Bearer mq_on", "Bearer x"] {
            assert_eq!(authenticate(&keys(), Some(wrong), true), Err(StatusCode::FORBIDDEN));
        }
        for missing in [None, Some("Bearer "), Some("Basic bXFfb25l"), Some("mq_one")] {
            assert_eq!(authenticate(&keys(), missing, true), Err(StatusCode::UNAUTHORIZED));
        }
    }

    #[test]
    fn without_keys_only_this_machine_is_let_in() {
        assert_eq!(authenticate(&ApiKeys::default(), None, true), Ok(None));
        assert_eq!(authenticate(&ApiKeys::default(), Some("Bearer x"), false), Err(StatusCode::UNAUTHORIZED));
    }

    #[test]
    fn faulty_lists_are_named_without_their_content() {
        let hash = "0".repeat(64);
        let fault = |text: &str| text.parse::<ApiKeys>().unwrap_err();
        assert_eq!(fault("shop"), ApiKeysError::Entry(1, ApiKeyError::Form));
        assert_eq!(fault(&format!("a:{hash},b:xyz")), ApiKeysError::Entry(2, ApiKeyError::Form));
        assert_eq!(fault(&format!("a b:{hash}")), ApiKeysError::Entry(1, ApiKeyError::Form));
        assert_eq!(fault(&format!("ü:{hash}")), ApiKeysError::Entry(1, ApiKeyError::Name));
        assert_eq!(fault(&format!("a:{hash} b:{hash}")), ApiKeysError::Twice(2));
        assert!("".parse::<ApiKeys>().unwrap().is_empty());
    }
}
