//! A request to the CRM as a recipe, and how its body is written.

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};

use super::manifest::RequestKind;
use super::respond::ResponseRule;
use super::template::{RenderError, Template};
use super::template_scope::Scope;

/// A request to the CRM, as a recipe.
#[derive(Debug)]
pub struct Request {
    /// Where it stands in the manifest, for messages.
    pub place: String,
    /// The line of it.
    pub line: usize,
    pub kind: RequestKind,
    pub(super) modes: Vec<String>,
    pub method: String,
    pub base: String,
    pub(super) auth: AuthChoice,
    pub(super) path: Template,
    pub(super) query: Vec<(String, Template)>,
    pub(super) headers: Vec<(String, Template)>,
    pub(super) body: Body,
    pub(super) content_type: Option<String>,
    /// The secret of a Standard Webhooks signature; empty = unsigned.
    pub(super) sign: Option<Template>,
    /// The files in `templates/` that it is made of.
    pub files: Vec<String>,
    /// Tried before the plugin's own rules.
    pub(super) responses: Vec<ResponseRule>,
}

impl Request {
    /// Whether something of it is filled in from this root.
    pub fn uses(&self, root: &str) -> bool {
        let named = |list: &[(String, Template)]| list.iter().any(|(_, template)| template.uses(root));
        self.path.uses(root) || named(&self.query) || named(&self.headers) || self.body.uses(root)
    }

    /// Whether it changes nothing at the CRM.
    pub fn only_reads(&self) -> bool {
        self.method == "GET"
    }
}

/// Which proof it shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthChoice {
    /// That of its base.
    OfBase,
    None,
    Named(String),
}

#[derive(Debug)]
pub enum Body {
    None,
    File {
        template: Template,
        /// A `.json.hbs`: it must be JSON.
        json: bool,
    },
    /// Pairs; sent as parts where the content type says multipart.
    Form(Vec<(String, Field)>),
    /// A flat JSON object of texts.
    Flat(Vec<(String, Field)>),
    /// The query goes as it is; the inner body gives its variables.
    GraphQl {
        query: String,
        variables: Box<Body>,
    },
}

/// A value of a form or flat object.
#[derive(Debug)]
pub enum Field {
    Text(Template),
    /// A rendered file; `true`: it must be JSON.
    File(Template, bool),
}

/// Why a body could not be written.
#[derive(Debug)]
pub enum BodyError {
    Template(RenderError),
    NotJson(String),
}

impl From<RenderError> for BodyError {
    fn from(error: RenderError) -> Self {
        BodyError::Template(error)
    }
}

fn check_json(text: &str) -> Result<(), BodyError> {
    serde_json::from_str::<IgnoredAny>(text).map(drop).map_err(|error| BodyError::NotJson(error.to_string()))
}

/// A written body with the content type it needs, if its own does not do.
pub struct Written {
    pub bytes: Bytes,
    pub content_type: Option<String>,
}

impl Body {
    pub fn is_some(&self) -> bool {
        !matches!(self, Body::None)
    }

    fn uses(&self, root: &str) -> bool {
        match self {
            Body::None => false,
            Body::File { template, .. } => template.uses(root),
            Body::Form(fields) | Body::Flat(fields) => fields.iter().any(|(_, field)| match field {
                Field::Text(template) | Field::File(template, _) => template.uses(root),
            }),
            Body::GraphQl { variables, .. } => variables.uses(root),
        }
    }

    /// Writes it; `content_type` is what the request says.
    pub fn write(&self, scope: &Scope<'_>, content_type: Option<&str>) -> Result<Written, BodyError> {
        let multipart = content_type.is_some_and(|text| text.starts_with("multipart/form-data"));
        let plain = |text: String| Written { bytes: Bytes::from(text), content_type: None };
        Ok(match self {
            Body::None => plain(String::new()),
            Body::File { template, .. } if multipart => {
                let text = template.render(scope)?;
                parts(&url::form_urlencoded::parse(text.trim().as_bytes()).into_owned().collect::<Vec<_>>())
            }
            Body::File { template, json } => {
                let text = template.render(scope)?.trim().to_owned();
                if *json {
                    check_json(&text)?;
                }
                plain(text)
            }
            Body::Form(fields) => {
                let pairs = pairs(fields, scope)?;
                if multipart { parts(&pairs) } else { plain(url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()) }
            }
            Body::Flat(fields) => plain(Json::Object(flat(fields, scope)?).to_string()),
            Body::GraphQl { query, variables } => plain(json!({"query": query, "variables": variables.data(scope)?}).to_string()),
        })
    }

    /// The body as JSON, for variables.
    fn data(&self, scope: &Scope<'_>) -> Result<Json, BodyError> {
        match self {
            Body::File { template, .. } => serde_json::from_str(template.render(scope)?.trim()).map_err(|error| BodyError::NotJson(error.to_string())),
            Body::Flat(fields) => Ok(Json::Object(flat(fields, scope)?)),
            _ => Ok(json!({})),
        }
    }
}

fn pairs(fields: &[(String, Field)], scope: &Scope<'_>) -> Result<Vec<(String, String)>, BodyError> {
    let mut pairs = Vec::new();
    for (name, field) in fields {
        let text = match field {
            Field::Text(template) => template.render(scope)?,
            Field::File(template, json) => {
                let text = template.render(scope)?;
                if *json {
                    check_json(text.trim())?;
                }
                text
            }
        };
        if !text.trim().is_empty() {
            pairs.push((name.clone(), text.trim().to_owned()));
        }
    }
    Ok(pairs)
}

fn flat(fields: &[(String, Field)], scope: &Scope<'_>) -> Result<Map<String, Json>, BodyError> {
    let mut object = Map::new();
    for (name, field) in fields {
        match field {
            Field::File(template, true) => {
                let text = template.render(scope)?;
                object.insert(name.clone(), serde_json::from_str(text.trim()).map_err(|error| BodyError::NotJson(error.to_string()))?);
            }
            Field::Text(template) | Field::File(template, false) => {
                let text = template.render(scope)?.trim().to_owned();
                if !text.is_empty() {
                    object.insert(name.clone(), text.into());
                }
            }
        }
    }
    Ok(object)
}

/// The pairs as parts of a multipart body. Its boundary is a digest of them: the same call again is the same body, and no part can hold it.
fn parts(pairs: &[(String, String)]) -> Written {
    let mut digest = Sha256::new();
    for (name, value) in pairs {
        digest.update(name);
        digest.update([0]);
        digest.update(value);
        digest.update([0]);
    }
    let boundary = format!("callbridge-{}", hex::encode(&digest.finalize()[..12]));
    let mut text = String::new();
    for (name, value) in pairs {
        let name = name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A");
        text.push_str(&format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"));
    }
    text.push_str(&format!("--{boundary}--\r\n"));
    Written { bytes: Bytes::from(text), content_type: Some(format!("multipart/form-data; boundary={boundary}")) }
}
