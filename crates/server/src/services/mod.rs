//! Services that are part of the program: functions of whoever embeds it, and HTTP backends that the
//! [configuration](crate::config::HttpService) names.
//!
//! A function is asked with an [`Asked`] and gives a result, which is anything that can be written as JSON, or a
//! [`Failure`]:
//!
//! ```
//! use std::time::Duration;
//!
//! use madang_server::{Asked, Config, Failure, Server};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Deserialize)]
//! struct Order {
//!     item: String,
//! }
//!
//! #[derive(Serialize)]
//! struct Served {
//!     item: String,
//!     on: &'static str,
//! }
//!
//! async fn kitchen(asked: Asked) -> Result<Served, Failure> {
//!     match asked.method() {
//!         "order" => {
//!             let Order { item } = asked.params()?;
//!             if item == "cake" {
//!                 return Err(Failure::new("sold_out", "There is no cake left."));
//!             }
//!             asked.progress(&"grinding");
//!             tokio::time::sleep(Duration::from_millis(3)).await;
//!             Ok(Served { item, on: "a tray" })
//!         }
//!         _ => Err(asked.no_such_method()),
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> anyhow::Result<()> {
//! # let folder = tempfile::tempdir()?;
//! # let data = folder.path().join("data");
//! let config = Config {
//!     listen: ([127, 0, 0, 1], 0).into(), // a port that is free
//!     data,
//!     ..Config::default()
//! };
//! let server = Server::open(config).await?.service("cafe", kitchen);
//! println!("open at {}", server.url()?);
//!
//! let ctrl_c = async { _ = tokio::signal::ctrl_c().await };
//! # drop(ctrl_c);
//! # let ctrl_c = async {};
//! server.run(ctrl_c, std::future::pending()).await
//! # }
//! ```
//!
//! What holds for every service holds for these: a call is handed out once, unless the service is
//! [`repeatable`](ServiceOptions::repeatable), and its answer is stored before anyone hears of it.
//!
//! | what happens | what becomes of it |
//! |---|---|
//! | the call is cancelled, or over its time | the function's future is dropped at its next `.await` |
//! | the function panics | the call is answered with `internal`, and the panic is logged |
//! | the answer cannot be stored now | it is kept and tried again, until it is stored or not wanted any more |
//! | the server ends | nothing new is handed out; what is at work has `times.close_ms` to end, and is dropped |
//! | the server was killed with the call at work | after `calls.grace_ms` it is answered with `unavailable`; where the service is repeatable it is handed out again at once |
//!
//! What computes for long or blocks belongs into [`tokio::task::spawn_blocking`], as everywhere on tokio.

mod backend;
mod worker;

use std::{
    future::Future,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use anyhow::Context;
use calls::WorkerId;
use futures_util::{FutureExt, future::BoxFuture};
use rooms::{Answer, CallRequest, Data, Serve, ServiceName, UserId, UserName};
pub use rooms::{Failure, User};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{sync::Notify, time::timeout};
use tokio_util::task::TaskTracker;

use self::{backend::Backend, worker::FunctionWorker};
use crate::{calls::Desk, clock::instant, config::HttpService};

/// A call, as a function is asked. It may outlive the call: whatever it tells is then told to nobody.
#[derive(Clone)]
pub struct Asked {
    request: Arc<CallRequest>,
    deadline: Instant,
    desk: Weak<Desk>,
    worker: WorkerId,
    limit: usize,
}

impl Asked {
    /// What identifies the call: `c_…`. It is the same when the call is handed out again.
    pub fn call(&self) -> String {
        self.request.call.to_string()
    }

    /// The name under which the function was asked.
    pub fn service(&self) -> &str {
        self.request.service.as_str()
    }

    /// What is asked.
    pub fn method(&self) -> &str {
        self.request.method.as_str()
    }

    /// What is told with it. A call without any has `null`, which is `None` for an `Option` and `()`.
    ///
    /// # Errors
    ///
    /// `bad_field`, in words for the caller, where the params are not what `T` takes.
    pub fn params<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_str(self.request.params.0.get()).map_err(|error| {
            let message = format!(
                "The params are not what '{}' takes: {error}.",
                self.method()
            );
            Failure::new("bad_field", message)
        })
    }

    /// Who asks.
    pub fn from(&self) -> &User {
        &self.request.from
    }

    /// Whether it was handed out before, and may be done, wholly or by half. Only for services that are
    /// [`repeatable`](ServiceOptions::repeatable), and for calls that an earlier run of the server left waiting.
    pub fn again(&self) -> bool {
        self.request.again
    }

    /// The time that is left.
    pub fn timeout(&self) -> Duration {
        self.deadline.saturating_duration_since(instant())
    }

    /// Tells whoever waits for the answer just now how far it is. It is stored nowhere.
    ///
    /// What is longer than `limits.message_bytes`, or cannot be JSON, is not told, and logged.
    pub fn progress(&self, data: &(impl Serialize + ?Sized)) {
        let Some(desk) = self.desk.upgrade() else {
            return;
        };
        match to_data("data", data, self.limit) {
            // An error says that the call is over; the function is about to be dropped.
            Ok(data) => _ = desk.progress(self.worker, self.request.call, &data),
            Err(reason) => tracing::warn!(
                service = self.service(), method = self.method(), %reason, "progress that cannot be told"
            ),
        }
    }

    /// The call as it is sent elsewhere, with the time that is left.
    fn request(&self) -> CallRequest {
        CallRequest {
            timeout_ms: u64::try_from(self.timeout().as_millis()).unwrap_or(u64::MAX),
            ..CallRequest::clone(&self.request)
        }
    }

    /// The failure for a method that there is not: `no_such_method`.
    pub fn no_such_method(&self) -> Failure {
        let message = format!("'{}' has no method '{}'.", self.service(), self.method());
        Failure::new("no_such_method", message)
    }
}

/// How a function serves.
///
/// ```
/// use madang_server::ServiceOptions;
///
/// let one_at_a_time = ServiceOptions {
///     concurrency: 1,
///     ..ServiceOptions::default()
/// };
/// assert!(!one_at_a_time.repeatable);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceOptions {
    /// Calls at a time, 1 to 1,024; others wait in the order in which they were asked. By default 64.
    pub concurrency: u32,
    /// Whether a call that was handed out and not answered, since the server was killed, may be handed
    /// out again; it is then [`again`](Asked::again). By default not.
    pub repeatable: bool,
}

