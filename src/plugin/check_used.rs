//! What is written down and nothing uses, and what is named and not there.

use super::compile::Compiler;
use super::manifest::{Manifest, ParameterScope};
use super::problem::did_you_mean;

/// Parameters, modes, tables, maps and fields that nothing uses: a slip, or left over.
pub fn unused(c: &mut Compiler<'_>, manifest: &Manifest) {
    for parameter in manifest.parameters.iter().filter(|at| !c.used_params.contains(&at.get_ref().id)).collect::<Vec<_>>() {
        c.warning(parameter, format!("nothing uses the parameter `{}`", parameter.get_ref().id));
    }
    for (_, at) in manifest.modes.iter().filter(|(name, _)| !c.used_modes.contains(*name)).collect::<Vec<_>>() {
        c.warning(at, "no block is in this mode");
    }
    for (name, at) in manifest.tables.iter().filter(|(name, _)| !c.used_tables.contains(*name)).collect::<Vec<_>>() {
        c.warning(at, format!("nothing uses the table `{name}`"));
    }
    for (name, at) in manifest.maps.iter().filter(|(name, _)| !c.used_maps.contains(*name)).collect::<Vec<_>>() {
        c.warning(at, format!("no map is `like` this one: `{name}`"));
    }
    for at in manifest.fields.iter().filter(|at| !c.used_fields.contains(&at.get_ref().id)).collect::<Vec<_>>() {
        c.warning(at, format!("no variant and no look-up reads the field `{}`: a trigger that tests it never holds", at.get_ref().id));
    }
}

/// What `[[hooks]]` ask for and set: parameters of scope `hook`.
pub fn hooks(c: &mut Compiler<'_>, manifest: &Manifest) {
    let known = || manifest.parameters.iter().map(|at| at.get_ref());
    for at in &manifest.hooks {
        let hook = at.get_ref();
        let asked = hook.parameters.iter().flatten().map(|id| ("parameters", id));
        for (key, id) in asked.chain(hook.values.keys().map(|id| ("values", id))) {
            match known().find(|parameter| parameter.id == *id) {
                Some(parameter) if parameter.scope == ParameterScope::Hook => {}
                Some(_) => c.error(at, format!("hook `{}`, {key}: the parameter `{id}` is not one of scope `hook`", hook.name)),
                None => {
                    let own = known().filter(|parameter| parameter.scope == ParameterScope::Hook).map(|parameter| parameter.id.as_str());
                    let hint = did_you_mean(id, own);
                    c.error(at, format!("hook `{}`, {key}: there is no parameter `{id}`{hint}", hook.name));
                }
            }
        }
    }
}
