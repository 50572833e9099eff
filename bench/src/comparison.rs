//! A scenario's runs with several servers side by side, as a table in Markdown.

use std::{fmt, time::Duration};

use load::{process::Usage, report::number};
use serde::Serialize;

/// The peer that the others are compared with.
const MADANG: &str = "madang";

/// What a run came to.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Run {
    figures: Vec<Figure>,
}

/// A value, and what it is of.
#[derive(Debug, Clone, Serialize)]
struct Figure {
    name: &'static str,
    value: f64,
    /// Whether madang's is compared with it.
    compared: bool,
}

impl Run {
    /// A figure that is compared.
    pub(crate) fn compare(mut self, name: &'static str, value: f64) -> Self {
        self.figures.push(Figure {
            name,
            value,
            compared: true,
        });
        self
    }

    /// A figure that only says more.
    pub(crate) fn note(mut self, name: &'static str, value: f64) -> Self {
        self.figures.push(Figure {
            name,
            value,
            compared: false,
        });
        self
    }

    /// What the processors did during `took`.
    pub(crate) fn usage(self, usage: Usage, took: Duration) -> Self {
        let share = |used: Duration| used.as_secs_f64() / took.as_secs_f64() * 100.0;
        self.note("server, % of a core", share(usage.server))
            .note("generator, %", share(usage.generator))
            .note("others, %", share(usage.others))
    }
}

/// One scenario, all peers, all rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison {
    scenario: String,
    peers: Vec<Runs>,
}

#[derive(Debug, Serialize)]
struct Runs {
    peer: String,
    /// By round; `None` where the peer cannot do it.
    runs: Vec<Option<Run>>,
}

impl Comparison {
    pub(crate) fn new(scenario: String, peers: &[impl fmt::Display]) -> Self {
        let runs = Vec::new();
        let peers = peers.iter().map(|peer| Runs {
            peer: peer.to_string(),
            runs: runs.clone(),
        });
        Self {
            scenario,
            peers: peers.collect(),
        }
    }

    pub(crate) fn title(&self) -> &str {
        &self.scenario
    }

    pub(crate) fn add(&mut self, peer: impl fmt::Display, run: Option<Run>) {
        let peer = peer.to_string();
        if let Some(runs) = self.peers.iter_mut().find(|runs| runs.peer == peer) {
            runs.runs.push(run);
        }
    }

    /// The figures' names, and whether each is compared.
    fn columns(&self) -> Vec<Figure> {
        let mut runs = self
            .peers
            .iter()
            .flat_map(|peer| peer.runs.iter().flatten());
        runs.next().map_or_else(Vec::new, |run| run.figures.clone())
    }

    fn madang(&self) -> Option<&Runs> {
        self.peers.iter().find(|runs| runs.peer == MADANG)
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
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
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
            if column.compared {
                write!(f, " madang ÷ peer |")?;
            }
        }
        write!(f, "\n|---|")?;
        for column in &columns {
            f.write_str(if column.compared { "---|---|" } else { "---|" })?;
        }
        for runs in &self.peers {
            write!(f, "\n| {} |", runs.peer)?;
            for (index, column) in columns.iter().enumerate() {
                let spread = Spread::of(runs.values(index).flatten());
                match (spread, column.compared) {
                    (None, _) => f.write_str(" none |")?,
                    (Some(spread), true) => write!(f, " {spread} |")?,
                    (Some(spread), false) => write!(f, " {} |", number(spread.median))?,
                }
                if column.compared {
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
        let mut comparison = Comparison::new("echo".into(), &["madang", "axum"]);
        for (madang, axum) in [(1.0, 2.0), (3.0, 4.0), (8.0, 8.0)] {
            let run = |value| {
                Some(
                    Run::default()
                        .compare("CPU", value)
                        .note("a second", 1000.0),
                )
            };
            comparison.add("axum", run(axum));
            comparison.add("madang", run(madang));
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
        let mut comparison = Comparison::new("deflate".into(), &["madang", "axum"]);
        comparison.add("madang", Some(Run::default().compare("CPU", 12.0)));
        comparison.add("axum", None);
        let table = comparison.to_string();
        assert!(
            table.contains("| madang | 12.0 (12.0–12.0) | |\n"),
            "{table}"
        );
        assert!(table.ends_with("| axum | none | |\n"), "{table}");
    }

    #[test]
    fn what_no_library_can_do_is_no_table() {
        let mut comparison = Comparison::new("deflate".into(), &["axum"]);
        comparison.add("axum", None);
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
