//! The figures of a scenario, of all servers and rounds, as a table in Markdown.

use std::{fmt, time::Duration};

use load::{process::Usage, report::number};
use serde::Serialize;

use super::peer::Peer;
use crate::comparison::Spread;

/// What a run came to.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Run(Vec<Figure>);

#[derive(Debug, Clone, Serialize)]
struct Figure {
    name: &'static str,
    value: f64,
    #[serde(skip)]
    show: Show,
}

/// What of the rounds is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Show {
    Median,
    /// Median, least and most.
    Spread,
    /// And the same of what it is divided by the bare loop's of the same round.
    Compared,
    Sum,
}

impl Run {
    fn with(mut self, name: &'static str, value: f64, show: Show) -> Self {
        self.0.push(Figure { name, value, show });
        self
    }

    pub(super) fn compared(self, name: &'static str, value: f64) -> Self {
        self.with(name, value, Show::Compared)
    }

    pub(super) fn spread(self, name: &'static str, value: f64) -> Self {
        self.with(name, value, Show::Spread)
    }

    pub(super) fn median(self, name: &'static str, value: f64) -> Self {
        self.with(name, value, Show::Median)
    }

    pub(super) fn sum(self, name: &'static str, value: f64) -> Self {
        self.with(name, value, Show::Sum)
    }

    /// What the processors did during `took`.
    pub(super) fn usage(self, usage: Usage, took: Duration) -> Self {
        let share = |used: Duration| used.as_secs_f64() / took.as_secs_f64() * 100.0;
        self.median("server, % of a core", share(usage.server))
            .median("generator, %", share(usage.generator))
            .median("others, %", share(usage.others))
    }
}

/// A scenario.
#[derive(Debug, Serialize)]
pub(super) struct Table {
    pub(super) title: &'static str,
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    #[serde(serialize_with = "by_name")]
    peer: Peer,
    /// By round.
    runs: Vec<Run>,
}

fn by_name<S: serde::Serializer>(peer: &Peer, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(peer)
}

impl Table {
    pub(super) fn new(title: &'static str, peers: &[Peer]) -> Self {
        let row = |&peer| Row {
            peer,
            runs: Vec::new(),
        };
        Self {
            title,
            rows: peers.iter().map(row).collect(),
        }
    }

    pub(super) fn add(&mut self, peer: Peer, run: Run) {
        if let Some(row) = self.rows.iter_mut().find(|row| row.peer == peer) {
            row.runs.push(run);
        }
    }

    /// The first figure of each server that has one.
    pub(super) fn first_figure(&self) -> impl Iterator<Item = (Peer, Spread)> {
        self.rows
            .iter()
            .filter_map(|row| Some((row.peer, Spread::of(row.values(0))?)))
    }

    fn columns(&self) -> &[Figure] {
        let mut runs = self.rows.iter().flat_map(|row| &row.runs);
        runs.next().map_or(&[], |run| &run.0)
    }
}

impl Row {
    fn values(&self, column: usize) -> impl Iterator<Item = f64> {
        let value = move |run: &Run| run.0.get(column).map(|figure| figure.value);
        self.runs.iter().filter_map(value)
    }

    /// By the bare loop's of the same round.
    fn ratio(&self, bare: Option<&Row>, column: usize) -> Option<Spread> {
        let bare = bare.filter(|bare| bare.peer != self.peer)?;
        let pairs = self.values(column).zip(bare.values(column));
        Spread::of(
            pairs
                .filter(|(_, bare)| *bare > 0.0)
                .map(|(own, bare)| own / bare),
        )
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.columns();
        write!(f, "| |")?;
        for column in columns {
            write!(f, " {} |", column.name)?;
            if column.show == Show::Compared {
                write!(f, " ÷ bare |")?;
            }
        }
        write!(f, "\n|---|")?;
        for column in columns {
            f.write_str(if column.show == Show::Compared {
                "---|---|"
            } else {
                "---|"
            })?;
        }
        let bare = self.rows.iter().find(|row| row.peer == Peer::Bare);
        for row in self.rows.iter().filter(|row| !row.runs.is_empty()) {
            write!(f, "\n| {} |", row.peer.title())?;
            for (index, column) in columns.iter().enumerate() {
                let Some(spread) = Spread::of(row.values(index)) else {
                    continue;
                };
                match column.show {
                    Show::Median => write!(f, " {} |", number(spread.median))?,
                    Show::Spread | Show::Compared => write!(f, " {spread} |")?,
                    Show::Sum => {
                        let sum: f64 = row.values(index).sum();
                        write!(f, " {sum:.0} |")?;
                    }
                }
                if column.show == Show::Compared {
                    match row.ratio(bare, index) {
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
        let mut table = Table::new("fan", &[Peer::Bare, Peer::Axum, Peer::Tomcat]);
        for (bare, axum) in [(1.0, 2.0), (4.0, 4.0), (8.0, 12.0)] {
            let run = |value| {
                Run::default()
                    .compared("CPU", value)
                    .median("ms", 1.5)
                    .sum("lost", 1.0)
            };
            table.add(Peer::Axum, run(axum));
            table.add(Peer::Bare, run(bare));
        }
        let expected = "| | CPU | ÷ bare | ms | lost |\n\
             |---|---|---|---|---|\n\
             | bare loop, one `write()` a delivery | 4.00 (1.00–8.00) | | 1.50 | 3 |\n\
             | axum `ws` | 4.00 (2.00–12.0) | 1.50 (1.00–2.00) | 1.50 | 3 |\n";
        assert_eq!(table.to_string(), expected);
    }
}
