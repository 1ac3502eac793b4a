//! Sending a request to a transcript: with the tokens it needs, and once more where they are refused.

use std::collections::{BTreeMap, VecDeque};

use super::compare;
use super::exchange::{DONE, Exchange, UNREADABLE, class_of};
use super::run::Run;
use crate::domain::request::{Answer, Outbound, Verdict};
use crate::plugin::{ComposeError, Login, LoginError, Lookup, Params, Request};

/// Pairs that are still to come, and those that came, as `--bless` writes them.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    pub pairs: VecDeque<Exchange>,
    pub sent: Vec<String>,
}

impl Transcript {
    pub fn new(pairs: &[Exchange]) -> Transcript {
        Transcript { pairs: pairs.iter().cloned().collect(), sent: Vec::new() }
    }

    pub fn blessed(&self) -> String {
        self.sent.join("===\n")
    }
}

/// Why a request was not answered.
pub(super) enum Unasked {
    /// The login it needs was refused: a person has to act, or time has to pass.
    Login,
    /// The case cannot hold.
    Fault(String),
}

impl From<ComposeError> for Unasked {
    fn from(error: ComposeError) -> Self {
        Unasked::Fault(error.to_string())
    }
}

/// One request on its way.
pub(super) struct Asking<'r> {
    pub request: &'r Request,
    pub compose: &'r dyn Fn(&Params) -> Result<Outbound, ComposeError>,
    pub place: &'r str,
    /// The look-up it is: those read an answer in their own way.
    pub lookup: Option<&'r Lookup>,
    /// Whether a good answer does not say what is kept of it.
    pub unreadable: Option<&'r dyn Fn(&Answer) -> bool>,
}

impl Run<'_> {
    /// Sends one request to the transcript; once more after a new login where its tokens are refused.
    pub(super) fn ask(&mut self, asking: &Asking<'_>, to: &mut Transcript) -> Result<(Answer, Verdict), Unasked> {
        let with = self.proof(asking.request, false)?;
        let (answer, verdict) = self.exchange(asking, &(asking.compose)(&with)?, to);
        let login = self.plugin.auth_of(asking.request, &with).is_some_and(|auth| auth.login.is_some());
        if !login || verdict != Verdict::RefreshToken {
            return Ok((answer, verdict));
        }
        let with = self.proof(asking.request, true)?;
        Ok(self.exchange(asking, &(asking.compose)(&with)?, to))
    }

    /// The parameters with the tokens that a request shows; logs in where there are none yet, or the old ones were `refused`.
    fn proof(&mut self, request: &Request, refused: bool) -> Result<Params, Unasked> {
        let (plugin, params) = (self.plugin, self.params.clone());
        let Some(login) = plugin.auth_of(request, &params).and_then(|auth| auth.login.as_ref()) else { return Ok(params) };
        if self.tokens.values.is_empty() || refused || !self.tokens.good(login, self.case.clock) {
            self.log_in(login, &params)?;
        }
        Ok(self.tokens.over(&params))
    }

    fn log_in(&mut self, login: &Login, params: &Params) -> Result<(), Unasked> {
        let (plugin, clock) = (self.plugin, self.case.clock);
        let failed = |error: LoginError| match error {
            LoginError::NotConnected => Unasked::Login,
            error => Unasked::Fault(error.to_string()),
        };
        let mut run = plugin.log_in(login, params, &self.tokens.values, clock).map_err(failed)?;
        let mut first = true;
        while let Some((request, outbound)) = run.next_request(&BTreeMap::new()).map_err(failed)? {
            if std::mem::take(&mut first) && self.logins.pairs.is_empty() {
                return Err(Unasked::Fault("the plugin logs in here: the case needs 0-token.http, or [token] with what a login gave before".to_owned()));
            }
            let expected = self.logins.pairs.pop_front();
            self.note(request, params, expected.as_ref().map(|e| &e.answer));
            let read = expected.as_ref().map_or(Ok(()), |expected| run.answer(&expected.answer, clock));
            let verdict = match &read {
                Ok(()) => Verdict::Done,
                Err(LoginError::Refused { verdict, .. }) => *verdict,
                Err(error) => return Err(Unasked::Fault(error.to_string())),
            };
            self.compared("login", expected.as_ref(), &outbound, class_of(verdict));
            if self.bless {
                self.logins.sent.push(compare::blessed(expected.as_ref(), &outbound, &class_of(verdict)));
            }
            match (expected, read) {
                (None, _) => return Err(Unasked::Fault("the login makes a request that is not in 0-token.http".to_owned())),
                (Some(_), Err(_)) => return Err(Unasked::Login),
                (Some(_), Ok(())) => {}
            }
        }
        self.tokens = run.done(clock);
        Ok(())
    }

    fn exchange(&mut self, asking: &Asking<'_>, outbound: &Outbound, to: &mut Transcript) -> (Answer, Verdict) {
        let (plugin, clock, params) = (self.plugin, self.case.clock, self.params.clone());
        let expected = to.pairs.pop_front();
        let answer = match (&expected, asking.lookup) {
            (Some(expected), _) => expected.answer.clone(),
            (None, Some(_)) => Answer { status: 404, ..Answer::default() },
            (None, None) => Answer { status: 200, body: bytes::Bytes::from_static(b"{\"id\":\"1\"}"), ..Answer::default() },
        };
        self.note(asking.request, &params, expected.as_ref().map(|_| &answer));
        let verdict = match asking.lookup {
            Some(lookup) => plugin.lookup_verdict(lookup, &params, &answer, clock).0,
            None => plugin.verdict(asking.request, &params, &answer, clock).0,
        };
        let unreadable = verdict == Verdict::Done && expected.as_ref().is_some_and(|expected| expected.class == UNREADABLE);
        let unreadable = unreadable && asking.unreadable.is_some_and(|unreadable| unreadable(&answer));
        let class = if unreadable { UNREADABLE.to_owned() } else { class_of(verdict) };
        if self.bless {
            to.sent.push(compare::blessed(expected.as_ref(), outbound, &class));
        }
        self.compared(asking.place, expected.as_ref(), outbound, class);
        (answer, verdict)
    }

    /// What a request and what its answer was read as, beside what the case says.
    pub(super) fn compared(&mut self, place: &str, expected: Option<&Exchange>, outbound: &Outbound, class: String) {
        let Some(expected) = expected else { return self.miss(format!("{place}: this request is not in the case: {} {}", outbound.method, outbound.url)) };
        let place = &format!("{}: {place}", expected.at);
        compare::request(place, expected, outbound, &mut self.result.mismatches);
        if class != expected.class {
            let said = if expected.class == DONE { "done (no word after `<<<`)".to_owned() } else { expected.class.clone() };
            self.miss(format!("{place}: the answer is read as {class}, the case says {said}"));
        }
        self.result.classes.push(class);
    }

    /// Remembers what this request and its answer prove.
    pub(super) fn note(&mut self, request: &Request, params: &Params, answer: Option<&Answer>) {
        self.result.asked.insert((request.place.clone(), request.line));
        self.result.sent.extend(request.files.iter().cloned());
        if let Some(rule) = answer.and_then(|answer| self.plugin.rule_for(request, params, answer, self.case.clock)) {
            self.result.rules.insert(rule.at);
        }
    }
}
