//! Tests of [`super::phone`]: the corpus and what must hold for any text.

use proptest::prelude::*;

use super::phone::{Phone, normalise};

/// `\n`, `\t`, `\\` and `\u{…}` of the corpus file.
fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let code = &rest[at + 1..];
        rest = match code.as_bytes().first().unwrap() {
            b'n' => {
                out.push('\n');
                &code[1..]
            }
            b't' => {
                out.push('\t');
                &code[1..]
            }
            b'u' => {
                let end = code.find('}').unwrap();
                out.push(char::from_u32(u32::from_str_radix(&code[2..end], 16).unwrap()).unwrap());
                &code[end + 1..]
            }
            other => panic!("unknown escape {other}"),
        };
    }
    out + rest
}

#[test]
fn the_corpus_is_read_as_decided() {
    let corpus = include_str!("../../tests/data/phones.tsv");
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for line in corpus.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (input, expected) = line.split_once('\t').unwrap();
        let got = match normalise(&unescape(input)) {
            Ok(phone) => phone.national(),
            Err(error) => error.code().as_str().to_owned(),
        };
        seen += 1;
        if got != expected {
            wrong.push(format!("{input:?}: got {got}, expected {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen >= 300, "only {seen} numbers");
}

#[test]
fn the_forms_of_a_number() {
    let phone = normalise("0912.345.678").unwrap();
    assert_eq!((phone.e164(), phone.national().as_str(), phone.masked().as_str()), ("+84912345678", "0912345678", "091•••678"));
    assert_eq!(format!("{phone:?}"), "091•••678");
    assert!(phone.is_mobile() && !normalise("02838221234").unwrap().is_mobile());
    let json = serde_json::to_string(&phone).unwrap();
    assert_eq!(serde_json::from_str::<Phone>(&json).unwrap(), phone);
}

#[test]
fn the_spellings_a_crm_may_keep() {
    let all = ["+84912345678", "84912345678", "0912345678", "912345678", "0912 345 678", "0912.345.678", "+84 912 345 678"];
    assert_eq!(normalise("0912345678").unwrap().spellings(), all);
    for spelling in normalise("02838221234").unwrap().spellings() {
        assert_eq!(normalise(&spelling).unwrap().e164(), "+842838221234", "{spelling}");
    }
}

#[test]
fn zeros_behind_a_dot_are_digits_where_the_number_would_be_too_short_without_them() {
    let read = |text| normalise(text).map(|phone| phone.national());
    for text in ["0912345.000", "091234500.0", "0912345000.0", "912345000.0", "84912345000.00"] {
        assert_eq!(read(text), Ok("0912345000".to_owned()), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,60}") {
        if let Ok(phone) = normalise(&text) {
            prop_assert_eq!(&normalise(phone.e164()).unwrap(), &phone);
            prop_assert_eq!(&normalise(&phone.national()).unwrap(), &phone);
        }
    }

    #[test]
    fn reading_its_own_output_changes_nothing(text in "[+(]{0,2}(84|0|00|0084|1900|02|09|016)?[0-9 .()-]{0,16}([,;/x] ?[0-9]{1,11})?") {
        if let Ok(phone) = normalise(&text) {
            let national = phone.national();
            prop_assert!(matches!((national.len(), &national[..2]), (10, "03" | "05" | "07" | "08" | "09") | (11, "02")), "{national}");
            prop_assert_eq!(&normalise(phone.e164()).unwrap(), &phone);
            prop_assert_eq!(&normalise(&national).unwrap(), &phone);
        }
    }

    #[test]
    fn noise_between_the_digits_does_not_matter(digits in "0[35789][0-9]{8}", noise in prop::collection::vec("[ .'_]{0,2}|\u{a0}|\u{200b}", 10)) {
        let noisy: String = digits.chars().zip(&noise).flat_map(|(d, n)| std::iter::once(d).chain(n.chars())).collect();
        prop_assert_eq!(normalise(&noisy).unwrap().national(), digits);
    }
}
