//! Wrong settings, all of them at once.

use std::net::SocketAddr;
use std::path::Path;

use secrecy::SecretString;

use super::fault::SettingFault;
use super::setting::Setting;

/// Collects wrong settings, so that all can be named at once.
#[derive(Debug, Default)]
pub struct Faults(Vec<SettingFault>);

impl Faults {
    /// Notes a fault.
    pub fn add(&mut self, name: &str, detail: impl Into<String>) {
        self.push(SettingFault { name: name.to_owned(), detail: detail.into() });
    }

    pub(super) fn push(&mut self, fault: SettingFault) {
        self.0.push(fault);
    }

    /// Nothing when all is well.
    ///
    /// # Errors
    ///
    /// The faults.
    pub fn into_result(self) -> Result<(), Vec<SettingFault>> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0) }
    }

    /// The value of a setting; `fallback` when it is faulty.
    pub fn value_or<T>(&mut self, setting: Setting<T>, fallback: T) -> T {
        setting.value.unwrap_or_else(|detail| {
            self.add(&setting.name, detail);
            fallback
        })
    }

    /// An address; when it is faulty, a stand-in with which nothing starts.
    pub fn address(&mut self, setting: Setting<SocketAddr>) -> SocketAddr {
        self.value_or(setting, SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// The value of a setting; its type's default when it is faulty.
    pub fn value<T: Default>(&mut self, setting: Setting<T>) -> T {
        self.value_or(setting, T::default())
    }

    /// The value of a setting that need not be given.
    pub fn optional<T>(&mut self, setting: Option<Setting<Option<T>>>) -> Option<T> {
        self.value(setting?)
    }

    /// A secret that is given itself or as the name of a file that holds it, not both. What is empty is not given: compose
    /// files pass on every variable, set or not.
    pub fn secret(
        &mut self,
        value: Option<Setting<String>>,
        file: Option<Setting<String>>,
    ) -> Option<SecretString> {
        let given = |setting: Option<Setting<String>>| {
            // A default does not count as given: a file would otherwise always stand beside it.
            let setting = setting.filter(|setting| !setting.is_default)?;
            Some((setting.name, setting.value.ok().filter(|text| !text.is_empty())?))
        };
        match (given(value), given(file)) {
            (Some((name, _)), Some((file, _))) => {
                self.add(&name, format!("is given as well as {file}; give one of them"));
                None
            }
            (None, Some((name, path))) => self.secret_file(&name, Path::new(&path)),
            (value, None) => value.map(|(_, text)| SecretString::from(text)),
        }
    }

    fn secret_file(&mut self, name: &str, path: &Path) -> Option<SecretString> {
        match std::fs::read_to_string(path) {
            // Editors end a file with a line break, which belongs to no secret.
            Ok(text) if !text.trim().is_empty() => return Some(SecretString::from(text.trim())),
            Ok(_) => self.add(name, format!("the file {} is empty", path.display())),
            Err(error) => self.add(name, format!("the file {} cannot be read: {error}", path.display())),
        }
        None
    }
}
