//! `madang-peers`: one small server for each library that madang is measured against.
//!
//! All of them serve the same paths on the same runtime with the same allocator: `/echo` sends back
//! what it is sent; `/rooms/N` and `/fan` are rooms, in which everyone gets what anyone says. Each is
//! written in its library's own recommended way, and one, [`bare`], in none: it is the floor.
//! `madang-bench peers` and `madang-bench rivals` start them and measure them.
//!
//! Deliberately not: an example of how to write a server. Errors end their connection and are not
//! told to anyone.

mod axum_ws;
mod bare;
mod fastwebsockets;
mod listener;
mod madang;
mod room;
mod router;
mod socketioxide;
mod sockudo;
mod tokio_websockets;
mod tungstenite;

use std::{net::SocketAddr, path::PathBuf};

use clap::{Parser, ValueEnum};

use crate::listener::Listener;

/// What tungstenite's documentation advises for many connections (`WebSocketConfig::read_buffer_size`),
/// in place of 128 KiB for reading and 128 KiB for writing.
const SMALL_BUFFER: usize = 4 * 1024;

/// A server of one library.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    /// The library.
    peer: Peer,
    /// Where it listens; port 0 is any free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Speaks TLS, with this certificate and key (PEM).
    #[arg(long, num_args = 2, value_names = ["CERT", "KEY"])]
    tls: Vec<PathBuf>,
    /// Agrees to permessage-deflate, where the library has it.
    #[arg(long)]
    compression: bool,
    /// `bare` writes what came in a round of epoll at once.
    #[arg(long)]
    gather: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Peer {
    Bare,
    Madang,
    Axum,
    AxumSmall,
    Tungstenite,
    TungsteniteSmall,
    TokioWebsockets,
    Fastwebsockets,
    Socketioxide,
    Sockudo,
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    if matches!(cli.peer, Peer::Bare) {
        return bare::serve(cli.listen, cli.gather);
    }
    // As many threads as there are cores, which is what everyone gets who asks for nothing else.
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(serve(&cli))
}

async fn serve(cli: &Cli) -> anyhow::Result<()> {
    let listener = Listener::bind(cli.listen, cli.tls.clone())?;
    println!("{}", listener.address()?);
    match cli.peer {
        Peer::Bare => Ok(()),
        Peer::Madang => madang::serve(listener, cli.compression).await,
        Peer::Axum => router::serve(listener, axum_ws::router(None)).await,
        Peer::AxumSmall => router::serve(listener, axum_ws::router(Some(SMALL_BUFFER))).await,
        Peer::Tungstenite => tungstenite::serve(listener, None).await,
        Peer::TungsteniteSmall => tungstenite::serve(listener, Some(SMALL_BUFFER)).await,
        Peer::TokioWebsockets => tokio_websockets::serve(listener).await,
        Peer::Socketioxide => router::serve(listener, socketioxide::router()).await,
        Peer::Sockudo => router::serve(listener, sockudo::router(cli.compression)).await,
        Peer::Fastwebsockets => fastwebsockets::serve(listener).await,
    }
}
