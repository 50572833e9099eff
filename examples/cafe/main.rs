//! A café: order one after the other, or take a buzzer and be served what is ready first.
//!
//! `cargo run --bin cafe`, then open the address it prints. The kitchen is a function of this program; in a second
//! window, `/barista`, a person can make things by hand. The pages are in `page/`.

use std::{env, future, time::Duration};

use axum::{
    Router,
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use madang_server::{Asked, Config, Failure, Server};
use rust_embed::Embed;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

#[derive(Deserialize)]
struct Order {
    item: String,
    /// Of those who want it slower or faster than on the menu.
    seconds: Option<f32>,
}

#[derive(Serialize)]
struct Progress {
    /// From 0 to 1.
    done: f32,
}

#[derive(Serialize)]
struct Served {
    item: String,
    seconds: f32,
}

async fn kitchen(asked: Asked) -> Result<Served, Failure> {
    if asked.method() != "order" {
        return Err(asked.no_such_method());
    }
    let Order { item, seconds } = asked.params()?;
    let seconds = match (seconds, item.as_str()) {
        (Some(seconds @ 0.0..=60.0), _) => seconds,
        (Some(_), _) => return Err(Failure::new("bad_field", "'seconds' must be 0 to 60.")),
        (None, "coffee") => 3.0,
        (None, "bread") => 1.0,
        (None, "smoothie") => 2.0,
        (None, _) => return Err(not_on_the_menu(&item)),
    };
    for tenth in 0..10_u8 {
        let done = f32::from(tenth) / 10.0;
        asked.progress(&Progress { done });
        sleep(Duration::from_secs_f32(seconds / 10.0)).await;
    }
    Ok(Served { item, seconds })
}

fn not_on_the_menu(item: &str) -> Failure {
    let message = format!("We have coffee, bread and smoothie, and no '{item}'.");
    Failure::new("not_on_the_menu", message)
}

#[derive(Embed)]
#[folder = "cafe/page"]
struct Page;

fn page(name: &str) -> Response {
    let Some(file) = Page::get(name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let kind = file.metadata.mimetype().to_owned();
    ([(header::CONTENT_TYPE, kind)], file.data).into_response()
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = env::args().skip(1);
    let config = Config {
        listen: arguments
            .next()
            .unwrap_or("127.0.0.1:9007".into())
            .parse()?,
        data: arguments.next().unwrap_or("cafe-data".into()).into(),
        ..Config::default()
    };
    let pages = Router::new()
        .route("/", get(async || page("index.html")))
        .route("/barista", get(async || page("barista.html")))
        .route(
            "/cafe/{name}",
            get(async |Path(name): Path<String>| page(&name)),
        );
    let server = Server::open(config)
        .await?
        .service("cafe", kitchen)
        .router(pages);
    println!("cafe at {}/", server.url()?);
    let ctrl_c = async { _ = tokio::signal::ctrl_c().await };
    server.run(ctrl_c, future::pending()).await
}
