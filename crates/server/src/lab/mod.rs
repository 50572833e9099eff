//! The page `/side-by-side`: the same task over HTTP and over WebSocket, and what goes over the wire.
//!
//! A browser does not show a page what it sends, so the server makes the demonstration itself. For each
//! it starts a Madang of its own, with the same code: on a free port of the loopback interface, with an empty
//! folder below the data folder, for as long as the demonstration takes. Nothing of it is seen in the
//! server's own rooms, and there is nothing left of it. What a visitor chooses are a task and an interval.
//!
//! | module | what it does |
//! |---|---|
//! | `plan` | what is to be done |
//! | `tasks` | does it, each way |
//! | `lane` | one way's connection, counted and told |
//! | `wire` | bytes taken apart |
//! | `browser` | the requests of a browser |

mod browser;
mod lane;
mod plan;
mod tasks;
#[cfg(test)]
mod tests;
mod wire;

use std::{
    convert::Infallible,
    future::pending,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use axum::{
    Json, Router,
    body::Body,
    extract::{DefaultBodyLimit, Path as Segment, State, rejection::JsonRejection},
    http::{HeaderMap, HeaderName, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures_util::stream::unfold;
use rooms::{Error, ErrorCode};
use tokio::{
    runtime,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch},
    task::spawn_blocking,
    time::timeout,
};
use tracing::Instrument;
use ulid::Ulid;

use self::{lane::Told, plan::Plan};
use crate::{
    config::{Compression, Config},
    page,
    reads::{RETRY_MS, jittered},
    refused::Refused,
    serve::Server,
};

/// In the data folder.
const FOLDER: &str = "side-by-side";
/// How long a demonstration may take.
const LONGEST: Duration = Duration::from_secs(30);
/// What the page may be told before it has read it; more than there is in any demonstration.
const MOST_TOLD: usize = 1_024;

/// Makes demonstrations, a few at a time.
pub(crate) struct Lab {
    folder: PathBuf,
    compression: Compression,
    most: u32,
    places: Arc<Semaphore>,
    ending: watch::Receiver<bool>,
}

impl Lab {
    /// Clears what a killed server may have left. Demonstrations end when the server does.
    pub(crate) fn open(config: &Config, ending: watch::Receiver<bool>) -> Arc<Self> {
        let folder = config.data.join(FOLDER);
        forget(&folder);
        let most = config.limits.demonstrations;
        Arc::new(Self {
            folder,
            compression: config.compression.clone(),
            most,
            places: Arc::new(Semaphore::new(most as usize)),
            ending,
        })
    }

    /// The page and what it asks for; nothing where there are no demonstrations.
    pub(crate) fn router(self: &Arc<Self>) -> Router {
        if self.most == 0 {
            return Router::new();
        }
        Router::new()
            .route(
                "/side-by-side",
                get(async |request: HeaderMap| page::file("side-by-side/index.html", &request)),
            )
            .route(
                "/side-by-side/{name}",
                get(async |Segment(name): Segment<String>, request: HeaderMap| {
                    page::file(&format!("side-by-side/{name}"), &request)
                }),
            )
            .route("/side-by-side/run", post(run))
            .layer(DefaultBodyLimit::max(1_024))
            .with_state(self.clone())
    }

    /// Waits until nothing is left of them, when the server ends.
    pub(crate) async fn end(&self) {
        let all = self.places.acquire_many(self.most);
        if timeout(Duration::from_secs(5), all).await.is_err() {
            tracing::warn!("a demonstration did not end");
        }
    }
}

/// Makes one, and tells it as it goes: an object of JSON in each line.
async fn run(
    State(lab): State<Arc<Lab>>,
    plan: Result<Json<Plan>, JsonRejection>,
) -> Result<Response, Refused> {
    let Json(plan) = plan.map_err(|error| Error::new(ErrorCode::BadField, error.body_text()))?;
    plan.check()?;
    let place = lab.places.clone().try_acquire_owned().map_err(|_| {
        let message = "Others are looking at it just now. Try again in some seconds.";
        Error::new(ErrorCode::Busy, message).retry_after_ms(jittered(RETRY_MS * 5))
    })?;
    let (page, told) = mpsc::channel(MOST_TOLD);
    tokio::spawn(demonstrate(lab, place, plan, page));
    let lines = unfold(told, async |mut told: mpsc::Receiver<Told>| {
        let mut line = serde_json::to_string(&told.recv().await?).ok()?;
        line.push('\n');
        Some((Ok::<_, Infallible>(line), told))
    });
    let headers = [
        (header::CONTENT_TYPE, "application/x-ndjson"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // nginx would gather the lines.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::from_stream(lines)).into_response())
}

/// Until it is done, or nobody looks, or the server ends.
async fn demonstrate(
    lab: Arc<Lab>,
    _place: OwnedSemaphorePermit,
    plan: Plan,
    page: mpsc::Sender<Told>,
) {
    let mut ending = lab.ending.clone();
    let folder = lab.folder.join(Ulid::generate().to_string());
    let (listens, address) = oneshot::channel();
    let (stop, stopped) = oneshot::channel();
    let config = config(&folder, lab.compression.clone());
    let server = spawn_blocking(move || serve(config, listens, stopped));
    let demonstration = async {
        // The sender is gone if the server could not begin; it says why.
        let address = address.await.map_err(io::Error::other)?;
        timeout(LONGEST, tasks::run(address, plan, page.clone())).await?
    };
    tokio::select! {
        outcome = demonstration => if let Err(error) = outcome {
            tracing::error!(%error, "a demonstration failed");
            // Whoever is gone is not told.
            let _ = page.try_send(Told::Failed);
        },
        () = page.closed() => {}
        _ = ending.wait_for(|ending| *ending) => {}
    }
    drop((page, stop));
    match server.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!("a demonstration's server failed: {error:#}"),
        Err(error) => tracing::error!(%error, "a demonstration's server failed"),
    }
    forget(&folder);
}

/// A server with its defaults for one demonstration, which none can be run on.
fn config(folder: &Path, compression: Compression) -> Config {
    let mut config = Config {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        data: folder.to_owned(),
        compression,
        ..Config::default()
    };
    config.limits.demonstrations = 0;
    config.limits.connections = 64;
    config.times.close_ms = 500;
    config.times.presence_grace_ms = 0;
    config
}

/// Runs a server, on a runtime of its own: whatever a server leaves to the end of its program ends with it.
fn serve(
    config: Config,
    listens: oneshot::Sender<SocketAddr>,
    stopped: oneshot::Receiver<()>,
) -> anyhow::Result<()> {
    std::fs::create_dir_all(&config.data)
        .with_context(|| format!("cannot make the folder {}", config.data.display()))?;
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let serving = async {
        let server = Server::open(config).await?;
        // Nobody waits for it if the server ends just now.
        let _ = listens.send(server.address()?);
        // The sender is dropped.
        let stopped = async { _ = stopped.await };
        server.run(stopped, pending()).await
    };
    runtime.block_on(serving.instrument(tracing::info_span!("demonstration")))
}

/// Removes a folder, if it is there.
fn forget(folder: &Path) {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, "what a demonstration stored cannot be removed");
        }
        _ => {}
    }
}
