//! Sending a request to a transcript: with the tokens it needs, and once more where they are refused.

use std::collections::{BTreeMap, VecDeque};

use super::compare;
use super::file::Exchange;
use super::run::Run;
use crate::domain::request::{Answer, Outbound, Verdict};
use crate::plugin::{ComposeError, Params, Request};

/// Where the answers of a request come from.
pub(super) enum Transcript<'a> {
    Lookups,
    Pairs { pairs: &'a mut VecDeque<Exchange>, sent: &'a mut Vec<String> },
}

impl Run<'_> {
    /// The parameters with the tokens that a request shows; logs in where there are none yet, or the old ones were `refused`.
    fn proof(&mut self, request: &Request, refused: bool) -> Result<Params, String> {
        let (plugin, params, clock) = (self.plugin, self.params.clone(), self.case.clock);
        let Some(login) = plugin.auth_of(request, &params).and_then(|auth| auth.login.as_ref()) else { return Ok(params) };
        if self.tokens.values.is_empty() || refused {
            if self.logins.is_empty() {
                return Err("the plugin logs in first: the case needs 0-token.http, or [token] with what a login gave before".to_owned());
            }
            let mut run = plugin.log_in(login, &params, &self.tokens.values, clock).map_err(|error| error.to_string())?;
            while let Some(request) = run.next(&BTreeMap::new()).map_err(|error| error.to_string())? {
                let expected = self.logins.pop_front();
                self.logged_in.push(compare::blessed(expected.as_ref(), &request));
                let Some(expected) = expected else { return Err("the login makes a request that is not in 0-token.http".to_owned()) };
                compare::request("login", &expected, &request, &mut self.result.mismatches);
                run.answer(&expected.answer, clock).map_err(|error| error.to_string())?;
            }
            self.tokens = run.done(clock);
        }
        Ok(self.tokens.over(&params))
    }

    /// Sends one request to the transcript; once more after a new login where its tokens are refused.
    pub(super) fn ask(
        &mut self,
        request: &Request,
        compose: &dyn Fn(&Params) -> Result<Outbound, ComposeError>,
        to: Transcript<'_>,
        place: &str,
    ) -> Result<Answer, String> {
        let mut to = to;
        let with = self.proof(request, false)?;
        let answer = self.exchange(&compose(&with).map_err(|error| error.to_string())?, &mut to, place);
        let login = self.plugin.auth_of(request, &with).is_some_and(|auth| auth.login.is_some());
        if !login || self.plugin.verdict(request, &with, &answer, self.case.clock).0 != Verdict::RefreshToken {
            return Ok(answer);
        }
        let with = self.proof(request, true)?;
        Ok(self.exchange(&compose(&with).map_err(|error| error.to_string())?, &mut to, place))
    }

    fn exchange(&mut self, request: &Outbound, to: &mut Transcript<'_>, place: &str) -> Answer {
        let expected = match to {
            Transcript::Lookups => self.lookups.pop_front(),
            Transcript::Pairs { pairs, .. } => pairs.pop_front(),
        };
        let blessed = compare::blessed(expected.as_ref(), request);
        let absent = match to {
            Transcript::Lookups => {
                self.looked_up.push(blessed);
                Answer { status: 404, ..Answer::default() }
            }
            Transcript::Pairs { sent, .. } => {
                sent.push(blessed);
                Answer { status: 200, body: bytes::Bytes::from_static(b"{\"id\":\"1\"}"), ..Answer::default() }
            }
        };
        match expected {
            Some(expected) => {
                compare::request(place, &expected, request, &mut self.result.mismatches);
                expected.answer
            }
            None => {
                self.miss(format!("{place}: this request is not in the case"));
                absent
            }
        }
    }
}
