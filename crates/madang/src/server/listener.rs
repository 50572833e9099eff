//! The listening socket.

use std::{io, net::SocketAddr};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, ToSocketAddrs, lookup_host};

/// Connections that may wait to be accepted. With tokio's own 128, a storm of clients loses
/// connection requests, each of which costs its client a second.
const BACKLOG: i32 = 4096;

/// Listens on the first of the addresses that can be had.
pub(super) async fn bind(addresses: impl ToSocketAddrs) -> io::Result<TcpListener> {
    let mut refused = None;
    for address in lookup_host(addresses).await? {
        match listen(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => refused = Some(error),
        }
    }
    let nothing = || io::Error::new(io::ErrorKind::InvalidInput, "the name has no address");
    Err(refused.unwrap_or_else(nothing))
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    // A restarted server takes the port over from connections that are still ending.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Has what is accepted send at once: frames are gathered before they are written, and waiting for more of
/// them in the kernel only delays them. The option is set here once, as what is accepted has its listener's.
pub(super) fn send_at_once(listener: &TcpListener) {
    let _ = SockRef::from(listener).set_tcp_nodelay(true);
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn what_is_accepted_sends_at_once() {
        let listener = bind("127.0.0.1:0").await.unwrap();
        send_at_once(&listener);
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await;
        let (accepted, _) = listener.accept().await.unwrap();
        assert!(accepted.nodelay().unwrap());
    }
}
