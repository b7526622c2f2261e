//! Benchmarks of the service against the raw runtime, and of the service under load: `cargo bench --bench service`.
//!
//! Figures are ratios to a reference in the same run, one on each line at the end. The lines before state where they
//! come from and what disturbed each part. All parts take about seven minutes.
//!
//! `-- PART …` runs these parts alone. `-- quick` runs one round of each, which shows that all parts work. No speed
//! is asserted. A part that fails is named, and the others still run.

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
    let is_wanted = |name: &str| wanted.iter().any(|wanted| wanted == name);
    let all = !PARTS.iter().any(|part| is_wanted(part.name));
    let quick = is_wanted("quick");
    let (mut figures, mut failed) = (Figures::new(), Vec::new());
    for part in PARTS.iter().filter(|part| all || is_wanted(part.name)) {
        let before = machine::MachineState::read();
        let (measure, rounds) = (part.measure, if quick { 1 } else { part.rounds });
        // On a thread of its own, because a part changes the niceness of its callers, and the server of the next part
        // must not inherit it.
        let measured = std::thread::spawn(move || measure(rounds)).join();
        println!("{}: meanwhile {}", part.name, before.changes());
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
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Returns the value below which a part of the values lies.
fn quantile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = (part * values.len() as f64) as usize;
    values
        .get(place.min(values.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}
