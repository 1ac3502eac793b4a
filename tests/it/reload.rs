//! Plugins that are edited while the server runs.

use std::path::Path;
use std::time::{Duration, Instant};

use callbridge::config::{ApiKey, ApiRole};
use callbridge::domain::call::State;
use callbridge::domain::secret::SecretText;
use callbridge::domain::write_back::Status;
use callbridge::simulator::mood::Mood;
use serde_json::{Value, json};

use super::bridge::{Fixture, Setup, connection};
use super::far_end::{self, FarEnd};
use super::wire;

const PHONE: &str = "0912345678";
const KEY: &str = "viewer-key-of-the-reload-test";
/// What is promised; time in which this process was not let run is not counted.
const LIVE_WITHIN: Duration = Duration::from_secs(2);

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// A bridge whose plugin `generic` lies in `dir`, over the one that ships. Its phone never reports: the test does.
async fn bridge(dir: &Path) -> Fixture {
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/generic"), &dir.join("generic"));
    let key = ApiKey { name: "wall".into(), key: SecretText::new(KEY), role: ApiRole::Viewer, workspace: "main".into() };
    let setup = Setup::new(Mood::ReportLost).connection(|c| c.duplicate_window = Duration::ZERO);
    setup
        .with(|settings| {
            settings.plugins.path = Some(dir.to_owned());
            settings.api_keys = vec![key];
        })
        .start()
        .await
}

/// Changes a file of the plugin; the text must be there.
fn edit(dir: &Path, file: &str, from: &str, to: &str) {
    let path = dir.join("generic").join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} has no `{from}`");
    std::fs::write(&path, text.replace(from, to)).unwrap();
}

/// The plugin as the API tells it.
async fn shown(f: &Fixture) -> Value {
    let request = format!("GET /api/v1/plugins HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nConnection: close\r\n\r\n");
    let page = wire::send(&f.address, request.as_bytes()).await.unwrap().json();
    page["items"].as_array().unwrap().iter().find(|plugin| plugin["id"] == "generic").unwrap().clone()
}

/// Waits until the API tells what is looked for; an edit is live soon.
async fn live(f: &Fixture, what: &str, look: impl Fn(&Value) -> bool) -> Value {
    const NAP: Duration = Duration::from_millis(20);
    let (from, mut stopped) = (Instant::now(), Duration::ZERO);
    loop {
        let plugin = shown(f).await;
        if look(&plugin) {
            let took = from.elapsed().saturating_sub(stopped);
            assert!(took < LIVE_WITHIN, "{what} took {took:?}, and {stopped:?} in which nothing ran");
            return plugin;
        }
        assert!(from.elapsed() < Duration::from_secs(20), "it did not happen: {what}\n{plugin:#}");
        let asleep = Instant::now();
        tokio::time::sleep(NAP).await;
        stopped += asleep.elapsed().saturating_sub(NAP * 2);
    }
}

/// The text that a call's result left in the CRM.
async fn written(f: &Fixture, id: callbridge::domain::id::CallId) -> String {
    let report = json!({"CallId": id.to_string(), "Phone": PHONE, "CallDetail": {"AnswerDuration": 5, "ResponseStatus": 1}});
    assert_eq!(f.report(id, &report).await.status, 200);
    f.logged(id).await;
    f.note(id).text
}

#[tokio::test]
async fn an_edited_template_is_live_soon_and_a_call_keeps_the_version_that_mapped_it() {
    let dir = tempfile::tempdir().unwrap();
    let f = bridge(dir.path()).await;
    let before = shown(&f).await;
    assert_eq!(before["state"], "ok");
    let first = f.wish(PHONE).await;
    f.reaches(first, State::Placed).await;

    edit(dir.path(), "templates/result.json.hbs", "{{json note.text}}", "\"edited\"");
    live(&f, "the edit is in use", |plugin| plugin["hash"] != before["hash"]).await;
    assert_ne!(written(&f, first).await, "edited", "it was mapped by the version of before");
    let second = f.wish(PHONE).await;
    f.reaches(second, State::Placed).await;
    assert_eq!(written(&f, second).await, "edited");
    f.finish().await;
}

#[tokio::test]
async fn a_broken_edit_keeps_the_old_version_and_says_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let f = bridge(dir.path()).await;
    let before = shown(&f).await;

    edit(dir.path(), "templates/result.json.hbs", "{{json note.text}}", "{{json note.txt}}");
    let broken = live(&f, "the fault is told", |plugin| plugin["state"] == "old_version").await;
    assert_eq!(broken["hash"], before["hash"]);
    let said = broken["problems"][0].as_str().unwrap();
    assert!(said.starts_with("templates/result.json.hbs:") && said.contains("did you mean `text`?"), "{said}");

    edit(dir.path(), "templates/result.json.hbs", "{{json note.txt}}", "\"mended\"");
    live(&f, "the mended plugin is in use", |plugin| plugin["state"] == "ok" && plugin["hash"] != before["hash"]).await;

    // A version that asks for what the connection does not have would lose its webhooks.
    let hash = shown(&f).await["hash"].clone();
    let more = "[[parameters]]\nid = \"more\"\ntitle = { vi = \"x\", en = \"x\" }\nrequired = true\n\n[[parameters]]";
    let manifest = std::fs::read_to_string(dir.path().join("generic/plugin.toml")).unwrap();
    std::fs::write(dir.path().join("generic/plugin.toml"), manifest.replacen("[[parameters]]", more, 1)).unwrap();
    let refused = live(&f, "it is refused", |plugin| plugin["state"] == "old_version").await;
    assert!(refused["problems"][0].as_str().unwrap().contains("the parameter `more` is missing"), "{refused}");

    std::fs::remove_dir_all(dir.path().join("generic")).unwrap();
    live(&f, "the one that ships is in use again", |plugin| plugin["state"] == "ok" && plugin["hash"] != hash).await;
    let call = f.wish(PHONE).await;
    f.reaches(call, State::Placed).await;
    assert_ne!(written(&f, call).await, "mended");
    f.finish().await;
}

