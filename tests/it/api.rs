//! `/api/v1` over real sockets: keys and roles, pages, idempotency, what a person may do in which state, and what is never shown.
//! No workers run, so that what is queued stays queued.

use std::net::TcpListener;
use std::time::Duration;

use callbridge::cli::bridge::{Bridge, Role};
use callbridge::config::{ApiKey, ApiRole, Settings};
use callbridge::domain::connection::Connection;
use callbridge::domain::line::LineSettings;
use callbridge::domain::secret::SecretText;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

const OPERATOR: &str = "operator-key-0123456789";
const VIEWER: &str = "viewer-key-0123456789";
const ADMIN: &str = "admin-key-0123456789";
const CLIENT_A: &str = "client-a-key-0123456789";
const HOOK: &str = "hook-key-0123456789";

/// A bridge without workers.
struct Fixture {
    bridge: Bridge,
    dir: TempDir,
}

fn settings(dir: &TempDir) -> Settings {
    let mut settings = Settings::built_in().unwrap();
    settings.store.path = dir.path().join("data");
    settings.store.snapshot.every = Duration::ZERO;
    settings.server.workers = 1;
    let key = |name: &str, key: &str, role, workspace: &str| ApiKey { name: name.into(), key: SecretText::new(key), role, workspace: workspace.into() };
    settings.api_keys = vec![
        key("erp", OPERATOR, ApiRole::Operator, "main"),
        key("wall", VIEWER, ApiRole::Viewer, "main"),
        key("boss", ADMIN, ApiRole::Admin, "main"),
        key("a", CLIENT_A, ApiRole::Admin, "client-a"),
    ];
    let mut line = LineSettings::new("sales-1".into(), SecretText::new("line-key-0123456789"));
    line.monthly_quota = Some(3000);
    let mut other = LineSettings::new("sales-a".into(), SecretText::new("line-key-9876543210"));
    other.workspace = "client-a".into();
    settings.lines = vec![line, other];
    let mut connection = Connection::new("shop".into(), "generic");
    connection.hook_key = Some(SecretText::new(HOOK));
    connection.lines = vec!["sales-1".into()];
    connection.parameters.insert("result_token".into(), "token-of-the-shop-000".into());
    settings.connections = vec![connection];
    settings
}

impl Fixture {
    async fn start() -> Self {
        // Fails only when one is there already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let bridge = Bridge::start(settings(&dir), Some(listener), Role::Web, true).unwrap();
        Self { bridge, dir }
    }

    async fn stop(self) {
        self.bridge.stop().await;
        drop(self.dir);
    }

    async fn ask(&self, key: &str, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        self.ask_with(key, method, path, body, "").await
    }

    async fn ask_with(&self, key: &str, method: &str, path: &str, body: Option<Value>, headers: &str) -> (u16, Value) {
        let socket = tokio::net::TcpStream::connect(self.bridge.address.unwrap()).await.unwrap();
        let authorization = if key.is_empty() { String::new() } else { format!("Authorization: Bearer {key}\r\n") };
        exchange(socket, method, &format!("/api/v1{path}"), body, &format!("{authorization}{headers}")).await
    }

    async fn local(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let socket = tokio::net::UnixStream::connect(self.bridge.settings.store.socket()).await.unwrap();
        exchange(socket, method, &format!("/api/v1{path}"), body, "").await
    }

    async fn place(&self, phone: &str) -> String {
        let (status, call) = self.ask(OPERATOR, "POST", "/calls", Some(json!({"phone": phone}))).await;
        assert_eq!(status, 201, "{call}");
        call["id"].as_str().unwrap().to_owned()
    }
}

