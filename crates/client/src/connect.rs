use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::uri::Scheme;
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use websocket::handshake::client::{Agreed, HandshakeError, Offer};
use websocket::{Decoder, Limits, Role};

use crate::shared::Shared;
use crate::{Client, ConnectError, Receiver, Sender};

/// Most bytes of a refusal's body that are read.
const MAX_REFUSAL: usize = 64 * 1024;

/// How to connect.
#[derive(Clone)]
pub struct Options {
    /// Headers to send with the request, as `Authorization`; one of the handshake's own names
    /// takes the place of that. None by default.
    pub headers: HeaderMap,
    /// Most bytes of one message that is received. 16 MiB by default.
    pub max_message: usize,
    /// Offers compression (permessage-deflate, RFC 7692); if the server takes it, messages of so
    /// many bytes and more are sent compressed. `None` by default.
    pub compression: Option<usize>,
    /// How long it may take until the WebSocket is open, all in all. 10 s by default.
    pub connect_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            headers: HeaderMap::new(),
            max_message: 16 * 1024 * 1024,
            compression: None,
            connect_timeout: Duration::from_secs(10),
        }
    }
}

pub(crate) async fn connect(url: &str, options: Options) -> Result<Client, ConnectError> {
    let uri: Uri = url.parse()?;
    match uri.scheme().map(Scheme::as_str) {
        Some("ws") => {}
        Some("wss") => return Err(ConnectError::Tls),
        _ => return Err(ConnectError::Scheme),
    }
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce)?;
    let offer = Offer {
        nonce,
        protocols: &[],
        deflate: options.compression.is_some(),
    };
    let mut request = offer.request(&uri)?.map(|()| Empty::new());
    request.headers_mut().extend(options.headers);

    let open = open(&uri, request, offer);
    let within = options.connect_timeout;
    let (socket, read, agreed) = timeout(within, open)
        .await
        .map_err(|_| ConnectError::Timeout(within))??;
    let deflate = agreed.deflate.zip(options.compression);
    let deflate = deflate.map(|(deflate, threshold)| deflate.from_bytes_on(threshold));
    let shared = Shared::new(socket, deflate);
    let limits = Limits {
        max_message: options.max_message,
    };
    let mut decoder = Decoder::new(Role::Client, limits);
    if deflate.is_some() {
        decoder = decoder.inflating();
    }
    let receiver = Receiver::new(shared.clone(), decoder, read.to_vec());
    Ok(Client {
        sender: Sender::new(shared),
        receiver,
    })
}

/// The socket after the handshake, what was read from it beyond, and what was agreed on.
async fn open(
    uri: &Uri,
    request: Request<Empty<Bytes>>,
    offer: Offer<'_>,
) -> Result<(TcpStream, Bytes, Agreed), ConnectError> {
    let host = uri.host().unwrap_or_default();
    // An IPv6 address stands in brackets in a URL, and without them elsewhere.
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address = (host, uri.port_u16().unwrap_or(80));
    let socket = TcpStream::connect(address)
        .await
        .map_err(ConnectError::Unreachable)?;
    socket
        .set_nodelay(true)
        .map_err(ConnectError::Unreachable)?;

    let (mut requests, connection) = http1::handshake(TokioIo::new(socket)).await?;
    let mut connection = pin!(connection.without_shutdown());
    let mut answer = pin!(async move {
        let response = requests.send_request(request).await?;
        match offer.verify(&response) {
            Ok(agreed) => Ok(agreed),
            Err(HandshakeError::Status(status)) => Err(refused(status, response.into_body()).await),
            Err(error) => Err(error.into()),
        }
    });
    // The answer comes only while the connection is polled. The connection ends with a 101 and
    // then gives the socket back; when both fail, the answer knows better why.
    let (parts, agreed) = tokio::select! {
        biased;
        answered = &mut answer => {
            let agreed = answered?;
            (connection.await?, agreed)
        }
        parts = &mut connection => {
            let agreed = answer.await?;
            (parts?, agreed)
        }
    };
    Ok((parts.io.into_inner(), parts.read_buf, agreed))
}

async fn refused(status: StatusCode, body: Incoming) -> ConnectError {
    let body = match Limited::new(body, MAX_REFUSAL).collect().await {
        Ok(body) => String::from_utf8_lossy(&body.to_bytes()).into_owned(),
        Err(_) => String::new(),
    };
    ConnectError::Refused { status, body }
}
