//! A service that is an HTTP address: a call is a POST, its answer the response.

mod signature;

use std::time::{Duration, SystemTime};

use anyhow::Context;
use axum::http::{HeaderMap, HeaderName, Request, Response, StatusCode, Uri, header, uri::Scheme};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rooms::{Answer, CallRequest, Data, Failure};
use serde::Deserialize;
use tokio::time::{sleep, timeout};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

use self::signature::Signer;
use super::Asked;
use crate::config::HttpService;

/// Within which a connection must be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection that has been idle for longer is not used again. Node.js closes those of 5 s, and a request that
/// crosses with that is lost.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// Between the first two tries; each next pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Between two tries at most, unless the backend asks for more.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

const CALL: HeaderName = HeaderName::from_static("madang-call");
const SIGNATURE: HeaderName = HeaderName::from_static("madang-signature");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// An HTTP address, and how it is asked.
pub(super) struct Backend {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    uri: Uri,
    signer: Option<Signer>,
    repeatable: bool,
    /// For one request; without it there is the call's deadline alone.
    timeout: Option<Duration>,
    /// Bytes of an answer.
    limit: usize,
}

/// Why there is no answer of the service itself.
struct Trouble {
    /// Whether the service may have been asked.
    asked: bool,
    /// What the caller is told if there is no other try.
    failure: Failure,
    /// For the log.
    reason: String,
    /// When the backend would have another try.
    retry_after: Duration,
}

impl Backend {
    pub(super) fn new(service: &HttpService, limit: usize) -> anyhow::Result<Self> {
        let uri = service.uri()?;
        let provider = ring::default_provider();
        let builder = HttpsConnectorBuilder::new();
        let builder = if uri.scheme() == Some(&Scheme::HTTPS) {
            builder
                .with_provider_and_native_roots(provider)
                .context("the system's certificates cannot be read")?
        } else {
            let config = ClientConfig::builder_with_provider(provider.into())
                .with_safe_default_protocol_versions()?
                .with_root_certificates(RootCertStore::empty());
            builder.with_tls_config(config.with_no_client_auth())
        };
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let connector = builder
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(service.concurrency as usize)
            .build(connector);
        Ok(Self {
            client,
            uri,
            signer: Signer::new(&service.secret)?,
            repeatable: service.repeatable,
            timeout: (service.timeout_ms > 0).then(|| Duration::from_millis(service.timeout_ms)),
            limit,
        })
    }