impl Default for ServiceOptions {
    fn default() -> Self {
        Self {
            concurrency: 64,
            repeatable: false,
        }
    }
}

/// What answers a call.
type Function = Arc<dyn Fn(Asked) -> BoxFuture<'static, Answer> + Send + Sync>;

/// A function, and how it serves under which name.
pub(crate) struct Service {
    name: ServiceName,
    options: ServiceOptions,
    function: Function,
}

impl Service {
    /// A service whose results are at most `limit` bytes of JSON; or what is wrong with its name or an option.
    pub(crate) fn new<F, A, T>(
        name: &str,
        options: ServiceOptions,
        limit: usize,
        function: F,
    ) -> anyhow::Result<Self>
    where
        F: Fn(Asked) -> A + Send + Sync + 'static,
        A: Future<Output = Result<T, Failure>> + Send + 'static,
        T: Serialize,
    {
        let wrong = || format!("there can be no service '{name}'");
        let name = ServiceName::parse(name)
            .map_err(|reason| anyhow::anyhow!("its name {reason}"))
            .with_context(wrong)?;
        let concurrency = options.concurrency;
        if !(1..=Serve::MAX).contains(&concurrency.into()) {
            let most = Serve::MAX;
            let reason =
                anyhow::anyhow!("its concurrency is {concurrency} and must be from 1 to {most}");
            return Err(reason).with_context(wrong);
        }
        let function = Arc::new(function);
        let function = move |asked: Asked| {
            let function = function.clone();
            // The function itself runs in here too, so that no panic of it goes further.
            let answer = async move {
                let result = function(asked).await?;
                to_data("result", &result, limit).map_err(broken)
            };
            answer.boxed()
        };
        Ok(Self {
            name,
            options,
            function: Arc::new(function),
        })
    }

