/// Masks or unmasks `payload` in place; the two are the same.
///
/// RFC 6455 §5.3: byte `i` of the payload is combined by exclusive or with byte `i % 4` of the
/// key. It is done eight bytes at a time, which the compiler turns into vector instructions.
pub(crate) fn apply(payload: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let long_key = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ long_key).to_ne_bytes();
    }
    // The words end on a multiple of four, so the key starts anew.
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::apply;

    proptest! {
        #[test]
        fn words_mask_as_a_loop_over_bytes_does(
            payload in prop::collection::vec(any::<u8>(), 0..300),
            start in 0..16_usize,
            key: [u8; 4],
        ) {
            let start = start.min(payload.len());
            let mut expected = payload.clone();
            for (index, byte) in expected[start..].iter_mut().enumerate() {
                *byte ^= key[index % 4];
            }
            let mut masked = payload.clone();
            apply(&mut masked[start..], key);
            prop_assert_eq!(&masked, &expected);
            apply(&mut masked[start..], key);
            prop_assert_eq!(masked, payload);
        }
    }
}
