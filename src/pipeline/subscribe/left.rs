//! A subscription that nobody can delete at its CRM: its connection is not in the configuration any more, and with it went the tokens
//! that such a request needs. What can be done is to say where it is left, until a person says that it is deleted there.

use super::record::{Record, slot};
use crate::domain::alert::{About, AlertKind};
use crate::domain::source::{Registration, Source};
use crate::error::Code;
use crate::pipeline::app::App;
use crate::store::{AlertChange, Store, StoreError};

/// Told once; it rests then.
pub(super) async fn left(app: &App, mut source: Source) -> Result<(), StoreError> {
    let (key, now) = (source.key.clone(), app.clock.now());
    let record = Record(app.store.kept(&key.connection, &slot(&key.name))?.unwrap_or_default());
    let about = About::new(&key.workspace, AlertKind::NotSubscribed, &format!("{}/{}", key.connection, key.name));
    let sentence = sentence(&source, &record);
    let deleted_by_hand = source.registration.off && source.problem.as_ref() == Some(&sentence);
    if deleted_by_hand || !(record.is_made() || record.is_in_doubt()) {
        app.store.forget(key.connection, slot(&key.name)).await?;
        app.store.change_alerts(now, vec![AlertChange::Clear { about }]).await?;
        source.problem = None;
        source.registration = Registration { off: source.registration.off, ..Registration::default() };
        return app.store.finish_source(source, None, None).await;
    }
    tracing::warn!(connection.id = %key.connection, subscription = %key.name, sentence, "a webhook is left at a CRM");
    app.store.change_alerts(now, vec![AlertChange::Raise { about, code: Code::WebhookLeft, detail: sentence.clone() }]).await?;
    source.problem = Some(sentence);
    app.store.finish_source(source, None, None).await
}

/// Which webhook, and where.
fn sentence(source: &Source, record: &Record) -> String {
    let which = record.id().map_or_else(|| "of which no id is known".to_owned(), |id| format!("`{id}`"));
    let at = record.base().unwrap_or("the CRM");
    let perhaps = if record.is_made() { "is" } else { "may be" };
    format!("{}: the webhook {which} {perhaps} still registered at {at}", source.key.name)
}
