//! The CRM's data, in memory: customers, notes, and the calls that were asked for. No I/O, no clock.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::time::Time;
use crate::simulator::sample::{CUSTOMERS, Sample};

/// A customer. What the page does not know is kept in `fields`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Customer {
    pub id: String,
    pub name: String,
    pub phone: String,
    /// `male`, `female`, `company` or empty.
    pub gender: String,
    pub company: String,
    pub city: String,
    pub stage: String,
    pub owner: String,
    pub info: String,
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

/// What a result said about its call; absent where it said nothing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Outcome {
    pub state: String,
    pub disposition: String,
    pub interest: String,
    pub answer_seconds: Option<i64>,
    pub call_seconds: Option<i64>,
    /// What the agent typed.
    pub notes: String,
    pub version: i64,
}

/// An entry on a customer.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Note {
    pub id: String,
    pub customer_id: String,
    pub call_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_id: String,
    pub text: String,
    pub outcome: Option<Outcome>,
    pub created_ms: i64,
    pub updated_ms: i64,
    /// How often it was changed after it was made.
    pub changes: u32,
}

/// How far a call that was asked for on the page has come, as far as this CRM can know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AskState {
    Asking,
    /// The bridge answered 2xx.
    Accepted,
    /// The bridge answered something else.
    Rejected,
    /// The bridge could not be reached.
    Failed,
    /// Its result is on the customer.
    Done,
}

/// One press of the Call button.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ask {
    pub id: String,
    pub customer_id: String,
    pub state: AskState,
    pub asked_ms: i64,
    pub changed_ms: i64,
    /// The bridge's HTTP status.
    pub status: Option<u16>,
    /// The readable part of its answer, and the answer.
    pub say: String,
    pub answer: String,
    pub call_id: String,
}

/// What a crash test counts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Totals {
    pub customers: usize,
    pub notes: usize,
    pub creates: u64,
    pub updates: u64,
    pub searches: u64,
    /// Call ids with more than one entry.
    pub doubled: usize,
    /// Planned failures that were played.
    pub failures: u64,
    pub asks: usize,
}

/// Everything the CRM remembers.
#[derive(Debug, Default)]
pub struct Book {
    customers: BTreeMap<String, Customer>,
    notes: BTreeMap<u64, Note>,
    by_call: HashMap<String, Vec<u64>>,
    by_client: HashMap<String, u64>,
    by_customer: HashMap<String, Vec<u64>>,
    asks: Vec<Ask>,
    next_customer: u64,
    next_note: u64,
    pub totals: Totals,
}

/// Asks kept for the page.
const ASKS_KEPT: usize = 500;

impl Book {
    /// The demo's customers.
    pub fn sample() -> Book {
        let mut book = Book::default();
        for Sample { name, phone, gender, company, city, stage, owner, info, .. } in CUSTOMERS {
            let text = |s: &&str| (*s).to_owned();
            let (name, phone, gender, company) = (text(name), text(phone), text(gender), text(company));
            let (city, stage, owner, info) = (text(city), text(stage), text(owner), text(info));
            book.add_customer(Customer { id: String::new(), name, phone, gender, company, city, stage, owner, info, fields: Map::new() });
        }
        book
    }

    /// Adds a customer, or replaces the one with its id; an empty id gets the next number.
    pub fn add_customer(&mut self, mut customer: Customer) -> String {
        if customer.id.is_empty() {
            self.next_customer += 1;
            customer.id = (1000 + self.next_customer).to_string();
        }
        let id = customer.id.clone();
        self.customers.insert(id.clone(), customer);
        id
    }

    pub fn customer(&self, id: &str) -> Option<&Customer> {
        self.customers.get(id)
    }

    pub fn customers(&self) -> impl Iterator<Item = &Customer> {
        self.customers.values()
    }

    /// Sets fields of a customer; `None` if there is none or a field cannot hold its value.
    pub fn change_customer(&mut self, id: &str, changes: Map<String, Value>) -> Option<&Customer> {
        let mut value = serde_json::to_value(self.customers.get(id)?).ok()?;
        value.as_object_mut()?.extend(changes.into_iter().filter(|(name, _)| name != "id"));
        self.customers.insert(id.to_owned(), serde_json::from_value(value).ok()?);
        self.customers.get(id)
    }

    /// Makes an entry. With `unique_client`, an entry of the same client id is returned instead (`false`: not made).
    pub fn add_note(&mut self, note: Note, unique_client: bool, now: Time) -> (&Note, bool) {
        let known = self.by_client.get(&note.client_id).copied().filter(|_| unique_client && !note.client_id.is_empty());
        let number = known.unwrap_or_else(|| self.insert_note(note, now));
        (self.notes.entry(number).or_default(), known.is_none())
    }

    fn insert_note(&mut self, note: Note, now: Time) -> u64 {
        self.next_note += 1;
        self.totals.creates += 1;
        let number = self.next_note;
        if !note.call_id.is_empty() {
            let entries = self.by_call.entry(note.call_id.clone()).or_default();
            entries.push(number);
            self.totals.doubled += usize::from(entries.len() == 2);
        }
        if !note.client_id.is_empty() {
            self.by_client.insert(note.client_id.clone(), number);
        }
        self.by_customer.entry(note.customer_id.clone()).or_default().push(number);
        self.notes.insert(number, Note { id: format!("n{number}"), created_ms: now.0, updated_ms: now.0, ..note });
        number
    }

