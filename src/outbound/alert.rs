//! How a message leaves: a template of `templates/alerts/` (data: address, headers, body), filled in with an alert's words.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use bytes::Bytes;
use include_dir::{Dir, include_dir};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::domain::alert::AlertTarget;
use crate::domain::connection::Language;
use crate::domain::request::Outbound;
use crate::plugin::manifest::Words;
use crate::plugin::names::Shape;
use crate::plugin::note::Note;
use crate::plugin::template::{Escape, Template};

static SHIPPED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates/alerts");

/// A template file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[expect(dead_code, reason = "for people who read the file")]
    name: String,
    /// Where it goes if the entry has no `url`.
    #[serde(default)]
    base: Option<String>,
    url: String,
    #[serde(default = "post")]
    method: String,
    body: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    parameters: Vec<Parameter>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameter {
    id: String,
    #[serde(default = "yes")]
    required: bool,
    title: Words,
}

fn post() -> String {
    "POST".to_owned()
}
fn yes() -> bool {
    true
}

/// A receiver ready to be told.
pub struct Receiver {
    pub target: AlertTarget,
    method: String,
    url: String,
    headers: Vec<(String, Template)>,
    body: Template,
    words: Template,
    params: Value,
}

/// The names of the templates that ship.
pub fn shipped() -> Vec<String> {
    SHIPPED.files().filter_map(|file| Some(file.path().to_str()?.strip_suffix(".toml")?.to_owned())).collect()
}

impl Receiver {
    /// Reads the template; gives every fault at once.
    pub fn new(target: &AlertTarget) -> Result<Receiver, Vec<String>> {
        let own = target.template.contains('\n');
        let shipped_text = || SHIPPED.get_file(format!("{}.toml", target.template)).and_then(|file| file.contents_utf8());
        let text = if own { Some(target.template.as_str()) } else { shipped_text() };
        let Some(text) = text else {
            return Err(vec![format!("there is no template `{}`; there are {}, or \"file:PATH\" for your own", target.template, shipped().join(", "))]);
        };
        let file: File = toml::from_str(text).map_err(|error| vec![format!("the template: {}", error.to_string().trim_end())])?;
        let params = parameters(target, &file)?;
        let Some(base) = target.url.clone().or(file.base.clone()) else { return Err(vec!["this template needs `url`".to_owned()]) };
        let names = names(&params);
        let mut faults = Vec::new();
        let mut compile = |place: &str, source: &str, escape| {
            let compiled = Template::compile(source, escape, &names);
            compiled.unwrap_or_else(|found| {
                faults.extend(found.into_iter().map(|fault| format!("the template's {place}, line {}: {}", fault.line, fault.message)));
                Template::nothing()
            })
        };
        let url = compile("url", &file.url, Escape::Text);
        let headers = file.headers.iter().map(|(name, value)| (name.to_lowercase(), compile(name, value, Escape::Text))).collect();
        let body = compile("body", &file.body, Escape::Json);
        let words = compile("words", language_text(target.language), Escape::Text);
        // No event has a say in where it goes: only the settings do.
        let url = url.render_data(&json!({"base": base.trim_end_matches('/'), "param": params})).map_err(|error| vec![error.to_string()])?;
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Receiver { target: target.clone(), method: file.method, url, headers, body, words, params })
    }

    /// The request that tells of `alert`.
    pub fn compose(&self, alert: Value) -> Result<Outbound, String> {
        let mut context = json!({"alert": alert, "param": self.params, "base": ""});
        let text = self.words.render_data(&context).map_err(|error| error.to_string())?;
        if let Value::Object(map) = &mut context {
            map.insert("text".to_owned(), Note::from_text(&text).text.into());
        }
        let body = self.body.render_data(&context).map_err(|error| error.to_string())?;
        let mut headers = vec![("content-type".to_owned(), "application/json; charset=utf-8".to_owned())];
        for (name, template) in &self.headers {
            let value = template.render_data(&context).map_err(|error| error.to_string())?;
            if !value.is_empty() {
                headers.push((name.clone(), value));
            }
        }
        Ok(Outbound { method: self.method.clone(), url: self.url.clone(), headers, body: Bytes::from(body), allow_hosts: Vec::new() })
    }
}

