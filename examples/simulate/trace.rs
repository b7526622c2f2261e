//! Traces: which requests arrive when. They are generated from a seed, or read from a recording.

use std::path::Path;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use undertone::scheduler::core::{Class, CostTable, Work};

use crate::device::Device;

/// Seconds of audio for each segment.
const HOP: f64 = 0.128;
const DEADLINE: Duration = Duration::from_millis(200);
const TENANTS: usize = 8;
/// The part of the requests that are recordings of minutes.
const RECORDINGS: f64 = 0.01;
/// In a burst, the rate of arrivals is this many times the mean.
const BURST_RATE: f64 = 4.0;
/// The part of the time that bursts take.
const BURST_PART: f64 = 0.2;
/// Length of a burst, in seconds.
const BURST_LENGTH: f64 = 0.5;

/// An utterance or a recording.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Request {
    pub(crate) arrival: Duration,
    /// Its place in [`Trace::tenants`].
    pub(crate) tenant: usize,
    pub(crate) class: Class,
    /// Segments to encode, and steps of the sequence after that.
    pub(crate) segments: usize,
    /// Counted from its arrival.
    pub(crate) deadline: Option<Duration>,
}

impl Request {
    pub(crate) fn work(&self) -> Work {
        Work {
            segments: self.segments,
            steps: self.segments,
        }
    }

    /// Returns the instant after which an answer is late.
    pub(crate) fn due(&self) -> Option<Duration> {
        self.deadline.map(|deadline| self.arrival + deadline)
    }
}

/// Requests in the order of their arrival.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    pub(crate) tenants: Vec<String>,
    pub(crate) requests: Vec<Request>,
}

/// A kind of generated trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workload {
    Poisson,
    Bursts,
    Heavy,
    Abuse,
}

impl Workload {
    /// Returns the workload of that name, if there is one.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "poisson" => Self::Poisson,
            "bursts" => Self::Bursts,
            "heavy" => Self::Heavy,
            "abuse" => Self::Abuse,
            _ => return None,
        })
    }

    /// Returns so many requests that offer `load` times the work that the device can do by its cost table.
    pub(crate) fn make(self, requests: usize, load: f64, device: &Device, seed: u64) -> Trace {
        let mut random = StdRng::seed_from_u64(seed);
        let mut made: Vec<Request> = (0..requests).map(|_| self.request(&mut random)).collect();
        let needed: Duration = made
            .iter()
            .map(|request| predicted(&device.costs, device.max_batch_time, request))
            .sum();
        let span = needed.as_secs_f64() / (device.instances as f64 * load);
        let gap = span / requests.max(1) as f64;
        let mut now = 0.0;
        for request in &mut made {
            now += self.gap(now, gap, &mut random);
            request.arrival = Duration::from_secs_f64(now);
        }
        Trace {
            tenants: (0..TENANTS).map(|n| format!("tenant-{n}")).collect(),
            requests: made,
        }
    }

    fn request(self, random: &mut StdRng) -> Request {
        let seconds = match self {
            // Pareto with shape 1.2: the mean is finite, the variance is not.
            Self::Heavy => (1.0 - random.random::<f64>()).powf(-1.0 / 1.2).min(600.0),
            _ if random.random_bool(RECORDINGS) => random.random_range(60.0..600.0),
            _ => random.random_range(1.0..8.0),
        };
        let tenant = match self {
            Self::Abuse => random.random_range(0..TENANTS + 9).saturating_sub(9),
            _ => random.random_range(0..TENANTS),
        };
        let interactive = seconds < 30.0;
        Request {
            arrival: Duration::ZERO,
            tenant,
            class: if interactive {
                Class::Interactive
            } else {
                Class::Bulk
            },
            segments: (seconds / HOP).ceil() as usize,
            deadline: interactive.then_some(DEADLINE),
        }
    }

    /// Returns the time to the next arrival. It is exponentially distributed, with a mean that bursts change.
    fn gap(self, now: f64, mean: f64, random: &mut StdRng) -> f64 {
        let rate = match self {
            Self::Bursts if now % (BURST_LENGTH / BURST_PART) < BURST_LENGTH => BURST_RATE,
            Self::Bursts => (1.0 - BURST_RATE * BURST_PART) / (1.0 - BURST_PART),
            _ => 1.0,
        };
        -(1.0 - random.random::<f64>()).ln() * mean / rate
    }
}

/// Reads a recorded trace: CSV with a heading, as the command's help describes.
///
/// # Errors
/// The file, or the line, that cannot be read.
pub(crate) fn read(path: &Path, most: usize) -> Result<Trace, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read the trace {}: {error}", path.display()))?;
    let mut trace = Trace::default();
    for (number, line) in text.lines().enumerate().skip(1).take(most) {
        if line.trim().is_empty() {
            continue;
        }
        let request = parse(line, &mut trace.tenants)
            .ok_or_else(|| format!("{}:{}: cannot read `{line}`", path.display(), number + 1))?;
        trace.requests.push(request);
    }
    trace.requests.sort_by_key(|request| request.arrival);
    Ok(trace)
}

fn parse(line: &str, tenants: &mut Vec<String>) -> Option<Request> {
    let mut fields = line.split(',').map(str::trim);
    let mut next = || fields.next();
    let arrival = Duration::try_from_secs_f64(next()?.parse().ok()?).ok()?;
    let name = next()?;
    let class = match next()? {
        "interactive" => Class::Interactive,
        "bulk" => Class::Bulk,
        _ => return None,
    };
    let segments = next()?.parse().ok().filter(|segments| *segments > 0)?;
    let deadline = match next()? {
        "" => None,
        millis => Some(Duration::try_from_secs_f64(millis.parse::<f64>().ok()? / 1e3).ok()?),
    };
    let place = tenants.iter().position(|tenant| tenant == name);
    let tenant = place.unwrap_or_else(|| {
        tenants.push(name.to_owned());
        tenants.len() - 1
    });
    Some(Request {
        arrival,
        tenant,
        class,
        segments,
        deadline,
    })
}

fn predicted(costs: &CostTable, most: Duration, request: &Request) -> Duration {
    costs.predict(request.work(), most)
}
