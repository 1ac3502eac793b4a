//! The words of a case: what becomes of a delivery, and what an answer means. A misspelt one would be a difference that nobody understands.

use super::exchange::{DONE, UNREADABLE};
use super::file::Expect;
use crate::error;
use crate::plugin::compile::parse_duration;
use crate::plugin::problem::{Problem, did_you_mean};

const OUTCOMES: [&str; 11] =
    ["called", "ignored", "refused", "rejected", "failed", "waiting", "handshake", "subscribed", "unsubscribed", "connected", "not_connected"];
const IGNORED: [&str; 3] = ["filter", "duplicate", "own_write"];
const CLASSES: [&str; 8] = [DONE, "retry", "refresh_token", "misconfigured", "give_up", "gone", "not_found", UNREADABLE];

/// What is wrong with the outcomes that `file` expects, by its line.
pub fn of_outcomes(file: &str, source: &str, expect: &Expect) -> Result<(), String> {
    let one = Some((expect.outcome.as_str(), expect.code.as_str())).filter(|(outcome, _)| !outcome.is_empty());
    let several = expect.outcomes.iter().map(|both| both.split_once(':').unwrap_or((both, "")));
    for (outcome, code) in one.into_iter().chain(several) {
        let Some((word, message)) = wrong(outcome, code) else { continue };
        let line = source.lines().position(|line| line.contains(&format!("\"{word}")) || line.contains(&format!(":{word}\""))).map_or(0, |at| at + 1);
        return Err(Problem::error(file, line, message).to_string());
    }
    Ok(())
}

/// The word that is wrong, and what is said about it.
fn wrong<'w>(outcome: &'w str, code: &'w str) -> Option<(&'w str, String)> {
    if !OUTCOMES.contains(&outcome) {
        return Some((outcome, format!("there is no outcome `{outcome}`{}; there are {}", did_you_mean(outcome, OUTCOMES), OUTCOMES.join(", "))));
    }
    let codes: Vec<&str> = if outcome == "ignored" { IGNORED.to_vec() } else { error::ALL.iter().map(|code| code.as_str()).collect() };
    if code.is_empty() || codes.contains(&code) {
        return None;
    }
    let known = if outcome == "ignored" { format!("; there are {}", IGNORED.join(", ")) } else { String::new() };
    Some((code, format!("there is no code `{code}` of what is {outcome}{}{known}", did_you_mean(code, codes))))
}

/// What is wrong with the word behind `<<<`; `retry` may have its time.
pub fn of_class(class: &str) -> Result<(), String> {
    let (word, time) = class.split_once(' ').unwrap_or((class, ""));
    if !CLASSES.contains(&word) {
        return Err(format!("`<<< {class}`: there is no word `{word}`{}; there are {}", did_you_mean(word, CLASSES), CLASSES.join(", ")));
    }
    match time {
        "" => Ok(()),
        time if word == "retry" && parse_duration(time).is_some() => Ok(()),
        _ => Err(format!("`<<< {class}`: only `retry` has a time, such as `retry 30s`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_word_is_told_with_its_line_and_the_right_one() {
        let told = |outcomes: &str, expect: Expect| of_outcomes("cases/one/case.toml", &format!("[expect]\n{outcomes}\n"), &expect);
        let one = |outcome: &str, code: &str| Expect { outcome: outcome.into(), code: code.into(), ..Expect::default() };
        let said = told("outcome = \"caled\"", one("caled", "")).unwrap_err();
        assert!(said.starts_with("cases/one/case.toml:2: error: there is no outcome `caled` (did you mean `called`?)"), "{said}");
        let said = told("outcome = \"refused\"\ncode = \"mising_phone\"", one("refused", "mising_phone")).unwrap_err();
        assert!(said.contains("case.toml:3: ") && said.contains("did you mean `missing_phone`?"), "{said}");
        assert!(told("", one("ignored", "duplicat")).unwrap_err().contains("did you mean `duplicate`?"));
        let several = Expect { outcomes: vec!["called".into(), "ignored:own_wirte".into()], ..Expect::default() };
        assert!(told("outcomes = [\"called\", \"ignored:own_wirte\"]", several).unwrap_err().contains("case.toml:2: "));
        for (outcome, code) in [("", ""), ("called", ""), ("ignored", "filter"), ("rejected", "bad_signature"), ("subscribed", "")] {
            assert_eq!(told("", one(outcome, code)), Ok(()), "{outcome} {code}");
        }
    }

    #[test]
    fn a_class_is_one_that_an_answer_can_have() {
        assert!(of_class("retyr").unwrap_err().contains("did you mean `retry`?"));
        assert!(of_class("gone 30s").is_err() && of_class("retry soon").is_err());
        for class in ["done", "retry", "retry 30s", "retry 1500ms", "unreadable"] {
            assert_eq!(of_class(class), Ok(()), "{class}");
        }
    }
}
