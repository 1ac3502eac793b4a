//! Why a simulator could not start.

/// A simulator that cannot start. What happens later is played, counted and answered, never an error here.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot listen on {address}: {source}")]
    Listen { address: String, source: std::io::Error },
    #[error("the HTTP client cannot be built: {0}")]
    Client(#[from] reqwest::Error),
    #[error("the server cannot start: {0}")]
    Server(#[from] std::io::Error),
    #[error("a simulator is started inside a tokio runtime")]
    NoRuntime,
    #[error("there is no mood {0:?}; moods are: {list}", list = super::mood::names())]
    UnknownMood(String),
}
