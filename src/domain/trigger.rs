//! Which records of a connection mean a call: conditions that the admin gives, as data.

use serde::{Deserialize, Deserializer, Serialize};

/// Every test of `all` and, where there are any, one of `any`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trigger {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub all: Vec<Test>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub any: Vec<Test>,
}

/// One test of a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Test {
    /// One of the plugin's `[[fields]]`, of its map (`owner`, `record_type` …), or a JSONPath into the record, `$.…`.
    pub field: String,
    #[serde(default)]
    pub op: TestOp,
    /// A text, number or true/false, or a list of them for `in` and `not_in`.
    #[serde(default, deserialize_with = "words", skip_serializing_if = "Vec::is_empty")]
    pub value: Vec<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestOp {
    #[default]
    Eq,
    Ne,
    In,
    NotIn,
    Exists,
    Missing,
    Contains,
    MatchesPrefix,
    Gt,
    Lt,
    /// The sender says that this field changed.
    Changed,
}

impl Test {
    /// Whether a field with this text, `""` when it is empty, fits. Text is compared, `gt` and `lt` compare numbers.
    pub fn holds(&self, found: &str, changed: bool) -> bool {
        let one = self.value.first().map(String::as_str).unwrap_or_default();
        let numbers = || Some((found.parse::<f64>().ok()?, one.parse::<f64>().ok()?));
        match self.op {
            TestOp::Eq => found == one,
            TestOp::Ne => found != one,
            TestOp::In => self.value.iter().any(|word| word == found),
            TestOp::NotIn => !self.value.iter().any(|word| word == found),
            TestOp::Exists => !found.is_empty(),
            TestOp::Missing => found.is_empty(),
            TestOp::Contains => found.contains(one),
            TestOp::MatchesPrefix => found.starts_with(one),
            TestOp::Gt => numbers().is_some_and(|(found, one)| found > one),
            TestOp::Lt => numbers().is_some_and(|(found, one)| found < one),
            TestOp::Changed => changed,
        }
    }

    /// What is wrong with it as it is written.
    pub fn fault(&self) -> Option<String> {
        let (least, most) = match self.op {
            TestOp::Exists | TestOp::Missing | TestOp::Changed => (0, 0),
            TestOp::In | TestOp::NotIn => (1, usize::MAX),
            _ => (1, 1),
        };
        let field = &self.field;
        match self.value.len() {
            _ if field.trim().is_empty() => Some("a test names no field".to_owned()),
            n if n < least => Some(format!("the test of `{field}` has no `value`")),
            n if n > most && most == 0 => Some(format!("the test of `{field}` takes no `value`")),
            n if n > most => Some(format!("the test of `{field}` takes one `value`; a list is for `in` and `not_in`")),
            _ => None,
        }
    }
}

impl Trigger {
    pub fn tests(&self) -> impl Iterator<Item = &Test> {
        self.all.iter().chain(&self.any)
    }
}

/// One word or a list of words; numbers and true/false as people write them.
fn words<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Word {
        Text(String),
        Truth(bool),
        Whole(i64),
        Number(f64),
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        One(Word),
        Many(Vec<Word>),
    }
    let text = |word| match word {
        Word::Text(text) => text,
        Word::Truth(truth) => truth.to_string(),
        Word::Whole(number) => number.to_string(),
        Word::Number(number) => number.to_string(),
    };
    Ok(match Given::deserialize(d)? {
        Given::One(word) => vec![text(word)],
        Given::Many(list) => list.into_iter().map(text).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(json: &str) -> Test {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn tests_compare_text_and_numbers() {
        for (json, found, changed, expected) in [
            (r#"{"field":"stage","value":"call"}"#, "call", false, true),
            (r#"{"field":"stage","value":"call"}"#, "Call", false, false),
            (r#"{"field":"stage","op":"ne","value":"call"}"#, "", false, true),
            (r#"{"field":"stage","op":"in","value":["call",7,true]}"#, "7", false, true),
            (r#"{"field":"stage","op":"not_in","value":["call"]}"#, "call", false, false),
            (r#"{"field":"stage","op":"gt","value":10}"#, "9", false, false),
            (r#"{"field":"stage","op":"gt","value":10}"#, "10.5", false, true),
            (r#"{"field":"stage","op":"lt","value":10}"#, "ten", false, false),
            (r#"{"field":"tags","op":"contains","value":"goi"}"#, "[\"goi-ngay\"]", false, true),
            (r#"{"field":"stage","op":"changed"}"#, "x", true, true),
            (r#"{"field":"stage","op":"exists"}"#, "", true, false),
            (r#"{"field":"stage","op":"missing"}"#, "", true, true),
        ] {
            let test = test(json);
            assert_eq!(test.fault(), None, "{json}");
            assert_eq!(test.holds(found, changed), expected, "{json} {found}");
            assert_eq!(serde_json::from_str::<Test>(&serde_json::to_string(&test).unwrap()).unwrap(), test);
        }
    }

    #[test]
    fn a_test_that_cannot_mean_anything_is_told() {
        for json in [r#"{"field":"a"}"#, r#"{"field":"a","op":"changed","value":"x"}"#, r#"{"field":"a","value":["x","y"]}"#, r#"{"field":" ","value":"x"}"#] {
            assert!(test(json).fault().is_some(), "{json}");
        }
    }
}
