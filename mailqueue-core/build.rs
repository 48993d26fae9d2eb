//! Makes a new migration a reason to build anew: the embedding macro reads the folder but does not watch it. And writes a
//! table of the steps with their SQL, which that macro does not give.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=migrations");
    let variable = |name| env::var_os(name).map(PathBuf::from).ok_or_else(|| io::Error::other(name));
    let (root, out) = (variable("CARGO_MANIFEST_DIR")?, variable("OUT_DIR")?);
    for database in ["postgres", "sqlite"] {
        let steps = steps(&root.join("migrations").join(database))?;
        fs::write(out.join(format!("{database}_steps.rs")), steps)?;
    }
    Ok(())
}

/// A table of the steps in a folder: their names and their SQL, in the order in which they run.
fn steps(folder: &Path) -> io::Result<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    let step = |name: &String| format!("({name:?}, include_str!({:?})),\n", folder.join(name).join("up.sql"));
    Ok(format!("&[\n{}]", names.iter().map(step).collect::<String>()))
}
