//! Note texts: what a salesperson reads on the record, from `templates/notes/<language>/<kind>.hbs`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use include_dir::{Dir, include_dir};
use serde_json::Value as Json;

use super::names;
use super::problem::Problem;
use super::template::{Escape, RenderError, Template};

static SHIPPED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates/notes");

/// Which text a note takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoteKind {
    Answered,
    NoAnswer,
    Unreachable,
    Unknown,
    Refused,
    Expired,
    Cancelled,
    Lost,
}

impl NoteKind {
    pub const ALL: [NoteKind; 8] = [
        NoteKind::Answered,
        NoteKind::NoAnswer,
        NoteKind::Unreachable,
        NoteKind::Unknown,
        NoteKind::Refused,
        NoteKind::Expired,
        NoteKind::Cancelled,
        NoteKind::Lost,
    ];

    /// The name of its file.
    pub fn as_str(self) -> &'static str {
        match self {
            NoteKind::Answered => "answered",
            NoteKind::NoAnswer => "no_answer",
            NoteKind::Unreachable => "unreachable",
            NoteKind::Unknown => "unknown",
            NoteKind::Refused => "refused",
            NoteKind::Expired => "expired",
            NoteKind::Cancelled => "cancelled",
            NoteKind::Lost => "lost",
        }
    }
}

impl From<crate::domain::report::Disposition> for NoteKind {
    fn from(disposition: crate::domain::report::Disposition) -> NoteKind {
        use crate::domain::report::Disposition;
        match disposition {
            Disposition::Answered => NoteKind::Answered,
            Disposition::NoAnswer => NoteKind::NoAnswer,
            Disposition::Unreachable => NoteKind::Unreachable,
            Disposition::Unknown => NoteKind::Unknown,
        }
    }
}

/// One note in the three forms CRMs take.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Note {
    /// The first line.
    pub title: String,
    pub text: String,
    /// Escaped, lines parted by `<br>`.
    pub html: String,
    pub markdown: String,
}

impl Note {
    /// The same under a line of its own.
    pub fn headed(&self, line: &str) -> Note {
        Note::from_text(&format!("{line}\n{}", self.text))
    }

    /// From finished text: no spaces at line ends, no runs of empty lines.
    pub fn from_text(raw: &str) -> Note {
        let mut lines: Vec<&str> = Vec::new();
        for line in raw.trim().lines().map(str::trim_end) {
            if !line.is_empty() || lines.last().is_some_and(|last| !last.is_empty()) {
                lines.push(line);
            }
        }
        let text = lines.join("\n");
        let html = lines.iter().map(|line| handlebars::html_escape(line)).collect::<Vec<_>>().join("<br>");
        let markdown = lines.iter().map(|line| escape_markdown(line)).collect::<Vec<_>>().join("  \n");
        Note { title: lines.first().map(|line| (*line).to_owned()).unwrap_or_default(), text, html, markdown }
    }
}

fn escape_markdown(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    for (index, c) in line.chars().enumerate() {
        let special = matches!(c, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '~') || (index == 0 && matches!(c, '#' | '-' | '+' | '='));
        if special {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// The texts that are shipped, by language and kind.
#[derive(Debug)]
pub struct Notes {
    texts: BTreeMap<(String, &'static str), Template>,
    problems: Vec<Problem>,
}

impl Notes {
    /// The compiled-in texts.
    pub fn shipped() -> &'static Notes {
        static NOTES: LazyLock<Notes> = LazyLock::new(|| {
            let files = SHIPPED.dirs().flat_map(Dir::files);
            Notes::read(files.filter_map(|file| Some((file.path().to_str()?.to_owned(), file.contents_utf8()?))))
        });
        &NOTES
    }

    /// From `<language>/<kind>.hbs` files.
    pub fn read<'a>(files: impl Iterator<Item = (String, &'a str)>) -> Notes {
        let mut notes = Notes { texts: BTreeMap::new(), problems: Vec::new() };
        for (path, source) in files {
            let parts = path.strip_suffix(".hbs").and_then(|stem| stem.split_once('/'));
            let Some((language, kind)) = parts.and_then(|(language, stem)| Some((language, NoteKind::ALL.iter().find(|kind| kind.as_str() == stem)?))) else {
                notes.problems.push(Problem::error(&path, 0, "this is not a note text: expected <language>/<kind>.hbs"));
                continue;
            };
            match check(source) {
                Ok(template) => {
                    notes.texts.insert((language.to_owned(), kind.as_str()), template);
                }
                Err(faults) => notes.problems.extend(faults.into_iter().map(|mut fault| {
                    fault.file.clone_from(&path);
                    fault
                })),
            }
        }
        notes
    }

    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Renders a note; `own` is the connection's own text for this kind. A language without the text falls back to English.
    pub fn render(&self, kind: NoteKind, language: &str, own: Option<&Template>, context: &Json) -> Result<Note, RenderError> {
        let text = |language: &str| self.texts.get(&(language.to_owned(), kind.as_str()));
        match own.or_else(|| text(language)).or_else(|| text("en")) {
            Some(template) => Ok(Note::from_text(&template.render_data(context)?)),
            None => Err(RenderError { line: 0, message: format!("there is no note text `{language}/{}`", kind.as_str()) }),
        }
    }
}

/// Compiles a note text, as an admin may write one for a connection.
pub fn check(source: &str) -> Result<Template, Vec<Problem>> {
    Template::compile(source, Escape::Text, &names::note())
        .map_err(|faults| faults.into_iter().map(|fault| Problem::error("note", fault.line, fault.message)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_cannot_carry_html_or_markdown_of_the_customer() {
        let note = Note::from_text("Đã gọi *An*\n\n\n<script>alert(1)</script>  \n");
        assert_eq!(note.title, "Đã gọi *An*");
        assert_eq!(note.html, "Đã gọi *An*<br><br>&lt;script&gt;alert(1)&lt;/script&gt;");
        assert!(note.markdown.starts_with("Đã gọi \\*An\\*"));
    }

    #[test]
    fn data_in_a_note_is_not_a_template() {
        let notes = Notes::read(std::iter::once(("en/answered.hbs".to_owned(), "{{customer.name}} {{#if report.notes}}{{report.notes}}{{/if}}")));
        let context = serde_json::json!({"customer": {"name": "{{call.id}}"}, "report": {"notes": "{{#each}}"}, "call": {"id": "secret"}});
        assert_eq!(notes.render(NoteKind::Answered, "vi", None, &context).unwrap().text, "{{call.id}} {{#each}}");
        assert!(check("{{customer.nmae}}").unwrap_err()[0].message.contains("`name`"));
    }

    #[test]
    fn every_shipped_text_compiles() {
        assert_eq!(Notes::shipped().problems(), []);
    }
}
