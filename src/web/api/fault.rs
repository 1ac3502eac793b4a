//! What an API handler answers instead of its result: one problem of the error table.

use actix_web::HttpResponse;
use actix_web::ResponseError;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};

use crate::error::Code;
use crate::pipeline::asked::NotAsked;
use crate::store::{Changed, StoreError};
use crate::web::problem::{Problem, problem};

/// A code with what exactly was wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Fault {
    pub code: Code,
    pub detail: String,
}

/// What a handler gives.
pub type Answer = Result<HttpResponse, Fault>;

impl Fault {
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }

    /// There is no such thing, or it belongs to another workspace: the answer is the same.
    pub fn no_such(what: &str, id: impl std::fmt::Display) -> Self {
        Self::new(Code::NotFound, format!("there is no {what} `{id}`"))
    }

    /// What a change came to, as an answer.
    pub fn of_change(changed: Changed) -> Result<(), Self> {
        match changed {
            Changed::Ok | Changed::Count(_) => Ok(()),
            Changed::NotFound => Err(Code::NotFound.into()),
            Changed::Denied(why) => Err(Self::new(Code::Conflict, why)),
        }
    }
}

impl From<Code> for Fault {
    fn from(code: Code) -> Self {
        Self::new(code, "")
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        tracing::error!(error = %error, error.code = %Code::CannotStore, "the store did not do what the API asked");
        Self::new(Code::CannotStore, error.to_string())
    }
}

impl From<NotAsked> for Fault {
    fn from(error: NotAsked) -> Self {
        match error {
            NotAsked::Refused { code, detail } => Self::new(code, detail),
            NotAsked::Store(error) => error.into(),
        }
    }
}

impl ResponseError for Fault {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(Problem::new(self.code, "").status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut answer = problem(self.code, &self.detail);
        match self.code {
            Code::Unauthorized => {
                answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Code::CannotStore => {
                answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            }
            _ => {}
        }
        answer
    }
}
