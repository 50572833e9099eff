//! A scenario's runs side by side, as a table in Markdown.

use std::fmt;

use serde::Serialize;

use super::run::{Figure, Peer, Run};
use crate::report::number;

/// One scenario, all libraries, all rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison {
    scenario: String,
    peers: Vec<Runs>,
}

#[derive(Debug, Serialize)]
struct Runs {
    peer: Peer,
    /// By round; `None` where the library cannot do it.
    runs: Vec<Option<Run>>,
}

impl Comparison {
    pub(super) fn new(scenario: String, peers: &[Peer]) -> Self {
        let runs = Vec::new();
        let peers = peers.iter().map(|&peer| Runs {
            peer,
            runs: runs.clone(),
        });
        Self {
            scenario,
            peers: peers.collect(),
        }
    }

    pub(super) fn title(&self) -> &str {
        &self.scenario
    }

    pub(super) fn add(&mut self, peer: Peer, run: Option<Run>) {
        if let Some(runs) = self.peers.iter_mut().find(|runs| runs.peer == peer) {
            runs.runs.push(run);
        }
    }

    /// The figures' names, and whether each is a cost.
    fn columns(&self) -> Vec<Figure> {
        let mut runs = self
            .peers
            .iter()
            .flat_map(|peer| peer.runs.iter().flatten());
        runs.next().map_or_else(Vec::new, |run| run.figures.clone())
    }

    fn madang(&self) -> Option<&Runs> {
        self.peers.iter().find(|runs| runs.peer == Peer::Madang)
    }
}

impl Runs {
    /// The values of a figure, by round.
    fn values(&self, column: usize) -> impl Iterator<Item = Option<f64>> {
        self.runs.iter().map(move |run| {
            let figure = run.as_ref()?.figures.get(column)?;
            Some(figure.value)
        })
    }

    /// A figure of madang's, divided by that of the same round here.
    fn ratio(&self, madang: Option<&Runs>, column: usize) -> Option<Spread> {
        let madang = madang.filter(|madang| madang.peer != self.peer)?;
        let pairs = madang.values(column).zip(self.values(column));
        Spread::of(pairs.filter_map(|(madang, peer)| Some(madang? / peer?)))
    }
}

/// Of several rounds.
#[derive(Debug, PartialEq)]
struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<_> = values.collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let upper = *values.get(middle)?;
        let lower = values[(values.len() - 1) / 2];
        Some(Self {
            median: f64::midpoint(lower, upper),
            least: *values.first()?,
            most: *values.last()?,
        })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [median, least, most] = [self.median, self.least, self.most].map(number);
        write!(f, "{median} ({least}–{most})")
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.columns();
        if columns.is_empty() {
            return writeln!(f, "{}: none of them", self.scenario);
        }
        write!(f, "| {} |", self.scenario)?;
        for column in &columns {
            write!(f, " {} |", column.name)?;
            if column.cost {
                write!(f, " madang ÷ peer |")?;
            }
        }
        write!(f, "\n|---|")?;
        for column in &columns {
            f.write_str(if column.cost { "---|---|" } else { "---|" })?;
        }
        for runs in &self.peers {
            write!(f, "\n| {} |", runs.peer)?;
            for (index, column) in columns.iter().enumerate() {
                let spread = Spread::of(runs.values(index).flatten());
                match (spread, column.cost) {
                    (None, _) => f.write_str(" none |")?,
                    (Some(spread), true) => write!(f, " {spread} |")?,
                    (Some(spread), false) => write!(f, " {} |", number(spread.median))?,
                }
                if column.cost {
                    match runs.ratio(self.madang(), index) {
                        Some(ratio) => write!(f, " {ratio} |")?,
                        None => f.write_str(" |")?,
                    }
                }
            }
        }
        writeln!(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_of_runs_of_the_same_round() {
        let mut comparison = Comparison::new("echo".into(), &[Peer::Madang, Peer::Axum]);
        for (madang, axum) in [(1.0, 2.0), (3.0, 4.0), (8.0, 8.0)] {
            let run = |value| Some(Run::default().cost("CPU", value).note("a second", 1000.0));
            comparison.add(Peer::Axum, run(axum));
            comparison.add(Peer::Madang, run(madang));
        }
        assert_eq!(
            comparison.to_string(),
            "| echo | CPU | madang ÷ peer | a second |\n\
             |---|---|---|---|\n\
             | madang | 3.00 (1.00–8.00) | | 1,000 |\n\
             | axum | 4.00 (2.00–8.00) | 0.75 (0.50–1.00) | 1,000 |\n"
        );
    }

    #[test]
    fn what_a_library_cannot_do_is_none() {
        let mut comparison = Comparison::new("deflate".into(), &[Peer::Madang, Peer::Axum]);
        comparison.add(Peer::Madang, Some(Run::default().cost("CPU", 12.0)));
        comparison.add(Peer::Axum, None);
        let table = comparison.to_string();
        assert!(
            table.contains("| madang | 12.0 (12.0–12.0) | |\n"),
            "{table}"
        );
        assert!(table.ends_with("| axum | none | |\n"), "{table}");
    }

    #[test]
    fn what_no_library_can_do_is_no_table() {
        let mut comparison = Comparison::new("deflate".into(), &[Peer::Axum]);
        comparison.add(Peer::Axum, None);
        assert_eq!(comparison.to_string(), "deflate: none of them\n");
    }

    #[test]
    fn the_median_of_two_is_between_them() {
        let spread = Spread::of([3.0, 1.0].into_iter());
        let expected = Spread {
            median: 2.0,
            least: 1.0,
            most: 3.0,
        };
        assert_eq!(spread, Some(expected));
        assert_eq!(Spread::of([].into_iter()), None);
    }
}
