//! `callbridge plugin test`: the cases and signature vectors of plugins, without network or store.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use serde_json::{Value, json};

use super::args::Cli;
use super::output::{self, FAILED, Failed, NOT_FOUND, list, table, text};
use super::plugin::{find, folders, open};
use crate::plugin::Plugin;

pub fn run(cli: &Cli, id: Option<&str>, bless: bool) -> anyhow::Result<ExitCode> {
    let mut results = Vec::new();
    let mut good = true;
    match id {
        None => {
            for plugin in open(cli)?.all() {
                let result = test(&plugin, None)?;
                good &= result["ok"] == json!(true);
                results.push(result);
            }
        }
        Some(id) => {
            let folder = folder(cli, id)?;
            let result = match &folder {
                Some(folder) => test(&loaded(folder)?, bless.then_some(folder.as_path()))?,
                None if bless => {
                    let message = format!("`{id}` is built in: give the path of its folder to bless its cases");
                    return Err(Failed::new(NOT_FOUND, message).into());
                }
                None => test(&*find(&open(cli)?, id)?, None)?,
            };
            good &= result["ok"] == json!(true);
            results.push(result);
        }
    }
    output::show(cli.json, &Value::Array(results), said);
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

/// The folder that is meant: a path, or the plugin of this id in `plugins.path`.
fn folder(cli: &Cli, id: &str) -> anyhow::Result<Option<PathBuf>> {
    let path = PathBuf::from(id);
    if path.join("plugin.toml").exists() {
        return Ok(Some(path));
    }
    let settings = crate::config::load(&cli.sources())?;
    Ok(settings.plugins.path.map(|dir| dir.join(id)).filter(|folder| folder.join("plugin.toml").exists()))
}

fn loaded(folder: &Path) -> anyhow::Result<Plugin> {
    // `.` has no name of its own, and the folder's name is the plugin's id.
    let folder = std::fs::canonicalize(folder).with_context(|| folder.display().to_string())?;
    let plugin = folders(&folder)?.into_iter().next().context("there is no plugin in this folder")?;
    plugin.map_err(|error| Failed::new(FAILED, error.to_string()).into())
}

fn test(plugin: &Plugin, bless: Option<&Path>) -> anyhow::Result<Value> {
    let (vectors, mut faults) = plugin.run_vectors();
    let (mut written, mut passed) = (Vec::new(), 0);
    let names = plugin.case_names();
    for name in &names {
        let case = match plugin.case(name) {
            Ok(case) => case,
            Err(why) => {
                faults.push(format!("case {name}: {why}"));
                continue;
            }
        };
        let result = if bless.is_some() { plugin.bless_case(&case) } else { plugin.run_case(&case) };
        passed += usize::from(result.mismatches.is_empty());
        let blessed = bless.filter(|_| !result.mismatches.is_empty());
        if let Some(folder) = blessed {
            for (file, text) in &result.blessed {
                let path = folder.join("cases").join(name).join(file);
                if std::fs::read_to_string(&path).is_ok_and(|before| before == *text) {
                    continue;
                }
                std::fs::write(&path, text).with_context(|| path.display().to_string())?;
                written.push(path.display().to_string());
            }
        }
        // What blessing cannot write (the status, the outcome) stays a fault and is told in the next run.
        if blessed.is_none() || result.blessed.is_empty() {
            faults.extend(result.mismatches.iter().map(|fault| format!("case {name}: {fault}")));
        }
    }
    let evidence = &plugin.manifest().evidence;
    Ok(json!({
        "id": plugin.id(), "ok": faults.is_empty(), "cases": names.len(), "passed": passed, "vectors": vectors,
        "evidence": evidence.level, "checked": evidence.checked, "faults": faults, "written": written
    }))
}

fn said(results: &Value) -> String {
    let results = list(results, "");
    let row = |result: &Value| {
        let mut cells = ["/id", "/cases", "/passed", "/vectors", "/evidence", "/checked"].map(|name| text(result, name)).to_vec();
        let written = !list(result, "/written").is_empty();
        cells.push(
            if result["ok"] != json!(true) {
                "FAILED"
            } else if written {
                "blessed"
            } else {
                "ok"
            }
            .to_owned(),
        );
        cells
    };
    let mut out = table(&["PLUGIN", "CASES", "PASSED", "VECTORS", "EVIDENCE", "CHECKED ON", ""], &results.iter().map(row).collect::<Vec<_>>());
    for result in results {
        list(result, "/faults").iter().for_each(|fault| out.push_str(&format!("{}: {}\n", text(result, "/id"), text(fault, ""))));
        list(result, "/written").iter().for_each(|path| out.push_str(&format!("written: {}\n", text(path, ""))));
    }
    out
}
