//! Splits an event into items and makes calls of them; items that lack something are left to look-ups.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::app::{App, Wired};
use super::outlook;
use super::wish::Maker;
use crate::domain::event::{Delivery, Event};
use crate::domain::id::{CallId, EventId};
use crate::domain::item::{Item, Outcome};
use crate::domain::time::Time;
use crate::error::Code;
use crate::plugin::trigger::Fit;
use crate::plugin::{Learnt, LookupContext, MapContext, Mapped, Piece, Plugin, Variant};
use crate::store::{MappedItem, Store, StoreError};

/// An event as the plugin sees it again: stored bytes, stored headers.
pub struct Opened {
    pub event: Event,
    pub delivery: Delivery,
    pub body: Value,
    pub items: Vec<Piece>,
}

/// Maps one event. Whatever goes wrong is an outcome of an item, so that it adds up.
pub async fn run(app: &App, id: EventId) -> Result<(), StoreError> {
    let Some(event) = app.store.event(id)? else {
        app.store.finish_map(app.clock.now(), id, Vec::new()).await?;
        return Ok(());
    };
    let now = app.clock.now();
    let items = match open(app, event.clone())? {
        Ok((opened, plugin, wired)) => map_all(app, &opened, &plugin, &wired, now),
        Err((code, detail)) => vec![failed(0, code, detail, now)],
    };
    let settled = app.store.finish_map(now, id, items).await?;
    tracing::debug!(event.id = %id, calls = settled.called.len(), duplicates = settled.duplicates, "an event was mapped");
    Ok(())
}

pub type Opening = Result<(Opened, std::sync::Arc<Plugin>, std::sync::Arc<Wired>), (Code, String)>;

/// Reads an event again with its connection and plugin.
pub fn open(app: &App, event: Event) -> Result<Opening, StoreError> {
    let Some(wired) = app.connection(&event.connection) else { return Ok(Err((Code::HoldRemoved, Code::HoldRemoved.sentence("en").into()))) };
    let Some(plugin) = app.plugins.get(&wired.connection.plugin) else { return Ok(Err((Code::PluginMissing, wired.connection.plugin.clone()))) };
    let delivery = Delivery {
        method: event.method.clone(),
        uri: String::new(),
        tail: event.tail.clone(),
        query: event.query.clone(),
        headers: event.headers.clone(),
        body: app.store.body(event.id)?,
        received_at: event.received_at,
    };
    let read = || -> Result<(Value, Vec<Piece>), (Code, String)> {
        let variant = variant(&plugin, &event)?;
        let body = plugin.parse(variant, &delivery).map_err(|e| (e.code, e.detail))?;
        let items = plugin.split(variant, &body).map_err(|e| (e.code, e.detail))?;
        Ok((body, items))
    };
    Ok(read().map(|(body, items)| (Opened { event, delivery, body, items }, plugin, wired)))
}

pub fn variant<'a>(plugin: &'a Plugin, event: &Event) -> Result<&'a Variant, (Code, String)> {
    plugin.variant(&event.variant).ok_or_else(|| (Code::MapFailed, format!("the plugin no longer has the variant `{}`", event.variant)))
}

fn map_all(app: &App, opened: &Opened, plugin: &Plugin, wired: &Wired, now: Time) -> Vec<MappedItem> {
    if opened.items.is_empty() {
        let item =
            Item { outcome: Outcome::Ignored { why: crate::domain::item::Ignored::Filter }, record: Default::default(), customer: Default::default(), at: now };
        return vec![MappedItem { index: 0, item, call: None, event_key: None, duplicate_window: None, lookup_due: None, exposed: None, tell: None }];
    }
    let params = wired.params_at(&opened.event.hook);
    let learnt = Learnt::default();
    (0u16..)
        .zip(&opened.items)
        .map(|(index, piece)| match map_one(app, wired, plugin, opened, piece, params) {
            Err((code, detail)) => failed(index, code, detail, now),
            Ok(mapped) => {
                let item = piece.item(&opened.body);
                let mut mapped = mapped;
                let context = LookupContext { params, item, learnt: &learnt };
                let lacks = mapped.ignored.is_none() && matches!(plugin.next_lookup(&mapped, &context, &BTreeSet::new()), Ok(Some(_)));
                if !lacks {
                    triggered(plugin, wired, opened, &mut mapped, item, true);
                }
                let settled = maker(app, opened, plugin, wired, now).settle(&opened.event, index, &mapped);
                if lacks { MappedItem { call: None, lookup_due: Some(now), ..settled } } else { settled }
            }
        })
        .collect()
}

