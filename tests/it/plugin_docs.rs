//! What is written from the plugins and from the types of their format: schemas, tables. CALLBRIDGE_BLESS=1 writes it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use callbridge::plugin::manifest::{Identity, Level};
use callbridge::plugin::{Plugin, Registry, schema_files};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn plugins() -> Vec<Arc<Plugin>> {
    let (registry, problems) = Registry::open(None);
    assert!(problems.is_empty(), "{problems:?}");
    registry.all()
}

fn blessing() -> bool {
    std::env::var_os("CALLBRIDGE_BLESS").is_some()
}

/// The file must be this text.
fn is_written(path: &str, text: &str) {
    let path = root().join(path);
    if blessing() {
        std::fs::write(&path, text).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == text, "{} is not what it is written from; write it with CALLBRIDGE_BLESS=1 cargo test --test it plugin_docs", path.display());
}

/// The part of a file between its two marks must be this text.
fn holds_table(path: &str, mark: &str, table: &str) {
    let whole = std::fs::read_to_string(root().join(path)).unwrap();
    let (begin, end) = (format!("<!-- {mark}: written by CALLBRIDGE_BLESS=1 cargo test --test it plugin_docs -->\n"), format!("<!-- end of {mark} -->"));
    let (head, rest) = whole.split_once(&begin).unwrap_or_else(|| panic!("{path} has no line {begin}"));
    let (_, tail) = rest.split_once(&end).unwrap_or_else(|| panic!("{path} has no line {end}"));
    is_written(path, &format!("{head}{begin}{table}{end}{tail}"));
}

fn word(identity: Identity) -> &'static str {
    match identity {
        Identity::ClientId => "client_id",
        Identity::Searchable => "searchable",
        Identity::Marker => "marker",
        Identity::None => "**none**",
    }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Documented => "documented",
        Level::SdkVector => "SDK vectors",
        Level::Recorded => "recorded",
        Level::Live => "live",
    }
}

#[test]
fn the_schemas_that_ship_are_those_of_the_types() {
    for (file, text) in schema_files() {
        is_written(&format!("plugins/{file}"), &text);
    }
}

#[test]
fn the_identities_are_those_that_the_plugins_declare() {
    let mut table = String::from("| plugin | `call` | `note` | `field` |\n|---|---|---|---|\n");
    for plugin in plugins() {
        // In several modes a kind may have several identities.
        let cell = |name: &str| {
            let mut words: Vec<&str> = plugin.kinds().iter().filter(|kind| kind.name == name).map(|kind| word(kind.identity)).collect();
            words.dedup();
            if words.is_empty() { "–".to_owned() } else { words.join(" or ") }
        };
        writeln!(table, "| `{}` | {} | {} | {} |", plugin.id(), cell("call"), cell("note"), cell("field")).unwrap();
    }
    holds_table("docs/PLUGINS.md", "identity per plugin and kind", &table);
}

#[test]
fn the_list_of_plugins_is_what_ships() {
    let mut table = String::from("| plugin | for | takes | writes back | evidence | checked | cases |\n|---|---|---|---|---|---|---|\n");
    for plugin in plugins() {
        let evidence = &plugin.manifest().evidence;
        let takes: Vec<&str> = plugin.variants().iter().map(|variant| variant.name.as_str()).collect();
        let kinds: Vec<String> = plugin.kinds().iter().map(|kind| format!("`{}`", kind.name)).collect();
        let (id, name, cases) = (plugin.id(), plugin.name(), plugin.case_names().len());
        let (takes, kinds, level) = (takes.join(", "), kinds.join(", "), level(evidence.level));
        writeln!(table, "| [`{id}`]({id}/) | {name} | {takes} | {kinds} | {level} | {} | {cases} |", evidence.checked).unwrap();
    }
    holds_table("plugins/README.md", "list of plugins", &table);
}