async fn exchange(mut socket: impl AsyncReadExt + AsyncWrite + Unpin, method: &str, path: &str, body: Option<Value>, headers: &str) -> (u16, Value) {
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len());
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_needed_and_its_role_and_workspace_limit_it() {
    let it = Fixture::start().await;
    for key in ["", "wrong", "operator-key-012345678"] {
        let (status, problem) = it.ask(key, "GET", "/calls", None).await;
        assert_eq!((status, &problem["code"]), (401, &json!("unauthorized")));
    }
    let wish = || Some(json!({"phone": "0912345678"}));
    assert_eq!(it.ask(VIEWER, "GET", "/calls", None).await.0, 200);
    assert_eq!(it.ask(VIEWER, "POST", "/calls", wish()).await.1["code"], "forbidden");
    let id = it.place("0912345678").await;
    // What belongs to another workspace is as if it were not there.
    assert_eq!(it.ask(CLIENT_A, "GET", &format!("/calls/{id}"), None).await.0, 404);
    assert_eq!(it.ask(CLIENT_A, "POST", &format!("/calls/{id}/cancel"), None).await.0, 404);
    assert_eq!(it.ask(CLIENT_A, "GET", "/calls", None).await.1["items"], json!([]));
    assert_eq!(it.ask(CLIENT_A, "GET", "/lines", None).await.1["items"][0]["id"], "sales-a");
    assert_eq!(it.ask(CLIENT_A, "POST", "/lines/sales-1/pause", None).await.0, 404);
    assert_eq!(it.ask(CLIENT_A, "POST", "/calls", Some(json!({"phone": "0912345678", "connection": "shop"}))).await.0, 404);
    assert_eq!(it.ask(CLIENT_A, "GET", "/connections", None).await.1["items"], json!([]));
    assert_eq!(it.ask(CLIENT_A, "POST", "/pause", None).await.0, 403);
    assert_eq!(it.ask(CLIENT_A, "GET", "/stats?workspace=main", None).await.0, 404);
    it.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_queued_shown_and_cancelled_once() {
    let it = Fixture::start().await;
    let body =
        json!({"phone": "+84 912 345 678", "name": "Nguyễn Thị Hoa", "connection": "shop", "record": {"type": "contact", "id": "42"}, "gender": "female"});
    let (status, call) = it.ask(OPERATOR, "POST", "/calls", Some(body)).await;
    assert_eq!(status, 201, "{call}");
    assert_eq!((&call["phone"], &call["phone_national"], &call["state"]), (&json!("+84912345678"), &json!("0912345678"), &json!("queued")));
    assert_eq!((&call["origin"]["kind"], &call["origin"]["by"], &call["customer"]["gender"]), (&json!("api"), &json!("erp"), &json!("female")));
    assert!(call["created_at"].as_str().unwrap().ends_with('Z'));
    let path = format!("/calls/{}", call["id"].as_str().unwrap());
    assert_eq!(it.ask(VIEWER, "GET", &path, None).await.1["waits"]["line"], "sales-1");
    let (status, problem) = it.ask(OPERATOR, "POST", &format!("{path}/redial"), Some(json!({"reason": "again"}))).await;
    assert_eq!((status, &problem["code"]), (409, &json!("conflict")));
    let (status, cancelled) = it.ask(OPERATOR, "POST", &format!("{path}/cancel"), None).await;
    assert_eq!((status, &cancelled["state"], &cancelled["refusal"]["code"]), (200, &json!("cancelled"), &json!("cancelled")));
    assert_eq!(it.ask(OPERATOR, "POST", &format!("{path}/cancel"), None).await.0, 409);
    assert_eq!(it.ask(OPERATOR, "POST", &format!("{path}/write-backs/retry"), None).await.0, 409);
    // A redial needs a reason and is a call of its own.
    assert_eq!(it.ask(OPERATOR, "POST", &format!("{path}/redial"), Some(json!({"reason": " "}))).await.0, 400);
    let (status, again) = it.ask(OPERATOR, "POST", &format!("{path}/redial"), Some(json!({"reason": "she asked for it"}))).await;
    assert_eq!(status, 201, "{again}");
    assert_eq!((&again["origin"]["redial_of"], &again["origin"]["reason"]), (&call["id"], &json!("she asked for it")));
    assert_eq!((&again["record"]["id"], &again["connection"]), (&json!("42"), &json!("shop")));
    let stats = it.ask(VIEWER, "GET", "/stats", None).await.1;
    assert_eq!((&stats["holds"], &stats["counters"]["calls.origin.redial"]), (&json!(true), &json!(1)), "{stats}");
    it.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_idempotency_key_is_the_same_call() {
    let it = Fixture::start().await;
    let ask =
        async |phone: &str, key: &str| it.ask_with(OPERATOR, "POST", "/calls", Some(json!({"phone": phone})), &format!("Idempotency-Key: {key}\r\n")).await;
    let (first, second) = (ask("0912345678", "order-1").await, ask("0912 345 678", "order-1").await);
    assert_eq!((first.0, second.0), (201, 200));
    assert_eq!(first.1["id"], second.1["id"]);
    assert_eq!(ask("0987654321", "order-1").await.0, 409);
    assert_ne!(ask("0912345678", "order-2").await.1["id"], first.1["id"]);
    it.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_each_other_without_gap_or_overlap() {
    let it = Fixture::start().await;
    let mut made = Vec::new();
    for n in 0..5 {
        made.push(it.place(&format!("091234567{n}")).await);
    }
    let mut seen = Vec::new();
    let mut before = String::new();
    loop {
        let page = it.ask(VIEWER, "GET", &format!("/calls?limit=2{before}"), None).await.1;
        seen.extend(page["items"].as_array().unwrap().iter().map(|call| call["id"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => before = format!("&before={next}"),
            None => break,
        }
    }
    made.reverse();
    assert_eq!(seen, made);
    assert_eq!(it.ask(VIEWER, "GET", "/calls?limit=0", None).await.0, 400);
    assert_eq!(it.ask(VIEWER, "GET", "/calls?state=cancelled", None).await.1["items"], json!([]));
    it.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_with_the_right_word() {
    let it = Fixture::start().await;
    for (body, status, code, said) in [
        (json!({"phone": "0912345678", "conection": "shop"}), 400, "bad_request", "did you mean `connection`?"),
        (json!({"phone": "113"}), 422, "service_number", "113"),
        (json!({"phone": ""}), 422, "missing_phone", ""),
        (json!({"phone": "+1 650 253 0000"}), 422, "foreign_phone", ""),
        (json!({"phone": "0912345678", "connection": "shpo"}), 404, "not_found", "shpo"),
        (json!({"phone": "0912345678", "line": "sales-a"}), 404, "not_found", "sales-a"),
        (json!({}), 400, "bad_request", "missing field `phone`"),
    ] {
        let (got, problem) = it.ask(OPERATOR, "POST", "/calls", Some(body.clone())).await;
        assert_eq!((got, problem["code"].as_str().unwrap()), (status, code), "{body}: {problem}");
        assert!(problem["detail"].as_str().unwrap_or_default().contains(said), "{body}: {problem}");
    }
    assert_eq!(it.ask(OPERATOR, "DELETE", "/calls", None).await.0, 405);
    assert_eq!(it.ask(OPERATOR, "GET", "/call", None).await.0, 404);
    assert_eq!(it.ask(VIEWER, "GET", "/calls?limt=3", None).await.0, 400);
    it.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_waits_hears_at_once_that_nothing_goes() {
    let it = Fixture::start().await;
    let wish = |priority: &str| Some(json!({"phone": "0912345678", "priority": priority}));
    let paused = it.ask(OPERATOR, "POST", "/lines/sales-1/pause", Some(json!({"reason": "battery"}))).await.1;
    assert_eq!((&paused["state"], &paused["pause"]["by"], &paused["pause"]["detail"]), (&json!("paused"), &json!("erp"), &json!("battery")));
    assert!(paused["pause"]["reason"]["sentence"]["vi"].as_str().unwrap().contains("tạm dừng"));
    let (status, problem) = it.ask(OPERATOR, "POST", "/calls", wish("interactive")).await;
    assert_eq!((status, &problem["code"]), (409, &json!("refused_paused")));
    let (status, call) = it.ask(OPERATOR, "POST", "/calls", wish("automation")).await;
    assert_eq!((status, &call["waits"]["reason"]["code"]), (201, &json!("hold_paused")));
    assert_eq!(it.ask(VIEWER, "GET", "/lines/sales-1", None).await.1["waiting"], 1);
    assert_eq!(it.ask(OPERATOR, "POST", "/lines/sales-1/resume", None).await.1["state"], "ready");
    let stopped = it.ask(OPERATOR, "POST", "/pause", Some(json!({"reason": "Tết"}))).await.1;
    assert_eq!((&stopped["stopped"]["by"], &stopped["stopped"]["reason"]), (&json!("erp"), &json!("Tết")));
    assert_eq!(it.ask(OPERATOR, "POST", "/calls", wish("interactive")).await.1["code"], "refused_stopped");
    let (_, waits) = it.ask(OPERATOR, "POST", "/calls", Some(json!({"phone": "0912345679", "priority": "automation"}))).await;
    let line = it.ask(VIEWER, "GET", "/lines/sales-1", None).await.1;
    for who in [&waits, &line] {
        assert_eq!(who["waits"]["stopped"], stopped["stopped"], "who stopped it, since when and why: {who}");
    }
    assert_eq!(it.ask(OPERATOR, "POST", "/resume", None).await.1["stopped"], Value::Null);
    it.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_says_what_would_happen_and_places_nothing() {
    let it = Fixture::start().await;
    let phones = json!(["0912345678", "84987654321", "113", "0912.345.678"]);
    let (status, page) = it.ask(VIEWER, "POST", "/calls/preview", Some(json!({"phones": phones, "connection": "shop"}))).await;
    assert_eq!(status, 200, "{page}");
    let would: Vec<&str> = page["items"].as_array().unwrap().iter().map(|row| row["would"].as_str().unwrap()).collect();
    assert_eq!(would, ["place", "wait", "refuse", "wait"], "{page}");
    assert_eq!(page["items"][1]["waits"]["reason"]["code"], "hold_busy");
    assert_eq!(page["items"][2]["refusal"]["code"], "service_number");
    assert_eq!(page["items"][3]["same_as"], 0);
    assert_eq!(it.ask(VIEWER, "GET", "/calls", None).await.1["items"], json!([]));
    it.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_never_shown_and_hook_addresses_only_to_an_admin() {
    let it = Fixture::start().await;
    let socket = tokio::net::TcpStream::connect(it.bridge.address.unwrap()).await.unwrap();
    let delivery = json!({"phone": "0912345678", "note": "line-key-0123456789"});
    assert_eq!(exchange(socket, "POST", &format!("/hooks/shop/{HOOK}"), Some(delivery), "Content-Type: application/json\r\n").await.0, 200);
    let events = it.ask(VIEWER, "GET", "/events", None).await.1;
    let event = it.ask(VIEWER, "GET", &format!("/events/{}", events["items"][0]["id"].as_str().unwrap()), None).await.1;
    assert!(event["body"].as_str().unwrap().contains("0912345678"), "{event}");
    let mut shown = event.to_string();
    for path in ["/connections", "/connections/shop", "/lines", "/plugins/generic", "/stats", "/rejected"] {
        shown += &it.ask(OPERATOR, "GET", path, None).await.1.to_string();
    }
    for secret in [HOOK, "line-key", "token-of-the-shop", OPERATOR] {
        assert!(!shown.contains(secret), "{secret}");
    }
    let url = it.ask(ADMIN, "GET", "/connections/shop", None).await.1["hooks"][0]["url"].as_str().unwrap().to_owned();
    assert!(url.ends_with(&format!("/hooks/shop/{HOOK}")), "{url}");
    it.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_of_the_document_is_served_and_every_read_answers() {
    let it = Fixture::start().await;
    let (status, document) = it.ask("", "GET", "/openapi.json", None).await;
    assert_eq!(status, 200);
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let (status, answer) = it.ask(ADMIN, &method.to_uppercase(), &path.replace("{id}", "x"), None).await;
            assert_ne!(status, 405, "{method} {path}");
            assert!(!answer["detail"].as_str().unwrap_or_default().contains("nothing at this address"), "{method} {path}: {answer}");
            if method == "get" && !path.contains('{') {
                assert_eq!(status, 200, "{path}: {answer}");
            }
        }
    }
    it.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_written_through_the_local_socket_only() {
    let it = Fixture::start().await;
    it.place("0912345678").await;
    let path = it.dir.path().join("copy.callbridge");
    assert_eq!(it.ask(ADMIN, "POST", "/backup", Some(json!({"path": path}))).await.0, 403);
    let (status, answer) = it.local("POST", "/backup", Some(json!({"path": path}))).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(callbridge::store::sled::verify(&path).unwrap(), answer["rows"].as_u64().unwrap());
    assert_eq!(it.local("POST", "/backup", Some(json!({"path": path}))).await.0, 409);
    it.stop().await;
}
