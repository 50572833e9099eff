//! `results.svg`: the first figure of each server as a dot, with its least and most as a line.

use std::fmt::Write;

use load::report::number;

use super::{peer::Peer, table::Table};

const WIDTH: f64 = 720.0;
const LABELS: f64 = 230.0;
const RIGHT: f64 = 70.0;
const TOP: f64 = 54.0;
const ROW: f64 = 26.0;

/// Colours that are readable on white and on black; where the reader's choice is known, better ones.
const STYLE: &str = "\
text{font:13px system-ui,sans-serif;fill:#6e7781}.t{font-weight:600}.g{stroke:#8884}.o{fill:#8b949e;stroke:#8b949e}\
.f{fill:#bf8700;stroke:#bf8700}.m{fill:#1a7f64;stroke:#1a7f64}line{stroke-width:3;stroke-linecap:round;stroke-opacity:.45}\
line.g{stroke-width:1;stroke-opacity:1}line.d{stroke-dasharray:3 4;stroke-width:1.5}\
@media(prefers-color-scheme:dark){text{fill:#c9d1d9}.m{fill:#3fb68b;stroke:#3fb68b}.f{fill:#e3b341;stroke:#e3b341}}\
@media(prefers-color-scheme:light){text{fill:#24292f}}";

pub(super) fn plot(table: &Table) -> String {
    let mut rows: Vec<_> = table.first_figure().collect();
    rows.sort_by(|(_, one), (_, other)| one.median.total_cmp(&other.median));
    let most = rows
        .iter()
        .map(|(_, spread)| spread.most)
        .fold(1.0, f64::max);
    let step = step(most);
    let end = (most / step).ceil() * step;
    let x = |value: f64| LABELS + value / end * (WIDTH - LABELS - RIGHT);
    let bottom = TOP + ROW * rows.len() as f64;
    let height = bottom + 30.0;

    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"><title>{0}: CPU microseconds per delivery</title><style>{STYLE}</style><text class="t" x="12" y="22">Server CPU µs per delivery: {0}</text><text x="12" y="40">median, least and most; less is better</text>"#,
        table.title
    );
    let mut draw = |shape: std::fmt::Arguments<'_>| {
        // Writing to a string does not fail.
        let _ = svg.write_fmt(shape);
    };
    for tick in 0..=(end / step).round() as u32 {
        let value = f64::from(tick) * step;
        let x = x(value);
        draw(format_args!(
            r#"<line class="g" x1="{x:.1}" y1="{TOP}" x2="{x:.1}" y2="{bottom}"/><text x="{x:.1}" y="{:.1}" text-anchor="middle">{value:.0}</text>"#,
            bottom + 18.0
        ));
    }
    if let Some((_, bare)) = rows.iter().find(|(peer, _)| *peer == Peer::Bare) {
        let x = x(bare.median);
        draw(format_args!(
            r#"<line class="d f" x1="{x:.1}" y1="{TOP}" x2="{x:.1}" y2="{bottom}"/>"#
        ));
    }
    for (row, (peer, spread)) in rows.iter().enumerate() {
        let y = TOP + ROW * (row as f64 + 0.5);
        let class = match peer {
            Peer::Bare | Peer::BareGather => "f",
            _ if peer.is_madang() => "m",
            _ => "o",
        };
        draw(format_args!(
            r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{}</text><line class="{class}" x1="{:.1}" y1="{y:.1}" x2="{:.1}" y2="{y:.1}"/><circle class="{class}" cx="{:.1}" cy="{y:.1}" r="5.5"/><text x="{:.1}" y="{:.1}">{}</text>"#,
            LABELS - 12.0,
            y + 4.5,
            peer.title().replace(['*', '`'], ""),
            x(spread.least),
            x(spread.most),
            x(spread.median),
            x(spread.most) + 12.0,
            y + 4.5,
            number(spread.median)
        ));
    }
    svg + "</svg>\n"
}

/// Between lines of the grid, so that there are about six.
fn step(most: f64) -> f64 {
    let rough = most / 6.0;
    let power = 10_f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .map(|times| times * power)
        .into_iter()
        .find(|step| *step >= rough)
        .unwrap_or(rough)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rivals::table::Run;

    #[test]
    fn the_grid_has_round_numbers() {
        assert_eq!([4.3, 19.0, 40.0, 90.0].map(step), [1.0, 5.0, 10.0, 20.0]);
    }

    #[test]
    fn every_server_that_was_measured_is_drawn() {
        let mut table = Table::new("rooms", &[Peer::Bare, Peer::Ws, Peer::Tomcat]);
        table.add(Peer::Bare, Run::default().compared("CPU", 6.0));
        table.add(Peer::Ws, Run::default().compared("CPU", 14.2));
        let svg = plot(&table);
        assert_eq!(svg.matches("<circle").count(), 2);
        assert!(svg.contains(">Node ws<") && svg.contains(">14.2<"));
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    }
}
