//! Makes a new migration a reason to build anew: the embedding macro reads the folder but does not watch it.

fn main() {
    println!("cargo::rerun-if-changed=migrations");
}