const BROKEN_KEY: &str = "hook-key-of-the-broken-one";

#[tokio::test]
async fn a_plugin_that_is_broken_at_the_start_holds_its_own_connection_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let far = FarEnd::start(|_| (201, r#"{"id": "1"}"#.to_owned())).await;
    far_end::plugin(dir.path(), "abc", &[far_end::ONE, far_end::NOTE].concat());
    let own = connection("broken", "abc", BROKEN_KEY, &[("site", &far.url())]);
    let key = ApiKey { name: "wall".into(), key: SecretText::new(KEY), role: ApiRole::Viewer, workspace: "main".into() };
    let setup = Setup::new(Mood::ReportLost).with(|settings| {
        settings.plugins.path = Some(dir.path().to_owned());
        settings.connections.push(own);
        settings.api_keys = vec![key];
        settings.lines[0].max_in_flight = 10;
    });
    let mut f = setup.start_by_hand().await;
    let address = format!("/hooks/broken/{BROKEN_KEY}");
    let deliver = async |f: &Fixture, id: &str, phone: &str| {
        wire::post(&f.address, &address, &["Content-Type: application/json"], json!({"id": id, "phone": phone}).to_string().as_bytes()).await
    };
    assert_eq!(deliver(&f, "1", "0987654321").await.status, 202);
    let first = f.until("it is placed", |f| f.calls().into_iter().find(|call| call.state == State::Placed)).await.id;
    assert_eq!(deliver(&f, "2", "0987654322").await.status, 202, "stored, and not mapped before the end");

    std::fs::write(dir.path().join("abc/plugin.toml"), "spec = 1\nidd = \"abc\"\n").unwrap();
    f.restart().await;
    let told = deliver(&f, "3", "0987654323").await;
    assert!(told.status >= 500 && told.header("retry-after").is_some(), "{told:?}");
    let other = f.wish(PHONE).await;
    f.reaches(other, State::Placed).await;
    assert_eq!(f.report(first, &json!({"CallDetail": {"AnswerDuration": 5, "CallDuration": 9, "ResponseStatus": 1}})).await.status, 200);
    for _ in 0..5 {
        f.advance(Duration::from_secs(20)).await;
    }
    assert!(matches!(f.call(first).write_back.status, Status::Waiting | Status::Pending) && far.requests().is_empty(), "its result waits");
    let request = format!("GET /api/v1/connections/broken HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nConnection: close\r\n\r\n");
    let shown = wire::send(&f.address, request.as_bytes()).await.unwrap().json();
    let said = shown["problems"][0].as_str().unwrap();
    assert!(said.contains("plugin.toml:2") && said.contains("did you mean `id`?"), "{said}");

    far_end::plugin(dir.path(), "abc", &[far_end::ONE, far_end::NOTE].concat());
    f.app().reload_plugins();
    f.advance(Duration::from_secs(30)).await;
    f.logged(first).await;
    assert_eq!(deliver(&f, "3", "0987654323").await.status, 202);
    f.until("all are called", |f| (f.calls().len() == 4).then_some(())).await;
    f.finish().await;
}

#[tokio::test]
async fn a_plugin_that_is_not_there_is_named_at_the_start_and_a_broken_one_over_a_shipped_one_is_not_in_use() {
    let dir = tempfile::tempdir().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/generic"), &dir.path().join("generic"));
    edit(dir.path(), "templates/result.json.hbs", "{{json note.text}}", "{{json note.txt}}");
    let key = ApiKey { name: "wall".into(), key: SecretText::new(KEY), role: ApiRole::Viewer, workspace: "main".into() };
    let setup = Setup::new(Mood::ReportLost).with(|settings| {
        settings.plugins.path = Some(dir.path().to_owned());
        settings.api_keys = vec![key];
    });
    let f = setup.start_by_hand().await;
    let shown = shown(&f).await;
    assert_eq!(shown["state"], "shipped");
    assert!(shown["problems"][0].as_str().unwrap().starts_with("templates/result.json.hbs:"), "{shown}");
    let id = f.wish(PHONE).await;
    f.reaches(id, State::Placed).await;
    let mut settings = f.settings.clone();
    settings.connections[0].plugin = "nothing".into();
    let faults = callbridge::cli::bridge::check_connections(&settings, &f.app().plugins).unwrap_err().to_string();
    assert!(faults.contains("there is no plugin `nothing`"), "{faults}");
    f.finish().await;
}
