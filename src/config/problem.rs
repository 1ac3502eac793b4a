//! What is wrong with the settings, said so that an admin can go there and correct it.

use std::fmt;

/// One thing that is wrong (or, as a warning, doubtful).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// `client-a.toml:12`, or `environment variable CALLBRIDGE__…`.
    pub origin: Option<String>,
    /// `connections.shop.lines`; empty for a file as a whole.
    pub key: String,
    pub message: String,
}

impl Problem {
    pub fn new(origin: Option<&str>, key: &str, message: impl Into<String>) -> Self {
        Self { origin: origin.map(str::to_owned), key: key.to_owned(), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// Why a file cannot be read or written, without the numbers of the operating system.
pub fn io_words(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file or folder".to_owned(),
        std::io::ErrorKind::PermissionDenied => "this user may not read or write it".to_owned(),
        _ => {
            let said = error.to_string();
            said.split_once(" (os error ").map_or(said.clone(), |(words, _)| words.to_owned())
        }
    }
}

/// Everything that is wrong, by file and line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.problems.len();
        write!(f, "the settings cannot be used ({count} problem{}):", if count == 1 { "" } else { "s" })?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

/// The word of `known` that `word` was probably meant to be.
pub(super) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let likeness = |other: &&str| strsim::jaro_winkler(word, other).max(strsim::normalized_damerau_levenshtein(word, other));
    let best = known.iter().copied().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(&best) > 0.75).then_some(best)
}

/// `; did you mean …` or the list of what there is.
pub(super) fn suggestion(word: &str, known: &[&str]) -> String {
    match nearest(word, known) {
        Some(best) => format!("; did you mean `{best}`?"),
        None if known.is_empty() => String::new(),
        None => format!("; known here: {}", known.join(", ")),
    }
}
