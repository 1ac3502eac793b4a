//! What open pages are told without asking: server-sent events, and the phone panel's view of the simulated phone.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::web::{Bytes, Data};
use actix_web::{HttpResponse, http::header};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::broadcast::{self, error::RecvError};

use super::server::Crm;

/// How often the phone is looked at while a page is open.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// A comment this often keeps proxies from closing a silent stream.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The way to all open pages.
#[derive(Debug)]
pub struct Pages {
    sender: broadcast::Sender<Arc<str>>,
    /// The phone as it was last seen, for a page that opens now.
    phone: Mutex<Value>,
}

impl Default for Pages {
    fn default() -> Self {
        Pages { sender: broadcast::Sender::new(64), phone: Mutex::new(json!({ "kind": "phone", "reachable": false, "calls": [] })) }
    }
}

impl Pages {
    /// Tells every open page; costs nothing when there is none.
    pub fn tell(&self, kind: &str, content: impl serde::Serialize) {
        if self.sender.receiver_count() > 0 {
            self.send(&json!({ "kind": kind, kind: content }));
        }
    }

    fn send(&self, event: &Value) {
        // An error means that the last page was closed meanwhile.
        let _ = self.sender.send(Arc::from(format!("data: {event}\n\n")));
    }

    fn phone_is(&self, now: Value) {
        let mut phone = self.phone.lock().unwrap_or_else(PoisonError::into_inner);
        let same = ["reachable", "phone_on", "calls"].iter().all(|part| phone.get(part) == now.get(part));
        if !same {
            self.send(&now);
        }
        *phone = now;
    }

    fn phone(&self) -> Value {
        self.phone.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// `GET /page/events`.
pub async fn events(crm: Data<Crm>) -> HttpResponse {
    let receiver = crm.pages.sender.subscribe();
    let hello = format!("retry: 1500\ndata: {}\n\n", crm.pages.phone());
    let first = stream::once(async { Ok::<Bytes, std::io::Error>(Bytes::from(hello)) });
    let rest = stream::unfold(receiver, |mut receiver| async move {
        let text = match tokio::time::timeout(KEEP_ALIVE, receiver.recv()).await {
            Ok(Ok(event)) => event.to_string(),
            // The page missed something: it has to load again.
            Ok(Err(RecvError::Lagged(_))) => "data: {\"kind\":\"missed\"}\n\n".to_owned(),
            Ok(Err(RecvError::Closed)) => return None,
            Err(_) => ": still here\n\n".to_owned(),
        };
        Some((Ok(Bytes::from(text)), receiver))
    });
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header(("x-accel-buffering", "no"))
        .streaming(first.chain(rest))
}

/// Looks at the phone again and again while somebody watches.
pub async fn watch_phone(crm: Arc<Crm>, control_url: String) {
    let url = format!("{control_url}/calls?limit=6");
    loop {
        if crm.pages.sender.receiver_count() > 0 {
            crm.pages.phone_is(look(&crm, &url).await);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn look(crm: &Crm, url: &str) -> Value {
    let seen = async { crm.client.get(url).send().await.ok()?.json::<Value>().await.ok() };
    let Some(Value::Object(mut seen)) = seen.await else { return json!({ "kind": "phone", "reachable": false, "calls": [] }) };
    seen.insert("kind".to_owned(), json!("phone"));
    seen.insert("reachable".to_owned(), json!(true));
    Value::Object(seen)
}
