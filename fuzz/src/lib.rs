//! What holds for any bytes from a stranger.
//!
//! Each target is a plain function from bytes to nothing that panics where a property does not
//! hold. `scripts/fuzz` gives it to libFuzzer, which looks for such bytes; the test `corpus`
//! calls it with every file of `corpus/<target>/`, on any toolchain.
//!
//! | target | what it reads | what holds |
//! |---|---|---|
//! | [`command`](command()) | a client's JSON | limits, round trip, the id of what is refused, errors are short |
//! | [`decoder`](decoder()) | a peer's frames, either role | the same events however they are cut, memory bounded by what came |
//! | [`handshake`](handshake()) | an HTTP head | accepted exactly when every rule is kept; our client takes our answer |
//! | [`inflate`](inflate()) | a compressed message | what zlib makes of it, within the limit; what we compress becomes what it was |
//! | [`names`](names()) | a name, an id, a time | normal forms, limits, what is written reads back |
//! | [`negotiation`](negotiation()) | extensions, offered and chosen | what a reader by the grammar agrees to |
//! | [`path`](path()) | a request's path and query | the route and the parameters that a simple model tells |
//! | [`proxies`](proxies()) | `X-Forwarded-For`, `Forwarded` | what a trusted proxy appends counts, whatever stands before it |
//!
//! A finding becomes a file of the corpus, named after what it shows, in the commit that mends
//! it.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a fuzz target tells by a panic that a property does not hold"
)]

mod command;
mod decoder;
mod handshake;
mod inflate;
mod names;
mod negotiation;
mod path;
mod proxies;

pub use command::command;
pub use decoder::decoder;
pub use handshake::handshake;
pub use inflate::inflate;
pub use names::names;
pub use negotiation::negotiation;
pub use path::path;
pub use proxies::proxies;

/// What is done with some bytes.
pub type Target = fn(&[u8]);

/// Every target under its name, which is also that of its corpus.
pub const TARGETS: [(&str, Target); 8] = [
    ("command", command),
    ("decoder", decoder),
    ("handshake", handshake),
    ("inflate", inflate),
    ("names", names),
    ("negotiation", negotiation),
    ("path", path),
    ("proxies", proxies),
];
