//! The connect button of a case: the CRM's page that the admin is sent to, and the code that comes back for tokens.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use url::Url;

use super::compare;
use super::exchange::{DONE, Exchange, class_of};
use super::run::Run;
use crate::domain::request::{Outbound, Verdict};
use crate::plugin::connect::{Asked, Granted};
use crate::plugin::{LoginError, Request, Tokens};

/// What every case is given in place of random text, and where the CRM sends the admin back.
const REDIRECT: &str = "https://bridge.example.vn/oauth/case/callback";
const STATE: &str = "state-of-the-case";
const VERIFIER: &str = "verifier-of-the-case-0123456789-0123456789-0";
/// When the tokens of a case end.
pub(super) const ENDS: &str = "ends_at";
/// The CRM's page as `--bless` writes it: the admin agrees.
const AGREED: &str = "HTTP/1.1 302 Found\nLocation: https://bridge.example.vn/oauth/case/callback?code=code-of-the-case&state=state-of-the-case";

impl Run<'_> {
    /// Presses the button; what it gives is what later requests show.
    pub(super) fn connect(&mut self) {
        let tokens = match self.connected() {
            Ok(tokens) => tokens,
            Err(fault) => return self.miss(fault),
        };
        if !self.case.arrives && self.case.subscriptions.is_none() {
            self.result.outcomes.push(if tokens.is_some() { "connected" } else { "not_connected" }.to_owned());
        }
        let Some(tokens) = tokens else { return };
        let mut found = tokens.values.clone();
        found.extend(tokens.ends_at.map(|at| (ENDS.to_owned(), at.rfc3339())));
        if found != self.case.expect.token {
            self.miss(format!("connecting gives the tokens {found:?}, `[expect.token]` says {:?}", self.case.expect.token));
        }
        self.tokens = tokens;
    }

    /// The tokens; none where the CRM says no.
    fn connected(&mut self) -> Result<Option<Tokens>, String> {
        let (plugin, params) = (self.plugin, self.params.clone());
        let connect = plugin.connect(&params).ok_or("0-connect.http: there is no [connect] with these parameters")?;
        let verifier = if connect.pkce { VERIFIER } else { "" };
        let challenge = if connect.pkce { URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER)) } else { String::new() };
        let asked = Asked { redirect_uri: REDIRECT, state: STATE, challenge: &challenge };
        let url = plugin.authorize_url(connect, &params, &BTreeMap::new(), asked).map_err(|error| error.to_string())?;
        let page = Outbound { method: "GET".to_owned(), url, headers: Vec::new(), body: Default::default(), allow_hosts: Vec::new() };
        let back = self.connects.pairs.pop_front();
        self.note(&connect.authorize, &params, None);
        self.pair("connect", back.as_ref(), &page, DONE, AGREED);
        let back = back.ok_or("0-connect.http has no page that the admin is sent to")?;
        let Some(code) = code_of(&back)? else { return Ok(None) };
        let granted = Granted { code: &code, redirect_uri: REDIRECT, verifier };
        let request = plugin.compose_exchange(connect, &params, &BTreeMap::new(), granted).map_err(|error| error.to_string())?;
        self.exchanged(&connect.token, &request, |run, answer| plugin.exchanged(connect, &run.params, &answer.answer, run.case.clock))
    }

    fn exchanged(
        &mut self,
        request: &Request,
        outbound: &Outbound,
        read: impl Fn(&Self, &Exchange) -> Result<Tokens, LoginError>,
    ) -> Result<Option<Tokens>, String> {
        let expected = self.connects.pairs.pop_front();
        let params = self.params.clone();
        self.note(request, &params, expected.as_ref().map(|pair| &pair.answer));
        let read = expected.as_ref().map(|expected| read(self, expected));
        let verdict = match &read {
            None | Some(Ok(_)) => Verdict::Done,
            Some(Err(LoginError::Refused { verdict, .. })) => *verdict,
            Some(Err(error)) => return Err(error.to_string()),
        };
        self.pair("connect.token", expected.as_ref(), outbound, &class_of(verdict), "");
        Ok(read.and_then(Result::ok))
    }

    fn pair(&mut self, place: &str, expected: Option<&Exchange>, outbound: &Outbound, class: &str, usual: &str) {
        self.compared(place, expected, outbound, class.to_owned());
        if self.bless {
            let agreed = Exchange { answer_text: usual.to_owned(), ..Exchange::default() };
            self.connects.sent.push(compare::blessed(expected.or(Some(&agreed).filter(|_| !usual.is_empty())), outbound, class));
        }
    }
}

/// The code with which the CRM sends the admin back; none where it says no.
fn code_of(back: &Exchange) -> Result<Option<String>, String> {
    let location = back.answer.header("location").ok_or("0-connect.http: the page answers with a `Location` back to us")?;
    let url = Url::parse(location).map_err(|_| "0-connect.http: the `Location` is no address")?;
    let query: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
    if !location.starts_with(REDIRECT) || query.get("state").map(String::as_str) != Some(STATE) {
        return Err(format!("0-connect.http: the `Location` begins with {REDIRECT} and has state={STATE}"));
    }
    Ok(query.get("code").filter(|code| !code.is_empty()).cloned())
}
