//! Where the installed servers and load generators are.

use std::path::{Path, PathBuf};

/// The path of an installed program such as `pgbench` or `smtp-source`.
///
/// Looked for in `PATH`, in the newest `/usr/lib/postgresql/*/bin`, and in the `sbin` directories, which
/// an ordinary user's `PATH` lacks.
///
/// # Panics
///
/// With the Debian package to install, when the program is in none of them.
pub fn tool(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(postgres_directories())
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| panic!("{name} is not installed: {}", advice(name)))
}

/// Debian keeps each major version's binaries apart; the newest comes first.
fn postgres_directories() -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir("/usr/lib/postgresql") else { return Vec::new() };
    let mut versions: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    versions.sort_by_key(|path| std::cmp::Reverse(major_version(path)));
    versions.into_iter().map(|path| path.join("bin")).collect()
}

fn major_version(path: &Path) -> u32 {
    path.file_name().and_then(|name| name.to_str()?.parse().ok()).unwrap_or(0)
}

fn advice(name: &str) -> String {
    let package = match name {
        "initdb" | "postgres" | "pg_ctl" | "pgbench" => "postgresql",
        "psql" | "pg_dump" => "postgresql-client",
        "pgbouncer" => "pgbouncer",
        "redis-server" => "redis-server",
        "redis-cli" | "redis-benchmark" => "redis-tools",
        "smtp-sink" | "smtp-source" => "postfix",
        _ => return "put it into PATH".to_owned(),
    };
    format!("apt-get install {package}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(major_version(Path::new("/usr/lib/postgresql/9")) < major_version(Path::new("x/15")));
    }

    #[test]
    fn the_advice_names_the_package() {
        assert_eq!(advice("smtp-sink"), "apt-get install postfix");
        assert_eq!(advice("initdb"), "apt-get install postgresql");
    }

    #[test]
    #[should_panic(expected = "no-such-program is not installed")]
    fn a_program_that_nobody_has_is_not_found() {
        tool("no-such-program");
    }
}
