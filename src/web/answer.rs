//! Headers of answers that nobody else may see or keep, and the failure point after an answer went out.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::http::header;
use bytes::Bytes;

/// The URL of a hook or a callback is a key: it must not travel on in a Referer or stay in a cache.
pub fn private(mut response: HttpResponse, point: &'static str) -> HttpResponse {
    let headers = response.headers_mut();
    headers.insert(header::REFERRER_POLICY, header::HeaderValue::from_static("no-referrer"));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    watched(response, point)
}

/// An answer that passes a failure point when it has been written.
pub fn watched(response: HttpResponse, point: &'static str) -> HttpResponse {
    if cfg!(debug_assertions) { response.map_body(|_, body| BoxBody::new(Watched { body, point })) } else { response }
}

/// A body that passes a failure point when it has been written.
struct Watched {
    body: BoxBody,
    point: &'static str,
}

impl MessageBody for Watched {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(cx)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        crate::failpoint::hit(self.point);
    }
}
