//! Shapes that several answers share.

use serde::Serialize;
use utoipa::ToSchema;

use super::brakes::StoppedView;
use crate::domain::rule::Policy;
use crate::domain::time::Time;
use crate::error::Code;
use crate::pipeline::app::App;
use crate::pipeline::outlook::Outlook;
use crate::store::Store;

/// One page, newest first. `next` goes into `before` of the next request; it is null on the last page.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// Of one entry more than the page has, if there are more.
    pub fn of<R>(mut rows: Vec<R>, limit: usize, id: impl Fn(&R) -> String, view: impl Fn(R) -> T) -> Self {
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(id);
        Self { items: rows.into_iter().map(view).collect(), next }
    }

    /// Everything there is.
    pub fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }
}

/// A text in both languages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Words {
    pub vi: String,
    pub en: String,
}

impl Words {
    pub fn new(vi: &str, en: &str) -> Self {
        Self { vi: vi.to_owned(), en: en.to_owned() }
    }
}

impl From<&crate::plugin::manifest::Words> for Words {
    fn from(words: &crate::plugin::manifest::Words) -> Self {
        Self::new(&words.vi, &words.en)
    }
}

/// A stable code, what it means and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Reason {
    pub code: String,
    pub sentence: Words,
    pub advice: Words,
}

impl From<Code> for Reason {
    fn from(code: Code) -> Self {
        let entry = code.entry();
        Self { code: entry.code.to_owned(), sentence: Words::new(entry.vi, entry.en), advice: Words::new(entry.advice_vi, entry.advice_en) }
    }
}

impl Reason {
    /// Of a moment, with what these rules know of it: the name of a holiday.
    pub fn at(code: Code, policy: &Policy, at: Time) -> Self {
        let [vi, en] = ["vi", "en"].map(|language| policy.sentence(code, at, language));
        Self { sentence: Words { vi, en }, ..Self::from(code) }
    }
}

/// Why something is not done now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Wait {
    /// Absent: nothing is in the way, other calls are merely before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// When it ends by itself, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub until: Option<String>,
    /// The line that would be first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
    /// Calls that wait for that line, this one among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<usize>,
    /// Who stopped all calling, since when and why, where that is what it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<StoppedView>,
}

impl Wait {
    /// With what the brakes say of it.
    pub fn of(app: &App, outlook: &Outlook) -> Self {
        let stopped = matches!(outlook, Outlook::Waits { code: Code::HoldStopped, .. }).then(|| app.store.brakes().stopped).flatten();
        Self { stopped: stopped.map(StoppedView::from), ..Self::from(outlook) }
    }

    /// With the names of what these rules wait for now.
    pub fn named(mut self, outlook: &Outlook, policy: &Policy, now: Time) -> Self {
        if let Outlook::Waits { code, .. } = outlook {
            self.reason = Some(Reason::at(*code, policy, now));
        }
        self
    }
}

impl From<&Outlook> for Wait {
    fn from(outlook: &Outlook) -> Self {
        match outlook {
            Outlook::Now { line, ahead } => Self { reason: None, until: None, line: Some(line.to_string()), waiting: Some(*ahead), stopped: None },
            Outlook::Refused { code } => Self { reason: Some((*code).into()), until: None, line: None, waiting: None, stopped: None },
            Outlook::Waits { code, until, line } => {
                Self { reason: Some((*code).into()), until: when(*until), line: line.as_ref().map(ToString::to_string), waiting: None, stopped: None }
            }
        }
    }
}

/// RFC 3339 in UTC.
pub fn when(time: Option<Time>) -> Option<String> {
    time.map(Time::rfc3339)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_page_with_more_behind_it_has_a_next() {
        let page = Page::of(vec![5, 4, 3], 2, ToString::to_string, |n| n);
        assert_eq!((page.items, page.next.as_deref()), (vec![5, 4], Some("4")));
        assert_eq!(Page::of(vec![5, 4], 2, ToString::to_string, |n| n).next, None);
    }
}
