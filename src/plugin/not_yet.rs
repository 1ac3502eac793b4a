//! What the format has and the engine does not do yet: refused when a plugin is loaded. Whoever builds a part deletes its lines.

use super::compile::{Compiler, MANIFEST};
use super::manifest::{
    At, AuthSpec, FindSpec, KindSpec, LookupSpec, Manifest, OneOrMany, ParameterKind, ReceiveSpec, RequestParts, ResponseClass, ResponseSpec, RetryAfterSpec,
    StepSpec, ValueSpec, VerifyRef, VerifySpec, WaitUnit,
};
use super::problem::Problem;

/// Refuses every key whose part of the engine is missing.
pub fn refuse(c: &mut Compiler<'_>, manifest: &Manifest) {
    let mut r = Refuser { c };
    r.whole(manifest);
    r.outbound(manifest);
    manifest.verify.values().for_each(|scheme| r.scheme(scheme, scheme.get_ref()));
    manifest.receive.iter().for_each(|at| r.receive(at));
    manifest.lookup.iter().for_each(|at| r.lookup(at));
    let kinds = [&manifest.write_back.call, &manifest.write_back.note, &manifest.write_back.field];
    for kind in kinds.into_iter().flatten() {
        r.when(kind, matches!(kind.get_ref(), OneOrMany::Many(_)), "[[write_back.…]] in several modes");
        OneOrMany::each(kind).into_iter().for_each(|at| r.kind(&at));
    }
    manifest.responses.iter().for_each(|at| r.response(at));
}

struct Refuser<'c, 'a> {
    c: &'c mut Compiler<'a>,
}

impl Refuser<'_, '_> {
    fn when<T>(&mut self, at: &At<T>, there: bool, what: &str) {
        if there {
            self.c.error(at, format!("{what}: not yet built into this program"));
        }
    }

    fn when_any(&mut self, there: bool, what: &str) {
        if there {
            self.c.problems.push(Problem::error(MANIFEST, 0, format!("{what}: not yet built into this program")));
        }
    }

    fn whole(&mut self, m: &Manifest) {
        self.when_any(!m.modes.is_empty(), "[modes]");
        self.when_any(!m.tables.is_empty(), "[tables]");
        self.when_any(!m.subscribe.is_empty(), "[[subscribe]]");
        self.when_any(!m.poll.is_empty(), "[[poll]]");
        for parameter in &m.parameters {
            let p = parameter.get_ref();
            self.when(parameter, p.mode.is_some(), "parameters.mode");
            self.when(parameter, p.ends.is_some(), "parameters.ends");
            self.when(parameter, p.table.is_some() || matches!(p.kind, ParameterKind::Date | ParameterKind::Table), "parameters of type date and table");
        }
        for handshake in &m.handshake {
            self.when(handshake, handshake.get_ref().mode.is_some(), "handshake.mode");
        }
        for map in m.maps.values() {
            self.map(map, map.get_ref());
        }
    }

    fn outbound(&mut self, m: &Manifest) {
        for base in m.bases.values() {
            self.when(base, matches!(base.get_ref(), OneOrMany::Many(_)), "[[bases.…]] in several modes");
            for one in OneOrMany::each(base) {
                self.when(&one.get_ref().url, !matches!(one.get_ref().url.get_ref(), ValueSpec::Text(_)), "a list of values in bases.url");
                self.when(&one, one.get_ref().mode.is_some(), "bases.mode");
            }
        }
        for at in AuthSpec::each(m.auth.as_ref()) {
            let auth = at.get_ref();
            self.when(&at, auth.name.is_some() && matches!(m.auth.as_ref().map(At::get_ref), Some(OneOrMany::Many(_))), "several [[auth]]");
            let login = !auth.login.is_empty() || !auth.start.is_empty() || auth.jwt.is_some() || auth.lifetime.is_some() || auth.keep_alive.is_some();
            self.when(&at, login, "auth.login");
            self.when(&at, auth.mode.is_some() || !auth.bases.is_empty(), "auth.mode and auth.bases");
        }
        if let Some(connect) = &m.connect {
            self.when(connect, true, "[connect]");
        }
        if let Some(limits) = &m.limits {
            let new = OneOrMany::each(limits).iter().any(|l| {
                let l = l.get_ref();
                l.mode.is_some() || l.share.is_some() || l.remaining.is_some() || l.requests_at_most.is_some()
            });
            self.when(limits, new || matches!(limits.get_ref(), OneOrMany::Many(_)), "limits.mode, share, remaining and requests_at_most");
        }
    }

