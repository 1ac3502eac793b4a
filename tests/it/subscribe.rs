//! Webhooks that we register ourselves, at a CRM that forgets, ends and doubles them.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use callbridge::config::{ApiKey, ApiRole};
use callbridge::domain::alert::AlertKind;
use callbridge::domain::connection::Mode;
use callbridge::domain::source::{Source, SourceKind};
use callbridge::domain::time::Time;
use callbridge::error::Code;
use callbridge::simulator::mood::Mood;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::bridge::{Fixture, Setup, connection};
use super::far_end::{FarEnd, Request};
use super::wire;

const KEY: &str = "hook-key-of-the-subscriber";
const ADMIN: &str = "admin-key-of-the-tests-01";
const DAY: Duration = Duration::from_secs(86_400);
const MANIFEST: &str = r#"
spec = 1
id = "subscriber"
name = "Subscriber"

[[parameters]]
id = "site"
title = { vi = "Địa chỉ", en = "Address" }
required = true
[[parameters]]
id = "topic"
title = { vi = "Sự kiện", en = "Topic" }
default = "lead.created"
[[parameters]]
id = "note"
title = { vi = "Ghi chú", en = "Note" }

[bases.api]
url = "{{param.site}}"
allow_hosts = ["*"]

[[hooks]]
name = "leads"
title = { vi = "Lead", en = "Leads" }
tail = "leads"

[[subscribe]]
name = "leads"
title = { vi = "Lead", en = "Leads" }
secret = "hex"
check_every = "1h"
renew_before = "1d"
[subscribe.find]
path = "/webhooks"
items = "$.data[*]"
match = [{ value = "$.url", to = "{{hook.url}}" }]
store = { id = "$.id", expires_at = "$.ends" }
[subscribe.create]
path = "/webhooks"
json = { url = "{{hook.url}}", topic = "{{param.topic}}", secret = "{{subscription.leads.secret}}" }
store = { id = "$.id", expires_at = "$.ends" }
[subscribe.check]
path = "/webhooks/{{url subscription.leads.id}}"
alive = [{ value = "$.active", to = "true" }]
[subscribe.renew]
method = "PATCH"
path = "/webhooks/{{url subscription.leads.id}}"
store = { expires_at = "$.ends" }
[subscribe.delete]
method = "DELETE"
path = "/webhooks/{{url subscription.leads.id}}"

[verify.signed]
kind = "hmac"
secret = "{{subscription.leads.secret}}"
message = ["body"]
header = "X-Signature"
encoding = "hex"

[[receive]]
name = "lead"
body = "json"
select = { tail = "leads" }
verify = ["signed"]
[receive.map]
record_type = "lead"
record_id = "$.id"
phone = "$.phone"
"#;

/// A webhook as the CRM has it.
#[derive(Debug, Clone)]
struct Hook {
    id: u32,
    url: String,
    topic: String,
    secret: String,
    ends: Time,
    active: bool,
}

/// A CRM whose webhooks live seven days.
#[derive(Default)]
struct Crm {
    now: Time,
    made: u32,
    hooks: Vec<Hook>,
    refuses: bool,
    /// The next one is made, but nobody hears of it.
    swallows_one: bool,
}

impl Crm {
    fn answer(&mut self, request: &Request) -> (u16, String) {
        if self.refuses {
            return (403, json!({"message": "no right to webhooks"}).to_string());
        }
        let view = |hook: &Hook| json!({"id": hook.id, "url": hook.url, "ends": hook.ends.rfc3339(), "active": hook.active});
        let id: Option<u32> = request.path().strip_prefix("/webhooks/").and_then(|id| id.parse().ok());
        let Some(id) = id else {
            if request.method == "GET" {
                return (200, json!({"data": self.hooks.iter().map(view).collect::<Vec<_>>()}).to_string());
            }
            self.made += 1;
            let text = |key: &str| request.json()[key].as_str().unwrap_or_default().to_owned();
            let hook = Hook { id: self.made, url: text("url"), topic: text("topic"), secret: text("secret"), ends: self.now.plus(DAY * 7), active: true };
            self.hooks.push(hook.clone());
            return if std::mem::take(&mut self.swallows_one) { (502, "bad gateway".into()) } else { (201, view(&hook).to_string()) };
        };
        let Some(at) = self.hooks.iter().position(|hook| hook.id == id) else { return (404, "{}".into()) };
        match request.method.as_str() {
            "DELETE" => drop(self.hooks.remove(at)),
            "PATCH" => self.hooks[at].ends = self.now.plus(DAY * 7),
            _ => return (200, view(&self.hooks[at]).to_string()),
        }
        (200, self.hooks.get(at).map_or_else(|| json!({}), view).to_string())
    }
}

