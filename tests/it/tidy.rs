//! The walls of the source tree, kept as absences: who may name what, what a module may use, what no file may say.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use callbridge::error;

/// Files over 400 lines, and why.
const LONG: &[(&str, &str)] = &[
    ("src/domain/call.rs", "a call, its state table and the test of every cell"),
    ("src/store/verbs.rs", "the contract of every store, with the values its verbs speak in"),
    ("src/store/contract.rs", "the contract suite of every store: only tests"),
];
const LONGEST: usize = 400;

/// Who alone may name what (paths under `src/`).
const WALLS: &[(&str, &[&str], &[&str])] = &[
    ("only outbound and simulator open client connections", &["reqwest"], &["outbound/", "simulator/"]),
    ("only web and simulator know the server's side of HTTP", &["actix_web", "actix_http", "actix_rt"], &["web/", "simulator/"]),
    ("only store knows sled", &["sled"], &["store/"]),
    ("only config reads the environment", &["std::env::var", "std::env::vars", "env::var(", "env::var_os", "env::vars"], &["config/"]),
    ("only clock.rs reads the clock", &["SystemTime", "Timestamp::now", "Zoned::now", "now_v7"], &["clock.rs"]),
];

/// Product code that names `sled` only as the word in its own API (`Backend::Sled`, `store::sled::Options`, `SledStore`).
const OUR_SLED: &[&str] = &["store::sled", "sled only", "\"sled\"", "sled/"];

struct Source {
    /// Under the root, with `/`.
    path: String,
    text: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &str, endings: &[&str]) -> Vec<Source> {
    fn walk(folder: &Path, endings: &[&str], found: &mut Vec<Source>) {
        let mut entries: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                walk(&path, endings, found);
            } else if endings.iter().any(|e| path.to_string_lossy().ends_with(e)) {
                let name = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
                found.push(Source { path: name, text: String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned() });
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), endings, &mut found);
    found
}

fn sources() -> Vec<Source> {
    files("src", &[".rs"])
}

/// Lines with their numbers, without comments.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(n, line)| (n + 1, line)).filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("tests.rs") || path.ends_with("contract.rs")
}

fn none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// Whether `word` stands in `line` by itself.
fn names(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| !line[..at].chars().next_back().is_some_and(is_part) && !line[at + word.len()..].chars().next().is_some_and(is_part))
}

#[test]
fn a_module_uses_only_modules_listed_above_it() {
    let lib = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let order: Vec<&str> = lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    assert!(order.len() > 10, "{order:?}");
    let rank: BTreeMap<&str, usize> = order.iter().enumerate().map(|(n, name)| (*name, n)).collect();
    let mut faults = Vec::new();
    for source in sources() {
        let top = source.path.trim_start_matches("src/").split('/').next().unwrap().trim_end_matches(".rs");
        let Some(own) = rank.get(top) else { continue };
        for (n, line) in code(&source.text) {
            for (at, _) in line.match_indices("crate::") {
                let rest = &line[at + 7..];
                // `use crate::{a, b::C}` names several.
                let list = rest.strip_prefix('{').map_or_else(|| vec![rest], |inside| inside.split(',').map(str::trim).collect());
                for used in list {
                    let used = used.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
                    if rank.get(used).is_some_and(|r| r > own) {
                        faults.push(format!("{}:{n}: `{top}` uses `{used}`, which is listed below it", source.path));
                    }
                }
            }
        }
    }
    none(&faults);
}

#[test]
fn who_may_name_what() {
    let mut faults = Vec::new();
    for source in sources() {
        let inside = source.path.trim_start_matches("src/");
        for (rule, words, allowed) in WALLS {
            if allowed.iter().any(|a| inside.starts_with(a)) {
                continue;
            }
            for (n, line) in code(&source.text) {
                let own = *words == ["sled"] && OUR_SLED.iter().any(|ours| line.contains(ours));
                if !own && words.iter().any(|word| if word.ends_with('(') { line.contains(word) } else { names(line, word) }) {
                    faults.push(format!("{}:{n}: {rule}: {}", source.path, line.trim()));
                }
            }
        }
        if !is_test(&source.path) && inside != "clock.rs" {
            faults.extend(
                code(&source.text).filter(|(_, l)| l.contains("Instant::now(")).map(|(n, _)| format!("{}:{n}: only clock.rs reads the clock", source.path)),
            );
        }
    }
    none(&faults);
}

/// What callbridge knows about a CRM stands in its plugin.
#[test]
fn no_crm_is_named_in_the_source() {
    let mut products: BTreeSet<String> = std::fs::read_dir(root().join("plugins"))
        .unwrap()
        .map(|e| e.unwrap())
        .filter(|e| e.path().is_dir())
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect();
    assert!(products.remove("generic") && products.len() >= 2, "{products:?}");
    products.extend(
        [
            "salesforce",
            "zoho",
            "pipedrive",
            "odoo",
            "bitrix24",
            "bitrix",
            "freshsales",
            "kommo",
            "amocrm",
            "suitecrm",
            "sugarcrm",
            "vtiger",
            "zapier",
            "getfly",
            "misa",
        ]
        .map(str::to_owned),
    );
    let mut faults = Vec::new();
    for source in sources().into_iter().filter(|s| !is_test(&s.path)) {
        for (n, line) in source.text.lines().enumerate() {
            let lower = line.to_lowercase();
            faults.extend(products.iter().filter(|p| names(&lower, p)).map(|p| format!("{}:{}: names {p}", source.path, n + 1)));
        }
    }
    none(&faults);
}

