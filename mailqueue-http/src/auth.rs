//! Who may use the JSON API, and as whom.

use std::str::FromStr;
use std::sync::Arc;

use hyper::header::{AUTHORIZATION, HeaderMap};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::problem::Problem;

/// The keys of the API, known only by their SHA-256.
#[derive(Clone, Default)]
pub struct ApiKeys(Vec<ApiKey>);

#[derive(Clone)]
struct ApiKey {
    name: Arc<str>,
    hash: [u8; 32],
}

impl std::fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| &key.name)).finish()
    }
}

/// Why a list of keys makes no sense. Says which entry, never what stands in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeysError {
    /// An entry has not the form `name:hash`.
    #[error("entry {0} must have the form name:sha256, the hash as 64 hexadecimal digits")]
    Form(usize),
    /// A name holds something else than letters, digits, `_`, `-` and `.`, or is too long.
    #[error("entry {0} must have a name of 1 to 64 ASCII letters, digits, _, - or .")]
    Name(usize),
    /// Two names share a key.
    #[error("entry {0} has the key of an earlier entry")]
    Twice(usize),
}

impl FromStr for ApiKeys {
    type Err = ApiKeysError;

    /// Reads `name:sha256-hex` entries, separated by commas or white space. Several keys may carry one name.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut keys: Vec<ApiKey> = Vec::new();
        let entries = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|entry| !entry.is_empty());
        for (n, entry) in entries.enumerate() {
            let n = n + 1;
            let (name, digits) = entry.split_once(':').ok_or(ApiKeysError::Form(n))?;
            let hash = unhex(digits).ok_or(ApiKeysError::Form(n))?;
            let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
            if name.is_empty() || name.len() > 64 || !name.bytes().all(allowed) {
                return Err(ApiKeysError::Name(n));
            }
            if keys.iter().any(|key| key.hash == hash) {
                return Err(ApiKeysError::Twice(n));
            }
            keys.push(ApiKey { name: name.into(), hash });
        }
        Ok(Self(keys))
    }
}

fn unhex(digits: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    for (n, byte) in bytes.iter_mut().enumerate() {
        let pair = &digits[2 * n..2 * n + 2];
        *byte = u8::from_str_radix(pair, 16).ok().filter(|_| !pair.starts_with('+'))?;
    }
    Some(bytes)
}

impl ApiKeys {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name of the key that a request carries; `None` where there are no keys and the request is local.
    pub(crate) fn judge(&self, headers: &HeaderMap, local: bool) -> Result<Option<&str>, Problem> {
        if self.is_empty() {
            let detail = "This server has no API keys, so its API answers on its own machine only. \
                          Set MAILQUEUE_API_KEYS to open it.";
            return if local { Ok(None) } else { Err(Problem::missing_key(detail)) };
        }
        let missing = || Problem::missing_key("Send the API key as `Authorization: Bearer KEY`.");
        let authorization = headers.get(AUTHORIZATION).ok_or_else(missing)?.as_bytes();
        let (scheme, key) = authorization.split_at_checked(7).ok_or_else(missing)?;
        if !scheme.eq_ignore_ascii_case(b"bearer ") || key.trim_ascii().is_empty() {
            return Err(missing());
        }
        self.find(key.trim_ascii()).map(Some).ok_or_else(Problem::invalid_key)
    }

    /// Compares with every key and branches on nothing before the end, so that the time tells nothing.
    fn find(&self, key: &[u8]) -> Option<&str> {
        let hash = Sha256::digest(key);
        let (mut found, mut at) = (Choice::from(0), 0_u32);
        for (n, known) in (0..).zip(&self.0) {
            let same = known.hash[..].ct_eq(&hash[..]);
            at.conditional_assign(&n, same);
            found |= same;
        }
        bool::from(found).then(|| &*self.0[at as usize].name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::StatusCode;

    /// `printf mq_one | sha256sum`, and the same of `mq_two`.
    fn keys() -> ApiKeys {
        let hex = |key: &str| Sha256::digest(key).iter().map(|b| format!("{b:02x}")).collect::<String>();
        format!("shop:{},\nnews:{}", hex("mq_one"), hex("mq_two").to_uppercase()).parse().unwrap()
    }

    fn judge(keys: &ApiKeys, authorization: Option<&str>, local: bool) -> Result<Option<String>, StatusCode> {
        let mut headers = HeaderMap::new();
        if let Some(authorization) = authorization {
            headers.insert(AUTHORIZATION, authorization.parse().unwrap());
        }
        keys.judge(&headers, local).map(|name| name.map(str::to_owned)).map_err(|problem| problem.status)
    }

    #[test]
    fn a_key_stands_for_its_name() {
        assert_eq!(judge(&keys(), Some("Bearer mq_one"), false), Ok(Some("shop".into())));
        assert_eq!(judge(&keys(), Some("bearer  mq_two "), false), Ok(Some("news".into())));
        for wrong in ["Bearer mq_onE", "Bearer mq_on", "Bearer x"] {
            assert_eq!(judge(&keys(), Some(wrong), true), Err(StatusCode::FORBIDDEN));
        }
        for missing in [None, Some("Bearer "), Some("Basic bXFfb25l"), Some("mq_one")] {
            assert_eq!(judge(&keys(), missing, true), Err(StatusCode::UNAUTHORIZED));
        }
    }

    #[test]
    fn without_keys_only_this_machine_is_let_in() {
        assert_eq!(judge(&ApiKeys::default(), None, true), Ok(None));
        assert_eq!(judge(&ApiKeys::default(), Some("Bearer x"), false), Err(StatusCode::UNAUTHORIZED));
    }

    #[test]
    fn faulty_lists_are_named_without_their_content() {
        let hash = "0".repeat(64);
        let fault = |text: &str| text.parse::<ApiKeys>().unwrap_err();
        assert_eq!(fault("shop"), ApiKeysError::Form(1));
        assert_eq!(fault(&format!("a:{hash},b:xyz")), ApiKeysError::Form(2));
        assert_eq!(fault(&format!("a b:{hash}")), ApiKeysError::Form(1));
        assert_eq!(fault(&format!("ü:{hash}")), ApiKeysError::Name(1));
        assert_eq!(fault(&format!("a:{hash} b:{hash}")), ApiKeysError::Twice(2));
        assert!("".parse::<ApiKeys>().unwrap().is_empty());
    }
}
