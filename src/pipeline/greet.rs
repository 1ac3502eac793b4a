//! Handshakes: a challenge is answered, a secret that the CRM hands over is kept, but only while the admin holds the door open.

use std::collections::BTreeMap;
use std::time::Duration;

use super::ingest::{Desk, Refusal, Told, unbelieved};
use super::standing;
use crate::domain::secret::SecretText;
use crate::error::Code;
use crate::plugin::{Reply, Shaken};
use crate::store::{Change, Changed, Store};

/// The longest secret that is kept: no record of the store may be large.
const LONGEST: usize = 4096;
/// Who is written into the audit log.
const ACTOR: &str = "handshake";

/// Answers a delivery that is a handshake; `None`: it is none.
pub(super) async fn greet(desk: &Desk<'_>, over_limit: Option<Duration>) -> Option<Told> {
    let (plugin, delivery, params) = (desk.plugin, desk.delivery, &desk.hook.params);
    let shaken = plugin.handshake(delivery, params)?;
    let refusal = |reply, code, detail| Refusal { variant: None, reply, code, detail };
    if over_limit.is_some() {
        return Some(desk.refuse(refusal(Reply::OverLimit, Code::OverLimit, String::new()), over_limit));
    }
    if let Err(error) = plugin.verify_handshake(&shaken, delivery, params) {
        let (reply, code, detail) = unbelieved(error);
        return Some(desk.reject(refusal(reply, code, detail)).await);
    }
    if shaken.handshake.captures()
        && let Err(told) = capture(desk, &shaken).await
    {
        return Some(told);
    }
    Some(match plugin.answer_handshake(&shaken, delivery, params) {
        Ok(reply) => Told { reply, problem: None, event: None },
        Err(error) => desk.reject(refusal(Reply::Unreadable, Code::MapFailed, error.to_string())).await,
    })
}

/// Keeps what is handed over. Outside the window nothing of it is believed.
async fn capture(desk: &Desk<'_>, shaken: &Shaken<'_>) -> Result<(), Told> {
    let app = desk.app;
    let id = &desk.wired.connection.id;
    let refusal = |code, detail: String| Refusal { variant: None, reply: Reply::BadSignature, code, detail };
    let values = match desk.plugin.captured(shaken, desk.delivery, &desk.hook.params) {
        Ok(values) if values.values().any(|value| value.len() > LONGEST) => {
            return Err(desk.reject(refusal(Code::TooLarge, format!("a captured value is longer than {LONGEST} bytes"))).await);
        }
        Ok(values) if !values.is_empty() => values,
        Ok(_) => return Err(desk.reject(refusal(Code::MissingSignature, "the handshake hands nothing over".to_owned())).await),
        Err(error) => return Err(desk.reject(refusal(Code::MapFailed, error.to_string())).await),
    };
    let sealed: BTreeMap<String, SecretText> = values.iter().map(|(name, value)| (name.clone(), SecretText::new(value.as_str()))).collect();
    let now = app.clock.now();
    match app.store.change(now, ACTOR.to_owned(), Change::Capture { connection: id.clone(), values: sealed }).await {
        Ok(Changed::Ok) => {
            // Before anything can be logged or stored with it.
            app.redactor.rcu(|redactor| redactor.and(values.values().map(String::as_str)));
            app.recapture(id);
            standing::refresh(app).await;
            tracing::info!(connection.id = %id, handshake = %shaken.handshake.name, names = ?values.keys().collect::<Vec<_>>(), "a handshake's secrets were kept");
            Ok(())
        }
        Ok(Changed::Denied(why)) => Err(desk.reject(refusal(Code::CaptureClosed, why)).await),
        Ok(Changed::NotFound | Changed::Count(_)) => Err(desk.reject(refusal(Code::CaptureClosed, String::new())).await),
        Err(error) => Err(desk.cannot_store(None, &error)),
    }
}
