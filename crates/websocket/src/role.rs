/// Which end of the connection is ours.
///
/// RFC 6455 §5.1: a client masks every frame that it sends, a server masks none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// We are the server: what we receive is masked.
    Server,
    /// We are the client: what we receive is not masked.
    Client,
}
