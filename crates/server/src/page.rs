//! The chat page: the files of `web/`, embedded when the program is built.

use axum::{
    Router,
    extract::Path,
    http::{HeaderMap, HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use rust_embed::{Embed, EmbeddedFile};

#[derive(Embed)]
#[folder = "../../web"]
struct Files;

/// The page may load nothing from elsewhere and run nothing written into it.
const SECURITY: [(HeaderName, &str); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; connect-src 'self' ws: wss:; img-src 'self' data:; style-src 'self'; \
         script-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-cache"),
];

/// `/` is the page, `/assets/{name}` whatever it needs.
pub(crate) fn router() -> Router {
    Router::new()
        .route("/", get(|headers: HeaderMap| async move { serve("index.html", &headers) }))
        .route(
            "/assets/{name}",
            get(|Path(name): Path<String>, headers: HeaderMap| async move {
                serve(&name, &headers)
            }),
        )
}

/// Answers for every address that is nobody's.
pub(crate) async fn not_found() -> Response {
    not_found_response()
}

fn not_found_response() -> Response {
    let message = "There is nothing at this address; the page is at /\n";
    (StatusCode::NOT_FOUND, message).into_response()
}

fn serve(name: &str, request: &HeaderMap) -> Response {
    let Some(EmbeddedFile { data, metadata }) = Files::get(name) else {
        return not_found_response();
    };
    // The browser asks each time and gets the bytes only when they have changed.
    let hash = metadata.sha256_hash();
    let tag: String = hash[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let tag = format!("\"{tag}\"");
    // RFC 9110 §13.1.2: a list, compared weakly, for proxies that compress make a tag weak.
    let known = request
        .get(header::IF_NONE_MATCH)
        .and_then(|known| known.to_str().ok());
    let known = known.is_some_and(|known| {
        let mut tags = known
            .split(',')
            .map(|known| known.trim().trim_start_matches("W/"));
        tags.any(|known| known == tag || known == "*")
    });
    let tag = [(header::ETAG, tag)];
    if known {
        return (StatusCode::NOT_MODIFIED, SECURITY, tag).into_response();
    }
    let kind = metadata.mimetype();
    let charset = if kind.starts_with("text/") {
        "; charset=utf-8"
    } else {
        ""
    };
    let kind = [(header::CONTENT_TYPE, format!("{kind}{charset}"))];
    (SECURITY, tag, kind, data).into_response()
}
