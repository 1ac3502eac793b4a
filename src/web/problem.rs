//! RFC 9457 problem answers: what is wrong and what to do about it.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::Serialize;

use crate::error::Code;

/// The body of every error answer of ours.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// Where the code is explained.
    #[serde(rename = "type")]
    pub kind: String,
    /// The code's sentence.
    pub title: String,
    pub status: u16,
    /// What exactly was wrong here.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// What to do about it.
    pub advice: String,
    /// The stable code.
    pub code: String,
}

impl Problem {
    pub fn new(code: Code, detail: &str) -> Self {
        let entry = code.entry();
        Self {
            kind: format!("urn:callbridge:error:{}", entry.code),
            title: entry.en.to_owned(),
            status: entry.status,
            detail: detail.to_owned(),
            advice: entry.advice_en.to_owned(),
            code: entry.code.to_owned(),
        }
    }

    /// The answer with its own status, or with `status`.
    pub fn answer(mut self, status: Option<u16>) -> HttpResponse {
        self.status = status.unwrap_or(self.status);
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        HttpResponse::build(status).content_type("application/problem+json").json(self)
    }
}

/// The answer for a code with its own status.
pub fn problem(code: Code, detail: &str) -> HttpResponse {
    Problem::new(code, detail).answer(None)
}
