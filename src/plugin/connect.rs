//! The connect button: where the admin is sent, and the code that comes back for tokens (RFC 6749 4.1, RFC 7636).

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};
use url::Url;

use super::Params;
use super::auth::{LoginError, Tokens, ends_at, is_end};
use super::body::decode_json;
use super::compose::ComposeError;
use super::modes::in_mode;
use super::plugin::Plugin;
use super::request::Request;
use super::template_scope::Scope;
use super::value::{Source, Value};
use crate::domain::request::{Answer, Outbound, Verdict};
use crate::domain::time::Time;

#[derive(Debug)]
pub struct Connect {
    pub(super) modes: Vec<String>,
    /// Whose tokens it fetches.
    pub auth: String,
    /// The address the admin is sent to, as the request it would be.
    pub(super) authorize: Request,
    pub pkce: bool,
    pub(super) token: Request,
    pub(super) store: BTreeMap<String, Value>,
}

/// What the engine adds to the address.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    pub redirect_uri: &'a str,
    pub state: &'a str,
    /// The S256 challenge; empty without PKCE.
    pub challenge: &'a str,
}

/// What came back, and what goes with it.
#[derive(Debug, Clone, Copy)]
pub struct Granted<'a> {
    pub code: &'a str,
    pub redirect_uri: &'a str,
    pub verifier: &'a str,
}

impl Plugin {
    /// The connect button in the modes of these parameters.
    pub fn connect(&self, params: &Params) -> Option<&Connect> {
        self.connects.iter().find(|connect| in_mode(&connect.modes, params))
    }

    /// Where the admin is sent.
    pub fn authorize_url(&self, connect: &Connect, params: &Params, bases: &BTreeMap<String, String>, asked: Asked<'_>) -> Result<String, ComposeError> {
        let scope = Scope { params: Some(params), ..Scope::default() };
        let request = self.request(&connect.authorize, &scope, params, bases)?;
        let bad = |why| ComposeError::BadPath { place: connect.authorize.place.clone(), why };
        let mut url = Url::parse(&request.url).map_err(|_| bad("it does not make a URL"))?;
        let known: Vec<String> = url.query_pairs().map(|(name, _)| name.into_owned()).collect();
        let method = if asked.challenge.is_empty() { "" } else { "S256" };
        let own = [
            ("response_type", "code"),
            ("redirect_uri", asked.redirect_uri),
            ("state", asked.state),
            ("code_challenge", asked.challenge),
            ("code_challenge_method", method),
        ];
        // State and challenge are ours alone; a plugin that wrote them would switch the protection off.
        if own.iter().any(|(name, _)| known.iter().any(|k| k == name) && *name != "response_type") {
            return Err(bad("it writes redirect_uri, state or code_challenge itself"));
        }
        let mut query = url.query_pairs_mut();
        for (name, value) in own.into_iter().filter(|(name, value)| !value.is_empty() && !known.iter().any(|k| k == name)) {
            query.append_pair(name, value);
        }
        drop(query);
        Ok(url.into())
    }

    /// The request that gives tokens for a code.
    pub fn compose_exchange(
        &self,
        connect: &Connect,
        params: &Params,
        bases: &BTreeMap<String, String>,
        granted: Granted<'_>,
    ) -> Result<Outbound, ComposeError> {
        let whole = json!({"connect": {"code": granted.code, "redirect_uri": granted.redirect_uri, "verifier": granted.verifier}});
        let scope = Scope { params: Some(params), whole: Some(&whole), ..Scope::default() };
        self.request(&connect.token, &scope, params, bases)
    }

    /// The tokens in the answer.
    pub fn exchanged(&self, connect: &Connect, params: &Params, answer: &Answer, now: Time) -> Result<Tokens, LoginError> {
        let (verdict, says) = self.verdict(&connect.token, params, answer, now);
        let body = decode_json(&answer.body).unwrap_or(Json::Null);
        if verdict != Verdict::Done {
            let said = ["error_description", "error", "message"].iter().find_map(|key| body.get(key)?.as_str()).unwrap_or_default();
            return Err(LoginError::Refused { verdict, detail: format!("status {} {said}", answer.status).trim_end().to_owned(), says });
        }
        let source = Source { document: &body, scope: Scope { params: Some(params), ..Scope::default() }, empty: &self.manifest.empty };
        let mut kept = Map::new();
        for (name, value) in &connect.store {
            if let Some(text) = value.text(&source).ok().filter(|text| !text.is_empty()) {
                kept.insert(name.clone(), text.into());
            }
        }
        if let Some(login) = self.auth_named(&connect.auth, params).and_then(|auth| auth.login.as_ref()) {
            login.brought(&connect.store, &kept, answer)?;
        }
        let ends_at = ends_at(&kept, now);
        let values = kept.into_iter().filter(|(name, _)| !is_end(name));
        let values = values.filter_map(|(name, value)| Some((name, value.as_str()?.to_owned()))).collect();
        Ok(Tokens { values, ends_at })
    }
}
