//! The table of the API's routes; the OpenAPI document is tested against it.

use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};

use super::{alerts, audit, backup, brakes, calls, connections, dnc, dnc_off, events, lines, many, openapi, plugins, preview, stats, subscriptions};
use crate::error::Code;
use crate::web::problem::problem;

macro_rules! routes {
    ($($method:ident $path:literal => $handler:path;)*) => {
        /// Method and path of every route, as the OpenAPI document writes them.
        pub const ROUTES: &[(&str, &str)] = &[$((stringify!($method), $path)),*];

        /// The routes of the API.
        pub fn configure(config: &mut ServiceConfig) {
            config$(.route($path, web::$method().to($handler)))*.default_service(web::to(nothing_here));
        }
    };
}

routes! {
    get "/calls" => calls::list;
    post "/calls" => calls::create;
    post "/calls/preview" => preview::preview;
    post "/calls/release" => many::release;
    post "/calls/cancel" => many::cancel;
    get "/calls/{id}" => calls::show;
    post "/calls/{id}/cancel" => calls::cancel;
    post "/calls/{id}/redial" => calls::redial;
    post "/calls/{id}/write-backs/retry" => calls::retry_write_backs;
    get "/events" => events::list;
    get "/events/{id}" => events::show;
    post "/events/{id}/replay" => events::replay;
    get "/rejected" => events::rejected;
    post "/rejected/{id}/accept" => events::accept;
    get "/lines" => lines::list;
    get "/lines/{id}" => lines::show;
    post "/lines/{id}/pause" => lines::pause;
    post "/lines/{id}/resume" => lines::resume;
    get "/dnc" => dnc::list;
    post "/dnc" => dnc::add;
    post "/dnc/import" => dnc::import;
    post "/dnc/remove" => dnc_off::remove;
    get "/dnc/imports/{import}" => dnc_off::show;
    delete "/dnc/imports/{import}" => dnc_off::undo;
    get "/dnc/{phone}" => dnc::show;
    delete "/dnc/{phone}" => dnc::remove;
    get "/alerts" => alerts::list;
    get "/audit" => audit::list;
    get "/pause" => brakes::show;
    post "/pause" => brakes::stop;
    post "/resume" => brakes::resume;
    get "/connections" => connections::list;
    get "/connections/{id}" => connections::show;
    post "/connections/{id}/capture" => connections::capture;
    post "/connections/{id}/connect" => connections::connect;
    post "/connections/{id}/subscribe" => subscriptions::subscribe;
    post "/connections/{id}/unsubscribe" => subscriptions::unsubscribe;
    get "/plugins" => plugins::list;
    get "/plugins/{id}" => plugins::show;
    get "/stats" => stats::show;
    post "/backup" => backup::write;
    get "/openapi.json" => openapi::show;
}

/// 405 with the right methods where the path is one of ours, else 404.
async fn nothing_here(request: HttpRequest) -> HttpResponse {
    let path = request.path().strip_prefix("/api/v1").unwrap_or_default();
    let methods: Vec<String> = ROUTES.iter().filter(|(_, pattern)| fits(pattern, path)).map(|(method, _)| method.to_uppercase()).collect();
    if methods.is_empty() {
        return problem(Code::NotFound, "there is nothing at this address; /api/v1/openapi.json lists what there is");
    }
    let allowed = methods.join(", ");
    let mut answer = problem(Code::MethodNotAllowed, &format!("this address takes {allowed}"));
    if let Ok(value) = HeaderValue::try_from(allowed) {
        answer.headers_mut().insert(header::ALLOW, value);
    }
    answer
}

fn fits(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
    pattern.len() == path.len() && pattern.iter().zip(path).all(|(p, part)| p.starts_with('{') || *p == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_fits_its_pattern() {
        assert!(fits("/calls/{id}/cancel", "/calls/call_1/cancel"));
        assert!(!fits("/calls/{id}/cancel", "/calls/call_1") && !fits("/calls", "/call"));
    }
}
