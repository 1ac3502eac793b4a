//! One request to a CRM, within its limits. Our own waiting costs no attempt.

use crate::domain::request::{Answer, Outbound};
use crate::outbound::SendError;

use super::super::app::{App, Wired};

/// Sends once, after waiting for the connection's turn and rate.
pub async fn send(app: &App, wired: &Wired, request: &Outbound) -> Result<Answer, SendError> {
    let _turn = wired.requests.acquire().await.map_err(|_| SendError::NotSent("the connection is closing".into()))?;
    if let Some(limiter) = &wired.limiter {
        limiter.until_ready().await;
    }
    app.crm.send(request).await
}
