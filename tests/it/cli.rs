//! The commands as a person runs them: with and without a server, their exit codes, and data apart from talk.

use std::path::Path;
use std::process::Command;

use callbridge::cli::bridge::{Bridge, Role};
use callbridge::config::{Sources, load};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder with a settings file; commands run inside it.
struct Place {
    dir: TempDir,
}

struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("{}\n{}", self.out, self.err))
    }
}

const SETTINGS: &str = r#"
[server]
listen = "127.0.0.1:0"
public_url = "https://bridge.example.vn"
[store]
path = "data"
cache_mib = 8
[store.snapshot]
every = "0s"
[dialer]
url = "http://127.0.0.1:1/campaign/callone/"
[outbound]
allow_networks = ["127.0.0.0/8"]
[[lines]]
id = "sales-1"
secret_key = "line-key-0123456789"
[[connections]]
id = "shop"
plugin = "generic"
hook_key = "hook-key-0123456789"
lines = ["sales-1"]
"#;

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("c.toml"), SETTINGS).unwrap();
        Self { dir }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn run(&self, args: &[&str]) -> Ran {
        let output = Command::new(env!("CARGO_BIN_EXE_callbridge")).args(["--config", "c.toml"]).args(args).current_dir(self.path()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// As in [`Place::run`], with the exit code that is expected.
    fn ends(&self, code: i32, args: &[&str]) -> Ran {
        let ran = self.run(args);
        assert_eq!(ran.code, code, "{args:?}: {}{}", ran.out, ran.err);
        ran
    }

    /// A server on this folder's store that only answers.
    fn server(&self) -> Bridge {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut settings = load(&Sources { files: vec![self.path().join("c.toml")], ..Sources::default() }).unwrap();
        settings.store.path = self.path().join("data");
        Bridge::start(settings, None, Role::Web, true).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_server_the_commands_ask_it() {
    let place = Place::new();
    let bridge = place.server();
    let call = place.ends(0, &["--json", "call", "place", "0912 345 678", "--name", "Nguyễn Thị Hoa", "--connection", "shop"]).json();
    let id = call["id"].as_str().unwrap();
    assert_eq!((&call["origin"]["kind"], &call["priority"]), (&"hand".into(), &"interactive".into()));
    let listed = place.ends(0, &["call", "list"]);
    assert!(listed.out.contains(id) && listed.out.contains("Nguyễn Thị Hoa") && listed.err.is_empty(), "{}", listed.out);
    assert!(place.ends(0, &["call", "show", id]).out.contains("queued"));
    assert_eq!(place.ends(0, &["--json", "call", "preview", "0912345678", "113"]).json()["items"][1]["would"], "refuse");
    place.ends(4, &["call", "redial", id, "--reason", "again"]);
    place.ends(0, &["call", "cancel", id]);
    assert!(place.ends(4, &["call", "cancel", id]).err.contains("only a queued call can be cancelled"));
    place.ends(3, &["call", "show", "call_x"]);
    place.ends(3, &["event", "replay", "evt_x"]);
    assert!(place.ends(0, &["line", "pause", "sales-1", "--reason", "battery"]).out.contains("battery"));
    assert!(place.ends(4, &["call", "place", "0912345678"]).err.contains("the line is paused"));
    let shown = place.ends(0, &["line", "show", "sales-1"]).out;
    assert!(["paused", "battery", "0 (20", "nothing (at most 1 at once)"].iter().all(|part| shown.contains(part)), "{shown}");
    assert_eq!(place.ends(0, &["--json", "line", "show", "sales-1"]).json()["state"], "paused");
    place.ends(3, &["line", "show", "sales-9"]);
    place.ends(0, &["line", "resume", "sales-1"]);
    place.ends(3, &["line", "resume", "sales-9"]);
    assert!(place.ends(0, &["pause", "--all", "--reason", "Tết"]).out.contains("Tết"));
    assert_eq!(place.ends(0, &["--json", "line", "list"]).json()["items"][0]["state"], "stopped");
    place.ends(0, &["resume", "--all"]);
    place.ends(2, &["pause"]);
    assert!(place.ends(0, &["connection", "list"]).out.contains("https://bridge.example.vn/hooks/shop/hook-key-0123456789"));
    assert_eq!(place.ends(0, &["--json", "event", "list", "--rejected"]).json()["items"], serde_json::json!([]));
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_admin_is_told_in_words_what_is_not_there_and_what_a_test_would_dial() {
    let place = Place::new();
    std::fs::write(place.path().join("c.toml"), format!("{SETTINGS}mode = \"test\"\ntest_phone = \"0987654321\"\n")).unwrap();
    let bridge = place.server();
    for (args, said) in [
        (vec!["call", "list"], "no call was asked for yet"),
        (vec!["call", "list", "--state", "lost"], "no call fits"),
        (vec!["event", "list"], "no webhook was accepted yet"),
        (vec!["event", "list", "--rejected"], "no webhook was refused"),
        (vec!["dnc", "list"], "there is no number on the list"),
        (vec!["alert", "list"], "nothing is wrong"),
        (vec!["config", "explain", "dialler"], "no key begins with `dialler`"),
        (vec!["call", "release"], "meant: 0 calls"),
        (vec!["call", "preview", "--connection", "shop", "0912345678"], "test mode: 0987654321 is dialled instead"),
        (vec!["connection", "show", "shop"], "test phone  0987654321 is dialled in place of the customer"),
    ] {
        let out = place.ends(0, &args).out;
        assert!(out.contains(said), "{args:?}: {out}");
    }
    for (code, args, said) in [
        (3, vec!["call", "list", "--connection", "shoop"], "there is no connection `shoop`"),
        (2, vec!["call", "cancel", "--hold", "foo"], "there are rate, busy, paused,"),
        (2, vec!["call", "place", "abc"], "where it was entered, in the CRM or by hand"),
        (1, vec!["dnc", "import", "no.csv"], "no.csv: there is no such file or folder"),
        (3, vec!["restore", "no.callbridge", "--to", "elsewhere"], "no.callbridge: there is no such file or folder"),
        (3, vec!["plugin", "check", "no"], "no: there is no such file or folder"),
    ] {
        let err = place.ends(code, &args).err;
        assert!(err.contains(said) && !err.contains("os error"), "{args:?}: {err}");
    }
    let id = place.ends(0, &["--json", "call", "place", "0912345678", "--connection", "shop"]).json()["id"].as_str().unwrap().to_owned();
    assert!(place.ends(0, &["call", "list"]).out.contains("shop (test)"));
    assert!(place.ends(0, &["call", "show", &id]).out.contains("0987654321 is dialled in place of the customer"));
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_the_commands_open_the_store() {
    let place = Place::new();
    assert!(place.ends(5, &["call", "list"]).err.contains("there is no store in data yet"));
    place.server().stop().await;
    let placed = place.ends(0, &["--json", "call", "place", "0912345678", "--automation"]);
    assert!(placed.err.contains("no server is running"), "{}", placed.err);
    assert_eq!(place.ends(0, &["--json", "call", "list"]).json()["items"][0]["id"], placed.json()["id"]);
    // A socket that a killed server left behind is no server.
    drop(std::os::unix::net::UnixListener::bind(place.path().join("data/left.sock")).unwrap());
    std::fs::rename(place.path().join("data/left.sock"), place.path().join("data/callbridge.sock")).unwrap();
    place.ends(0, &["line", "list"]);
    // A server whose socket is gone still holds the store.
    let bridge = place.server();
    std::fs::remove_file(place.path().join("data/callbridge.sock")).unwrap();
    assert!(place.ends(5, &["line", "list"]).err.contains("in use by another callbridge process"));
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_the_running_server_becomes_a_stopped_store() {
    let place = Place::new();
    let bridge = place.server();
    let id = place.ends(0, &["--json", "call", "place", "0912345678", "--automation"]).json()["id"].as_str().unwrap().to_owned();
    let written = place.ends(0, &["backup", "copy.callbridge"]);
    assert_eq!(Path::new(written.out.trim()), std::fs::canonicalize(place.path()).unwrap().join("copy.callbridge"));
    bridge.stop().await;
    place.ends(4, &["restore", "copy.callbridge", "--to", "data"]);
    place.ends(3, &["restore", "nothing.callbridge", "--to", "restored"]);
    std::fs::write(place.path().join("broken"), "no backup").unwrap();
    place.ends(1, &["restore", "broken", "--to", "restored"]);
    place.ends(0, &["restore", "copy.callbridge", "--to", "restored"]);
    std::fs::write(place.path().join("c.toml"), SETTINGS.replace("\"data\"", "\"restored\"")).unwrap();
    let call = place.ends(0, &["--json", "call", "show", &id]).json();
    assert_eq!((&call["state"], &call["waits"]["reason"]["code"]), (&"queued".into(), &"hold_stopped".into()));
}

#[test]
fn check_says_what_is_in_place_and_what_is_not() {
    let place = Place::new();
    let found = place.ends(1, &["--json", "check"]).json();
    let result = |about: &str| found.as_array().unwrap().iter().filter(|f| f["about"] == about).map(|f| f["result"].as_str().unwrap()).collect::<Vec<_>>();
    assert_eq!((result("plugins"), result("clock"), result("public_url")), (vec!["ok"], vec!["ok"], vec!["ok"]), "{found}");
    assert_eq!(result("dialer"), ["error"], "nothing listens there");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dialer = listener.local_addr().unwrap().to_string();
    std::fs::write(place.path().join("c.toml"), SETTINGS.replace("127.0.0.1:1/", &format!("{dialer}/"))).unwrap();
    place.ends(0, &["check"]);
    let broken = format!("{}\n[[alerts]]\nname = \"boss\"\ntemplate = \"telegramm\"\n", SETTINGS.replace("127.0.0.1:1/", &format!("{dialer}/")));
    std::fs::write(place.path().join("c.toml"), broken).unwrap();
    let found = place.ends(1, &["check"]).out;
    assert!(found.contains("alerts") && found.contains("boss"), "what the server refuses, check says: {found}");
    std::fs::write(place.path().join("c.toml"), "[server]\nlistn = 1\n").unwrap();
    assert!(place.ends(1, &["check"]).out.contains("listen"));
}

#[test]
fn plugins_are_listed_checked_tested_and_made_without_a_server() {
    let place = Place::new();
    assert!(place.ends(0, &["plugin", "list"]).out.contains("generic"));
    assert!(place.ends(0, &["plugin", "show", "generic"]).out.contains("result_url"));
    assert!(place.ends(3, &["plugin", "show", "generik"]).err.contains("did you mean `generic`?"));
    place.ends(0, &["plugin", "new", "my-crm"]);
    place.ends(4, &["plugin", "new", "my-crm"]);
    assert!(place.path().join("plugins/plugin.schema.json").exists() && place.path().join("plugins/case.schema.json").exists());
    place.ends(2, &["plugin", "new", "My CRM"]);
    let over = place.ends(0, &["plugin", "new", "generic", "--dir", "elsewhere"]).err;
    assert!(over.contains("a plugin `generic` ships"), "{over}");
    place.ends(0, &["plugin", "check", "plugins"]);
    place.ends(0, &["plugin", "test", "plugins/my-crm"]);
    for verb in ["check", "test"] {
        let inside = Command::new(env!("CARGO_BIN_EXE_callbridge"))
            .args(["--config", "../../c.toml", "plugin", verb, "."])
            .current_dir(place.path().join("plugins/my-crm"))
            .output();
        let inside = inside.unwrap();
        assert!(inside.status.success(), "{verb}: {}{}", String::from_utf8_lossy(&inside.stdout), String::from_utf8_lossy(&inside.stderr));
    }
    // A case that no longer holds fails, is blessed, and holds.
    let file = place.path().join("plugins/my-crm/cases/first/3-call.json");
    let right = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, right.replace("0912345678", "0987654321")).unwrap();
    assert!(place.ends(1, &["plugin", "test", "plugins/my-crm"]).out.contains("0987654321"));
    let blessed = place.ends(0, &["plugin", "test", "plugins/my-crm", "--bless"]).out;
    assert!(blessed.contains("written") && blessed.contains("blessed") && !blessed.contains("ok"), "{blessed}");
    place.ends(0, &["plugin", "test", "plugins/my-crm"]);
    assert!(std::fs::read_to_string(&file).unwrap().contains("0912345678"));
    std::fs::write(place.path().join("plugins/my-crm/plugin.toml"), "spec = 1\nidd = \"my-crm\"\n").unwrap();
    assert!(place.ends(1, &["plugin", "check", "plugins/my-crm"]).out.contains("did you mean `id`?"));
}

#[test]
fn a_settings_file_that_is_not_there_is_told_in_words_with_how_to_make_one() {
    let place = Place::new();
    std::fs::remove_file(place.path().join("c.toml")).unwrap();
    let told = place.ends(1, &["check"]);
    assert!(told.out.contains("c.toml: the settings file cannot be read: there is no such file or folder"), "{}", told.out);
    assert!(told.out.contains("callbridge config example > c.toml") && !told.out.contains("os error"), "{}", told.out);
    let example = place.ends(0, &["config", "example"]).out;
    std::fs::write(place.path().join("c.toml"), &example).unwrap();
    let found = place.ends(1, &["check"]).out;
    assert!(found.contains("the environment variable") && !found.contains("cannot be read"), "it only lacks the secrets: {found}");
}

#[test]
fn each_value_of_the_settings_is_explained_without_its_secret() {
    let place = Place::new();
    let rows = place.ends(0, &["--json", "config", "explain"]).json();
    let row = |key: &str| rows.as_array().unwrap().iter().find(|row| row["key"] == key).unwrap().clone();
    assert_eq!(row("store.path")["from"], "c.toml:6");
    assert_eq!(row("dialer.timeout")["from"], "built in");
    assert_eq!(row("connections.shop.hook_key")["value"], "[secret]");
    let help = place.ends(0, &["--help"]);
    assert!(help.out.contains("Exit codes:"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_not_there_is_a_mistake_and_a_long_list_is_looked_at_in_slices() {
    let place = Place::new();
    let bridge = place.server();
    place.ends(3, &["call", "cancel", "--connection", "nosuch"]);
    place.ends(3, &["call", "release", "--connection", "nosuch", "--yes"]);
    let numbers: Vec<String> = (0..1001).map(|n| format!("0912{n:06}")).collect();
    let mut args = vec!["--json", "call", "preview", "--connection", "shop"];
    args.extend(numbers.iter().map(String::as_str));
    // The first once more, in the second slice: the list itself counts for the cap.
    args.extend([numbers[0].as_str(); 3]);
    let previewed = place.ends(0, &args).json();
    let items = previewed["items"].as_array().unwrap();
    assert_eq!((items.len(), &items[1000]["waits"]["reason"]["code"]), (1004, &json!("hold_brake")));
    assert_eq!(items[1001..].iter().map(|item| item["same_as"].as_u64()).collect::<Vec<_>>(), [Some(0); 3]);
    let codes: Vec<_> = items[1001..].iter().map(|item| item["waits"]["reason"]["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["hold_brake", "hold_brake", "hold_cap"], "three in 24 hours, and this is the fourth");
    std::fs::write(place.path().join("empty.csv"), "").unwrap();
    assert!(place.ends(1, &["dnc", "import", "empty.csv", "--why", "a list"]).err.contains("the file is empty"));
    let junk: String = (0..30_000).map(|n| format!("An,\"gọi\nlại\",09{n:08}\nBình,x,\n")).collect();
    std::fs::write(place.path().join("junk.csv"), format!("ten,ghichu,sdt\n{junk}")).unwrap();
    let out = place.ends(0, &["dnc", "import", "junk.csv", "--bad-rows", "bad.tsv"]).out;
    assert!(out.contains("all 30000 rows without a number are in bad.tsv") && !out.contains("--bad-rows"), "{out}");
    let told = std::fs::read_to_string(place.path().join("bad.tsv")).unwrap();
    assert_eq!((told.lines().count(), told.lines().last()), (30_000, Some("60001\tmissing_phone\tBình,x,")));
    let out = place.ends(0, &["dnc", "import", "junk.csv"]).out;
    assert!(out.contains("and 29980 others: --bad-rows FILE"), "{out}");
    taken_back(&place);
    let shown = place.ends(0, &["call", "place", "0912345678", "--automation"]).out;
    assert!(!shown.contains("one of"), "which line it will be is not decided: {shown}");
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_calls_are_let_go_or_cancelled_only_as_many_as_were_counted() {
    let place = Place::new();
    std::fs::write(place.path().join("c.toml"), format!("{SETTINGS}max_new_calls = \"1/h\"\n")).unwrap();
    let bridge = place.server();
    let ask = |n: u32| drop(place.ends(0, &["call", "place", &format!("091234567{n}"), "--connection", "shop", "--automation"]));
    (0..4).for_each(ask);
    let release = ["call", "release", "--connection", "shop"];
    let with = |more: &[&'static str]| [&release[..], more].concat();
    let counted = place.ends(0, &release);
    assert!(counted.out.contains("meant: 3 calls") && counted.err.contains("--yes=3"), "{}{}", counted.out, counted.err);
    ask(4);
    let other = place.ends(4, &with(&["--yes=3"]));
    assert!(other.err.contains("4 calls are meant now, not 3"), "{}", other.err);
    let unnamed = place.ends(2, &with(&["--yes"]));
    assert!(unnamed.err.contains("4 calls are meant now, and nothing was changed") && unnamed.err.contains("--yes=4"), "{}", unnamed.err);
    let waiting = || place.ends(0, &["--json", "call", "release"]).json()["matching"].clone();
    assert_eq!(waiting(), 4);
    assert!(place.ends(0, &with(&["--count", "1", "--yes"])).out.contains("let go: 1 call"));
    assert!(place.ends(0, &with(&["--yes=3"])).out.contains("let go: 3 calls"));
    assert_eq!((waiting(), place.ends(0, &with(&["--yes"])).out.as_str()), (json!(0), "meant: 0 calls\n"));
    assert!(place.ends(0, &["call", "cancel", "--connection", "shop", "--state", "queued", "--yes=5"]).out.contains("cancelled: 5 calls"));
    bridge.stop().await;
}

/// A wrong import, and a file of numbers that may be called again.
fn taken_back(place: &Place) {
    std::fs::write(place.path().join("wrong.csv"), "sdt\n0812000001\n0812000002\n0812000003\n").unwrap();
    let ran = place.ends(0, &["--json", "dnc", "import", "wrong.csv"]);
    let import = ran.json()["import"].to_string();
    assert!(ran.err.contains(&format!("to take this import back: callbridge dnc undo {import}")), "{}", ran.err);
    std::fs::write(place.path().join("may.txt"), "0812000003\nhello\n0812000009\n").unwrap();
    let off = ["--json", "dnc", "remove", "--file", "may.txt"];
    assert_eq!(place.ends(0, &off).json(), json!({"matching": 1, "bad": 1, "done": null}));
    assert_eq!(place.ends(0, &[&off[..], &["--yes"]].concat()).json()["done"], 1);
    assert!(place.ends(0, &["dnc", "undo", &import]).out.contains("2 numbers stand on the list by it"));
    assert_eq!(place.ends(0, &["--json", "dnc", "undo", &import, "--yes"]).json(), json!({"matching": 2, "bad": 0, "done": 2}));
    place.ends(3, &["dnc", "remove", "0812000001"]);
    place.ends(3, &["dnc", "undo", "99"]);
}

/// An interrupted import says what is on the list and how to take it off.
#[test]
fn an_interrupted_import_says_what_stays_and_how_to_take_it_back() {
    use std::io::{BufRead, BufReader, Write};
    let place = Place::new();
    std::fs::create_dir(place.path().join("data")).unwrap();
    std::fs::write(place.path().join("data/.here"), "").unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_callbridge"))
        .args(["--config", "c.toml", "dnc", "import", "-"])
        .current_dir(place.path())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdin, mut lines) = (child.stdin.take().unwrap(), BufReader::new(child.stderr.take().unwrap()).lines());
    let writing = std::thread::spawn(move || {
        let row = "x".repeat(4000);
        (0..4200).for_each(|n| writeln!(stdin, "{row},081200{n:04}").unwrap());
        stdin
    });
    let wait = |lines: &mut dyn Iterator<Item = std::io::Result<String>>, words: &str| loop {
        let line = lines.next().unwrap_or_else(|| panic!("it ended without `{words}`")).unwrap();
        if line.contains(words) {
            break line;
        }
    };
    wait(&mut lines, "new numbers");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    wait(&mut lines, "stopping behind this part");
    drop(writing.join().unwrap());
    wait(&mut lines, "callbridge dnc undo 1");
    assert!(wait(&mut lines, "interrupted").contains("numbers of them are new on the list"));
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(place.ends(0, &["--json", "dnc", "undo", "1", "--yes"]).json()["done"].as_u64().unwrap() > 4000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_server_is_stopped_also_where_its_secrets_are_not_known() {
    let place = Place::new();
    let bridge = place.server();
    let config = std::fs::read_to_string(place.path().join("c.toml")).unwrap();
    std::fs::write(place.path().join("c.toml"), config + "\n[[api_keys]]\nname = \"erp\"\nkey = \"env:NOT_SET_IN_THIS_SHELL\"\n").unwrap();
    assert!(place.ends(0, &["pause", "--all", "--reason", "Tết"]).out.contains("Tết"));
    bridge.stop().await;
    assert!(place.ends(1, &["resume", "--all"]).err.contains("NOT_SET_IN_THIS_SHELL"), "what opens the store itself needs all of it");
}
