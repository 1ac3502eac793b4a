//! What the format has and the engine does not do yet: refused when a plugin is loaded. Whoever builds a part deletes its lines.

use super::compile::{Compiler, MANIFEST};
use super::manifest::{Algorithm, At, AuthSpec, BodyKind, KindSpec, LookupSpec, Manifest, OneOrMany, ReceiveSpec, VerifyKind, VerifyRef, VerifySpec};
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
        OneOrMany::each(kind).into_iter().for_each(|at| r.kind(&at));
    }
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
        self.when_any(!m.hooks.is_empty(), "[[hooks]]");
        self.when_any(!m.subscribe.is_empty(), "[[subscribe]]");
        self.when_any(!m.poll.is_empty(), "[[poll]]");
        self.when_any(!m.handshake.is_empty(), "[[handshake]]");
        self.when_any(!m.fields.is_empty(), "[[fields]]");
        self.when_any(m.answers.paused.is_some(), "answers.paused");
        for parameter in &m.parameters {
            let p = parameter.get_ref();
            self.when(parameter, p.ends.is_some(), "parameters.ends");
        }
        for map in m.maps.values() {
            self.map(map, map.get_ref());
        }
    }

    fn outbound(&mut self, m: &Manifest) {
        for auth in AuthSpec::each(m.auth.as_ref()) {
            self.when(&auth, auth.get_ref().keep_alive.is_some(), "auth.keep_alive");
        }
        for limit in m.limits.iter().flat_map(OneOrMany::each) {
            self.when(&limit, limit.get_ref().share.is_some(), "limits.share");
        }
    }

    fn scheme<T>(&mut self, at: &At<T>, spec: &VerifySpec) {
        self.when(at, matches!(spec.kind, VerifyKind::Ed25519 | VerifyKind::Rsa | VerifyKind::All), "verification of kind ed25519, rsa and all");
        self.when(at, spec.algorithm.0.contains(&Algorithm::Sha512), "sha512");
        let lists = spec.algorithm.0.len() > 1
            || spec.encoding.0.len() > 1
            || spec.key_encoding.0.len() > 1
            || spec.prefix.as_ref().is_some_and(|p| p.get_ref().0.len() > 1);
        self.when(at, lists, "lists of algorithms, encodings and prefixes");
        self.when(at, spec.mode.is_some() || spec.body.is_some() || spec.public_key.is_some() || !spec.of.is_empty(), "verify.mode, body, public_key and of");
        self.when(at, spec.timestamp.as_ref().is_some_and(|t| t.query.is_some() || t.body.is_some()), "a timestamp in query or body");
    }

    fn map<T>(&mut self, at: &At<T>, map: &super::manifest::MapSpec) {
        self.when(at, map.occurred_at.as_ref().is_some_and(|o| o.zone.is_some()), "occurred_at.zone");
    }

    fn receive(&mut self, at: &At<ReceiveSpec>) {
        let spec = at.get_ref();
        self.when(at, matches!(spec.body, BodyKind::Multipart | BodyKind::Xml), "bodies of kind multipart and xml");
        self.when(at, !spec.json_fields.is_empty() || !spec.lists.is_empty(), "receive.json_fields and receive.lists");
        let select = &spec.select;
        self.when(at, !select.header.is_empty() || select.hook.is_some() || !select.conditions.0.is_empty(), "select.header, hook and if");
        self.when(at, spec.items.as_ref().is_some_and(|i| i.split.get_ref().0.len() != 1), "items.split with several paths");
        self.when(at, spec.loop_guard.is_some() || spec.changed.is_some() || !spec.fields.is_empty(), "receive.loop_guard, changed and fields");
        let a = &spec.answers;
        let answers = [&a.stored, &a.duplicate, &a.bad_signature, &a.stale, &a.unknown_key, &a.unreadable, &a.too_large, &a.over_limit, &a.cannot_store];
        self.when(at, answers.iter().any(|a| a.is_some()) || a.paused.is_some() || a.gone.is_some(), "receive.answers");
        self.map(at, &spec.map);
        for scheme in &spec.verify {
            if let VerifyRef::Here(spec) = scheme.get_ref() {
                self.scheme(scheme, spec);
            }
        }
    }

    fn lookup(&mut self, at: &At<LookupSpec>) {
        let spec = at.get_ref();
        self.when(at, spec.batch.is_some() || !spec.fields.is_empty(), "lookup.batch and lookup.fields");
        self.when(at, !spec.store.is_empty() || spec.sign.is_some(), "store and sign of a look-up");
        self.map(at, &spec.map);
    }

    fn kind(&mut self, at: &At<&KindSpec>) {
        if let Some(find) = &at.get_ref().find {
            self.when(at, !find.store.is_empty() || find.sign.is_some(), "store and sign of find");
        }
    }
}
