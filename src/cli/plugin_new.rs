//! `callbridge plugin new`: a folder that loads and whose case holds, to be changed from there.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;

use super::output::{self, Failed, NOT_POSSIBLE, USAGE};
use crate::plugin::load::built_in_ids;

/// The files of a new plugin; `{ID}` becomes its id.
const FILES: [(&str, &str); 11] = [
    ("plugin.toml", include_str!("../../templates/plugin_new/plugin.toml")),
    ("README.md", include_str!("../../templates/plugin_new/README.md")),
    ("icon.svg", include_str!("../../templates/plugin_new/icon.svg")),
    ("templates/note.json.hbs", include_str!("../../templates/plugin_new/templates/note.json.hbs")),
    ("cases/first/case.toml", include_str!("../../templates/plugin_new/cases/first/case.toml")),
    ("cases/first/1-webhook.http", include_str!("../../templates/plugin_new/cases/first/1-webhook.http")),
    ("cases/first/3-call.json", include_str!("../../templates/plugin_new/cases/first/3-call.json")),
    ("cases/first/4-report.json", include_str!("../../templates/plugin_new/cases/first/4-report.json")),
    ("cases/first/5-write-back.http", include_str!("../../templates/plugin_new/cases/first/5-write-back.http")),
    ("cases/no-phone/case.toml", include_str!("../../templates/plugin_new/cases/no-phone/case.toml")),
    ("cases/no-phone/1-webhook.http", include_str!("../../templates/plugin_new/cases/no-phone/1-webhook.http")),
];

pub fn run(id: &str, dir: &Path) -> anyhow::Result<ExitCode> {
    if id.is_empty() || !id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        return Err(Failed::new(USAGE, format!("`{id}` is no id: use a-z, 0-9 and -")).into());
    }
    let folder = dir.join(id);
    if folder.exists() {
        return Err(Failed::new(NOT_POSSIBLE, format!("{} exists already", folder.display())).into());
    }
    for (file, text) in FILES {
        let path = folder.join(file);
        let parent = path.parent().unwrap_or(&folder);
        std::fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
        std::fs::write(&path, text.replace("{ID}", id)).with_context(|| path.display().to_string())?;
    }
    // Beside the folder: an editor completes the keys by them.
    for (file, text) in crate::plugin::schema_files() {
        let path = dir.join(file);
        if !path.exists() {
            std::fs::write(&path, text).with_context(|| path.display().to_string())?;
        }
    }
    output::data(&folder.display().to_string());
    if built_in_ids().any(|shipped| shipped == id) {
        eprintln!(
            "warning: a plugin `{id}` ships. A server whose plugins.path is {} uses this folder in its place; take another id if that is not meant",
            dir.display()
        );
    }
    eprintln!("next: change plugin.toml, then `callbridge plugin check {0}` and `callbridge plugin test {0}`", folder.display());
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::load::load;

    #[test]
    fn a_new_plugin_loads_without_a_warning_and_its_case_holds() {
        let files = FILES.iter().map(|(file, text)| ((*file).to_owned(), text.replace("{ID}", "my-crm").into_bytes())).collect();
        let plugin = load("my-crm", files).unwrap();
        assert_eq!(plugin.warnings().iter().map(ToString::to_string).collect::<Vec<_>>(), Vec::<String>::new());
        assert_eq!(plugin.case_names(), ["first", "no-phone"]);
        for name in plugin.case_names() {
            assert_eq!(plugin.run_case(&plugin.case(&name).unwrap()).mismatches, Vec::<String>::new(), "{name}");
        }
    }
}
