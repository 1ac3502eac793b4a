//! Logins against an authorization server of the test's own: tokens that end, rotate and are refused, and many requests at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use callbridge::config::{ApiKey, ApiRole};
use callbridge::domain::call::State;
use callbridge::domain::connection::Hook;
use callbridge::domain::secret::SecretText;
use callbridge::domain::write_back::Status;
use callbridge::store::{Change, Store};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::bridge::{self, Fixture, Setup};
use super::far_end::{FarEnd, Request};
use super::wire;

const KEY: &str = "login-hook-key-of-the-tests";
const ADMIN: &str = "admin-key-0123456789";
const MANIFEST: &str = r#"
spec = 1
id = "own"
name = "Own"

[[parameters]]
id = "refresh_token"
title = { vi = "Mã làm mới", en = "Refresh token" }
secret = true

[bases.api]
url = "https://own.example"
allow_hosts = ["own.example"]

[auth]
kind = "bearer"
start = { refresh_token = "{{param.refresh_token}}" }
keep_alive = "30d"

[[auth.login]]
path = "/token"
form = { grant_type = "refresh_token", refresh_token = "{{token.refresh_token}}" }
store = { access_token = "$.access_token", refresh_token = "$.refresh_token", expires_in = "$.expires_in" }

[connect]
path = "/authorize"
query = { client_id = "me", scope = "calls" }
[connect.token]
path = "/token"
form = { grant_type = "authorization_code", code = "{{connect.code}}", redirect_uri = "{{connect.redirect_uri}}", code_verifier = "{{connect.verifier}}" }
store = { access_token = "$.access_token", refresh_token = "$.refresh_token", expires_in = "$.expires_in" }

[[receive]]
name = "one"
[receive.map]
record_id = "$.id"
phone = "$.phone"

[write_back.note]
title = { vi = "Ghi chú", en = "Note" }
identity = "none"
[[write_back.note.create]]
name = "create"
path = "/notes"
json = { record = "{{record.id}}", text = "{{note.text}}" }
store = { id = "$.id" }
"#;

type Meanwhile = Box<dyn FnOnce(&mut Server) + Send>;

/// An authorization server whose refresh tokens are good once, and the CRM behind it.
#[derive(Default)]
struct Server {
    /// How many token pairs were given; the last one's number is in the tokens.
    pairs: u32,
    /// Access tokens below this number are refused.
    refused_below: u32,
    /// Errors to answer with, inside a 200.
    broken: bool,
    notes: u32,
    /// What is said with 200 instead of tokens.
    page: Option<&'static str>,
    /// The next entry is made, but the answer is an error.
    breaks_one: bool,
    /// The challenge that came with the admin.
    challenge: String,
    /// What happens elsewhere while the next login is under way.
    meanwhile: Option<Meanwhile>,
}

impl Server {
    fn answer(&mut self, request: &Request) -> (u16, String) {
        if request.path() == "/token" {
            if let Some(meanwhile) = self.meanwhile.take() {
                meanwhile(self);
            }
            let form: BTreeMap<String, String> = url::form_urlencoded::parse(&request.body).into_owned().collect();
            let good = match form.get("code") {
                Some(code) => {
                    let challenge = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(Sha256::digest(&form["code_verifier"]));
                    code == "code-of-the-admin" && challenge == self.challenge && form["redirect_uri"].ends_with("/oauth/own/callback")
                }
                None if form["grant_type"] == "client_credentials" => true,
                None => form.get("refresh_token") == Some(&format!("refresh-token-{}", self.pairs)),
            };
            if let Some(page) = self.page {
                return (200, page.to_owned());
            }
            if self.broken || !good {
                return (200, json!({"error": "invalid_grant"}).to_string());
            }
            self.pairs += 1;
            let n = self.pairs;
            return (200, json!({"access_token": format!("access-token-{n}"), "refresh_token": format!("refresh-token-{n}"), "expires_in": 3600}).to_string());
        }
        let shown = request.header("authorization").and_then(|v| v.strip_prefix("Bearer access-token-")?.parse::<u32>().ok());
        if shown.is_none_or(|n| n != self.pairs || n < self.refused_below) {
            return (401, "{}".into());
        }
        if request.method == "GET" {
            return (200, json!({"id": format!("note-{}", self.notes)}).to_string());
        }
        self.notes += 1;
        if std::mem::take(&mut self.breaks_one) {
            return (500, "{}".into());
        }
        (200, json!({"id": format!("note-{}", self.notes)}).to_string())
    }
}