    fn scheme<T>(&mut self, at: &At<T>, spec: &VerifySpec) {
        self.when(at, spec.mode.is_some(), "verify.mode");
    }

    fn map<T>(&mut self, at: &At<T>, map: &super::manifest::MapSpec) {
        self.when(at, map.occurred_at.as_ref().is_some_and(|o| o.zone.is_some()), "occurred_at.zone");
        self.when(at, map.gender.as_ref().is_some_and(|g| g.table.is_some()), "gender.table");
    }

    fn receive(&mut self, at: &At<ReceiveSpec>) {
        let spec = at.get_ref();
        self.when(at, spec.mode.is_some() || spec.ignore.iter().any(|i| i.mode.is_some()), "receive.mode and receive.ignore.mode");
        self.map(at, &spec.map);
        for scheme in &spec.verify {
            if let VerifyRef::Here(spec) = scheme.get_ref() {
                self.scheme(scheme, spec);
            }
        }
    }

    fn request<T>(&mut self, at: &At<T>, parts: RequestParts<'_>) {
        let keys = !parts.query.is_empty() || !parts.form.is_empty() || !parts.json.is_empty() || parts.graphql.is_some();
        self.when(at, keys, "query, form, json and graphql of a request");
        self.when(at, parts.auth.is_some() || parts.mode.is_some() || !parts.responses.is_empty(), "auth, mode and responses of a request");
    }

    fn lookup(&mut self, at: &At<LookupSpec>) {
        let spec = at.get_ref();
        self.when(at, spec.batch.is_some() || !spec.fields.is_empty(), "lookup.batch and lookup.fields");
        self.when(at, !spec.store.is_empty() || spec.sign.is_some(), "store and sign of a look-up");
        self.map(at, &spec.map);
        self.request(at, spec.request());
    }

    fn kind(&mut self, at: &At<&KindSpec>) {
        let spec = *at.get_ref();
        self.when(at, spec.mode.is_some(), "write_back mode");
        if let Some(find) = &spec.find {
            self.find(at, find);
        }
        spec.create.iter().chain(&spec.update).chain(&spec.correction).for_each(|step| self.step(step));
    }

    fn find<T>(&mut self, at: &At<T>, find: &FindSpec) {
        self.when(at, !find.conditions.0.is_empty() || !find.store.is_empty() || find.sign.is_some(), "if, store and sign of find");
        self.request(at, find.request());
    }

    fn step(&mut self, step: &StepSpec) {
        self.when(&step.name, !step.done_if.0.is_empty() || step.reads, "done_if and reads of a step");
        self.request(&step.name, step.request());
    }

    fn response(&mut self, at: &At<ResponseSpec>) {
        let spec = at.get_ref();
        self.when(at, !spec.requests.0.is_empty() || spec.mode.is_some(), "responses.for and responses.mode");
        self.when(at, spec.class == ResponseClass::NotFound, "the class not_found");
        let after = match &spec.retry_after {
            Some(RetryAfterSpec::Elsewhere(_)) => true,
            Some(RetryAfterSpec::Header(unit)) => !matches!(unit, WaitUnit::Seconds | WaitUnit::Milliseconds | WaitUnit::None),
            None => false,
        };
        self.when(at, after, "retry_after as a table, epoch and date");
    }
}