/// What the plugin reads of one item.
pub fn map_one(
    app: &App,
    wired: &Wired,
    plugin: &Plugin,
    opened: &Opened,
    piece: &Piece,
    params: &std::collections::BTreeMap<String, String>,
) -> Result<Mapped, (Code, String)> {
    let context = MapContext { params, body: &opened.body, query: &opened.delivery.query, headers: &opened.delivery.headers, lookups: &Map::new() };
    let mut mapped = plugin.map(variant(plugin, &opened.event)?, piece, &context).map_err(|e| (Code::MapFailed, e.to_string()))?;
    echo(app, wired, opened, &mut mapped);
    triggered(plugin, wired, opened, &mut mapped, piece.item(&opened.body), false);
    Ok(mapped)
}

/// Ignores what a write of ours to the same record caused. What a person pressed is no echo.
pub fn echo(app: &App, wired: &Wired, opened: &Opened, mapped: &mut Mapped) {
    let quiet = mapped.quiet.filter(|_| !mapped.interactive);
    let ours = quiet.is_some_and(|quiet| app.own_writes.within(&wired.connection.id, &mapped.record, opened.event.received_at, quiet));
    if ours && mapped.ignored.is_none() {
        mapped.ignored = Some("own_write");
    }
}

/// Ignores an item that does not fit the connection's trigger. `looked_up`: nothing more will be known of it.
pub fn triggered(plugin: &Plugin, wired: &Wired, opened: &Opened, mapped: &mut Mapped, item: &Value, looked_up: bool) {
    let (Some(trigger), Some(variant)) = (&wired.connection.trigger, plugin.variant(&opened.event.variant)) else { return };
    if mapped.ignored.is_none() && plugin.fits(trigger, variant, mapped, item, looked_up) == Fit::No {
        mapped.ignored = Some("filter");
    }
}

pub fn maker<'a>(app: &'a App, opened: &Opened, plugin: &'a Plugin, wired: &'a Wired, now: Time) -> OwnedMaker<'a> {
    let retries = plugin.variant(&opened.event.variant).map(|v| v.sender_retries).unwrap_or_default();
    OwnedMaker { app, live: app.live.load_full(), wired, plugin, retries, now, id: CallId::from_uuid(app.clock.uuid()) }
}

/// A [`Maker`] that keeps the configuration it works with.
pub struct OwnedMaker<'a> {
    app: &'a App,
    live: std::sync::Arc<super::app::Live>,
    wired: &'a Wired,
    plugin: &'a Plugin,
    retries: crate::plugin::manifest::SenderRetries,
    now: Time,
    id: CallId,
}

impl OwnedMaker<'_> {
    pub fn settle(&self, event: &Event, index: u16, mapped: &Mapped) -> MappedItem {
        let maker = Maker { live: &self.live, wired: self.wired, plugin_hash: self.plugin.hash(), retries: self.retries, now: self.now, id: self.id };
        let mut settled = maker.settle(event, index, mapped);
        if let Some(call) = &mut settled.call {
            // What cannot be read now does not refuse a call: it waits, and its clock runs.
            call.refusal = outlook::in_vain(self.app, call, self.now).ok().flatten();
        }
        settled
    }
}

/// An item that could not be mapped.
pub fn failed(index: u16, code: Code, detail: String, now: Time) -> MappedItem {
    let item = Item { outcome: Outcome::Failed { code, detail }, record: Default::default(), customer: Default::default(), at: now };
    MappedItem { index, item, call: None, event_key: None, duplicate_window: None, lookup_due: None, exposed: None, tell: None }
}
