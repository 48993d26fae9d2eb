//! The recipients that the form may name.

use std::str::FromStr;

use mailqueue_core::domain::address::Address;

use crate::auth::read_domain;

/// Domains and addresses that the form may name, so that it is no relay for strangers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recipients {
    domains: Vec<String>,
    addresses: Vec<Address>,
}

/// An entry that is neither a domain nor an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entry {0} must be a domain such as example.com or an address such as name@example.com")]
pub struct RecipientsError(usize);

impl FromStr for Recipients {
    type Err = RecipientsError;

    /// Reads domains and addresses, separated by commas.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut recipients = Self::default();
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        for (n, entry) in entries.enumerate() {
            if entry.contains('@') {
                recipients.addresses.push(entry.parse().map_err(|_| RecipientsError(n + 1))?);
            } else {
                recipients.domains.push(read_domain(entry).map_err(|_| RecipientsError(n + 1))?);
            }
        }
        Ok(recipients)
    }
}

impl Recipients {
    /// True where no recipient may be named.
    pub(crate) fn is_empty(&self) -> bool {
        self.domains.is_empty() && self.addresses.is_empty()
    }

    /// True for an address that may be named.
    pub(crate) fn allow(&self, address: &Address) -> bool {
        let same = |known: &Address| known.as_str().eq_ignore_ascii_case(address.as_str());
        self.domains.iter().any(|domain| domain == address.domain()) || self.addresses.iter().any(same)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_named_domains_and_addresses_are_allowed() {
        let recipients: Recipients = "Example.com, ana@пример.рф ,".parse().unwrap();
        let allows = |address: &str| recipients.allow(&address.parse().unwrap());
        assert!(allows("anyone@EXAMPLE.com"));
        assert!(allows("Ana@xn--e1afmkfd.xn--p1ai"));
        assert!(!allows("bob@пример.рф"));
        assert!(!allows("anyone@sub.example.com"));
        assert_eq!("a@b.example, x y".parse::<Recipients>(), Err(RecipientsError(2)));
        assert!(" , ".parse::<Recipients>().unwrap().is_empty());
    }
}
