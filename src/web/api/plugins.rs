//! `/plugins`: what this instance knows about CRM products.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Caller;
use super::fault::{Answer, Fault};
use super::view::{Page, Words};
use crate::plugin::manifest::Parameter;
use crate::plugin::{Plugin, Registry};
use crate::web::State;

/// One plugin in a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct PluginView {
    pub id: String,
    pub name: String,
    /// documented, sdk_vector, recorded or live.
    pub evidence: String,
    /// When its facts were checked.
    pub checked: String,
    /// What it can write back: call, note, field.
    pub kinds: Vec<String>,
    pub cases: usize,
    /// Of everything that changes its behaviour.
    pub hash: String,
    /// ok; old_version: the folder was edited and is broken, what was in use before stays in use; shipped: the folder is broken, the plugin of this id that ships is in use; not_loaded: it cannot be used.
    pub state: String,
    /// What is wrong with the folder: file, line, what to write instead.
    pub problems: Vec<String>,
}

/// One plugin with what an admin needs to set it up.
#[derive(Debug, Serialize, ToSchema)]
pub struct PluginDetail {
    #[serde(flatten)]
    pub plugin: PluginView,
    pub parameters: Vec<ParameterView>,
    /// How a delivery may look: name and methods.
    pub receive: Vec<VariantView>,
    pub write_back: Vec<PluginKindView>,
    pub sources: Vec<String>,
    /// Facts that nobody has confirmed yet.
    pub open: Vec<String>,
    pub warnings: Vec<String>,
    /// The set-up guide, Markdown.
    pub readme: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ParameterView {
    pub id: String,
    pub title: Words,
    pub help: Option<Words>,
    /// string, url, choice, list or bool.
    #[serde(rename = "type")]
    pub kind: String,
    pub secret: bool,
    pub required: bool,
    pub default: String,
    pub choices: Vec<String>,
    /// connection, or hook: may also be given per hook.
    pub scope: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct VariantView {
    pub name: String,
    pub methods: Vec<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct PluginKindView {
    pub kind: String,
    pub title: Words,
    /// How a doubled entry is kept out: client_id, searchable, marker or none.
    pub identity: String,
    /// A later report changes the entry.
    pub updates: bool,
}

fn word(value: impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn view(plugin: &Plugin) -> PluginView {
    let evidence = &plugin.manifest().evidence;
    PluginView {
        id: plugin.id().to_owned(),
        name: plugin.name().to_owned(),
        evidence: word(evidence.level),
        checked: evidence.checked.clone(),
        kinds: plugin.kinds().iter().map(|kind| kind.name.to_owned()).collect(),
        cases: plugin.case_names().len(),
        hash: plugin.hash().to_owned(),
        state: "ok".to_owned(),
        problems: Vec::new(),
    }
}

/// The plugins in use and those that cannot be, with what is wrong.
fn views(registry: &Registry) -> Vec<PluginView> {
    let mut views: Vec<PluginView> = registry.all().iter().map(|plugin| view(plugin)).collect();
    for error in registry.problems().iter() {
        let problems: Vec<String> = error.problems.iter().map(ToString::to_string).collect();
        match views.iter_mut().find(|view| view.id == error.id) {
            Some(view) => {
                // A folder over a shipped plugin that never loaded: it is the shipped one that serves.
                let state = if registry.is_own(&view.id) { "old_version" } else { "shipped" };
                state.clone_into(&mut view.state);
                view.problems.extend(problems);
            }
            None => views.push(not_loaded(&error.id, problems)),
        }
    }
    views.sort_by(|a, b| a.id.cmp(&b.id));
    views
}

fn not_loaded(id: &str, problems: Vec<String>) -> PluginView {
    let text = String::new;
    let (state, kinds) = ("not_loaded".to_owned(), Vec::new());
    PluginView { id: id.to_owned(), name: text(), evidence: text(), checked: text(), kinds, cases: 0, hash: text(), state, problems }
}

fn parameter(parameter: &Parameter) -> ParameterView {
    ParameterView {
        id: parameter.id.clone(),
        title: (&parameter.title).into(),
        help: parameter.help.as_ref().map(Words::from),
        kind: word(parameter.kind),
        secret: parameter.secret,
        required: parameter.required,
        default: parameter.default.clone(),
        choices: parameter.choices.clone(),
        scope: word(parameter.scope),
    }
}

/// Everything about one plugin; also what `callbridge plugin show` prints without a server.
pub fn detail(plugin: &Plugin) -> PluginDetail {
    let evidence = &plugin.manifest().evidence;
    let kind = |kind: &crate::plugin::WriteBackKind| PluginKindView {
        kind: kind.name.to_owned(),
        title: (&kind.title).into(),
        identity: word(kind.identity),
        updates: !kind.update.is_empty(),
    };
    PluginDetail {
        plugin: view(plugin),
        parameters: plugin.manifest().parameters.iter().map(|p| parameter(p.get_ref())).collect(),
        receive: plugin.variants().iter().map(|v| VariantView { name: v.name.clone(), methods: v.methods().to_vec() }).collect(),
        write_back: plugin.kinds().iter().map(kind).collect(),
        sources: evidence.sources.clone(),
        open: evidence.open.clone(),
        warnings: plugin.warnings().iter().map(ToString::to_string).collect(),
        readme: plugin.file("README.md").map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default(),
    }
}

/// Every plugin, by id.
pub fn page(registry: &Registry) -> Page<PluginView> {
    Page::whole(views(registry))
}

/// Every plugin: those in use, and those that cannot be with what is wrong.
#[utoipa::path(get, path = "/plugins", tag = "plugins", responses((status = 200, body = Page<PluginView>)))]
pub async fn list(_caller: Caller, state: Data<State>) -> Answer {
    Ok(HttpResponse::Ok().json(page(&state.app.plugins)))
}

/// One plugin: its parameters, its guide, how sure its facts are.
#[utoipa::path(get, path = "/plugins/{id}", tag = "plugins", params(("id" = String, Path)), responses((status = 200, body = PluginDetail)))]
pub async fn show(id: Path<String>, _caller: Caller, state: Data<State>) -> Answer {
    let plugin = state.app.plugins.get(&id).ok_or_else(|| Fault::no_such("plugin", &*id))?;
    let mut detail = detail(&plugin);
    if let Some(view) = views(&state.app.plugins).into_iter().find(|view| view.id == *id) {
        detail.plugin = view;
    }
    Ok(HttpResponse::Ok().json(detail))
}