struct World {
    f: Fixture,
    crm: FarEnd,
    server: Arc<Mutex<Server>>,
    _plugins: tempfile::TempDir,
}

impl World {
    async fn start() -> World {
        World::start_with(&[("refresh_token", "refresh-token-0")]).await
    }

    async fn start_with(parameters: &[(&str, &str)]) -> World {
        World::start_of(MANIFEST, parameters).await
    }

    async fn start_of(manifest: &str, parameters: &[(&str, &str)]) -> World {
        let server: Arc<Mutex<Server>> = Arc::default();
        let answers = Arc::clone(&server);
        let crm = FarEnd::start(move |request| answers.lock().unwrap().answer(request)).await;
        let plugins = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(plugins.path().join("own")).unwrap();
        std::fs::write(plugins.path().join("own/plugin.toml"), manifest).unwrap();
        let mut connection = bridge::connection("own", "own", KEY, parameters);
        connection.base_url = Some(crm.url());
        let path = plugins.path().to_owned();
        let setup = Setup::new(callbridge::simulator::mood::Mood::ReportLost).with(|settings| {
            settings.plugins.path = Some(path);
            settings.lines[0].max_in_flight = 10;
            settings.connections = vec![connection];
            let (name, key) = ("boss".to_owned(), SecretText::new(ADMIN));
            settings.api_keys = vec![ApiKey { name, key, role: ApiRole::Admin, workspace: "main".into() }];
        });
        World { f: setup.start_by_hand().await, crm, server, _plugins: plugins }
    }

    /// Calls a customer of this record and reports the call.
    async fn call(&self, record: &str) -> callbridge::domain::id::CallId {
        let body = json!({"id": record, "phone": format!("09123456{:02}", record.len() + record.bytes().map(usize::from).sum::<usize>() % 50)});
        let answer = wire::post(&self.f.address, &format!("/hooks/own/{KEY}"), &["Content-Type: application/json"], body.to_string().as_bytes()).await;
        assert!((200..300).contains(&answer.status), "{answer:?}");
        let call = self.f.until("it is placed", |f| f.calls().into_iter().find(|c| c.record.id == record && c.state == State::Placed)).await;
        let report = json!({"CallDetail": {"AnswerDuration": 74, "CallDuration": 80, "ResponseStatus": 1}});
        assert_eq!(self.f.report(call.id, &report).await.status, 200);
        call.id
    }

    /// Presses the connect button; gives what the CRM's page is told.
    async fn connect(&self) -> BTreeMap<String, String> {
        let answer = wire::post(&self.f.address, "/api/v1/connections/own/connect", &[&format!("Authorization: Bearer {ADMIN}")], b"").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        let url = url::Url::parse(body["url"].as_str().unwrap()).unwrap();
        assert_eq!((url.path(), url.host_str()), ("/authorize", Some("127.0.0.1")));
        url.query_pairs().into_owned().collect()
    }

    /// The browser comes back with this query.
    async fn back(&self, query: &str) -> u16 {
        self.open(&format!("callback?{query}")).await.status
    }

