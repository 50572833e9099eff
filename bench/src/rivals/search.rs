//! The highest rate that is kept up: doubled until it is not, then halved in between.

/// Deliveries a second at the beginning; so few that everyone keeps up with them.
const LEAST: f64 = 12_500.0;
/// Where the generator itself ends.
const MOST: f64 = 12_800_000.0;
/// Halvings between the last rate that was kept up and the first that was not: to 1 part in 16.
const HALVINGS: usize = 4;

/// `try_rate` tells whether a rate is kept up. 0 where not even the least is.
pub(super) fn highest(
    mut try_rate: impl FnMut(f64) -> anyhow::Result<bool>,
) -> anyhow::Result<f64> {
    let (mut kept, mut rate) = (0.0, LEAST);
    while rate <= MOST && try_rate(rate)? {
        (kept, rate) = (rate, rate * 2.0);
    }
    if kept == 0.0 || rate > MOST {
        return Ok(kept);
    }
    let mut not = rate;
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(kept, not);
        if try_rate(middle)? {
            kept = middle;
        } else {
            not = middle;
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_rate_is_found_from_below() {
        for limit in [13_000.0, 66_000.0, 138_000.0, 3_600_000.0] {
            let found = highest(|rate| Ok(rate <= limit)).unwrap();
            assert!(found <= limit && found > limit * 0.93, "{limit}: {found}");
        }
    }

    #[test]
    fn it_ends_at_either_end() {
        assert_eq!(highest(|_| Ok(false)).unwrap(), 0.0);
        assert_eq!(highest(|_| Ok(true)).unwrap(), MOST);
        assert!(highest(|_| anyhow::bail!("lost")).is_err());
    }
}
