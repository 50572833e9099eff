//! The highest rate that holds: doubled until it does not, and then halved in between.

/// Rates this near to each other are one.
const NEAR: f64 = 1.1;
/// Slower than this nothing is looked for.
const SLOWEST: f64 = 1.0;

/// What is known so far.
#[derive(Debug)]
pub(crate) struct Search {
    next: f64,
    kept: Option<f64>,
    missed: Option<f64>,
    /// Nothing is tried above.
    most: f64,
}

impl Search {
    pub(crate) fn new(from: f64, most: f64) -> Self {
        Self {
            next: from.min(most),
            most,
            kept: None,
            missed: None,
        }
    }

    /// The rate to try; `None` once the highest is found.
    pub(crate) fn next(&self) -> Option<f64> {
        match (self.kept, self.missed) {
            (Some(kept), Some(missed)) if missed / kept < NEAR => None,
            (Some(kept), None) if kept >= self.most => None,
            (None, Some(missed)) if missed <= SLOWEST => None,
            _ => Some(self.next),
        }
    }

    /// Tells whether the rate that was [`next`](Self::next) was kept up.
    pub(crate) fn tell(&mut self, kept: bool) {
        if kept {
            self.kept = Some(self.next);
        } else {
            self.missed = Some(self.next);
        }
        self.next = match (self.kept, self.missed) {
            (Some(kept), Some(missed)) => (kept * missed).sqrt(),
            (Some(kept), None) => (kept * 2.0).min(self.most),
            (None, _) => self.next / 2.0,
        };
    }

    /// The highest rate that was kept up.
    pub(crate) fn highest(&self) -> Option<f64> {
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks for `limit`, and counts the steps.
    fn find(start: f64, limit: f64) -> (Option<f64>, usize) {
        let mut search = Search::new(start, f64::MAX);
        let mut steps = 0;
        while let Some(rate) = search.next() {
            steps += 1;
            assert!(steps < 40);
            search.tell(rate <= limit);
        }
        (search.highest(), steps)
    }

    #[test]
    fn the_highest_rate_is_found_from_below_and_from_above() {
        for start in [10.0, 1_000.0, 100_000.0] {
            let (found, steps) = find(start, 1_234.0);
            let found = found.unwrap();
            assert!((1_234.0 / NEAR..=1_234.0).contains(&found), "{found}");
            assert!(steps <= 14, "{steps} steps from {start}");
        }
    }

    #[test]
    fn nothing_is_tried_above_the_most() {
        let mut search = Search::new(100.0, 150.0);
        for rate in [100.0, 150.0] {
            assert_eq!(search.next(), Some(rate));
            search.tell(true);
        }
        assert_eq!((search.next(), search.highest()), (None, Some(150.0)));
    }

    #[test]
    fn where_nothing_is_kept_up_there_is_none() {
        assert_eq!(find(100.0, 0.0).0, None);
    }
}