    /// What a browser is shown at an address of the connection.
    async fn open(&self, address: &str) -> wire::Raw {
        let request = format!("GET /oauth/own/{address} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.f.address);
        wire::send(&self.f.address, request.as_bytes()).await.unwrap()
    }

    /// A call whose login is refused, and why.
    async fn refused(&self, record: &str) -> String {
        let call = self.call(record).await;
        self.f.until("the login was refused", |f| f.attempts(call).into_iter().find(|a| a.class.starts_with("login"))).await.detail
    }

    /// Starts again with another value of a parameter.
    async fn set(&mut self, parameter: &str, value: &str) {
        self.f.settings.connections[0].parameters.insert(parameter.to_owned(), value.into());
        self.f.restart().await;
    }

    fn logins(&self) -> usize {
        self.crm.lines().iter().filter(|line| line.as_str() == "POST /token").count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_got_once_for_many_and_a_rotated_one_is_kept_over_a_restart() {
    let mut w = World::start().await;
    let mut calls = Vec::new();
    for record in ["a", "b", "c", "d"] {
        calls.push(w.call(record).await);
    }
    for call in &calls {
        w.f.logged(*call).await;
    }
    assert_eq!((w.logins(), w.server.lock().unwrap().notes), (1, 4), "{:?}", w.crm.lines());

    w.f.restart().await;
    let call = w.call("e").await;
    w.f.logged(call).await;
    assert_eq!(w.logins(), 1, "the token of before is still good");

    // It ends: the rotated refresh token, not the admin's, gives the next one.
    w.f.advance(Duration::from_secs(3600)).await;
    let call = w.call("f").await;
    w.f.logged(call).await;
    assert_eq!((w.logins(), w.server.lock().unwrap().pairs), (2, 2));
    for attempt in w.f.attempts(call) {
        assert!(!attempt.detail.contains("token-"), "{attempt:?}");
    }
    w.f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_made_again_before_it_dies_of_not_being_used() {
    const DAY: Duration = Duration::from_secs(86_400);
    let mut w = World::start().await;
    let call = w.call("a").await;
    w.f.logged(call).await;
    assert_eq!(w.logins(), 1);
    w.f.advance(DAY * 28).await;
    w.f.restart().await;
    assert_eq!(w.logins(), 1);
    w.f.advance(DAY + DAY / 2).await;
    assert_eq!((w.logins(), w.server.lock().unwrap().pairs), (2, 2), "with the rotated refresh token, a day before its end");
    w.f.advance(DAY * 30).await;
    assert_eq!(w.logins(), 3);
    w.f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_is_renewed_once_and_the_request_made_again() {
    let w = World::start().await;
    let first = w.call("a").await;
    w.f.logged(first).await;
    w.server.lock().unwrap().refused_below = 2;
    let second = w.call("b").await;
    w.f.logged(second).await;
    assert_eq!(w.crm.lines(), ["POST /token", "POST /notes", "POST /notes", "POST /token", "POST /notes"]);
    assert_eq!(w.server.lock().unwrap().notes, 2);
    w.f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_past_its_end_is_shown_until_it_is_refused_where_the_crm_wants_that() {
    for (refresh, logins) in [("on_error", 1), ("early", 2)] {
        let manifest = MANIFEST.replace("keep_alive = \"30d\"", &format!("refresh = \"{refresh}\""));
        let w = World::start_of(&manifest, &[("refresh_token", "refresh-token-0")]).await;
        let first = w.call("a").await;
        w.f.logged(first).await;
        w.f.advance(Duration::from_secs(2 * 3600)).await;
        let second = w.call("b").await;
        w.f.logged(second).await;
        assert_eq!(w.logins(), logins, "{refresh}");
        w.server.lock().unwrap().refused_below = 1 + u32::try_from(logins).unwrap();
        let third = w.call("c").await;
        w.f.logged(third).await;
        assert_eq!((w.logins(), w.server.lock().unwrap().notes), (logins + 1, 3), "{refresh}");
        w.f.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_inside_a_good_answer_waits_for_a_person_and_then_goes_on() {
    let w = World::start().await;
    w.server.lock().unwrap().broken = true;
    let call = w.call("a").await;
    w.f.until("the login was refused", |f| f.attempts(call).into_iter().find(|a| a.class.starts_with("login"))).await;
    assert_eq!(w.f.call(call).write_back.status, Status::Pending);
    assert!(w.f.attempts(call).iter().any(|a| a.detail.contains("invalid_grant")), "{:?}", w.f.attempts(call));
    w.server.lock().unwrap().broken = false;
    w.f.advance(Duration::from_secs(3600)).await;
    w.f.logged(call).await;
    assert_eq!(w.server.lock().unwrap().notes, 1);
    w.f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_connects_at_the_crm_and_copies_no_token() {
    let w = World::start_with(&[]).await;
    let asked = w.connect().await;
    let told = |name: &str| asked[name].as_str();
    assert_eq!((told("response_type"), told("client_id"), told("code_challenge_method")), ("code", "me", "S256"));
    w.server.lock().unwrap().challenge = asked["code_challenge"].clone();
    let good = format!("state={}&code=code-of-the-admin", asked["state"]);
    assert_eq!(w.back("state=made-up&code=code-of-the-admin").await, 403, "a state that nobody asked for");
    assert_eq!(w.back(&good).await, 200);
    assert_eq!(w.back(&good).await, 403, "a state is used once");

    let call = w.call("a").await;
    w.f.logged(call).await;
    assert_eq!((w.logins(), w.server.lock().unwrap().notes), (1, 1), "the connected tokens are used as they are");
    w.f.advance(Duration::from_secs(3600)).await;
    let call = w.call("b").await;
    w.f.logged(call).await;
    assert_eq!((w.logins(), w.server.lock().unwrap().pairs), (2, 2), "and renewed as those of a login");
    w.f.finish().await;
}

const PAGES: [&str; 3] = ["{}", "<html>We are back soon</html>", r#"{"access_token": "", "expires_in": 3600}"#];

/// Nor does it take the good ones away.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_a_token_is_no_login() {
    for page in PAGES {
        let w = World::start().await;
        w.server.lock().unwrap().page = Some(page);
        let call = w.call("a").await;
        w.f.until("the login was refused", |f| f.attempts(call).into_iter().find(|a| a.class == "login")).await;
        assert_eq!(w.crm.lines(), ["POST /token"], "nothing is asked without a token");
        w.server.lock().unwrap().page = None;
        w.f.advance(Duration::from_secs(3600)).await;
        w.f.logged(call).await;

        // The refresh: the refresh token of before is still there.
        w.server.lock().unwrap().page = Some(page);
        w.f.advance(Duration::from_secs(3600)).await;
        let call = w.call("bb").await;
        w.f.until("the refresh was refused", |f| f.attempts(call).into_iter().find(|a| a.class == "login")).await;
        w.server.lock().unwrap().page = None;
        w.f.advance(Duration::from_secs(3600)).await;
        w.f.logged(call).await;
        w.f.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connect_that_brings_no_token_is_told_and_takes_nothing_away() {
    for page in PAGES {
        let w = World::start().await;
        let call = w.call("a").await;
        w.f.logged(call).await;
        let asked = w.connect().await;
        w.server.lock().unwrap().challenge = asked["code_challenge"].clone();
        w.server.lock().unwrap().page = Some(page);
        let status = w.back(&format!("state={}&code=code-of-the-admin", asked["state"])).await;
        assert!(status >= 400, "{status}");
        w.server.lock().unwrap().page = None;
        let before = w.logins();
        let call = w.call("bb").await;
        w.f.logged(call).await;
        assert_eq!(w.logins(), before, "the tokens of before are used");
        w.f.finish().await;
    }
}

/// Something that is done at the CRM before any call.
const HOOK: &str = r#"
[[subscribe]]
name = "leads"
title = { vi = "Lead", en = "Leads" }
[subscribe.create]
path = "/hooks"
json = { url = "{{hook.url}}" }
store = { id = "$.id" }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn before_anybody_connects_nothing_is_sent_and_then_it_goes_on_at_once() {
    let w = World::start_of(&format!("{MANIFEST}{HOOK}"), &[]).await;
    let problem = |w: &World| w.f.sources().into_iter().find(|source| source.key.name == "leads").unwrap().problem;
    w.f.run_due().await;
    assert!(w.crm.lines().is_empty(), "{:?}", w.crm.lines());
    assert!(problem(&w).is_some_and(|said| said.contains("press Connect first")), "{:?}", problem(&w));
    let asked = w.connect().await;
    w.server.lock().unwrap().challenge = asked["code_challenge"].clone();
    assert_eq!(w.back(&format!("state={}&code=code-of-the-admin", asked["state"])).await, 200);
    w.f.run_due().await;
    assert_eq!((w.crm.lines(), problem(&w)), (vec!["POST /token".to_owned(), "POST /hooks".to_owned()], None));
    w.f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_is_installed_is_worked_with_at_once() {
    let start = MANIFEST.replacen("\"{{param.refresh_token}}\"", "\"{{captured.refresh_token}}\"", 1).replacen("secret = true", "", 1);
    let install = r#"
[[handshake]]
name = "install"
select = { if = [{ value = "$.event", to = "INSTALL" }] }
capture = { refresh_token = "$.refresh_token" }
answer = { status = 200 }
"#;
    let w = World::start_of(&format!("{start}{install}{HOOK}"), &[]).await;
    w.f.run_due().await;
    assert!(w.crm.lines().is_empty());
    let until = w.f.now().plus(Duration::from_secs(600));
    w.f.change(Change::OpenCapture { connection: "own".into(), until }).await;
    let body = json!({"event": "INSTALL", "refresh_token": "refresh-token-0"}).to_string();
    let answer = wire::post(&w.f.address, &format!("/hooks/own/{KEY}"), &["Content-Type: application/json"], body.as_bytes()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    w.f.run_due().await;
    assert_eq!(w.crm.lines(), ["POST /token", "POST /hooks"]);
    w.f.finish().await;
}

/// The CRM says 500, the plugin reads it as a matter for the admin, and the entry was made all the same: it is looked for first.
#[tokio::test(flavor = "multi_thread")]
async fn an_entry_behind_a_broken_answer_of_any_class_is_found() {
    let found = r#"
[write_back.note.find]
path = "/notes"
id = "$.id"

[[responses]]
status = [500]
class = "misconfigured"
"#;
    let w = World::start_of(
        &MANIFEST.replacen("identity = \"none\"", "identity = \"searchable\"", 1).replacen("\n[[write_back", &format!("{found}\n[[write_back"), 1),
        &[("refresh_token", "refresh-token-0")],
    )
    .await;
    w.server.lock().unwrap().breaks_one = true;
    let call = w.call("a").await;
    w.f.until("the broken answer", |f| f.attempts(call).into_iter().find(|a| a.status == Some(500))).await;
    w.f.advance(Duration::from_secs(3600)).await;
    w.f.logged(call).await;
    let notes: Vec<String> = w.crm.lines().into_iter().filter(|line| line.ends_with("/notes")).collect();
    assert_eq!(notes, ["POST /notes", "GET /notes"]);
    w.f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connect_that_fails_leaves_nothing_behind() {
    let w = World::start_with(&[]).await;
    let asked = w.connect().await;
    assert_eq!(w.back(&format!("state={}&error=access_denied", asked["state"])).await, 409, "the admin said no");
    let asked = w.connect().await;
    w.server.lock().unwrap().challenge = asked["code_challenge"].clone();
    assert_eq!(w.back(&format!("state={}&code=an-expired-code", asked["state"])).await, 409);
    let asked = w.connect().await;
    w.server.lock().unwrap().challenge = "of-another-verifier".into();
    assert_eq!(w.back(&format!("state={}&code=code-of-the-admin", asked["state"])).await, 409, "the code was stolen");
    let asked = w.connect().await;
    w.server.lock().unwrap().challenge = asked["code_challenge"].clone();
    w.f.advance(Duration::from_secs(601)).await;
    assert_eq!(w.back(&format!("state={}&code=code-of-the-admin", asked["state"])).await, 403, "it took too long");
    assert_eq!(w.server.lock().unwrap().pairs, 0);
    w.f.finish().await;
}

/// Two processes (a restore that runs beside the old one, two nodes) refresh with the same token: one is told `invalid_grant`.
#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_that_another_process_was_faster_with_is_taken_over() {
    let w = World::start().await;
    let call = w.call("a").await;
    w.f.logged(call).await;
    let (app, runtime) = (Arc::clone(w.f.app()), tokio::runtime::Handle::current());
    w.server.lock().unwrap().meanwhile = Some(Box::new(move |server| {
        server.pairs += 1;
        let id = "own".into();
        let mut kept = app.store.kept(&id, "login/main").unwrap().unwrap();
        kept.version += 1;
        kept.ends_at = Some(app.clock.now().plus(Duration::from_secs(3600)));
        for name in ["access_token", "refresh_token"] {
            kept.values.insert(name.to_owned(), format!("{}-{}", name.replace('_', "-"), server.pairs));
        }
        let keep = app.store.keep(id, "login/main".to_owned(), kept);
        assert!(tokio::task::block_in_place(|| runtime.block_on(keep)).unwrap());
    }));
    w.f.advance(Duration::from_secs(3600)).await;
    let call = w.call("b").await;
    w.f.logged(call).await;
    assert_eq!(w.crm.lines(), ["POST /token", "POST /notes", "POST /token", "POST /notes"], "refused once, and gone on with theirs");
    assert_eq!(w.server.lock().unwrap().pairs, 2);
    assert!(w.f.attempts(call).iter().all(|attempt| attempt.class == "ok"), "{:?}", w.f.attempts(call));
    // The pair that was taken over is the one that is renewed.
    w.f.advance(Duration::from_secs(3600)).await;
    let call = w.call("c").await;
    w.f.logged(call).await;
    assert_eq!((w.logins(), w.server.lock().unwrap().pairs), (3, 3));
    w.f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_while_the_admin_is_at_the_crm_is_not_noticed() {
    let mut w = World::start_with(&[]).await;
    let asked = w.connect().await;
    w.server.lock().unwrap().challenge = asked["code_challenge"].clone();
    w.f.restart().await;
    let good = format!("state={}&code=code-of-the-admin", asked["state"]);
    assert_eq!(w.back(&good).await, 200);
    w.f.restart().await;
    assert_eq!(w.back(&good).await, 403, "and is used once, over a restart, too");
    let call = w.call("a").await;
    w.f.logged(call).await;
    w.f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connect_that_did_not_work_is_begun_again_from_the_page_that_says_so() {
    let w = World::start_with(&[]).await;
    let text = |raw: &wire::Raw| String::from_utf8(raw.body.clone()).unwrap();
    let asked = w.connect().await;
    w.f.advance(Duration::from_secs(601)).await;
    let page = w.open(&format!("callback?state={}&code=code-of-the-admin", asked["state"])).await;
    let link = format!("again?state={}", asked["state"]);
    assert_eq!(page.status, 403);
    assert!(text(&page).contains("<h1>Chưa kết nối được") && text(&page).contains(&format!("<a href=\"{link}\">Bắt đầu lại")), "{}", text(&page));

    let sent = w.open(&link).await;
    assert_eq!(sent.status, 303);
    let url = url::Url::parse(&sent.header("location").unwrap()).unwrap();
    let anew: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
    assert!(url.path() == "/authorize" && anew["state"] != asked["state"]);
    w.server.lock().unwrap().challenge = anew["code_challenge"].clone();
    assert_eq!(w.back(&format!("state={}&code=code-of-the-admin", anew["state"])).await, 200);

    let stranger = w.open("callback?state=%22%3E%3Cscript%3E&error=x").await;
    assert!(text(&stranger).contains("callbridge connection connect own") && !text(&stranger).contains("<a "), "nobody else may begin: {}", text(&stranger));
    assert_eq!((w.open(&link).await.status, w.open("again?state=made-up").await.status), (403, 403), "an old state is good for it once");
    let denied = w.connect().await;
    let page = w.open(&format!("callback?state={}&error=%3Cscript%3E", denied["state"])).await;
    assert!(text(&page).contains("the CRM says no: &lt;script&gt;") && text(&page).contains("again?state="), "{}", text(&page));
    w.f.advance(Duration::from_secs(3601)).await;
    assert_eq!(w.open(&format!("again?state={}", denied["state"])).await.status, 403, "for an hour");
    w.f.finish().await;
}

/// Parameters of a login that goes by an account and a secret.
const ACCOUNT: &str = r#"
[[parameters]]
id = "account"
title = { vi = "Tài khoản", en = "Account" }

[[parameters]]
id = "client_secret"
title = { vi = "Mật khẩu", en = "Secret" }
secret = true

[[parameters]]
id = "other"
title = { vi = "Khác", en = "Other" }

[bases.api]"#;

fn of_an_account(grant: &str) -> String {
    let manifest = MANIFEST.replacen("\n[bases.api]", ACCOUNT, 1);
    let form = "form = { grant_type = \"refresh_token\", ";
    assert!(manifest.contains(form) && manifest.contains("note.text"));
    let manifest = manifest.replacen(
        form,
        &form.replace("refresh_token\", ", &format!("{grant}\", id = \"{{{{param.account}}}}\", secret = \"{{{{param.client_secret}}}}\", ")),
        1,
    );
    manifest.replacen("{{note.text}}", "{{note.text}}{{param.other}}", 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_forgotten_when_the_account_they_were_made_for_changes() {
    let manifest = of_an_account("refresh_token").replacen("start = { refresh_token = \"{{param.refresh_token}}\" }\n", "", 1).replacen("secret = true", "", 1);
    let manifest = manifest.replacen("[[parameters]]\nid = \"refresh_token\"\ntitle = { vi = \"Mã làm mới\", en = \"Refresh token\" }\n", "", 1);
    let mut w = World::start_of(&manifest, &[("account", "one"), ("client_secret", "s1"), ("other", "")]).await;
    let asked = w.connect().await;
    w.server.lock().unwrap().challenge = asked["code_challenge"].clone();
    assert_eq!(w.back(&format!("state={}&code=code-of-the-admin", asked["state"])).await, 200);
    w.set("client_secret", "s2").await;
    w.set("other", "x").await;
    let call = w.call("a").await;
    w.f.logged(call).await;
    assert_eq!((w.logins(), w.server.lock().unwrap().notes), (1, 1), "the same account by another secret");
    w.set("account", "two").await;
    let why = w.refused("b").await;
    assert!(why.contains("press Connect first"), "{why}");
    assert_eq!((w.logins(), w.server.lock().unwrap().notes), (1, 1), "the tokens of the one are not shown for the other");
    w.f.abandon().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_connect_button_a_login_from_parameters_alone_is_made_anew_when_they_change() {
    let manifest = of_an_account("client_credentials").replacen(", refresh_token = \"{{token.refresh_token}}\"", "", 1);
    let manifest = manifest.replacen("start = { refresh_token = \"{{param.refresh_token}}\" }\n", "", 1);
    let mut w = World::start_of(&manifest, &[("account", "one"), ("client_secret", "s1")]).await;
    let call = w.call("a").await;
    w.f.logged(call).await;
    assert_eq!(w.logins(), 1);
    w.set("account", "two").await;
    let call = w.call("b").await;
    w.f.logged(call).await;
    assert_eq!(w.crm.lines(), ["POST /token", "POST /notes", "POST /token", "POST /notes"], "without waiting for a refusal");
    w.f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_with_parameters_of_its_own_shares_the_logins_of_its_connection() {
    let own = "[[parameters]]\nid = \"key\"\ntitle = { vi = \"x\", en = \"x\" }\nscope = \"hook\"\n\n[bases.api]";
    let person = "[[lookup]]\nname = \"person\"\nwhen = \"always\"\npath = \"/people/1\"\n\n[lookup.map]\nname = \"$.id\"\n\n[write_back.note]";
    let manifest = of_an_account("client_credentials").replacen(", refresh_token = \"{{token.refresh_token}}\"", "", 1);
    let manifest = manifest.replacen("start = { refresh_token = \"{{param.refresh_token}}\" }\n", "", 1);
    let manifest = manifest.replacen("[bases.api]", own, 1).replacen("[write_back.note]", person, 1);
    let mut w = World::start_of(&manifest, &[("account", "one")]).await;
    let connection = &mut w.f.settings.connections[0];
    let parameters = [("key".to_owned(), "of the address".into())].into();
    connection.hooks = vec![Hook { name: "leads".into(), hook_key: SecretText::new(KEY), exposed: false, parameters }];
    connection.hook_key = None;
    w.f.restart().await;
    for record in ["a", "b"] {
        let call = w.call(record).await;
        w.f.logged(call).await;
    }
    assert_eq!(w.crm.lines(), ["POST /token", "GET /people/1", "POST /notes", "GET /people/1", "POST /notes"]);
    w.f.finish().await;
}
