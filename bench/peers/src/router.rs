//! Serves an axum router: as axum does it, and in TLS as its example `low-level-rustls`.

use axum::{Router, serve::ListenerExt};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};

use crate::listener::{Handler, Listener, Socket};

pub(crate) async fn serve(listener: Listener, router: Router) -> anyhow::Result<()> {
    if !listener.tls.is_empty() {
        return listener.serve(Routed(router)).await;
    }
    let listener = listener.tcp.tap_io(|socket| {
        let _ = socket.set_nodelay(true);
    });
    Ok(axum::serve(listener, router).await?)
}

#[derive(Clone)]
struct Routed(Router);

impl Handler for Routed {
    async fn handle(self, socket: impl Socket) {
        let http = auto::Builder::new(TokioExecutor::new());
        let service = TowerToHyperService::new(self.0);
        let _ = http
            .serve_connection_with_upgrades(TokioIo::new(socket), service)
            .await;
    }
}
