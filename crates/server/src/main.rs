//! The program `madang`: the command line.

use std::{
    io::{IsTerminal, Write},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use madang_server::{
    config::{Config, Log, LogFormat},
    serve::Server,
    talk, upkeep,
};
use tikv_jemallocator::Jemalloc;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use tracing_subscriber::EnvFilter;

/// Thousands of sessions that come at once leave what they keep between what they needed for a moment. This allocator
/// puts things of one size side by side, and gives free pages back while the program rests (`docs/performance.md`).
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// A real-time server: people's connections meet in rooms, and nobody misses a word.
#[derive(Parser)]
#[command(
    name = "madang",
    version,
    about,
    args_conflicts_with_subcommands = true
)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server; also what happens without a command.
    Serve(Serve),
    /// Talk in a room from the terminal.
    Chat(talk::Options),
    Bench(load::Bench),
    Backup(upkeep::Backup),
    Restore(upkeep::Restore),
    Check(upkeep::Check),
}

#[derive(Args)]
struct Serve {
    /// Address and port to listen on [default: 127.0.0.1:8080].
    #[arg(long, env = "MADANG_LISTEN", value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Folder of the database and the admin token [default: madang-data].
    #[arg(long, env = "MADANG_DATA", value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Configuration file; docs/madang.toml shows every setting.
    #[arg(long, env = "MADANG_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

fn main() -> ExitCode {
    let CommandLine { command, serve } = CommandLine::parse();
    let outcome = match command.unwrap_or(Command::Serve(serve)) {
        Command::Serve(options) => run_server(options),
        Command::Chat(options) => run_chat(options),
        Command::Bench(options) => load::run(&options),
        Command::Backup(options) => upkeep::backup(options),
        Command::Restore(options) => upkeep::restore(options),
        Command::Check(options) => upkeep::check(options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("madang: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run_server(options: Serve) -> anyhow::Result<()> {
    let mut config = match &options.config {
        Some(path) => Config::read(path)?,
        None => Config::default(),
    };
    config.listen = options.listen.unwrap_or(config.listen);
    config.data = options.data.unwrap_or(config.data);
    start_log(&config.log)?;
    raise_descriptor_limit();

    // Before the address is shown: whoever reads it may already send a signal.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (signalled, mut first) = watch::channel(0);
    let mut second = first.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            signalled.send_modify(|count| *count += 1);
        }
    });
    let shutdown = async move { _ = first.wait_for(|count| *count >= 1).await };
    let at_once = async move { _ = second.wait_for(|count| *count >= 2).await };
    let data = config.data.clone();
    let server = Server::open(config).await?;
    let url = server.url()?;
    let mut stdout = std::io::stdout().lock();
    // Nobody may be reading.
    let _ = writeln!(
        stdout,
        "Madang {} is open at {url}\n  data and admin token in {}, Ctrl+C closes it",
        env!("CARGO_PKG_VERSION"),
        data.display(),
    );
    let _ = stdout.flush();
    drop(stdout);
    server.run(shutdown, at_once).await
}

fn run_chat(options: talk::Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(talk::run(options));
    // A read of the terminal cannot be broken off; the program does not wait for its end.
    runtime.shutdown_background();
    outcome
}

fn start_log(log: &Log) -> anyhow::Result<()> {
    let filter = EnvFilter::builder()
        .parse(&log.filter)
        .with_context(|| format!("log.filter '{}' is wrong", log.filter))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Where the log cannot be written, there is nowhere to say so; least of all by a panic.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal());
    match log.format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}

/// Each session takes a file descriptor; systems allow few of them unless asked.
fn raise_descriptor_limit() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => tracing::debug!(limit, "file descriptors"),
        Err(error) => tracing::warn!(%error, "the limit of file descriptors could not be raised"),
    }
}
