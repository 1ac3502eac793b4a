//! The plugins and note texts are compiled in: a new file among them must compile the crate again.

fn main() {
    println!("cargo::rerun-if-changed=plugins");
    println!("cargo::rerun-if-changed=templates");
}
