//! Conversations that were damaged on the way.
//!
//! Close codes are not compared here: of several faults in one frame each names the one that it looks
//! at first.

use proptest::prelude::*;
use proptest::sample::Index;
use websocket::{Decoder, Limits, ProtocolError, Role};

use crate::messages::conversation;
use crate::peers::*;
use crate::verdicts::may_differ;

/// What happens to one byte.
#[derive(Debug, Clone)]
enum Damage {
    Change(u8),
    Insert(u8),
    Remove,
    Repeat,
}

fn damage() -> impl Strategy<Value = (Index, Damage)> {
    let damage = prop_oneof![
        3 => any::<u8>().prop_map(Damage::Change),
        // One bit.
        3 => (0..8_u8).prop_map(|bit| Damage::Change(1 << bit)),
        1 => any::<u8>().prop_map(Damage::Insert),
        1 => Just(Damage::Remove),
        1 => Just(Damage::Repeat),
    ];
    (any::<Index>(), damage)
}

fn apply(bytes: &mut Vec<u8>, (index, damage): &(Index, Damage)) {
    if bytes.is_empty() {
        return;
    }
    let index = index.index(bytes.len());
    match damage {
        Damage::Change(by) => bytes[index] ^= by,
        Damage::Insert(byte) => bytes.insert(index, *byte),
        Damage::Remove => drop(bytes.remove(index)),
        Damage::Repeat => bytes.insert(index, bytes[index]),
    }
}

/// Ends every frame within the limit, so that nobody is left waiting for what another one has
/// refused already.
const END: [u8; LIMIT + 100] = [0; LIMIT + 100];

fn our_error(role: Role, bytes: &[u8]) -> Option<ProtocolError> {
    let mut decoder = Decoder::new(role, Limits { max_message: LIMIT });
    let mut bytes = bytes.to_vec();
    let mut input = bytes.as_mut_slice();
    loop {
        match decoder.receive(&mut input) {
            Ok(Some(_)) => {}
            Ok(None) => return None,
            Err(error) => return Some(error),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn all_agree_on_what_can_be_heard_and_whether_it_is_refused(
        said in conversation(),
        fragment in 1..100_usize,
        damages in proptest::collection::vec(damage(), 1..4),
    ) {
        for role in ROLES {
            let (mut bytes, _) = (OTHERS[0].write)(other(role), &said, fragment);
            for damage in &damages {
                apply(&mut bytes, damage);
            }
            bytes.extend(END);
            let ours = we_hear(role, &bytes);
            let error = our_error(role, &bytes);
            for peer in OTHERS.iter().filter(|peer| !may_differ(peer, &ours, error)) {
                let theirs = (peer.hear)(role, &bytes);
                prop_assert_eq!(&theirs.said, &ours.said, "{}", peer.name);
                let refused = |heard: &Heard| heard.end != End::Fine;
                prop_assert_eq!(refused(&theirs), refused(&ours), "{}: {:?}", peer.name, error);
            }
        }
    }
}
