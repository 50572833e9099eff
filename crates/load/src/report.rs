//! What a scenario measured, as a table or as JSON.

use std::{fmt, time::Duration};

use serde::Serialize;

use crate::process::Usage;

/// One scenario's figures.
#[derive(Debug, Serialize)]
pub struct Report {
    scenario: String,
    figures: Vec<Figure>,
    /// What a search tried.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    steps: Vec<Step>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

/// A rate that a search tried.
#[derive(Debug, Serialize)]
struct Step {
    rate: f64,
    kept_up: bool,
    outcome: String,
    p99_ms: f64,
}

#[derive(Debug, Serialize)]
struct Figure {
    name: &'static str,
    value: f64,
    unit: &'static str,
}

impl Report {
    /// Of the scenario that `scenario` describes.
    pub fn new(scenario: String) -> Self {
        Self {
            scenario,
            figures: Vec::new(),
            steps: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Adds a line.
    pub fn add(mut self, name: &'static str, value: f64, unit: &'static str) -> Self {
        self.figures.push(Figure { name, value, unit });
        self
    }

    /// Adds a rate that was tried.
    pub(crate) fn step(mut self, rate: f64, kept_up: bool, outcome: &str, p99_ms: f64) -> Self {
        self.steps.push(Step {
            rate,
            kept_up,
            outcome: outcome.to_owned(),
            p99_ms,
        });
        self
    }

    /// Adds a sentence.
    pub(crate) fn note(mut self, note: &str) -> Self {
        self.notes.push(note.to_owned());
        self
    }

    /// Adds a line if there is something to say.
    pub fn add_some(self, name: &'static str, value: Option<f64>, unit: &'static str) -> Self {
        match value {
            Some(value) => self.add(name, value, unit),
            None => self,
        }
    }

    /// What the processors did during `took`: the last lines of every report.
    pub fn add_usage(self, usage: Usage, took: Duration) -> Self {
        let share = |used: Duration| used.as_secs_f64() / took.as_secs_f64() * 100.0;
        self.add_some("server CPU", usage.of_server().map(share), "% of a core")
            .add("generator CPU", share(usage.generator), "% of a core")
            .add("others' CPU", share(usage.others), "% of a core")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.scenario)?;
        for Figure { name, value, unit } in &self.figures {
            writeln!(f, "  {name:<28}{:>12} {unit}", number(*value))?;
        }
        for step in &self.steps {
            let (rate, p99) = (number(step.rate), number(step.p99_ms));
            writeln!(f, "  tried {rate:>12} /s: {}, p99 {p99} ms", step.outcome)?;
        }
        for note in &self.notes {
            writeln!(f, "  {note}")?;
        }
        Ok(())
    }
}

/// A value with about three digits that mean something, and its thousands apart.
pub fn number(value: f64) -> String {
    if value < 10.0 {
        return format!("{value:.2}");
    }
    if value < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut apart = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            apart.push(',');
        }
        apart.push(digit);
    }
    apart
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_shows_as_many_digits_as_mean_something() {
        for (value, text) in [
            (0.0, "0.00"),
            (6.704, "6.70"),
            (12.34, "12.3"),
            (999.4, "999"),
            (1000.0, "1,000"),
            (49_999.7, "50,000"),
            (1_234_567.0, "1,234,567"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_table_has_one_line_a_figure() {
        let report = Report::new("rooms: small".to_owned())
            .add("deliveries", 50_012.0, "/s")
            .add("ok p99", 3.21, "ms");
        assert_eq!(
            report.to_string(),
            "rooms: small\n  \
             deliveries                        50,012 /s\n  \
             ok p99                              3.21 ms\n"
        );
    }
}
