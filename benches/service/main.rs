//! What the service keeps of the raw runtime, and what it promises under load: `cargo bench --bench
//! service`. Figures are ratios to a reference in the same run, one a line at the end; the lines
//! before say what they come from, and what disturbed each part. Takes about seven minutes.
//!
//! `-- PART …` runs these parts alone, and `-- quick` one round of each, which shows that all of it runs.
//! Nothing is asserted of speed: a part that fails is named, and the others run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a benchmark that cannot run has nothing to report"
)]

mod caller;
#[path = "../../tests/common/mod.rs"]
mod common;
mod fairness;
mod idle;
mod load;
mod machine;
mod saturated;
mod speech;

use std::process::ExitCode;

type Figures = Vec<(&'static str, String)>;

struct Part {
    name: &'static str,
    rounds: usize,
    measure: fn(usize) -> Figures,
}

const PARTS: [Part; 5] = [
    Part {
        name: "saturated",
        rounds: saturated::ROUNDS,
        measure: saturated::measure,
    },
    Part {
        name: "idle",
        rounds: idle::ROUNDS,
        measure: idle::measure,
    },
    Part {
        name: "overload",
        rounds: load::ROUNDS,
        measure: load::overload,
    },
    Part {
        name: "neighbours",
        rounds: load::ROUNDS,
        measure: load::neighbours,
    },
    Part {
        name: "fairness",
        rounds: fairness::ROUNDS,
        measure: fairness::measure,
    },
];

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let asked = |name: &str| wanted.iter().any(|wanted| wanted == name);
    let (all, quick) = (!PARTS.iter().any(|part| asked(part.name)), asked("quick"));
    let (mut figures, mut failed) = (Figures::new(), Vec::new());
    for part in PARTS.iter().filter(|part| all || asked(part.name)) {
        let before = machine::Before::look();
        let (measure, rounds) = (part.measure, if quick { 1 } else { part.rounds });
        // On a thread of its own: the niceness that a part gives its callers is not the next one's server's.
        let measured = std::thread::spawn(move || measure(rounds)).join();
        println!("{}: meanwhile {}", part.name, before.since());
        match measured {
            Ok(measured) => figures.extend(measured),
            Err(_) => failed.push(part.name),
        }
    }
    for (name, value) in figures {
        println!("{name} {value}");
    }
    for name in &failed {
        println!("{name}: failed; its message is above");
    }
    match failed.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
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
