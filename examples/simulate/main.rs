//! Simulates the server's scheduler and simpler ones on a virtual clock, 10⁶ requests in minutes.
//!
//! [`trace`] gives the requests that arrive, [`device`] what batches cost, and [`policies`] the schedulers. [`world`]
//! runs a simulation, and [`report`] prints its results.

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

use device::{Device, DeviceKind};
use policies::PolicyKind;
use report::Results;
use trace::{Trace, Workload};
use world::{Conditions, Efforts, Pauses, World};

const PAUSES_EVERY: Duration = Duration::from_secs(1);

const EXAMPLES: &str = "\
Examples:
  cargo run --release --example simulate
  cargo run --release --example simulate -- --trace abuse --load 1.5 --policy ours
  cargo run --release --example simulate -- --device gpu --load 2 --plot latency.svg
  cargo run --release --example simulate -- --trace recorded.csv --hang-up
  cargo run --release --example simulate -- --pause 300 --load 0.5

A recorded trace is CSV with a heading as its first line. Deadlines count from the arrival. An empty
field means that the request has no deadline:
  arrival_s,tenant,class,segments,deadline_ms
  0.000,alice,interactive,24,200
  0.013,batch-job,bulk,2400,

Columns:
  late            answers after their deadline
  good/s, good%   answers in time: for each second of virtual time, and of all requests
  p50 to p99.9    latencies of interactive requests, in ms
  jain            Jain's index of device time over the tenants that got less than they wanted, in
                  windows of half a second
  pad             the mean part of a batch that is padding
  util            the part of the time in which the devices were busy
  enc, seq        mean rows of encoder and sequence batches";

/// Simulates the server's scheduler on a virtual clock, and FIFO, strict priority and EDF for comparison.
#[derive(Debug, Parser)]
#[command(name = "simulate", after_help = EXAMPLES)]
struct Options {
    /// poisson, bursts, heavy, abuse (one tenant sends ten times as much as each other), or the file of a
    /// recorded trace.
    #[arg(long, default_value = "poisson", value_name = "NAME|FILE")]
    trace: String,
    /// The device to simulate.
    #[arg(long, value_enum, default_value = "cpu")]
    device: DeviceKind,
    /// Offered work as a multiple of what the device can do by its cost table. It does not change a recorded
    /// trace.
    #[arg(long, default_value_t = 0.8, allow_negative_numbers = true, value_parser = positive)]
    load: f64,
    /// The number of requests; of a recorded trace, at most so many.
    #[arg(long, default_value_t = 100_000)]
    requests: usize,
    /// The policy to simulate.
    #[arg(long, default_value = "all", value_parser = ["all", "ours", "fifo", "priority", "edf"])]
    policy: String,
    /// How many milliseconds the server's scheduler may wait for further members of a batch.
    #[arg(long, default_value_t = 0.0, value_name = "MS", allow_negative_numbers = true, value_parser = not_negative)]
    queue_delay: f64,
    /// Callers leave at their deadline. Otherwise the simpler policies answer late.
    #[arg(long)]
    hang_up: bool,
    /// The process stands still for so many milliseconds in every second of virtual time.
    #[arg(long, default_value_t = 0.0, value_name = "MS", allow_negative_numbers = true, value_parser = not_negative)]
    pause: f64,
    /// The same seed gives the same table.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Draws the distribution of interactive latencies as SVG.
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
    let trace = match Workload::named(&options.trace) {
        Some(workload) => workload.make(options.requests, options.load, &device, options.seed),
        None => trace::read(Path::new(&options.trace), options.requests)?,
    };
    let mut runs: Vec<(&str, Results)> = Vec::new();
    let mut efforts = Vec::new();
    for kind in PolicyKind::ALL {
        if options.policy != "all" && options.policy != kind.name() {
            continue;
        }
        let started = Instant::now();
        let (results, effort) = run(kind, &device, &trace, options)?;
        efforts.push(format!(
            "{}, run {:.1} s",
            report::effort(kind.name(), &effort),
            started.elapsed().as_secs_f64()
        ));
        runs.push((kind.name(), results));
    }
    print!("{}", report::table(&runs, device.instances));
    // On stderr, because these differ each time, unlike the table.
    eprintln!("\nmicroseconds a call of the policy:");
    for line in efforts {
        eprintln!("{line}");
    }
    if let Some(path) = &options.plot {
        let title = match Workload::named(&options.trace) {
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
    kind: PolicyKind,
    device: &Device,
    trace: &Trace,
    options: &Options,
) -> Result<(Results, Efforts), String> {
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
    if (0.0..1e6).contains(&number) {
        Ok(number)
    } else {
        Err("a number from 0 to 1000000 is needed".into())
    }
}

fn positive(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|error| format!("{error}"))?;
    if number.is_finite() && number > 0.0 {
        Ok(number)
    } else {
        Err("a number above 0 is needed".into())
    }
}
