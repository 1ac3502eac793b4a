//! What is wrong with a plugin folder, said so that its author can mend it: file, line, key and the nearest right word.

use std::fmt;

/// Whether a plugin may be used in spite of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Error,
    Warning,
}

/// One problem in one file of a plugin folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub severity: Severity,
    /// Path inside the folder.
    pub file: String,
    /// From 1; 0 where the whole file is meant.
    pub line: usize,
    pub message: String,
}

impl Problem {
    pub fn error(file: &str, line: usize, message: impl Into<String>) -> Problem {
        Problem { severity: Severity::Error, file: file.to_owned(), line, message: message.into() }
    }

    pub fn warning(file: &str, line: usize, message: impl Into<String>) -> Problem {
        Problem { severity: Severity::Warning, file: file.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.severity == Severity::Error { "error" } else { "warning" };
        match self.line {
            0 => write!(f, "{}: {word}: {}", self.file, self.message),
            line => write!(f, "{}:{line}: {word}: {}", self.file, self.message),
        }
    }
}

/// The candidate that `word` was probably meant to be.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let all: Vec<&'a str> = candidates.into_iter().collect();
    all.iter()
        .copied()
        .map(|candidate| (strsim::damerau_levenshtein(&word.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= 2.max(candidate.chars().count() / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
        .or_else(|| abbreviated(word, all))
}

/// `map` of `mapping`: a word of which the other is the beginning.
fn abbreviated<'a>(word: &str, candidates: Vec<&'a str>) -> Option<&'a str> {
    const SHORTEST: usize = 3;
    candidates.into_iter().filter(|candidate| candidate.len().min(word.len()) >= SHORTEST).find(|c| c.starts_with(word) || word.starts_with(*c))
}

/// " (did you mean `x`?)" or nothing.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, candidates).map(|right| format!(" (did you mean `{right}`?)")).unwrap_or_default()
}

/// The line, from 1, of a byte offset.
pub fn line_of(source: &str, offset: usize) -> usize {
    source.as_bytes().iter().take(offset).filter(|b| **b == b'\n').count() + 1
}

/// A TOML error as a problem; the nearest right key is added to "unknown field" and "unknown variant".
pub fn of_toml(file: &str, source: &str, error: &toml::de::Error) -> Problem {
    let line = error.span().map_or(0, |span| line_of(source, span.start));
    let message = &worded(source, error);
    let words: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let hint = match words.split_first() {
        Some((wrong, right)) if message.starts_with("unknown ") => did_you_mean(wrong, right.iter().copied()),
        _ => String::new(),
    };
    Problem::error(file, line, format!("{message}{hint}"))
}

/// Its message with the key that it is about, and without the names of our types.
fn worded(source: &str, error: &toml::de::Error) -> String {
    let mut words: Vec<&str> = error.message().split(' ').collect();
    while let Some(at) = words.iter().position(|word| *word == "struct") {
        words.splice(at..(at + 2).min(words.len()), ["a", "table"]);
    }
    let message = words.join(" ").replace("expected a sequence", "expected a list");
    let Some(span) = error.span().filter(|_| message.starts_with("invalid ") || message == "duplicate key") else { return message };
    let begin = source.get(..span.start).map_or(0, |before| before.rfind('\n').map_or(0, |at| at + 1));
    let line = source.get(begin..).and_then(|rest| rest.lines().next()).unwrap_or_default();
    let key = line.split('=').next().unwrap_or_default().trim();
    if key.is_empty() || key.starts_with('#') { message } else { format!("`{key}`: {message}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_its_word_and_a_strange_word_finds_none() {
        assert_eq!(nearest("acess_token", ["client_secret", "access_token"]), Some("access_token"));
        assert_eq!(nearest("mapping", ["body", "map"]), Some("map"));
        assert_eq!(nearest("banana", ["client_secret", "access_token"]), None);
    }
}