struct World {
    f: Fixture,
    far: FarEnd,
    crm: Arc<Mutex<Crm>>,
    _plugins: tempfile::TempDir,
}

impl World {
    async fn start(crm: Crm) -> World {
        World::start_with(crm, |_| {}).await
    }

    async fn start_with(crm: Crm, change: impl FnOnce(&mut callbridge::config::Settings)) -> World {
        let crm = Arc::new(Mutex::new(crm));
        let answers = Arc::clone(&crm);
        let far = FarEnd::start(move |request| answers.lock().unwrap().answer(request)).await;
        let plugins = tempfile::tempdir().unwrap();
        write(plugins.path());
        let (path, url) = (plugins.path().to_owned(), far.url());
        let setup = Setup::new(Mood::ReportLost).with(|settings| {
            settings.plugins.path = Some(path);
            settings.connections = vec![connection("shop", "subscriber", KEY, &[("site", &url)])];
            settings.api_keys = vec![ApiKey { name: "boss".into(), key: ADMIN.into(), role: ApiRole::Admin, workspace: Default::default() }];
            change(settings);
        });
        let f = setup.start_by_hand().await;
        crm_of(&crm).now = f.now();
        World { f, far, crm, _plugins: plugins }
    }

    fn hooks(&self) -> Vec<Hook> {
        crm_of(&self.crm).hooks.clone()
    }

    fn the_hook(&self) -> Hook {
        let hooks = self.hooks();
        assert_eq!(hooks.len(), 1, "{hooks:?}");
        hooks.into_iter().next().unwrap()
    }

    fn source(&self) -> Source {
        self.f.sources().into_iter().find(|source| source.key.kind == SourceKind::Subscription).unwrap()
    }

    async fn advance(&self, by: Duration) {
        crm_of(&self.crm).now = self.f.now().plus(by);
        self.f.advance(by).await;
    }

    async fn made(&self) -> Hook {
        self.f.until("the webhook is registered", |f| f.sources().into_iter().find(|source| source.registration.since.is_some())).await;
        self.the_hook()
    }

    /// The CRM delivers by a webhook of its own.
    async fn deliver(&self, hook: &Hook, record: &str) -> u16 {
        let body = json!({"id": record, "phone": format!("09123456{record}")}).to_string();
        let mut mac = Hmac::<Sha256>::new_from_slice(hook.secret.as_bytes()).unwrap();
        mac.update(body.as_bytes());
        let signature = format!("X-Signature: {}", hex::encode(mac.finalize().into_bytes()));
        let path = url::Url::parse(&hook.url).unwrap().path().to_owned();
        wire::post(&self.f.address, &path, &["Content-Type: application/json", &signature], body.as_bytes()).await.status
    }