fn parameters(target: &AlertTarget, file: &File) -> Result<Value, Vec<String>> {
    let given = &target.parameters;
    let lacks = |p: &&Parameter| p.required && given.get(&p.id).is_none_or(|value| value.is_empty());
    let mut faults: Vec<String> = file.parameters.iter().filter(lacks).map(|p| format!("parameters.{} is missing: {}", p.id, p.title.en)).collect();
    let known = |id: &String| file.parameters.iter().any(|p| p.id == *id);
    faults.extend(given.keys().filter(|id| !known(id)).map(|id| format!("parameters.{id}: the template has no such parameter")));
    if !faults.is_empty() {
        return Err(faults);
    }
    let values: Map<String, Value> =
        file.parameters.iter().map(|p| (p.id.clone(), given.get(&p.id).map_or(Value::Null, |value| value.expose().into()))).collect();
    Ok(Value::Object(values))
}

fn language_text(language: Language) -> &'static str {
    static TEXTS: LazyLock<[&str; 2]> =
        LazyLock::new(|| ["vi.hbs", "en.hbs"].map(|name| SHIPPED.get_file(name).and_then(|f| f.contents_utf8()).unwrap_or_default()));
    TEXTS[usize::from(language == Language::En)]
}

/// What templates may name, with samples.
fn names(params: &Value) -> Shape {
    let alert = json!({
        "id": "alert_0", "kind": "line_paused", "code": "dialer_2116", "subject": "sales-1", "name": "Sales", "workspace": "1", "workspace_id": "main",
        "since": "2026-11-22T03:20:30Z", "cleared_at": "2026-11-22T04:20:30Z", "seconds": 3600, "recovered": false, "waiting": 3,
        "sentence": "1", "advice": "1", "detail": "1"
    });
    Shape::of_sample(json!({"base": "https://x", "text": "1", "alert": alert, "param": params}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(template: &str, parameters: &[(&str, &str)]) -> AlertTarget {
        let parameters: Value = parameters.iter().map(|(id, value)| ((*id).to_owned(), Value::from(*value))).collect::<Map<_, _>>().into();
        serde_json::from_value(json!({"name": "boss", "template": template, "parameters": parameters})).unwrap()
    }

    fn sample(recovered: bool) -> Value {
        json!({
            "id": "alert_0", "kind": "line_paused", "code": "dialer_2116", "subject": "sales-1", "name": "Sales, Ms \"Hoa\"", "workspace": null,
            "workspace_id": "main", "since": "2026-11-22T03:20:30Z", "cleared_at": null, "seconds": 3900, "recovered": recovered, "waiting": 12,
            "sentence": "tính năng gọi điện qua API đang TẮT (2116)", "advice": "Bật lại trong ứng dụng", "detail": ""
        })
    }

    #[test]
    fn telegram_gets_one_message_in_the_receivers_language() {
        let receiver = Receiver::new(&target("telegram", &[("token", "123:abc"), ("chat_id", "-100")])).unwrap_or_else(|e| panic!("{e:?}"));
        let request = receiver.compose(sample(false)).unwrap();
        assert_eq!(request.url, "https://api.telegram.org/bot123:abc/sendMessage");
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(body["chat_id"], "-100");
        let text = body["text"].as_str().unwrap();
        insta::assert_snapshot!("telegram_raised", text);
        let body: Value = serde_json::from_slice(&receiver.compose(sample(true)).unwrap().body).unwrap();
        insta::assert_snapshot!("telegram_recovered", body["text"].as_str().unwrap());
    }

    #[test]
    fn every_shipped_template_makes_readable_json() {
        for name in shipped() {
            let mut target = target(&name, &[]);
            target.url = Some("https://hooks.example.vn/x".into());
            target.language = Language::En;
            if name == "telegram" {
                target.parameters = [("token", "t"), ("chat_id", "1")].map(|(id, value)| (id.to_owned(), value.into())).into();
            }
            let receiver = Receiver::new(&target).unwrap_or_else(|e| panic!("{name}: {e:?}"));
            let request = receiver.compose(sample(true)).unwrap();
            serde_json::from_slice::<Value>(&request.body).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert!(request.url.starts_with("https://hooks.example.vn/x"), "{name}");
            assert_eq!(request.headers.len(), 1, "{name}: an empty header is left out");
        }
    }

    #[test]
    fn what_is_missing_or_misspelt_is_said() {
        let faults = |template: &str, parameters: &[(&str, &str)]| Receiver::new(&target(template, parameters)).err().unwrap().join("\n");
        assert!(faults("telegramm", &[]).contains("there are slack, telegram, webhook"));
        assert!(faults("telegram", &[("token", "t"), ("chat", "1")]).contains("parameters.chat_id is missing"));
        assert!(faults("webhook", &[]).contains("needs `url`"));
        assert!(faults("name = \"x\"\nurl = \"https://x\"\nbody = '{{alert.nmae}}'\nbase = \"https://x\"", &[]).contains("`name`"));
        assert!(faults("name = \"x\"\nurl = \"https://x\"\nbdy = ''", &[]).contains("bdy"));
    }
}
