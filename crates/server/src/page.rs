//! The chat page and the JavaScript client: the files of `web/` and `clients/js`, embedded when the
//! program is built.

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
struct Page;

/// What a browser loads of the client; its tests and what they need stay outside.
#[derive(Embed)]
#[folder = "../../clients/js"]
#[include = "madang.js"]
#[include = "madang/*.js"]
struct Client;

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

/// Pages of other sites may load the client, as a module and as a worker's.
const FOR_EVERYONE: [(HeaderName, &str); 2] = [
    (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "cross-origin",
    ),
];

/// `/` is the page, `/assets/{name}` whatever it needs; `/madang.js` is the client, `/madang/{name}`
/// what that imports.
pub(crate) fn router() -> Router {
    let client =
        |name: &str, request: &HeaderMap| (FOR_EVERYONE, serve(Client::get(name), request));
    Router::new()
        .route(
            "/",
            get(move |request: HeaderMap| async move { file("index.html", &request) }),
        )
        .route(
            "/assets/{name}",
            get(
                move |Path(name): Path<String>, request: HeaderMap| async move {
                    file(&name, &request)
                },
            ),
        )
        .route(
            "/madang.js",
            get(move |request: HeaderMap| async move { client("madang.js", &request) }),
        )
        .route(
            "/madang/{name}",
            get(
                move |Path(name): Path<String>, request: HeaderMap| async move {
                    client(&format!("madang/{name}"), &request)
                },
            ),
        )
}

/// A file of the page's folder.
pub(crate) fn file(name: &str, request: &HeaderMap) -> Response {
    serve(Page::get(name), request)
}

/// Answers for every address that is nobody's.
pub(crate) async fn not_found() -> Response {
    not_found_response()
}

fn not_found_response() -> Response {
    let message = "There is nothing at this address; the page is at /\n";
    (StatusCode::NOT_FOUND, message).into_response()
}

fn serve(file: Option<EmbeddedFile>, request: &HeaderMap) -> Response {
    let Some(EmbeddedFile { data, metadata }) = file else {
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
