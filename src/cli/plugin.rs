//! `callbridge plugin`: list, show, check, test, schema, new. Needs no server.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::{Value, json};

use super::args::Cli;
use super::output::{self, FAILED, Failed, NOT_FOUND, NOT_POSSIBLE, facts, list, table, text};
use super::{client, plugin_new, plugin_test};
use crate::plugin::load::{LoadError, load_dir};
use crate::plugin::problem::did_you_mean;
use crate::plugin::{Plugin, Registry};
use crate::web::api::plugins::{detail, page};

#[derive(Debug, clap::Subcommand)]
pub enum Args {
    /// The plugins that can be used.
    List,
    /// One plugin: its parameters, its set-up guide, how sure its facts are.
    Show { id: String },
    /// Look for mistakes in a plugin's folder, or in all plugins in use.
    Check {
        /// A plugin's folder, or a folder of them.
        path: Option<PathBuf>,
    },
    /// Run the cases and signature vectors of a plugin, or of all.
    Test {
        /// An id, or a plugin's folder.
        id: Option<String>,
        /// Write what was really sent into the cases' files. Look at the difference before you keep it.
        #[arg(long, requires = "id")]
        bless: bool,
    },
    /// Write the JSON Schemas of plugin.toml and case.toml, by which an editor completes keys.
    Schema {
        /// Where to.
        #[arg(long, value_name = "DIR", default_value = "plugins")]
        dir: PathBuf,
    },
    /// Make the folder of a new plugin to start from.
    New {
        /// a-z, 0-9 and -
        id: String,
        /// Where plugins are kept.
        #[arg(long, value_name = "DIR", default_value = "plugins")]
        dir: PathBuf,
    },
}

pub async fn run(cli: &Cli, args: &Args) -> anyhow::Result<ExitCode> {
    match args {
        Args::List => list_all(cli).await,
        Args::Show { id } => {
            let plugin = find(&open(cli)?, id)?;
            output::show(cli.json, &serde_json::to_value(detail(&plugin))?, shown);
            Ok(ExitCode::SUCCESS)
        }
        Args::Check { path } => check(cli, path.as_deref()),
        Args::Test { id, bless } => plugin_test::run(cli, id.as_deref(), *bless),
        Args::Schema { dir } => schemas(dir),
        Args::New { id, dir } => plugin_new::run(id, dir),
    }
}

/// What the running server uses, which may be an older version of a folder that is broken now; without a server what one would use.
async fn list_all(cli: &Cli) -> anyhow::Result<ExitCode> {
    let settings = crate::config::load(&cli.sources())?;
    let shown = match client::running(&settings, "/plugins").await {
        Some(shown) => shown,
        None => serde_json::to_value(page(&Registry::open(settings.plugins.path.as_deref()).0))?,
    };
    output::show(cli.json, &shown, rows);
    Ok(ExitCode::SUCCESS)
}

/// The plugins that ship and those of `plugins.path`; what did not load is told.
pub fn open(cli: &Cli) -> anyhow::Result<Registry> {
    let settings = crate::config::load(&cli.sources())?;
    let (registry, errors) = Registry::open(settings.plugins.path.as_deref());
    for error in &errors {
        eprintln!("not loaded: {error}");
    }
    Ok(registry)
}

pub fn find(registry: &Registry, id: &str) -> Result<Arc<Plugin>, Failed> {
    registry.get(id).ok_or_else(|| {
        let ids = registry.ids();
        let hint = did_you_mean(id, ids.iter().map(String::as_str));
        Failed::new(NOT_FOUND, format!("there is no plugin `{id}`{hint}; there are {}", ids.join(", ")))
    })
}

/// A plugin's folder gives one, a folder of them gives all.
pub fn folders(path: &Path) -> anyhow::Result<Vec<Result<Plugin, LoadError>>> {
    if path.join("plugin.toml").exists() {
        return Ok(vec![load_dir(path)]);
    }
    let entries = std::fs::read_dir(path).map_err(|error| Failed::new(NOT_FOUND, output::io_words(path, &error)))?;
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|folder| folder.join("plugin.toml").exists()).collect();
    found.sort();
    if found.is_empty() {
        return Err(Failed::new(NOT_FOUND, format!("{} holds no plugin.toml, and no folder with one", path.display())).into());
    }
    Ok(found.iter().map(|folder| load_dir(folder)).collect())
}

