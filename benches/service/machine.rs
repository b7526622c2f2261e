//! What disturbed a part of the benchmark: other programs, a hypervisor, or a machine that changed its speed.
//!
//! No figure depends on it. It helps to interpret the figures of the part.

use std::hint::black_box;
use std::time::Instant;

use crate::quantile;

/// Runs of the reference loop, of which the median counts.
const RUNS: usize = 21;
/// Rounds of the reference loop, which take about 2 ms; each part prints the exact time.
const ROUNDS: u64 = 1_000_000;

/// The state of the machine at the beginning of a part.
pub(crate) struct MachineState {
    ticks: Option<Ticks>,
    reference_ms: f64,
}

/// Processor time since the system, or this process, started, in the kernel's ticks.
#[derive(Clone, Copy)]
struct Ticks {
    /// Of all processors, idle time included.
    all: u64,
    /// Time in which a program or the kernel ran.
    busy: u64,
    /// Time in which the hypervisor ran something else although a program here was ready to run.
    stolen: u64,
    /// Time of this process and of the children that it has waited for.
    own: u64,
}

impl MachineState {
    pub(crate) fn read() -> Self {
        Self {
            reference_ms: reference_ms(),
            ticks: Ticks::now(),
        }
    }

    /// Returns what changed since then, as the end of a line.
    pub(crate) fn changes(self) -> String {
        let ticks = self.ticks.zip(Ticks::now());
        let shares = ticks.map_or_else(
            || "what other programs took is not known on this system".to_owned(),
            |(before, now)| {
                let all = (now.all - before.all).max(1) as f64;
                let own = (now.own - before.own) as f64;
                let others = ((now.busy - before.busy) as f64 - own).max(0.0);
                format!(
                    "other programs took {:.1} % of the processors and {:.1} % were stolen",
                    100.0 * others / all,
                    100.0 * (now.stolen - before.stolen) as f64 / all,
                )
            },
        );
        let after = reference_ms();
        format!(
            "{shares}; a reference loop takes {:.2} ms before and {after:.2} ms after ({:+.0} %)",
            self.reference_ms,
            100.0 * (after / self.reference_ms - 1.0),
        )
    }
}

impl Ticks {
    /// Returns none on a system without Linux's `/proc`.
    fn now() -> Option<Self> {
        let system = std::fs::read_to_string("/proc/stat").ok()?;
        let system = fields(system.lines().next()?.strip_prefix("cpu ")?);
        let [user, nice, kernel, idle, waiting, interrupts, soft, stolen] = *system.get(..8)?
        else {
            return None;
        };
        let busy = user + nice + kernel + interrupts + soft;
        // The second field, a name in parentheses, may contain blanks.
        let process = std::fs::read_to_string("/proc/self/stat").ok()?;
        let process: Vec<&str> = process.rsplit(')').next()?.split_whitespace().collect();
        // utime, stime, cutime and cstime are the 14th to 17th fields.
        let own = fields(&process.get(11..15)?.join(" ")).iter().sum();
        Some(Self {
            all: busy + idle + waiting + stolen,
            busy,
            stolen,
            own,
        })
    }
}

fn fields(line: &str) -> Vec<u64> {
    line.split_whitespace()
        .filter_map(|field| field.parse().ok())
        .collect()
}

/// Returns the milliseconds of a loop of arithmetic on one processor. They grow if the processor has become slower or
/// is shared.
fn reference_ms() -> f64 {
    let mut times: Vec<f64> = (0..RUNS)
        .map(|_| {
            let begun = Instant::now();
            black_box((0..ROUNDS).fold(black_box(1), |state: u64, round| {
                (state ^ round)
                    .wrapping_mul(0x9E37_79B9_7F4A_7C15)
                    .rotate_left(23)
            }));
            begun.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    quantile(&mut times, 0.5)
}