#[test]
fn a_mod_rs_holds_docs_the_list_and_re_exports() {
    let faults: Vec<String> = sources()
        .iter()
        .filter(|s| s.path.ends_with("/mod.rs") && !is_test(&s.path))
        .flat_map(|s| {
            let logic = |line: &str| {
                ["fn ", "impl ", "impl<", "struct ", "enum ", "macro_rules!", "static ", "trait "]
                    .iter()
                    .any(|w| line.trim_start().trim_start_matches("pub ").trim_start_matches("async ").starts_with(w))
            };
            code(&s.text).filter(move |(_, l)| logic(l)).map(|(n, l)| format!("{}:{n}: {}", s.path, l.trim())).collect::<Vec<_>>()
        })
        .collect();
    none(&faults);
}

#[test]
fn every_module_has_a_doc_line_and_a_readable_length() {
    let mut faults = Vec::new();
    for source in sources().into_iter().chain(files("tests", &[".rs"])) {
        if !source.text.starts_with("//!") {
            faults.push(format!("{}: the first line says what the module is (//!)", source.path));
        }
        let lines = source.text.lines().count();
        let excused = LONG.iter().any(|(path, _)| *path == source.path) || !source.path.starts_with("src/");
        if lines > LONGEST && !excused {
            faults.push(format!("{}: {lines} lines; split it, or say in LONG why not", source.path));
        }
    }
    for (path, why) in LONG {
        let lines = std::fs::read_to_string(root().join(path)).map(|t| t.lines().count()).unwrap_or(0);
        if lines <= LONGEST {
            faults.push(format!("{path} has {lines} lines and no longer needs its excuse ({why})"));
        }
    }
    none(&faults);
}

#[test]
fn no_file_names_the_machine_it_was_written_on() {
    // Put together, or this file would find itself.
    let words = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("/us", "ers/"),
        concat!("../sha", "red"),
        concat!("crates-", "mirror"),
        concat!("FIX", "ME"),
        concat!("XX", "X:"),
        concat!("TO", "DO"),
    ];
    let endings = [".rs", ".toml", ".md", ".hbs", ".json", ".http", ".css", ".js", ".html", "/run", ".tsv"];
    let mut faults = Vec::new();
    for folder in ["src", "tests", "plugins", "docs", "config", "templates", ".ci"] {
        for source in files(folder, &endings) {
            for (n, line) in source.text.lines().enumerate() {
                faults.extend(words.iter().filter(|w| line.contains(*w)).map(|w| format!("{}:{}: {w}", source.path, n + 1)));
            }
        }
    }
    none(&faults);
}

/// Nothing that links a C TLS library, and no licence that would bind the user.
#[test]
fn dependencies_have_licences_we_may_ship() {
    const ALLOWED: &[&str] = &[
        "MIT",
        "Apache-2.0",
        "Apache-2.0 WITH LLVM-exception",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "ISC",
        "Unicode-3.0",
        "Zlib",
        "BSL-1.0",
        "Unlicense",
        "0BSD",
        "CDLA-Permissive-2.0",
        "MIT-0",
    ];
    const BANNED: &[&str] = &["openssl", "openssl-sys", "native-tls", "aws-lc-rs", "aws-lc-sys", "boring-sys"];
    let target = if cfg!(target_arch = "aarch64") { "aarch64-unknown-linux-gnu" } else { "x86_64-unknown-linux-gnu" };
    let output = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", target])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let used: BTreeSet<&str> = metadata["resolve"]["nodes"].as_array().unwrap().iter().filter_map(|n| n["id"].as_str()).collect();
    let mut faults = Vec::new();
    for package in metadata["packages"].as_array().unwrap().iter().filter(|p| p["id"].as_str().is_some_and(|id| used.contains(id))) {
        let (name, licence) = (package["name"].as_str().unwrap(), package["license"].as_str().unwrap_or_default());
        if BANNED.contains(&name) {
            faults.push(format!("{name} is banned: TLS is rustls with ring"));
        }
        let words = licence.replace('/', " OR ").replace(['(', ')'], " ");
        // Every part of an AND, one part of an OR.
        let allowed = words.split(" AND ").all(|part| part.split(" OR ").any(|one| ALLOWED.contains(&one.trim())));
        if !allowed {
            faults.push(format!("{name}: licence `{licence}`"));
        }
    }
    none(&faults);
}

/// `docs/errors.md` is written from the table; CALLBRIDGE_BLESS=1 writes it.
#[test]
fn the_error_page_is_the_table() {
    let mut text = String::from(
        "# Error codes\n\nWritten from `src/error.rs` by `CALLBRIDGE_BLESS=1 cargo test --test it error_page`: do not edit.\n\n\
         A code stands in problem answers (`code`, and `type` as `urn:callbridge:error:<code>`), in the log (`error.code`), at items, calls and lines.\n\n\
         | class | leads to |\n|---|---|\n\
         | reject | the input is wrong; the same input will fail again |\n\
         | misconfigured | a person has to change a setting before this can work |\n\
         | retry | it surely did not happen; it is or may be tried again |\n\
         | unknown | it may have happened; nothing is done again by machine |\n\
         | bug | callbridge itself is wrong |\n",
    );
    for code in error::ALL {
        let entry = code.entry();
        let class = format!("{:?}", entry.class).to_lowercase();
        let _ = write!(
            text,
            "\n## {}\n\n{} · HTTP {}\n\n- en: {}. {}\n- vi: {}. {}\n",
            entry.code,
            class,
            entry.status,
            sentence(entry.en),
            entry.advice_en,
            sentence(entry.vi),
            entry.advice_vi
        );
    }
    let path = root().join("docs/errors.md");
    if std::env::var_os("CALLBRIDGE_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == text, "docs/errors.md is not what the table says; write it with CALLBRIDGE_BLESS=1");
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
