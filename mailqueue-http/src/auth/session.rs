//! Logins of people: a browser stands for an API key by a cookie.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};

use super::{ApiKeys, Client};

/// The time for which a login lasts.
pub(crate) const SESSION_LIFETIME: Duration = Duration::hours(12);

/// Keeps a value that was made for something else from passing for a session.
const PURPOSE: &str = "mailqueue session until ";

impl ApiKeys {
    /// Logs the holder of a key in: the client, and the value of its cookie. `None` for a key that is not valid.
    ///
    /// The value is the time of its end and a code over it (HMAC-SHA256, RFC 2104) that only somebody who has the entry of
    /// the key can make. So it needs no table, every process with the same keys takes it, and it ends with the key.
    pub(crate) fn log_in(&self, key: &[u8], now: OffsetDateTime) -> Option<(Client<'_>, String)> {
        let client = self.find(&Sha256::digest(key).into(), now)?;
        let end = (now + SESSION_LIFETIME).unix_timestamp();
        let code = BASE64_URL_SAFE_NO_PAD.encode(code(&client.key.hash, end));
        Some((client, format!("{end}.{code}")))
    }

    /// The holder of the key that a cookie stands for; `None` when it is forged, over, or its key is not valid any more.
    pub(crate) fn client_of(&self, session: &str, now: OffsetDateTime) -> Option<Client<'_>> {
        let (end, sent) = session.split_once('.')?;
        // Only the form in which it was written: no sign, no zeros in front.
        let end = end.parse::<i64>().ok().filter(|parsed| parsed.to_string() == end)?;
        let latest = (now + SESSION_LIFETIME).unix_timestamp();
        let sent = BASE64_URL_SAFE_NO_PAD.decode(sent).ok()?;
        if end <= now.unix_timestamp() || end > latest {
            return None;
        }
        self.find_by(|key| Sha256::digest(code(&key.hash, end)).into(), &Sha256::digest(sent).into(), now)
    }
}

fn code(hash: &[u8; 32], end: i64) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(hash).expect("HMAC takes keys of any length");
    mac.update(format!("{PURPOSE}{end}").as_bytes());
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: OffsetDateTime = time::macros::datetime!(2026-11-25 12:00 UTC);

    fn entry(name: &str, key: &str, parts: &str) -> String {
        let hash: String = Sha256::digest(key).iter().map(|b| format!("{b:02x}")).collect();
        format!("{name}:{hash}{parts}")
    }

    fn keys(entries: &[String]) -> ApiKeys {
        entries.join(",").parse().unwrap()
    }

    fn tenant(keys: &ApiKeys, session: &str, now: OffsetDateTime) -> Option<String> {
        keys.client_of(session, now).map(|client| client.tenant().to_owned())
    }

    #[test]
    fn a_session_stands_for_its_key_for_twelve_hours() {
        let (shop, news) = (entry("shop", "mq_one", ""), entry("news", "mq_two", ""));
        let both = keys(&[shop.clone(), news.clone()]);
        let (client, session) = both.log_in(b"mq_two", NOW).unwrap();
        assert_eq!(client.tenant(), "news");
        assert_eq!(tenant(&both, &session, NOW + Duration::hours(11)), Some("news".into()));
        assert_eq!(tenant(&both, &session, NOW + SESSION_LIFETIME), None);
        assert_eq!(tenant(&keys(&[news, shop.clone()]), &session, NOW), Some("news".into()), "any order");
        assert_eq!(tenant(&keys(&[shop]), &session, NOW), None, "the key is gone");
    }

    #[test]
    fn a_session_ends_with_its_key() {
        let expiring = keys(&[entry("shop", "mq_one", ":expires=2026-11-26")]);
        let (_, session) = expiring.log_in(b"mq_one", NOW).unwrap();
        assert!(expiring.client_of(&session, NOW + Duration::hours(11)).is_some());
        let late = time::macros::datetime!(2026-11-25 23:00 UTC);
        let (_, session) = expiring.log_in(b"mq_one", late).unwrap();
        assert_eq!(tenant(&expiring, &session, late + Duration::hours(1)), None);
        assert!(expiring.log_in(b"mq_one", NOW + Duration::days(1)).is_none());
    }

    #[test]
    fn a_forged_session_stands_for_nobody() {
        let keys = keys(&[entry("shop", "mq_one", "")]);
        assert!(keys.log_in(b"mq_two", NOW).is_none());
        let (_, session) = keys.log_in(b"mq_one", NOW).unwrap();
        let (end, code) = session.split_once('.').unwrap();
        let later = end.parse::<i64>().unwrap() + 1;
        let forged = [
            String::new(),
            ".".into(),
            end.into(),
            format!("{end}."),
            format!("{later}.{code}"),
            format!("+{end}.{code}"),
            format!("0{end}.{code}"),
            format!("{end}.{code}A"),
            format!("{end}.{}", &code[1..]),
            format!("{end}.{}", code.to_lowercase()),
            "x".repeat(5000),
        ];
        for forged in forged {
            assert!(keys.client_of(&forged, NOW + Duration::hours(1)).is_none(), "{forged}");
        }
        assert!(keys.client_of(&session, NOW - Duration::SECOND).is_none(), "it was made in the future");
    }
}
