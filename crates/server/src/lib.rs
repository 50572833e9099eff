//! The program `madang`: rooms over WebSocket and HTTP, stored in one file.
//!
//! [`Server`] is the one door: opened with a configuration, run until told to stop. Other programs embed it so,
//! with [services] that are functions of theirs, and [pages](Server::router) of their own. Behind it:
//!
//! | module | what it does |
//! |---|---|
//! | [`config`] | everything that can be set |
//! | `chat` | the WebSocket endpoint: commands in, replies out |
//! | `calls` | calls: who asks, who answers, what waits |
//! | [`services`] | services that are part of the program: functions, HTTP backends |
//! | `live` | rooms with someone in them: their topics and presence |
//! | `journal` | everything that is written: one thread, one transaction for all that waits |
//! | `reads` | everything that is read from the database |
//! | `rest` | the same rooms and calls over HTTP, and the register of sessions |
//! | `page` | the chat page |
//! | `lab` | the page `/side-by-side`: HTTP and WebSocket, what goes over the wire |
//! | `memory` | what is free goes back to the system |
//! | `turns` | sessions are let in at a steady rate |
//! | `identity`, `admin` | who asks, and whether it is the admin |
//! | `yard` | what WebSocket and REST share |
//! | `refused` | errors as HTTP answers |
//! | `clock` | the time |
//! | [`talk`] | `madang chat`, a chat in the terminal |
//! | [`upkeep`] | `madang backup`, `restore` and `check` |
//!
//! A message's way is `chat` → `journal` → (stored) → `live` → every session of the room, and then the
//! sender's `ok`.

mod admin;
mod calls;
mod chat;
mod clock;
pub mod config;
mod identity;
mod journal;
mod lab;
mod live;
mod page;
mod reads;
mod refused;
mod rest;
pub mod serve;
pub mod services;
pub mod talk;
mod turns;
pub mod upkeep;
mod yard;

pub use self::{
    config::Config,
    serve::Server,
    services::{Asked, Failure, ServiceOptions},
};
