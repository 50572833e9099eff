//! madang: an endpoint that sends back, and one over a topic.

use madang::{
    Compression, Endpoint, Frame, Handshake, Message, Mount, Refusal, RingLimits, Server, Session,
    Settings, Start, Tls, Topic,
};

use crate::listener::Listener;

pub(crate) async fn serve(listener: Listener, compression: bool) -> anyhow::Result<()> {
    let mut settings = Settings::default();
    settings.compression = compression.then(Compression::default);
    let notice = |from, to| Frame::text(format!("messages {from} to {to} are gone"));
    let room = Topic::in_memory(RingLimits::default(), notice);
    let mut server = Server::on(listener.tcp)
        .mount(Mount::new(Echo).at("/echo").settings(settings.clone()))
        .mount(Mount::new(Fan { room }).at("/fan").settings(settings));
    if let [certificate, key] = &*listener.tls {
        server = server.tls(Tls::from_files(certificate, key)?);
    }
    Ok(server.run().await?)
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
