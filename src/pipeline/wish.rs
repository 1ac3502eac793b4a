//! From a mapped item to a call, or to the reason why not. Pure but for the new call's id.

use std::time::Duration;

use crate::domain::call::{Call, Origin, State};
use crate::domain::connection::{Connection, Mode, Priority};
use crate::domain::event::Event;
use crate::domain::id::CallId;
use crate::domain::item::{Ignored, Item, Outcome};
use crate::domain::phone;
use crate::domain::pool::PoolId;
use crate::domain::record::{ID_BYTES, cut};
use crate::domain::rule::Waits;
use crate::domain::time::Time;
use crate::domain::write_back::WriteBack;
use crate::error::Code;
use crate::plugin::Mapped;
use crate::plugin::manifest::SenderRetries;
use crate::store::MappedItem;

use super::app::{Live, Wired};

/// A wish of longer ago counts from its arrival: the sender's clock is wrong.
const OLDEST_WISH: Duration = Duration::from_secs(14 * 86_400);
/// An event without an id of its own is known by its content: the same content later may be a new wish.
const CONTENT_KEY_KEPT: Duration = Duration::from_secs(15 * 60);

/// The most values of a delivery that a call keeps for its write-back.
const KEPT: usize = 10;
/// The same refusal of the same record and number stands on the record once in this time.
const TOLD_ONCE_IN: Duration = Duration::from_secs(86_400);

/// What is needed to make a call of an item.
pub struct Maker<'a> {
    pub live: &'a Live,
    pub wired: &'a Wired,
    pub plugin_hash: &'a str,
    pub retries: SenderRetries,
    pub now: Time,
    pub id: CallId,
}

impl Maker<'_> {
    /// The item with its call, or with the outcome that says why there is none.
    pub fn settle(&self, event: &Event, index: u16, mapped: &Mapped) -> MappedItem {
        let connection = &self.wired.connection;
        let mut mapped = mapped.clone();
        mapped.customer.cut();
        if let Some(owner) = &mut mapped.owner {
            cut(owner, ID_BYTES);
        }
        let mapped = &mapped;
        let decided = self.decide(event, index, mapped);
        let (outcome, call) = match decided {
            Ok(call) => (Outcome::Called { call: call.id }, Some(Box::new(call))),
            Err(outcome) => (outcome, None),
        };
        MappedItem {
            index,
            item: Item {
                outcome,
                record: if mapped.record.is_too_long() { Default::default() } else { mapped.record.clone() },
                customer: mapped.customer.clone(),
                at: self.now,
            },
            call,
            event_key: mapped.event_id.as_ref().filter(|_| mapped.ignored.is_none()).map(|id| (format!("{}\u{0}{id}", event.hook), self.kept(id))),
            duplicate_window: (!mapped.record.id.is_empty()).then_some(connection.duplicate_window),
            lookup_due: None,
            exposed: self.wired.hooks.iter().find(|w| w.hook.name == event.hook).and_then(|w| Some((w.hook.name.clone(), w.doorman.as_ref()?.per_number()))),
            tell: (connection.write_back_unreported && !connection.write_back.is_empty()).then_some(TOLD_ONCE_IN),
        }
    }

    /// At least as long as this CRM delivers again.
    fn kept(&self, event_id: &str) -> Duration {
        match self.retries {
            _ if event_id.starts_with("sha256:") && self.retries != SenderRetries::Hours => {
                // Whoever lets the same customer be called again sooner means the same form sent again, too.
                CONTENT_KEY_KEPT.min(self.wired.connection.duplicate_window)
            }
            SenderRetries::None => Duration::from_secs(3600),
            SenderRetries::Soon => Duration::from_secs(86_400),
            SenderRetries::Hours => Duration::from_secs(4 * 86_400),
        }
    }

    fn decide(&self, event: &Event, index: u16, mapped: &Mapped) -> Result<Call, Outcome> {
        let connection = &self.wired.connection;
        match mapped.ignored {
            Some("own_write") => return Err(Outcome::Ignored { why: Ignored::OwnWrite }),
            Some(_) => return Err(Outcome::Ignored { why: Ignored::Filter }),
            None => {}
        }
        let refused = |code, detail: String| Outcome::Refused { code, detail };
        if mapped.record.is_too_long() {
            return Err(refused(Code::TooLarge, format!("the record's type and id may have {ID_BYTES} bytes")));
        }
        if mapped.customer.phone.trim().is_empty() {
            return Err(refused(Code::MissingPhone, String::new()));
        }
        let phone = connection.countries.normalise(&mapped.customer.phone).map_err(|e| refused(e.code(), e.to_string()))?;
        if !has_line(connection, self.live) {
            return Err(Outcome::Failed { code: Code::NoLine, detail: Code::NoLine.sentence("en").into() });
        }
        let interactive = match connection.priority {
            Some(priority) => priority == Priority::Interactive,
            None => mapped.interactive,
        };
        let happened = || mapped.occurred_at.filter(|at| *at <= event.received_at && event.received_at.since(*at) < OLDEST_WISH);
        let wished_at = event.let_in.or_else(happened).unwrap_or(event.received_at);
        let mut call = blank(self.id, event.workspace.clone(), Origin::Item { event: event.id, index }, phone, wished_at, self.now);
        call.connection = Some(connection.id.clone());
        call.record = mapped.record.clone();
        call.owner.clone_from(&mapped.owner);
        call.customer = mapped.customer.clone();
        call.interactive = interactive;
        call.consent = mapped.consent;
        if let Some(policy) = self.live.policy(Some(&connection.id), &connection.workspace) {
            call.expires_at = policy.expires(interactive, wished_at, self.now);
        }
        call.plugin_hash = self.plugin_hash.to_owned();
        mapped.keep.iter().filter(|(_, value)| !value.is_empty()).take(KEPT).for_each(|(name, value)| call.keep(name, value));
        test_mode(&mut call, connection);
        Ok(call)
    }
}

/// In test mode the dialer gets the admin's own phone, or nothing.
pub fn test_mode(call: &mut Call, connection: &Connection) {
    if connection.mode == Mode::Test {
        call.labels.insert("mode".into(), "test".into());
        call.test_phone = connection.test_phone.as_deref().and_then(|p| phone::normalise(p).ok());
    }
}

/// Whether the connection has a line that exists.
pub fn has_line(connection: &Connection, live: &Live) -> bool {
    live.pools.get(&PoolId::Connection(connection.id.clone())).is_some_and(|pool| !pool.lines.is_empty())
}

/// A queued call with nothing but who and when.
pub fn blank(id: CallId, workspace: crate::domain::id::WorkspaceId, origin: Origin, phone: phone::Phone, wished_at: Time, now: Time) -> Call {
    Call {
        id,
        workspace,
        connection: None,
        origin,
        state: State::Queued,
        version: 0,
        record: Default::default(),
        owner: None,
        customer: Default::default(),
        phone,
        lines: Vec::new(),
        line: None,
        interactive: true,
        consent: None,
        test_phone: None,
        wished_at,
        created_at: now,
        expires_at: now.plus(Waits::default().interactive),
        own_time: None,
        hold: None,
        ever_sent: false,
        placings: 0,
        system_errors: 0,
        placing_at: None,
        placed_at: None,
        ended_at: None,
        deadline: None,
        refusal: None,
        reason: None,
        held_by: None,
        report: None,
        reported_at: None,
        report_digests: Vec::new(),
        report_mismatch: false,
        write_back: WriteBack::default(),
        after: Default::default(),
        plugin_hash: String::new(),
        public_url: String::new(),
        forward: None,
        labels: Default::default(),
    }
}
