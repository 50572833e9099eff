use multiversion::multiversion;

/// From so many bytes on it is worth it to ask which vectors the processor has.
const LONG: usize = 256;
/// Bytes of the widest vector.
const VECTOR: usize = 32;

/// Masks or unmasks `payload` in place; the two are the same.
///
/// RFC 6455 §5.3: byte `i` of the payload is combined by exclusive or with byte `i % 4` of the
/// key. One of zeros changes nothing.
#[inline]
pub(crate) fn apply(payload: &mut [u8], key: [u8; 4]) {
    if key == [0; 4] {
        return;
    }
    if payload.len() < LONG {
        by_words(payload, key);
    } else {
        by_vectors(payload, key);
    }
}

/// The same with the widest vectors there are, from where in memory a vector begins.
#[multiversion(targets("x86_64+avx2"))]
fn by_vectors(payload: &mut [u8], mut key: [u8; 4]) {
    let before = payload.as_ptr().align_offset(VECTOR).min(payload.len());
    let (before, vectors) = payload.split_at_mut(before);
    by_words(before, key);
    key.rotate_left(before.len() % 4);
    by_words(vectors, key);
}

/// Eight bytes at a time, which the compiler turns into the vectors that it may use.
#[inline(always)]
fn by_words(payload: &mut [u8], key: [u8; 4]) {
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
            payload in prop::collection::vec(any::<u8>(), 0..600),
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