    /// Changes an entry's text and outcome.
    pub fn change_note(&mut self, id: &str, text: Option<String>, outcome: Option<Outcome>, now: Time) -> Option<&Note> {
        let note = self.notes.get_mut(&id.strip_prefix('n')?.parse().ok()?)?;
        note.text = text.unwrap_or_else(|| std::mem::take(&mut note.text));
        note.outcome = outcome.or_else(|| note.outcome.take());
        note.updated_ms = now.0;
        note.changes += 1;
        self.totals.updates += 1;
        Some(note)
    }

    pub fn note(&self, id: &str) -> Option<&Note> {
        self.notes.get(&id.strip_prefix('n')?.parse().ok()?)
    }

    /// Entries of a call, oldest first.
    pub fn notes_of_call<'a>(&'a self, call_id: &str) -> impl Iterator<Item = &'a Note> {
        self.by_call.get(call_id).into_iter().flatten().filter_map(|n| self.notes.get(n))
    }

    /// Entries of a customer, oldest first.
    pub fn notes_of_customer<'a>(&'a self, id: &str) -> impl Iterator<Item = &'a Note> {
        self.by_customer.get(id).into_iter().flatten().filter_map(|n| self.notes.get(n))
    }

    /// How many entries each call id has.
    pub fn entries_by_call(&self) -> BTreeMap<String, usize> {
        self.by_call.iter().map(|(call, notes)| (call.clone(), notes.len())).collect()
    }

    /// Somebody pressed Call.
    pub fn ask(&mut self, id: String, customer_id: &str, now: Time) -> Ask {
        let (say, answer, call_id) = (String::new(), String::new(), String::new());
        let customer_id = customer_id.to_owned();
        let ask = Ask { id, customer_id, state: AskState::Asking, asked_ms: now.0, changed_ms: now.0, status: None, say, answer, call_id };
        self.asks.push(ask.clone());
        self.totals.asks += 1;
        if self.asks.len() > ASKS_KEPT {
            self.asks.remove(0);
        }
        ask
    }

    /// What the bridge answered. A result that came before its answer stays the last word.
    pub fn answered(&mut self, id: &str, state: AskState, status: Option<u16>, say: String, answer: String, now: Time) -> Option<Ask> {
        let ask = self.asks.iter_mut().rev().find(|a| a.id == id)?;
        if ask.state != AskState::Done {
            ask.state = state;
        }
        (ask.status, ask.say, ask.answer, ask.changed_ms) = (status, say, answer, now.0);
        Some(ask.clone())
    }

    /// A result came: the oldest press that still waits for one has it. The bridge calls one customer in order.
    pub fn resolved(&mut self, customer_id: &str, call_id: &str, now: Time) -> Option<Ask> {
        if self.asks.iter().any(|a| a.call_id == call_id) {
            return None;
        }
        let waits = |a: &&mut Ask| a.customer_id == customer_id && matches!(a.state, AskState::Asking | AskState::Accepted);
        let ask = self.asks.iter_mut().find(waits)?;
        (ask.state, ask.call_id, ask.changed_ms) = (AskState::Done, call_id.to_owned(), now.0);
        Some(ask.clone())
    }

    /// Presses on a customer, oldest first.
    pub fn asks_of<'a>(&'a self, customer_id: &'a str) -> impl Iterator<Item = &'a Ask> {
        self.asks.iter().filter(move |a| a.customer_id == customer_id)
    }

    pub fn totals(&self) -> Totals {
        Totals { customers: self.customers.len(), notes: self.notes.len(), ..self.totals.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(call_id: &str, client_id: &str) -> Note {
        Note { customer_id: "1001".into(), call_id: call_id.into(), client_id: client_id.into(), ..Note::default() }
    }

    #[test]
    fn two_entries_of_one_call_are_counted() {
        let mut book = Book::sample();
        assert!(book.add_note(note("c1", ""), true, Time(1)).1);
        assert!(book.add_note(note("c1", ""), true, Time(2)).1);
        assert_eq!((book.totals().doubled, book.entries_by_call()["c1"]), (1, 2));
    }

    #[test]
    fn a_client_id_seen_before_makes_no_new_entry_if_switched_on() {
        let mut book = Book::sample();
        let first = book.add_note(note("c1", "x"), true, Time(1)).0.id.clone();
        let (again, made) = book.add_note(note("c1", "x"), true, Time(2));
        assert_eq!((again.id.as_str(), made), (first.as_str(), false));
        assert!(book.add_note(note("c1", "x"), false, Time(3)).1);
    }

    #[test]
    fn a_result_before_the_answer_stays_the_last_word() {
        let mut book = Book::sample();
        let ask = book.ask("a1".into(), "1001", Time(1));
        assert_eq!(book.resolved("1001", "c1", Time(2)).unwrap().state, AskState::Done);
        assert_eq!(book.resolved("1001", "c1", Time(2)), None);
        let ask = book.answered(&ask.id, AskState::Accepted, Some(202), String::new(), String::new(), Time(3)).unwrap();
        assert_eq!((ask.state, ask.status), (AskState::Done, Some(202)));
    }

    #[test]
    fn fields_the_page_does_not_know_are_kept() {
        let mut book = Book::sample();
        let changes = serde_json::from_str(r#"{"stage":"customer","last_call":"answered","id":"7"}"#).unwrap();
        let customer = book.change_customer("1001", changes).unwrap();
        assert_eq!((customer.id.as_str(), customer.stage.as_str(), &customer.fields["last_call"]), ("1001", "customer", &Value::from("answered")));
    }
}
