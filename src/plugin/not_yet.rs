//! What the format has and the engine does not do yet: refused when a plugin is loaded. Whoever builds a part deletes its lines.

use super::compile::Compiler;
use super::manifest::{At, KindSpec, LookupSpec, Manifest, OneOrMany};

/// Refuses every key whose part of the engine is missing.
pub fn refuse(c: &mut Compiler<'_>, manifest: &Manifest) {
    let mut r = Refuser { c };
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

    fn lookup(&mut self, at: &At<LookupSpec>) {
        let spec = at.get_ref();
        self.when(at, spec.batch.is_some(), "lookup.batch");
        self.when(at, !spec.store.is_empty() || spec.sign.is_some(), "store and sign of a look-up");
    }

    fn kind(&mut self, at: &At<&KindSpec>) {
        if let Some(find) = &at.get_ref().find {
            self.when(at, !find.store.is_empty() || find.sign.is_some(), "store and sign of find");
        }
    }
}