fn check(cli: &Cli, path: Option<&Path>) -> anyhow::Result<ExitCode> {
    let mut found: Vec<Value> = Vec::new();
    let mut good = true;
    let mut add = |id: &str, ok: bool, problems: Vec<String>| {
        good &= ok;
        found.push(json!({"id": id, "ok": ok, "problems": problems}));
    };
    // What a server only warns of is to be mended before a plugin is given to anyone.
    let warned = |plugin: &Plugin| plugin.warnings().iter().cloned().chain(plugin.gaps()).map(|problem| problem.to_string()).collect::<Vec<_>>();
    let broken = |error: &LoadError| error.problems.iter().map(ToString::to_string).collect::<Vec<_>>();
    match path {
        Some(path) => {
            for loaded in folders(path)? {
                match loaded {
                    Ok(plugin) => {
                        let problems = warned(&plugin);
                        add(plugin.id(), problems.is_empty(), problems);
                    }
                    Err(error) => add(&error.id, false, broken(&error)),
                }
            }
        }
        None => {
            let settings = crate::config::load(&cli.sources())?;
            let (registry, errors) = Registry::open(settings.plugins.path.as_deref());
            registry.all().iter().for_each(|plugin| {
                let problems = warned(plugin);
                add(plugin.id(), problems.is_empty(), problems);
            });
            errors.iter().for_each(|error| add(&error.id, false, broken(error)));
        }
    }
    output::show(cli.json, &Value::Array(found), |all| {
        let mut out = String::new();
        for plugin in list(all, "") {
            out.push_str(&format!("{}: {}\n", text(plugin, "/id"), if plugin["ok"] == json!(true) { "ok" } else { "not as it should be" }));
            list(plugin, "/problems").iter().for_each(|problem| out.push_str(&format!("  {}\n", text(problem, ""))));
        }
        out
    });
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn schemas(dir: &Path) -> anyhow::Result<ExitCode> {
    for (file, text) in crate::plugin::schema_files() {
        let path = dir.join(file);
        std::fs::write(&path, text).map_err(|error| Failed::new(NOT_POSSIBLE, format!("{}: {error}", path.display())))?;
        output::data(&path.display().to_string());
    }
    Ok(ExitCode::SUCCESS)
}

fn rows(page: &Value) -> String {
    let row = |plugin: &Value| ["/id", "/name", "/evidence", "/checked", "/kinds", "/cases", "/state"].map(|name| text(plugin, name)).to_vec();
    let all = list(page, "/items");
    let mut out = table(&["ID", "NAME", "EVIDENCE", "CHECKED", "WRITES BACK", "CASES", "STATE"], &all.iter().map(row).collect::<Vec<_>>());
    for plugin in all {
        let problems = list(plugin, "/problems").iter().map(|problem| format!("{}: {}\n", text(plugin, "/id"), text(problem, "")));
        out.extend(problems);
    }
    out
}

fn shown(plugin: &Value) -> String {
    let mut out = facts(&[
        ("plugin", text(plugin, "/id")),
        ("name", text(plugin, "/name")),
        ("evidence", format!("{}, checked {}", text(plugin, "/evidence"), text(plugin, "/checked"))),
        ("sources", list(plugin, "/sources").iter().map(|source| text(source, "")).collect::<Vec<_>>().join("\n             ")),
        ("receives", list(plugin, "/receive").iter().map(|v| format!("{} ({})", text(v, "/name"), text(v, "/methods"))).collect::<Vec<_>>().join(", ")),
        (
            "writes back",
            list(plugin, "/write_back")
                .iter()
                .map(|k| format!("{} (doubles kept out by: {})", text(k, "/kind"), text(k, "/identity")))
                .collect::<Vec<_>>()
                .join(", "),
        ),
    ]);
    for open in list(plugin, "/open") {
        out.push_str(&format!("not confirmed: {}\n", text(open, "")));
    }
    out.push('\n');
    let row = |parameter: &Value| {
        let marks = [("/required", "required"), ("/secret", "secret")].into_iter().filter(|(name, _)| text(parameter, name) == "yes").map(|(_, word)| word);
        let choices = text(parameter, "/choices");
        let kind = if choices.is_empty() { text(parameter, "/type") } else { choices };
        vec![text(parameter, "/id"), kind, marks.collect::<Vec<_>>().join(", "), text(parameter, "/default"), text(parameter, "/title/en")]
    };
    out.push_str(&table(&["PARAMETER", "TYPE", "", "DEFAULT", "IS"], &list(plugin, "/parameters").iter().map(row).collect::<Vec<_>>()));
    out.push('\n');
    out.push_str(&text(plugin, "/readme"));
    out
}
