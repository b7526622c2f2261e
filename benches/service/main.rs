//! What the service keeps of the raw runtime, and what it promises under load: `cargo bench --bench
//! service`. Figures are ratios to a reference in the same run, one a line at the end; the lines
//! before say what they come from. Takes about five minutes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a benchmark that cannot run has nothing to report"
)]

mod caller;
#[path = "../../tests/common/mod.rs"]
mod common;
mod idle;
mod load;
mod saturated;
mod speech;

type Figures = Vec<(&'static str, String)>;

type Part = (&'static str, fn() -> Figures);

/// The parts; naming some on the command line runs these alone.
const PARTS: [Part; 4] = [
    ("saturated", saturated::measure),
    ("idle", idle::measure),
    ("overload", load::overload),
    ("neighbours", load::neighbours),
];

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let asked = |name: &str| wanted.iter().any(|wanted| wanted == name);
    let all = !PARTS.iter().any(|(name, _)| asked(name));
    let parts = PARTS.iter().filter(|(name, _)| all || asked(name));
    let figures: Figures = parts.flat_map(|(_, measure)| measure()).collect();
    for (name, value) in figures {
        println!("{name} {value}");
    }
}

/// The value below which a share of the values lies.
fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = (share * values.len() as f64) as usize;
    values
        .get(place.min(values.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}