    /// A service that is an HTTP address.
    pub(crate) fn http(name: &str, service: &HttpService, limit: usize) -> anyhow::Result<Self> {
        let backend = Arc::new(Backend::new(service, limit)?);
        let options = ServiceOptions {
            concurrency: service.concurrency,
            repeatable: service.repeatable,
        };
        Self::new(name, options, limit, move |asked| {
            let backend = backend.clone();
            async move { backend.ask(asked).await }
        })
    }
}

/// The services that are part of the program. Dropped, they are broken off.
pub(crate) struct Services {
    desk: Arc<Desk>,
    workers: Vec<Arc<FunctionWorker>>,
    at_work: TaskTracker,
    closed: Notify,
}

impl Services {
    /// Has them all served. `limit` is what an answer may have in bytes.
    pub(crate) fn open(
        desk: Arc<Desk>,
        services: Vec<Service>,
        limit: usize,
    ) -> anyhow::Result<Self> {
        let user = User {
            id: UserId::parse("u_server")?,
            name: UserName::parse("server")?,
            guest: false,
        };
        let at_work = TaskTracker::new();
        let mut workers = Vec::new();
        for (service, id) in services.into_iter().zip(0..) {
            let Service {
                name,
                options,
                function,
            } = service;
            // Sessions have ULIDs, which are far above.
            let id = WorkerId(id);
            let worker = FunctionWorker::new(
                id,
                name.clone(),
                function,
                limit,
                Arc::downgrade(&desk),
                at_work.clone(),
            );
            let worker = Arc::new(worker);
            let serve = Serve {
                service: name.clone(),
                concurrency: options.concurrency,
                repeatable: options.repeatable,
                resume: Vec::new(),
            };
            desk.serve(id, worker.clone(), &user, serve, |_| ())
                .with_context(|| format!("the service '{name}' cannot be served"))?;
            workers.push(worker);
        }
        Ok(Self {
            desk,
            workers,
            at_work,
            closed: Notify::new(),
        })
    }

    /// Nothing more is handed out.
    pub(crate) fn close(&self) {
        for worker in &self.workers {
            self.desk.unserve(worker.id(), worker.service());
        }
        self.at_work.close();
        self.closed.notify_one();
    }

    /// Waits until they are [closed](Self::close), and then for what is at work.
    pub(crate) async fn end(&self, patience: Duration) {
        self.closed.notified().await;
        if timeout(patience, self.at_work.wait()).await.is_err() {
            let calls = self.at_work.len();
            tracing::warn!(calls, "calls at work are broken off");
        }
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        for worker in &self.workers {
            worker.break_off();
        }
    }
}

/// What a service says, for the wire; or why it cannot be.
fn to_data(
    field: &'static str,
    value: &(impl Serialize + ?Sized),
    limit: usize,
) -> Result<Data, String> {
    let json = serde_json::to_string(value).map_err(|error| error.to_string())?;
    if json.len() > limit {
        let length = json.len();
        return Err(format!(
            "it has {length} bytes of JSON, and limits.message_bytes is {limit}"
        ));
    }
    Data::parse(field, json).map_err(|error| error.to_string())
}

/// A message for people, as long as one may be.
fn shortened(message: &str) -> String {
    message.chars().take(Failure::MESSAGE_LIMIT).collect()
}

/// For an answer that cannot be told.
fn broken(reason: String) -> Failure {
    tracing::error!(%reason, "the answer of a service cannot be told");
    Failure::new("internal", "The service failed; it is in the server's log.")
}
