//! Who the client is when a reverse proxy stands in front.

mod forwarded;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};

use http::{
    HeaderMap,
    header::{FORWARDED, HeaderName},
    uri::Authority,
};
use ipnet::IpNet;

use self::forwarded::{Hop, elements};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The reverse proxies whose word about a client is believed.
///
/// Each proxy appends to a header the address that a request came to it from. What the last of ours wrote can
/// be believed, and what stands before it only if it tells of another of ours. So the
/// list is walked from its end, past the addresses that are trusted; the first that is not is the client's.
/// An element that names no address (`unknown`, `_hidden`, garbage) ends the walk at the proxy that wrote it.
/// From an address that is not trusted, the headers are not even looked at.
///
/// ```
/// use madang::TrustedProxies;
/// # use axum::http::HeaderMap;
///
/// let proxies = TrustedProxies::new(["127.0.0.1", "10.0.0.0/8"])?;
/// let mut headers = HeaderMap::new();
/// headers.insert("x-forwarded-for", "1.1.1.1, 203.0.113.7, 10.0.0.3".parse().unwrap());
/// let client = proxies.client("127.0.0.1:40000".parse().unwrap(), &headers);
/// assert_eq!(client.address.ip().to_string(), "203.0.113.7");
/// # Ok::<(), madang::BadNetwork>(())
/// ```
///
/// A [`Server`](crate::Server) with [`trusted_proxies`](crate::Server::trusted_proxies) does this for every
/// request. In a router that something else serves, a middleware puts the client's address into the
/// request's `ConnectInfo<SocketAddr>`, from where sessions have their peer.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    header: ForwardedHeader,
}

/// Which header the proxies write. Only this one is read: the other one they may pass on as the client sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`, and `X-Forwarded-Host` for the name: what most proxies write.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239), with its `for` and `host`.
    Forwarded,
}

/// A text that is neither an address nor a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is neither an IP address nor a network such as 10.0.0.0/8")]
pub struct BadNetwork(String);

/// Whom a request comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Client {
    /// The client's address. Its port is 0 where the proxy does not tell it.
    pub address: SocketAddr,
    /// The host that the client asked for, where a trusted proxy tells it.
    pub host: Option<Authority>,
}

impl TrustedProxies {
    /// Trusts these addresses and networks, such as `127.0.0.1`, `::1`, `10.0.0.0/8`.
    ///
    /// # Errors
    ///
    /// Names the first that is neither.
    pub fn new(networks: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, BadNetwork> {
        let networks = networks.into_iter().map(|text| {
            let text = text.as_ref();
            let address = text.parse::<IpAddr>().map(IpNet::from);
            address
                .or_else(|_| text.parse())
                .map_err(|_| BadNetwork(text.to_owned()))
        });
        Ok(Self {
            networks: networks.collect::<Result<_, _>>()?,
            header: ForwardedHeader::default(),
        })
    }

    /// Reads another header than `X-Forwarded-For`.
    #[must_use]
    pub fn header(mut self, header: ForwardedHeader) -> Self {
        self.header = header;
        self
    }

    /// Whom a request comes from that has come from `peer` with these headers.
    pub fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> Client {
        let mut client = Client {
            address: canonical(peer),
            host: None,
        };
        if !self.trust(client.address) {
            return client;
        }
        match self.header {
            ForwardedHeader::XForwardedFor => {
                let hops = elements(headers, X_FORWARDED_FOR).map(Hop::of_x_forwarded_for);
                self.walk(&mut client, hops);
                let host = elements(headers, X_FORWARDED_HOST).next();
                client.host = host.and_then(|host| host.parse().ok());
            }
            ForwardedHeader::Forwarded => {
                let hops = elements(headers, FORWARDED).map(Hop::of_forwarded);
                self.walk(&mut client, hops);
            }
        }
        client
    }

    /// Goes from hop to hop, the nearest first, for as long as each is told by one that is trusted.
    fn walk(&self, client: &mut Client, hops: impl Iterator<Item = Hop>) {
        for hop in hops {
            client.host = hop.host.or(client.host.take());
            let Some(address) = hop.address else { return };
            client.address = canonical(address);
            if !self.trust(client.address) {
                return;
            }
        }
    }

    fn trust(&self, address: SocketAddr) -> bool {
        let ip = address.ip();
        self.networks.iter().any(|network| network.contains(&ip))
    }
}

/// A socket that listens for both families sees an IPv4 address within an IPv6 one (RFC 4291 §2.5.5.2).
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
