//! The JSON Schema of `plugin.toml` and `case.toml`, so that editors complete keys. It is asked of the types that read the files:
//! a key can be in the one only if it is in the other.

mod build;
mod probe;

#[cfg(test)]
mod tests;

pub use build::{schema, schema_files};
