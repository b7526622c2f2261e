//! Simulates the scheduler on a virtual clock, beside plainer ones, to 10⁶ requests in minutes.
//!
//! [`trace`] makes what arrives, [`device`] says what batches take, [`policies`] decide, [`world`]
//! lets it happen, [`report`] says what came of it.

mod device;
mod policies;
mod report;
#[cfg(test)]
mod tests;
mod trace;
mod world;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use device::Device;
use policies::Kind;
use report::Seen;
use trace::Trace;
use world::{Conditions, Efforts, Pauses, World};

const PAUSES_EVERY: Duration = Duration::from_secs(1);

const EXAMPLES: &str = "\
Examples:
  cargo run --release --example simulate
  cargo run --release --example simulate -- --trace abuse --load 1.5 --policy ours
  cargo run --release --example simulate -- --device gpu --load 2 --plot latency.svg
  cargo run --release --example simulate -- --trace recorded.csv --hang-up
  cargo run --release --example simulate -- --pause 300 --load 0.5

A recorded trace is CSV. Its first line is a heading; deadlines count from the arrival, and an
empty one is none:
  arrival_s,tenant,class,segments,deadline_ms
  0.000,alice,interactive,24,200
  0.013,batch-job,bulk,2400,

Columns: late was answered after its deadline; good/s and good% are answers in time, a second of
virtual time and of all offered; p50 to p99.9 are interactive latencies in ms; jain is Jain's
index of device time over the tenants that got less than they asked for, in windows of half a
second; pad is the mean part of a batch that is padding; util is the devices' busy time; enc and
seq are mean rows of encoder and sequence batches.";

/// Simulates the scheduler on a virtual clock, beside FIFO, strict priority and EDF.
#[derive(Debug, Parser)]
#[command(name = "simulate", after_help = EXAMPLES)]
struct Options {
    /// poisson, bursts, heavy, abuse (one tenant sends ten times what each other sends), or a
    /// recorded trace's file.
    #[arg(long, default_value = "poisson", value_name = "NAME|FILE")]
    trace: String,
    /// Whose costs to take.
    #[arg(long, value_enum, default_value = "cpu")]
    device: device::Kind,
    /// Offered work as a multiple of what the device can do by its cost table. A recorded trace
    /// comes as it was.
    #[arg(long, default_value_t = 0.8, allow_negative_numbers = true, value_parser = positive)]
    load: f64,
    /// How many requests, at most of a recorded trace.
    #[arg(long, default_value_t = 100_000)]
    requests: usize,
    /// Which policy.
    #[arg(long, default_value = "all", value_parser = ["all", "ours", "fifo", "priority", "edf"])]
    policy: String,
    /// How many milliseconds the server's scheduler may wait for companions.
    #[arg(long, default_value_t = 0.0, value_name = "MS", allow_negative_numbers = true, value_parser = not_negative)]
    queue_delay: f64,
    /// Callers leave at their deadline. Without this, baselines answer late.
    #[arg(long)]
    hang_up: bool,
    /// Every second of virtual time the process stands still for so many milliseconds.
    #[arg(long, default_value_t = 0.0, value_name = "MS", allow_negative_numbers = true, value_parser = not_negative)]
    pause: f64,
    /// The same seed gives the same table.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Draws how interactive latencies are distributed, as SVG.
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

fn main() -> ExitCode {
    match simulate(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("simulate: {error}");
            ExitCode::FAILURE
        }
    }
}

fn simulate(options: &Options) -> Result<(), String> {
    let mut device = Device::of(options.device);
    device.max_queue_delay = Duration::from_secs_f64(options.queue_delay / 1e3);
    let trace = match trace::Kind::named(&options.trace) {
        Some(kind) => kind.make(options.requests, options.load, &device, options.seed),
        None => trace::read(Path::new(&options.trace), options.requests)?,
    };
    let mut runs: Vec<(&str, Seen)> = Vec::new();
    let mut efforts = Vec::new();
    for kind in Kind::ALL {
        if options.policy != "all" && options.policy != kind.name() {
            continue;
        }
        let started = Instant::now();
        let (seen, effort) = run(kind, &device, &trace, options)?;
        efforts.push(format!(
            "{}, run {:.1} s",
            report::effort(kind.name(), &effort),
            started.elapsed().as_secs_f64()
        ));
        runs.push((kind.name(), seen));
    }
    print!("{}", report::table(&runs, device.instances));
    // Beside the table, which is the same each time; these are not.
    eprintln!("\nmicroseconds a call of the policy:");
    for line in efforts {
        eprintln!("{line}");
    }
    if let Some(path) = &options.plot {
        let title = match trace::Kind::named(&options.trace) {
            Some(_) => format!(
                "{} at load {} on {:?}",
                options.trace, options.load, options.device
            ),
            None => options.trace.clone(),
        };
        report::plot(path, &title, &runs)?;
    }
    Ok(())
}

fn run(
    kind: Kind,
    device: &Device,
    trace: &Trace,
    options: &Options,
) -> Result<(Seen, Efforts), String> {
    let bar = ProgressBar::with_draw_target(
        Some(trace.requests.len() as u64),
        ProgressDrawTarget::hidden(),
    );
    if let Ok(style) =
        ProgressStyle::with_template("{msg:9} {wide_bar} {human_pos} of {human_len}, {eta} left")
    {
        bar.set_style(style);
    }
    bar.set_message(kind.name());
    let started = Instant::now();
    let policy = kind.start(device);
    let pauses = (options.pause > 0.0).then(|| Pauses {
        every: PAUSES_EVERY,
        length: Duration::from_secs_f64(options.pause / 1e3),
    });
    let conditions = Conditions {
        hang_up: options.hang_up,
        pauses,
        seed: options.seed,
    };
    let world = World::new(device, trace, policy, conditions);
    let result = world.run(|arrived| {
        if arrived % 4_096 == 0 {
            // A short run needs no bar.
            if bar.is_hidden() && started.elapsed() > Duration::from_secs(1) {
                bar.set_draw_target(ProgressDrawTarget::stderr());
            }
            bar.set_position(arrived as u64);
        }
    });
    bar.finish_and_clear();
    result.map_err(|error| format!("{}: {error}", kind.name()))
}

fn not_negative(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|error| format!("{error}"))?;
    match (0.0..1e6).contains(&number) {
        true => Ok(number),
        false => Err("0 to 1000000 are possible".into()),
    }
}

fn positive(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|error| format!("{error}"))?;
    match number.is_finite() && number > 0.0 {
        true => Ok(number),
        false => Err("a number above 0 is needed".into()),
    }
}
