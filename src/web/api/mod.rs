//! `/api/v1`: JSON for programs and for the CLI.

use actix_web::web::ServiceConfig;

/// The routes of the API.
pub fn configure(_config: &mut ServiceConfig) {}
