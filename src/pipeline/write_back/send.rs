//! One request to a CRM, counted against its rate.

use super::super::app::{App, Wired};
use crate::domain::request::{Answer, Outbound};
use crate::outbound::SendError;

/// Sends once. The first request of a run has its turn already; further ones count without waiting.
pub async fn send(app: &App, wired: &Wired, request: &Outbound, first: bool) -> Result<Answer, SendError> {
    if !first {
        wired.turns.count();
    }
    app.crm.send(request).await
}
