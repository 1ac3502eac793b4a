//! What the format has and the engine does not do yet: refused when a plugin is loaded. Whoever builds a part deletes its lines.

use super::compile::{Compiler, MANIFEST};
use super::manifest::{At, AuthSpec, Manifest, OneOrMany};
use super::problem::Problem;

/// Refuses every key whose part of the engine is missing.
pub fn refuse(c: &mut Compiler<'_>, manifest: &Manifest) {
    let mut r = Refuser { c };
    r.whole(manifest);
    r.outbound(manifest);
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
        self.when_any(!m.subscribe.is_empty(), "[[subscribe]]");
        for parameter in &m.parameters {
            let p = parameter.get_ref();
            self.when(parameter, p.ends.is_some(), "parameters.ends");
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
}