    async fn api(&self, method: &str, path: &str) -> Value {
        let request = format!("{method} /api/v1{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        let answer = wire::send(&self.f.address, request.as_bytes()).await.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }
}

fn crm_of(crm: &Mutex<Crm>) -> std::sync::MutexGuard<'_, Crm> {
    crm.lock().unwrap()
}

fn write(dir: &Path) {
    std::fs::create_dir_all(dir.join("subscriber")).unwrap();
    std::fs::write(dir.join("subscriber/plugin.toml"), MANIFEST).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_registered_with_a_secret_that_verifies_and_renewed_before_it_ends() {
    let mut w = World::start(Crm::default()).await;
    let hook = w.made().await;
    assert!(hook.url.ends_with(&format!("/hooks/shop/{KEY}/leads")), "{}", hook.url);
    assert_eq!(hook.secret.len(), 64);
    assert_eq!(w.deliver(&hook, "01").await, 202);
    assert_eq!(w.deliver(&Hook { secret: "another".into(), ..hook.clone() }, "02").await, 401);

    // A restart changes nothing: the same webhook, the same secret.
    w.f.restart().await;
    w.f.run_due().await;
    assert_eq!(w.deliver(&w.the_hook(), "03").await, 202);
    assert_eq!(crm_of(&w.crm).made, 1);

    let patches = |w: &World| w.far.requests().iter().filter(|r| r.method == "PATCH").count();
    w.advance(DAY * 6 - Duration::from_secs(60)).await;
    assert_eq!(patches(&w), 0);
    w.advance(Duration::from_secs(120)).await;
    assert_eq!(patches(&w), 1);
    assert_eq!((w.the_hook().id, w.the_hook().ends), (1, w.f.now().plus(DAY * 7)));
    assert_eq!(w.source().registration.until, Some(w.f.now().plus(DAY * 7)));
    let shown = w.api("GET", "/connections/shop").await;
    assert_eq!(shown["subscriptions"][0]["state"], "active");
    assert!(!shown.to_string().contains(&hook.secret));
    w.f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_gone_or_asleep_is_made_again() {
    let w = World::start(Crm::default()).await;
    let first = w.made().await;
    crm_of(&w.crm).hooks.clear();
    w.advance(Duration::from_secs(3600)).await;
    let second = w.the_hook();
    assert_eq!((second.id, &second.secret), (2, &first.secret), "what was signed before can still be verified");
    // Switched off by the CRM: it is told to forget that one, at once where a person asks.
    crm_of(&w.crm).hooks[0].active = false;
    w.api("POST", "/connections/shop/subscribe").await;
    w.f.run_due().await;
    assert_eq!((w.the_hook().id, w.the_hook().active), (3, true));
    assert_eq!(w.deliver(&w.the_hook(), "04").await, 202);
    w.f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_answer_was_lost_makes_no_second_one() {
    let mut w = World::start(Crm { swallows_one: true, ..Crm::default() }).await;
    w.f.run_due().await;
    assert_eq!((crm_of(&w.crm).hooks.len(), w.source().registration.since), (1, None));
    assert!(w.source().problem.unwrap().contains("502"));
    assert_eq!(w.api("GET", "/connections/shop").await["state"], "failing");
    // Deliveries of the one that nobody knows of are believed: its secret was on disk before it was asked for.
    assert_eq!(w.deliver(&w.the_hook(), "05").await, 202);
    w.f.restart().await;
    w.advance(Duration::from_secs(60)).await;
    assert_eq!((w.made().await.id, crm_of(&w.crm).made), (1, 1));
    assert_eq!(w.source().problem, None);
    assert_eq!(w.api("GET", "/connections/shop").await["state"], "ok");
    w.f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_topic_makes_it_anew_and_a_leftover_is_deleted() {
    let mut w = World::start(Crm::default()).await;
    w.made().await;
    w.f.settings.connections[0].parameters.insert("topic".into(), "lead.changed".into());
    w.f.restart().await;
    w.f.run_due().await;
    assert_eq!((w.the_hook().id, w.the_hook().topic.as_str()), (2, "lead.changed"), "at once, not at the next look");
    // One at our address that we know nothing of: its secret is not ours.
    let leftover = Hook { id: 70, secret: "of-a-former-life".into(), ..w.the_hook() };
    crm_of(&w.crm).hooks = vec![leftover];
    w.advance(Duration::from_secs(3600)).await;
    assert_eq!(w.the_hook().id, 3);
    w.f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_address_of_ours_is_registered_at_once_and_a_restart_alone_asks_nothing() {
    let mut w = World::start(Crm::default()).await;
    let asked = w.made().await.id;
    w.f.run_due().await;
    let before = w.far.requests().len();
    w.f.restart().await;
    w.f.run_due().await;
    assert_eq!((w.far.requests().len(), w.the_hook().id), (before, asked));
    w.f.settings.server.public_url = Some("https://moved.example.vn".into());
    w.f.restart().await;
    w.f.run_due().await;
    assert_eq!(w.the_hook().url, format!("https://moved.example.vn/hooks/shop/{KEY}/leads"));
    // The CRM has forgotten it, and the admin corrects a setting that is no part of it: it is looked at, not believed.
    crm_of(&w.crm).hooks.clear();
    w.f.settings.connections[0].parameters.insert("note".into(), "other".into());
    w.f.restart().await;
    w.f.run_due().await;
    assert_eq!(w.hooks().len(), 1);
    w.f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_deleted_by_command_or_when_the_connection_is_switched_off() {
    let mut w = World::start(Crm::default()).await;
    let first = w.made().await;
    assert_eq!(w.api("POST", "/connections/shop/unsubscribe").await["subscriptions"][0]["state"], "removing");
    w.f.run_due().await;
    assert!(w.hooks().is_empty());
    w.f.restart().await;
    w.advance(DAY).await;
    assert!(w.hooks().is_empty(), "it stays deleted");
    assert_eq!(w.api("GET", "/connections/shop").await["subscriptions"][0]["state"], "off");
    w.api("POST", "/connections/shop/subscribe").await;
    let second = w.made().await;
    assert_ne!(second.secret, first.secret, "a deleted one's secret is forgotten");

    w.f.settings.connections[0].mode = Mode::Off;
    w.f.restart().await;
    // The CRM is down just then: it is tried again.
    crm_of(&w.crm).refuses = true;
    w.f.run_due().await;
    assert_eq!(w.hooks().len(), 1);
    crm_of(&w.crm).refuses = false;
    w.advance(Duration::from_secs(3600)).await;
    assert!(w.hooks().is_empty());
    w.f.finish().await;
}

/// With the connection went its token: where the webhook is left is said, until somebody deleted it there.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_removed_connection_leaves_is_told_with_its_id_until_a_person_says_it_is_deleted() {
    let mut w = World::start(Crm::default()).await;
    let hook = w.made().await;
    let connections = std::mem::take(&mut w.f.settings.connections);
    w.f.restart().await;
    w.f.run_due().await;
    let alert = |w: &World| w.f.alerts().into_iter().rfind(|alert| alert.kind == AlertKind::NotSubscribed).unwrap();
    let told = alert(&w);
    let url = w.far.url();
    assert_eq!((told.code, told.subject.as_str(), told.is_open()), (Code::WebhookLeft, "shop/leads", true));
    assert_eq!(told.detail, format!("leads: the webhook `{}` is still registered at {}", hook.id, url.trim_end_matches('/')));
    assert!(!format!("{told:?}").contains(KEY));
    // A restart tells nothing twice; the connection in the settings again, it goes on with the same webhook.
    w.f.restart().await;
    w.f.run_due().await;
    assert_eq!(w.f.alerts().len(), 1);
    w.f.settings.connections = connections;
    w.f.restart().await;
    w.f.run_due().await;
    assert!(!alert(&w).is_open() && w.the_hook().id == hook.id);
    assert_eq!(w.deliver(&hook, "78").await, 202);

    w.f.settings.connections.clear();
    w.f.restart().await;
    w.f.run_due().await;
    assert!(alert(&w).is_open());
    crm_of(&w.crm).hooks.clear();
    assert_eq!(w.api("POST", "/connections/shop/unsubscribe").await["mode"], "removed");
    w.f.run_due().await;
    assert!(w.f.alerts().iter().all(|alert| !alert.is_open()) && w.source().problem.is_none());
    w.f.abandon().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crm_that_refuses_it_is_told_to_the_admin_until_it_works() {
    let w = World::start(Crm { refuses: true, ..Crm::default() }).await;
    w.f.run_due().await;
    let alert = |w: &World| w.f.alerts().into_iter().find(|alert| alert.kind == AlertKind::NotSubscribed).unwrap();
    assert_eq!((alert(&w).subject.as_str(), alert(&w).is_open()), ("shop/leads", true));
    let shown = w.api("GET", "/connections/shop").await;
    assert_eq!(shown["subscriptions"][0]["state"], "failing");
    assert!(shown["subscriptions"][0]["problem"].as_str().unwrap().contains("403"));
    crm_of(&w.crm).refuses = false;
    w.api("POST", "/connections/shop/subscribe").await;
    w.made().await;
    assert!(!alert(&w).is_open());
    w.f.run_due().await;
    w.f.finish().await;
}