    /// Asks until there is an answer, as far as another try is safe. The desk ends it at the call's deadline.
    pub(super) async fn ask(&self, asked: Asked) -> Answer {
        let mut again = asked.again();
        let mut pause = FIRST_PAUSE;
        loop {
            let request = CallRequest {
                again,
                ..asked.request()
            };
            let trouble = match self.post(request).await {
                Ok(answer) => return answer,
                Err(trouble) => trouble,
            };
            let reason = trouble.reason;
            // Where nothing was asked another try is always safe.
            if trouble.asked && !self.repeatable {
                tracing::warn!(reason, "a backend did not answer");
                return Err(trouble.failure);
            }
            if pause == FIRST_PAUSE {
                tracing::warn!(reason, "a backend did not answer; trying again");
            }
            again |= trouble.asked;
            // Between half of it and all, so that those who failed together do not come back together.
            let jittered = pause.mul_f64(0.5 + fastrand::f64() / 2.0);
            sleep(jittered.max(trouble.retry_after)).await;
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }

    /// Asks once.
    async fn post(&self, request: CallRequest) -> Result<Answer, Trouble> {
        let Some(limit) = self.timeout else {
            return self.exchange(request).await;
        };
        timeout(limit, self.exchange(request))
            .await
            .unwrap_or_else(|_| {
                Err(Trouble {
                    failure: Failure::new(
                        "timeout",
                        format!("The service did not answer within {limit:?}."),
                    ),
                    ..Trouble::unanswered(format!("no answer within {limit:?}"))
                })
            })
    }

    async fn exchange(&self, request: CallRequest) -> Result<Answer, Trouble> {
        let request = self
            .request(&request)
            .map_err(|error| Trouble::not_asked(error.to_string()))?;
        let response = self.client.request(request).await.map_err(|error| {
            let reason = chain(&error);
            if error.is_connect() {
                Trouble::not_asked(reason)
            } else {
                Trouble::unanswered(reason)
            }
        })?;
        let (head, body) = response.into_parts();
        let body = match Limited::new(body, self.limit).collect().await {
            Ok(body) => Some(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => None,
            Err(error) => return Err(Trouble::unanswered(chain(&*error))),
        };
        read(Response::from_parts(head, body))
    }

    fn request(&self, request: &CallRequest) -> anyhow::Result<Request<Full<Bytes>>> {
        let body = serde_json::to_string(request)?;
        let mut head = Request::post(&self.uri)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json")
            .header(
                header::USER_AGENT,
                concat!("madang/", env!("CARGO_PKG_VERSION")),
            )
            .header(CALL, request.call.to_string())
            .header(IDEMPOTENCY_KEY, request.call.to_string());
        if let Some(signer) = &self.signer {
            head = head.header(SIGNATURE, signer.sign(SystemTime::now(), &body));
        }
        Ok(head.body(Full::from(body))?)
    }
}

/// What a response says. Its body is `None` where that was too long.
fn read(response: Response<Option<Bytes>>) -> Result<Answer, Trouble> {
    let (head, body) = response.into_parts();
    let status = head.status;
    if status.is_success() {
        return Ok(result(body));
    }
    let told = body.as_deref().and_then(Told::read);
    let later = status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
        );
    if later {
        let failure = told.and_then(Told::failure);
        return Err(Trouble {
            failure: failure.unwrap_or_else(unavailable),
            retry_after: retry_after(&head.headers),
            ..Trouble::unanswered(format!("its answer is {status}"))
        });
    }
    if status.is_client_error() {
        return Ok(Err(Told::refusal(told, status)));
    }
    // Redirects are not followed: the address that is configured is the one that is signed for.
    let reason = format!("its answer is {status}");
    Ok(Err(super::broken(reason)))
}

/// The result in a body.
fn result(body: Option<Bytes>) -> Answer {
    let Some(body) = body else {
        let reason = "it is longer than limits.message_bytes".to_owned();
        return Err(super::broken(reason));
    };
    if body.is_empty() {
        return Ok(Data::null());
    }
    let text = String::from_utf8(body.into()).map_err(|error| error.to_string());
    let data = text.and_then(|text| Data::parse("result", text).map_err(|error| error.to_string()));
    data.map_err(super::broken)
}

/// An error in a body: `{"code":…,"message":…}`, whatever else is there.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Told {
    code: String,
    message: String,
}

impl Told {
    fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    /// With a code of the service's own.
    fn failure(self) -> Option<Failure> {
        let message = super::shortened(&self.message);
        Failure::parse(&self.code, &message).ok()
    }

    /// The error of a request that the service did not take.
    fn refusal(told: Option<Self>, status: StatusCode) -> Failure {
        let message = match &told {
            Some(told) if !told.message.is_empty() => told.message.clone(),
            _ => format!("The service answered {status}."),
        };
        let failure = told.and_then(Self::failure);
        failure.unwrap_or_else(|| Failure::new("bad_request", message))
    }
}

impl Trouble {
    /// No connection could be made.
    fn not_asked(reason: String) -> Self {
        Self {
            asked: false,
            ..Self::unanswered(reason)
        }
    }

    /// It was asked, and may have done it.
    fn unanswered(reason: String) -> Self {
        Self {
            asked: true,
            failure: unavailable(),
            reason,
            retry_after: Duration::ZERO,
        }
    }
}

fn unavailable() -> Failure {
    let message = "The service failed with the call; it may have been done or not.";
    Failure::new("unavailable", message)
}

/// RFC 9110 §10.2.3: seconds, or a date.
fn retry_after(headers: &HeaderMap) -> Duration {
    let value = headers.get(header::RETRY_AFTER);
    let Some(value) = value.and_then(|value| value.to_str().ok()) else {
        return Duration::ZERO;
    };
    if let Ok(seconds) = value.trim().parse() {
        return Duration::from_secs(seconds);
    }
    let date = httpdate::parse_http_date(value).ok();
    let until = date.and_then(|date| date.duration_since(SystemTime::now()).ok());
    until.unwrap_or_default()
}

/// An error with its causes.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

impl HttpService {
    /// The address.
    pub(crate) fn uri(&self) -> anyhow::Result<Uri> {
        let uri: Option<Uri> = self.url.parse().ok();
        let uri = uri.filter(|uri| {
            let plain = uri.scheme() == Some(&Scheme::HTTP);
            let host = uri
                .authority()
                .is_some_and(|authority| !authority.as_str().contains('@'));
            host && (plain || uri.scheme() == Some(&Scheme::HTTPS))
        });
        uri.with_context(|| {
            format!(
                "url is '{}' and must be an address such as 'http://127.0.0.1:3000/cafe', without a user name",
                self.url
            )
        })
    }
}

#[cfg(test)]
mod tests;
