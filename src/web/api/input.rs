//! Reading what a program sends: an unknown field is refused with the nearest right word, never ignored.

use actix_web::HttpRequest;
use actix_web::web::{Payload, Query};
use serde::de::DeserializeOwned;

use super::fault::Fault;
use crate::error::Code;
use crate::plugin::problem::did_you_mean;
use crate::web::hooks::{BODY_LIMIT, read};

/// The longest page.
pub const PAGE_MAX: usize = 200;
const PAGE_DEFAULT: usize = 50;

/// A JSON body; an empty one is `{}`.
pub async fn json<T: DeserializeOwned>(payload: Payload) -> Result<T, Fault> {
    json_up_to(payload, BODY_LIMIT).await
}

/// The same where more than usual may come.
pub async fn json_up_to<T: DeserializeOwned>(payload: Payload, limit: usize) -> Result<T, Fault> {
    let (body, too_large) = read(payload, limit).await?;
    if too_large {
        return Err(Code::TooLarge.into());
    }
    let body: &[u8] = if body.iter().all(u8::is_ascii_whitespace) { b"{}" } else { &body };
    parse(body)
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize(&mut reader).map_err(|error| (error.path().to_string(), error.into_inner()));
    let read = read.and_then(|value| reader.end().map(|()| value).map_err(|error| (String::new(), error)));
    read.map_err(|(field, error)| match error.classify() {
        serde_json::error::Category::Data => Fault::new(Code::BadRequest, of_field(&field, &hinted(&error.to_string()))),
        serde_json::error::Category::Eof => {
            Fault::new(Code::BadJson, format!("the body ends too early, in line {} at character {}", error.line(), error.column()))
        }
        _ => Fault::new(Code::BadJson, error.to_string()),
    })
}

/// The query string.
pub fn query<T: DeserializeOwned>(request: &HttpRequest) -> Result<T, Fault> {
    let pairs = Query::<Vec<(String, String)>>::from_query(request.query_string()).map(Query::into_inner).unwrap_or_default();
    if let Some((_, word)) = pairs.iter().find(|(name, value)| name == "limit" && value.parse::<usize>().is_err()) {
        return Err(Fault::new(Code::BadRequest, format!("limit is `{word}`; a page has 1 to {PAGE_MAX} entries")));
    }
    match Query::<T>::from_query(request.query_string()) {
        Ok(query) => Ok(query.into_inner()),
        Err(actix_web::error::QueryPayloadError::Deserialize(error)) => {
            // Each is optional: the one that alone is wrong as well is the one that is meant.
            let wrong = request.query_string().split('&').find(|pair| Query::<T>::from_query(pair).is_err());
            let field = wrong.and_then(|pair| pair.split('=').next()).unwrap_or_default();
            Err(Fault::new(Code::BadRequest, of_field(field, &hinted(&error.to_string()))))
        }
        Err(error) => Err(Fault::new(Code::BadRequest, error.to_string())),
    }
}

/// With the field that it is about; what names its field itself stays as it is.
fn of_field(field: &str, message: &str) -> String {
    if matches!(field, "" | "." | "?") || message.starts_with("unknown field") { message.to_owned() } else { format!("`{field}`: {message}") }
}

/// serde names the wrong word first and the right ones after it, each in backquotes.
fn hinted(message: &str) -> String {
    // Of its words, the two that only programmers in this language know.
    let message = &message.replace("expected a sequence", "expected a list").replace("unknown variant", "unknown value");
    let words: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match words.split_first() {
        Some((wrong, right)) if message.starts_with("unknown ") => format!("{message}{}", did_you_mean(wrong, right.iter().copied())),
        _ => message.to_owned(),
    }
}

/// How many entries a page has.
pub fn limit(asked: Option<usize>) -> Result<usize, Fault> {
    match asked {
        None => Ok(PAGE_DEFAULT),
        Some(n) if (1..=PAGE_MAX).contains(&n) => Ok(n),
        Some(n) => Err(Fault::new(Code::BadRequest, format!("limit is {n}; a page has 1 to {PAGE_MAX} entries"))),
    }
}

/// An id in a path or a query: a text that is no id of the kind names nothing that exists.
pub fn id<T: std::str::FromStr>(what: &str, text: &str) -> Result<T, Fault> {
    text.parse().map_err(|_| Fault::no_such(what, text))
}

/// The header of this name, if it is readable and not empty.
pub fn header<'r>(request: &'r HttpRequest, name: &str) -> Option<&'r str> {
    request.headers().get(name)?.to_str().ok().map(str::trim).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its names matter")]
    struct Sample {
        phone: String,
        connection: Option<String>,
    }

    #[test]
    fn a_slip_of_the_finger_is_told_the_right_word() {
        let fault = parse::<Sample>(br#"{"phone": "1", "conection": "a"}"#).unwrap_err();
        assert_eq!(fault.code, Code::BadRequest);
        assert!(fault.detail.contains("did you mean `connection`?"), "{fault}");
        assert!(parse::<Sample>(br#"{}"#).unwrap_err().detail.contains("missing field `phone`"));
        let cut = parse::<Sample>(b"{").unwrap_err();
        assert_eq!((cut.code, cut.detail.as_str()), (Code::BadJson, "the body ends too early, in line 1 at character 1"));
        assert!(parse::<Vec<String>>(br#""1""#).unwrap_err().detail.contains("expected a list"));
        let kind = |text: &str| parse::<Sample>(text.as_bytes()).unwrap_err().detail;
        assert!(kind(r#"{"phone": 912345678}"#).starts_with("`phone`: invalid type: integer `912345678`, expected a string"), "{}", kind(r#"{"phone": 1}"#));
        assert!(kind(r#"{"phone": "1", "connection": ["a"]}"#).starts_with("`connection`: invalid type: sequence, expected a string"));
        assert!(kind(r#"{"phone": "1", "conection": 1}"#).starts_with("unknown field `conection`"));
        assert!(parse::<Vec<Sample>>(br#"[{"phone": "1"}, {"phone": true}]"#).unwrap_err().detail.starts_with("`[1].phone`: invalid type: boolean"));
        assert_eq!(parse::<Sample>(br#"{"phone": "1"} x"#).unwrap_err().code, Code::BadJson);
        assert_eq!(parse::<Sample>(b"\xff").unwrap_err().code, Code::BadJson);
    }

    #[test]
    fn a_limit_that_is_no_number_is_named() {
        let request = actix_web::test::TestRequest::with_uri("/calls?limit=x").to_http_request();
        assert!(query::<Vec<(String, String)>>(&request).unwrap_err().detail.contains("limit is `x`"));
        #[derive(Debug, serde::Deserialize)]
        #[expect(dead_code, reason = "only its names matter")]
        struct Wanted {
            #[serde(default)]
            all: bool,
            before: Option<String>,
        }
        let request = actix_web::test::TestRequest::with_uri("/alerts?before=a&all=maybe").to_http_request();
        let detail = query::<Wanted>(&request).unwrap_err().detail;
        assert!(detail.starts_with("`all`: "), "{detail}");
    }

    #[test]
    fn a_page_has_a_sensible_size() {
        assert_eq!((limit(None), limit(Some(3))), (Ok(50), Ok(3)));
        assert!(limit(Some(0)).is_err() && limit(Some(201)).is_err());
    }
}
