//! Wrong settings, all of them at once.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use clap::{Command, CommandFactory};
use secrecy::SecretString;

/// One wrong setting. The text never holds the value: it might be a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingFault {
    /// The variable's name.
    pub name: String,
    /// A sentence that says what would be right.
    pub detail: String,
}

impl fmt::Display for SettingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.detail)
    }
}

/// Collects wrong settings, so that all can be named at once.
#[derive(Debug, Default)]
pub struct Faults(Vec<SettingFault>);

impl Faults {
    /// Notes a fault.
    pub fn add(&mut self, name: &str, detail: impl Into<String>) {
        self.0.push(SettingFault { name: name.to_owned(), detail: detail.into() });
    }

    /// Nothing when all is well.
    ///
    /// # Errors
    ///
    /// The faults.
    pub fn none(self) -> Result<(), Vec<SettingFault>> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0) }
    }

    /// A duration such as `500ms`, `3s`, `4h` or `3d`, within bounds; the least when it is faulty.
    pub fn duration(&mut self, name: &str, text: &str, least: Duration, most: Duration) -> Duration {
        match humantime::parse_duration(text) {
            Ok(duration) if (least..=most).contains(&duration) => duration,
            Ok(_) => {
                let (least, most) = (humantime::format_duration(least), humantime::format_duration(most));
                self.add(name, format!("must be between {least} and {most}"));
                Duration::ZERO
            }
            Err(_) => {
                self.add(name, "must be a duration such as 500ms, 3s, 4h or 3d");
                Duration::ZERO
            }
        }
    }

    /// A whole number within bounds.
    pub fn number(&mut self, name: &str, text: &str, least: usize, most: usize) -> usize {
        match text.parse() {
            Ok(number) if (least..=most).contains(&number) => number,
            _ => {
                self.add(name, format!("must be a whole number between {least} and {most}"));
                least
            }
        }
    }

    /// A whole number within bounds, or `off` for none.
    pub fn number_or_off(&mut self, name: &str, text: &str, least: u64, most: u64) -> Option<u64> {
        match text.parse() {
            _ if text == "off" => None,
            Ok(number) if (least..=most).contains(&number) => Some(number),
            _ => {
                self.add(name, format!("must be a whole number between {least} and {most}, or off"));
                None
            }
        }
    }

    /// A size such as `512MiB` or `10GiB` (or in octets), at least `least`, or `off` for none.
    pub fn size_or_off(&mut self, name: &str, text: &str, least: u64) -> Option<u64> {
        if text == "off" {
            return None;
        }
        let size = size(text).filter(|size| *size >= least);
        if size.is_none() {
            let least = least >> 20;
            self.add(name, format!("must be a size such as 512MiB or 10GiB, at least {least}MiB, or off"));
        }
        size
    }

    /// A size such as `512MiB` or `10GiB` (or in octets), at least `least`, which it is when it is faulty.
    pub fn size(&mut self, name: &str, text: &str, least: u64) -> u64 {
        size(text).filter(|size| *size >= least).unwrap_or_else(|| {
            let in_mib = least >> 20;
            self.add(name, format!("must be a size such as 512MiB or 10GiB, at least {in_mib}MiB"));
            least
        })
    }

    /// `true` or `false`.
    pub fn switch(&mut self, name: &str, text: &str) -> bool {
        match text {
            "true" | "1" | "yes" | "on" => true,
            "false" | "0" | "no" | "off" => false,
            _ => {
                self.add(name, "must be true or false");
                false
            }
        }
    }

    /// An address and a port.
    pub fn address(&mut self, name: &str, text: &str) -> SocketAddr {
        SocketAddr::from_str(text).unwrap_or_else(|_| {
            self.add(name, "must be an address and a port such as 127.0.0.1:8080");
            SocketAddr::from(([127, 0, 0, 1], 0))
        })
    }

    /// A secret that is given itself or as the name of a file that holds it, not both. What is empty is not given: compose
    /// files pass on every variable, set or not.
    pub fn secret(&mut self, name: &str, value: Option<&str>, file: Option<&str>) -> Option<SecretString> {
        let value = value.filter(|value| !value.is_empty());
        let file = file.filter(|path| !path.is_empty()).map(Path::new);
        match (value, file) {
            (Some(_), Some(_)) => {
                self.add(name, format!("is given as well as {name}_FILE; give one of them"));
                None
            }
            (None, Some(path)) => self.secret_file(name, path),
            (value, None) => value.map(SecretString::from),
        }
    }

    fn secret_file(&mut self, name: &str, path: &Path) -> Option<SecretString> {
        match std::fs::read_to_string(path) {
            Ok(text) if !text.trim().is_empty() => Some(SecretString::from(text.trim())),
            Ok(_) => {
                self.add(&format!("{name}_FILE"), format!("the file {} is empty", path.display()));
                None
            }
            Err(error) => {
                self.add(
                    &format!("{name}_FILE"),
                    format!("the file {} cannot be read: {error}", path.display()),
                );
                None
            }
        }
    }
}

fn size(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let unit = match unit {
        "" => 1,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1_u64 << 40,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// Names the `MAILQUEUE_*` variables of this environment that neither `C` nor `others` know: misspelt ones, mostly.
pub fn unknown_variables<C: CommandFactory>(faults: &mut Faults, others: &[&str]) {
    let command = C::command();
    for (name, _) in std::env::vars_os() {
        let Some(name) = name.to_str().filter(|name| name.starts_with("MAILQUEUE_")) else { continue };
        if !knows(&command, name) && !others.contains(&name) {
            faults.add(name, "is not a setting of this program");
        }
    }
}

fn knows(command: &Command, name: &str) -> bool {
    command.get_arguments().any(|argument| argument.get_env().is_some_and(|env| env == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_always_one() {
        let mut faults = Faults::default();
        assert_eq!(["32MiB", "1GiB"].map(|text| faults.size("S", text, 32 << 20)), [32 << 20, 1 << 30]);
        assert!(faults.0.is_empty());
        assert_eq!(["31MiB", "off", ""].map(|text| faults.size("S", text, 32 << 20)), [32 << 20; 3]);
        assert_eq!(faults.0.len(), 3);
    }

    #[test]
    fn sizes_and_numbers_may_be_off() {
        let mut faults = Faults::default();
        let mut size = |text| faults.size_or_off("S", text, 64 << 20);
        assert_eq!(
            ["off", "64MiB", "10GiB", "2TiB", "67108864"].map(&mut size),
            [None, Some(64 << 20), Some(10 << 30), Some(2 << 40), Some(64 << 20)]
        );
        let wrong = ["63MiB", "", "GiB", "10GB", "-1GiB", "1.5GiB", "99999999999TiB"];
        assert_eq!(wrong.map(&mut size), [None; 7]);
        assert_eq!(faults.0.len(), wrong.len());
        assert_eq!(faults.number_or_off("N", "off", 10, 20), None);
        assert_eq!(faults.number_or_off("N", "20", 10, 20), Some(20));
        assert_eq!(faults.0.len(), wrong.len());
        assert_eq!(faults.number_or_off("N", "9", 10, 20), None);
        assert_eq!(faults.0.len(), wrong.len() + 1);
    }
}
