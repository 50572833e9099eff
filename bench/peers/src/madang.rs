//! madang: an endpoint that sends back, and one over a topic.

use axum::Router;
use madang::{
    Endpoint, Frame, Handshake, Message, Mount, Refusal, RingLimits, Session, Start, Topic,
};

/// `compression`: not in the library yet.
pub(crate) fn router(_compression: bool) -> Router {
    let notice = |from, to| Frame::text(&format!("messages {from} to {to} are gone"));
    let room = Topic::in_memory(RingLimits::default(), notice);
    Router::new()
        .merge(Mount::new(Echo).at("/echo").into_router())
        .merge(Mount::new(Fan { room }).at("/fan").into_router())
}

struct Echo;

impl Endpoint for Echo {
    type Data = ();

    async fn on_handshake(&self, _: &mut Handshake) -> Result<(), Refusal> {
        Ok(())
    }

    async fn on_message(&self, session: &Session, message: Message) {
        let _ = session.send(message);
    }
}

struct Fan {
    room: Topic,
}

impl Endpoint for Fan {
    type Data = ();

    async fn on_handshake(&self, _: &mut Handshake) -> Result<(), Refusal> {
        Ok(())
    }

    async fn on_open(&self, session: &Session) {
        let _ = session.subscribe(&self.room, Start::Now);
    }

    async fn on_message(&self, _: &Session, message: Message) {
        self.room.publish(message);
    }
}
