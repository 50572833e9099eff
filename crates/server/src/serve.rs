//! `madang serve`: from a configuration to a running server, and back to nothing.

use std::{fmt, future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use axum::Router;
use madang::{CloseCode, RingLimits};
use serde::Serialize;
use serde_json::json;
use store::{LeftBehind, OpenCall, Recovery, Store};
use tokio::sync::watch;

use crate::{
    admin::AdminToken,
    calls::Desk,
    chat::Chat,
    clock::now,
    config::Config,
    journal::Journal,
    lab::Lab,
    live::LiveRooms,
    page,
    reads::Reads,
    rest,
    services::{Asked, Failure, Service, ServiceOptions, Services},
    turns::Turns,
    yard::Yard,
};

/// A server that has its data and its port, and serves when it is [run](Server::run).
pub struct Server {
    transport: madang::Server,
    config: Config,
    store: Store,
    reads: Reads,
    admin: AdminToken,
    recovery: Recovery,
    left: Vec<LeftBehind>,
    calls: Vec<OpenCall>,
    /// What is wrong with one is told when the server runs.
    services: Vec<anyhow::Result<Service>>,
    pages: Router,
}

impl Server {
    /// Opens the data folder and listens.
    ///
    /// # Errors
    ///
    /// Says in words what is in the way: a certificate that cannot be used, a folder that cannot be written, a database that is damaged,
    /// newer or in use, a port that is taken.
    pub async fn open(config: Config) -> anyhow::Result<Self> {
        let listen = config.listen;
        // The port first: whoever starts a second server by mistake learns of the port, not of the lock.
        let transport = madang::Server::bind(listen)
            .await
            .with_context(|| format!("cannot listen on {listen}{}", hint(listen)))?;
        let transport = match config.tls()? {
            Some(tls) => transport.tls(tls),
            None => transport,
        };
        let (store, readers, recovery) = Store::open(&config.data, now())?;
        let left = readers.left_behind(config.presence_settings().grace)?;
        let calls = readers.open_calls()?;
        let admin = AdminToken::open(&config.data)?;
        let limit = config.limits.message_bytes;
        let services = config.services.iter();
        let services = services
            .map(|(name, service)| {
                Service::http(name, service, limit)
                    .with_context(|| format!("services.{name} is wrong"))
            })
            .collect();
        Ok(Self {
            transport,
            config,
            store,
            reads: Reads::new(readers),
            admin,
            recovery,
            left,
            calls,
            services,
            pages: Router::new(),
        })
    }

    /// Has calls to the service `name` answered by a function: see [`services`](crate::services).
    ///
    /// Sessions may serve the same name beside it; they share its calls. `access.serve` is about them alone.
    #[must_use]
    pub fn service<F, A, T>(self, name: &str, function: F) -> Self
    where
        F: Fn(Asked) -> A + Send + Sync + 'static,
        A: Future<Output = Result<T, Failure>> + Send + 'static,
        T: Serialize,
    {
        self.service_with(name, ServiceOptions::default(), function)
    }

    /// The same, with options. A name or an option that cannot be is an error of [`run`](Self::run).
    #[must_use]
    pub fn service_with<F, A, T>(mut self, name: &str, options: ServiceOptions, function: F) -> Self
    where
        F: Fn(Asked) -> A + Send + Sync + 'static,
        A: Future<Output = Result<T, Failure>> + Send + 'static,
        T: Serialize,
    {
        let limit = self.config.limits.message_bytes;
        self.services
            .push(Service::new(name, options, limit, function));
        self
    }

    /// Adds pages: the routes of an axum router. They come before Madang's own, so `/` can be another page;
    /// of what they leave, `/ws`, `/api` and the rest, nothing changes. A fallback of the router is not used.
    ///
    /// Panics if a path is taken by an earlier one of these, as axum's own `merge` does.
    #[must_use]
    pub fn router(mut self, router: Router) -> Self {
        self.pages = self.pages.merge(router.reset_fallback());
        self
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.transport.local_addr()
    }

    /// The URL of the page, on this machine.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn url(&self) -> anyhow::Result<String> {
        let mut address = self.address()?;
        if address.ip().is_unspecified() {
            address.set_ip([127, 0, 0, 1].into());
        }
        let plain = self.config.tls.certificate.as_os_str().is_empty();
        let scheme = if plain { "http" } else { "https" };
        Ok(format!("{scheme}://{address}"))
    }

    /// Serves until `shutdown`, and then ends: sessions are closed with 1012 and asked to come back,
    /// one after the other where there are many, [services](crate::services) end what they are at, the
    /// journal is written, the database is closed. From `at_once` on nothing of this is waited for but the
    /// journal.
    ///
    /// # Errors
    ///
    /// When the server cannot begin, as with a service that cannot be, or has to stop since the disk failed.
    pub async fn run(
        self,
        shutdown: impl Future<Output = ()>,
        at_once: impl Future<Output = ()>,
    ) -> anyhow::Result<()> {
        let Self {
            transport,
            config,
            store,
            reads,
            admin,
            recovery,
            left,
            calls,
            services,
            pages,
        } = self;
        let services = services.into_iter().collect::<Result<_, _>>()?;
        if recovery.lost {
            tracing::warn!(
                sessions = recovery.sessions,
                "the server had stopped without closing; its open sessions are closed now"
            );
        }
        let (journal, failure) = Journal::start(store, config.journal_settings())?;
        let limits = &config.limits;
        let window = Duration::from_millis(config.times.delivery_window_ms);
        let ring = RingLimits {
            frames: limits.ring_events,
            bytes: limits.ring_bytes,
        };
        let live = LiveRooms::new(reads.clone(), ring, window, config.presence_settings());
        for room in left {
            live.restore(room);
        }
        let desk = Desk::open(journal.clone(), reads.clone(), config.calls.clone(), calls);
        let turns = Turns::new(
            limits.openings_at_once,
            limits.openings_per_second,
            Duration::from_millis(config.times.opening_wait_ms),
        );
        let yard = Arc::new(Yard {
            config,
            admin,
            journal,
            reads,
            live,
            desk,
            turns,
            ending: watch::Sender::new(false),
        });

        let lab = Lab::open(&yard.config, yard.ending.subscribe());
        let chat = Chat::mount(yard.clone());
        let limit = yard.config.limits.message_bytes;
        let services = Services::open(yard.desk.clone(), services, limit)?;
        let own = Router::new()
            .merge(page::router())
            .merge(lab.router())
            .merge(rest::router(yard.clone(), chat.sessions()))
            .fallback(page::not_found);
        let pages = pages.fallback_service(own);
        let times = &yard.config.times;
        let reason = json!({"retry_after_ms": times.restart_spread_ms}).to_string();
        let transport = transport
            .mount(chat)
            .router(pages)
            .trusted_proxies(yard.config.trusted_proxies()?)
            .max_connections(yard.config.limits.connections)
            .request_head_timeout(Duration::from_millis(times.request_head_ms))
            .close_with(CloseCode::RESTART, reason)
            .closes_per_second(yard.config.limits.closings_per_second)
            // A second above what a session's own close may take.
            .patience(Duration::from_millis(times.close_ms) + Duration::from_secs(1));
        let mut failed = None;
        let end = async {
            tokio::select! {
                () = shutdown => {}
                error = failure.wait() => failed = Some(error),
            }
            yard.turns.close();
            yard.ending.send_replace(true);
            services.close();
        };
        let close_time = Duration::from_millis(times.close_ms);
        let ending = async {
            let services = async {
                services.end(close_time).await;
                io::Result::Ok(())
            };
            tokio::try_join!(transport.run_until(end), services)
        };
        tokio::select! {
            ended = ending => { ended?; }
            () = at_once => tracing::warn!("told to end at once; sessions are left as they are"),
        }
        drop(services);
        lab.end().await;
        yard.journal.close().await;
        tracing::info!("closed");
        match failed {
            Some(error) => Err(error.context("the server had to stop")),
            None => Ok(()),
        }
    }
}

/// What to do about an address that cannot be had.
fn hint(listen: SocketAddr) -> impl fmt::Display {
    let port = listen.port();
    match port {
        1..1024 => " (ports below 1024 need special rights; try --listen with a higher one)".into(),
        _ => format!(
            " (is another program using port {port}? try --listen {}:{})",
            listen.ip(),
            port.wrapping_add(1)
        ),
    }
}
