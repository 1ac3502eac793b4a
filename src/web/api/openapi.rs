//! `GET /openapi.json`: the API described in OpenAPI 3.1, made from the handlers themselves.

use std::sync::OnceLock;

use actix_web::HttpResponse;
use serde_json::{Value, json};
use utoipa::OpenApi;

use super::{alerts, audit, backup, brakes, calls, connections, dnc, dnc_off, events, lines, many, plugins, preview, stats, subscriptions};
use crate::web::problem::Problem;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "callbridge",
        description = "Calls from any CRM to Auto Call phones. Times are RFC 3339 in UTC, phone numbers E.164. Lists come in pages, newest first: put `next` into `before`."
    ),
    servers((url = "/api/v1")),
    paths(
        calls::list,
        calls::create,
        preview::preview,
        many::release,
        many::cancel,
        calls::show,
        calls::cancel,
        calls::redial,
        calls::retry_write_backs,
        events::list,
        events::show,
        events::replay,
        events::rejected,
        events::accept,
        lines::list,
        lines::show,
        lines::pause,
        lines::resume,
        dnc::list,
        dnc::add,
        dnc::import,
        dnc_off::remove,
        dnc_off::show,
        dnc_off::undo,
        dnc::show,
        dnc::remove,
        alerts::list,
        audit::list,
        brakes::show,
        brakes::stop,
        brakes::resume,
        connections::list,
        connections::show,
        connections::capture,
        connections::connect,
        subscriptions::subscribe,
        subscriptions::unsubscribe,
        plugins::list,
        plugins::show,
        stats::show,
        backup::write,
        show,
    ),
    components(schemas(Problem))
)]
struct Api;

/// The whole document; every operation needs a key and may answer with a problem.
fn document() -> Value {
    let mut document = serde_json::to_value(Api::openapi()).unwrap_or_default();
    document["components"]["securitySchemes"] = json!({"api_key": {"type": "http", "scheme": "bearer"}});
    document["security"] = json!([{"api_key": []}]);
    let problem = json!({
        "description": "What is wrong, and what to do about it (RFC 9457)",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    });
    let operations = document["paths"].as_object_mut().into_iter().flatten().filter_map(|(_, item)| item.as_object_mut());
    for (_, operation) in operations.flatten() {
        operation["responses"]["default"] = problem.clone();
    }
    document["paths"]["/openapi.json"]["get"]["security"] = json!([]);
    document
}

/// This document. Needs no key.
#[utoipa::path(get, path = "/openapi.json", tag = "stats", responses((status = 200, body = Object)))]
pub async fn show() -> HttpResponse {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    HttpResponse::Ok().json(DOCUMENT.get_or_init(document))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::web::api::routes::ROUTES;

    #[test]
    fn the_document_and_the_route_table_say_the_same() {
        let document = document();
        let described: BTreeSet<(String, String)> = document["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, item)| item.as_object().unwrap().keys().map(|method| (method.clone(), path.clone())))
            .collect();
        let served: BTreeSet<(String, String)> = ROUTES.iter().map(|(method, path)| ((*method).to_owned(), (*path).to_owned())).collect();
        assert_eq!(described, served);
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
        let text = document.to_string();
        for reference in text.split("\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            assert!(document.pointer(reference).is_some(), "{reference}");
        }
    }
}
