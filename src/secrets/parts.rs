//! Takes the secrets out of a connection so that they can be sealed apart from the settings that lists and searches read.

use std::collections::BTreeMap;

use crate::domain::connection::Connection;
use crate::domain::param::ParamText;
use crate::domain::secret::SecretText;

/// Secrets by place: `hook_key`, `parameters.token`, `hooks.lead.hook_key` … A list keeps its texts.
pub type Parts = BTreeMap<String, Vec<String>>;

/// Empties every hook key and parameter of the connection and returns what was there.
pub fn take_out(connection: &mut Connection) -> Parts {
    let mut parts = Parts::new();
    visit(connection, &mut |place, slot| {
        let texts = match &slot {
            Slot::Key(key) => vec![key.expose().to_owned()],
            Slot::Param(param) => param.texts().into_iter().map(str::to_owned).collect(),
        };
        match slot {
            Slot::Key(key) => *key = SecretText::default(),
            Slot::Param(ParamText::One(text)) => *text = SecretText::default(),
            Slot::Param(ParamText::Many(list)) => list.clear(),
        }
        parts.insert(place, texts);
    });
    parts
}

/// Undoes [`take_out`].
pub fn put_back(connection: &mut Connection, parts: &Parts) {
    visit(connection, &mut |place, slot| {
        let Some(texts) = parts.get(&place) else { return };
        match slot {
            Slot::Key(key) => *key = SecretText::new(texts.first().cloned().unwrap_or_default()),
            Slot::Param(ParamText::One(text)) => *text = SecretText::new(texts.first().cloned().unwrap_or_default()),
            Slot::Param(ParamText::Many(list)) => *list = texts.iter().map(|text| SecretText::new(text.clone())).collect(),
        }
    });
}

enum Slot<'c> {
    Key(&'c mut SecretText),
    Param(&'c mut ParamText),
}

fn visit(connection: &mut Connection, each: &mut dyn FnMut(String, Slot<'_>)) {
    if let Some(key) = &mut connection.hook_key {
        each("hook_key".to_owned(), Slot::Key(key));
    }
    for (name, param) in &mut connection.parameters {
        each(format!("parameters.{name}"), Slot::Param(param));
    }
    for hook in &mut connection.hooks {
        each(format!("hooks.{}.hook_key", hook.name), Slot::Key(&mut hook.hook_key));
        for (name, param) in &mut hook.parameters {
            each(format!("hooks.{}.parameters.{name}", hook.name), Slot::Param(param));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::connection::Hook;

    #[test]
    fn a_connection_is_stored_without_secrets_and_gets_them_back() {
        let mut connection = Connection::new("shop".into(), "p");
        connection.hook_key = Some("hook-key".into());
        connection.parameters.insert("token".into(), "t0ken".into());
        connection.parameters.insert("users".into(), ParamText::Many(vec!["a".into(), "b".into()]));
        let parameters = BTreeMap::from([("secret".to_owned(), ParamText::new("of-the-hook"))]);
        connection.hooks.push(Hook { name: "lead".into(), hook_key: "lead-key".into(), exposed: false, parameters });
        let whole = connection.clone();

        let parts = take_out(&mut connection);
        assert_eq!(parts.len(), 5);
        let kept = serde_json::to_string(&connection).unwrap();
        let mut read: Connection = serde_json::from_str(&kept).unwrap();
        put_back(&mut read, &parts);
        assert_eq!(read, whole);
    }
}
