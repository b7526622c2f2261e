//! The results of a simulation, as a row of the table and a curve of the plot.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use plotters::prelude::*;
use undertone::scheduler::core::{Class, JobId, PerGraph, Time};

use crate::policies::PolicyBatch;
use crate::trace::Trace;
use crate::world::{Effort, Efforts, RequestEnd, filling};

/// Fairness is measured over windows of this length.
const WINDOW: Duration = Duration::from_millis(500);
/// A tenant is backlogged in a window if more than this part of its requests that ended there were not answered in
/// time: they were refused, expired, evicted or late.
const BACKLOGGED: f64 = 0.05;

/// What one tenant got in a window.
#[derive(Clone, Copy, Debug, Default)]
struct Portion {
    device: Duration,
    ended: usize,
    not_in_time: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Batches {
    count: usize,
    rows: usize,
    /// The sum over batches of the part that is padding.
    padding: f64,
}

/// The results of one simulation.
#[derive(Clone, Debug)]
pub(crate) struct Results {
    trace: Trace,
    /// How each request ended.
    pub(crate) ends: Vec<Option<RequestEnd>>,
    windows: BTreeMap<u128, Vec<Portion>>,
    batches: PerGraph<Batches>,
    busy: Duration,
    span: Duration,
}

impl Results {
    pub(crate) fn new(trace: &Trace) -> Self {
        Self {
            trace: trace.clone(),
            ends: vec![None; trace.requests.len()],
            windows: BTreeMap::new(),
            batches: Default::default(),
            busy: Duration::ZERO,
            span: Duration::ZERO,
        }
    }

    /// Records how a request ended.
    ///
    /// # Errors
    /// It had ended before.
    pub(crate) fn ended(&mut self, id: JobId, now: Time, end: RequestEnd) -> Result<(), String> {
        let number = id.0 as usize;
        if let Some(before) = self.ends[number].replace(end) {
            return Err(format!("{id:?} ended twice: {before:?}, {end:?}"));
        }
        let in_time = self.in_time(number);
        let tenant = self.trace.requests[number].tenant;
        let portion = self.portion(now, tenant);
        portion.ended += 1;
        portion.not_in_time += usize::from(!in_time);
        Ok(())
    }

    /// Records the start of a batch that takes so long.
    pub(crate) fn started(&mut self, now: Time, batch: &PolicyBatch, took: Duration) {
        let (items, capacity) = filling(batch);
        let batches = &mut self.batches[batch.graph];
        batches.count += 1;
        batches.rows += batch.rows();
        batches.padding += 1.0 - items as f64 / capacity as f64;
        self.busy += took;
        let row = took.div_f64(batch.rows().max(1) as f64);
        for member in &batch.members {
            let tenant = self.trace.requests[member.job.0 as usize].tenant;
            self.portion(now, tenant).device += row * batch.rows_of(member) as u32;
        }
    }

    /// Records when the last request ended.
    pub(crate) fn finish(&mut self, now: Time) {
        self.span = now;
    }

    fn portion(&mut self, now: Time, tenant: usize) -> &mut Portion {
        let tenants = self.trace.tenants.len();
        let window = self.windows.entry(now.as_nanos() / WINDOW.as_nanos());
        &mut window.or_insert_with(|| vec![Portion::default(); tenants])[tenant]
    }

    fn in_time(&self, number: usize) -> bool {
        let Some(RequestEnd::Answered(latency)) = self.ends[number] else {
            return false;
        };
        let deadline = self.trace.requests[number].deadline;
        deadline.is_none_or(|deadline| latency <= deadline)
    }

    /// Returns the latencies of the answered requests of a class in milliseconds, ascending.
    fn latencies(&self, class: Class) -> Vec<f64> {
        let requests = self.trace.requests.iter().zip(&self.ends);
        let mut latencies: Vec<f64> = requests
            .filter(|(request, _)| request.class == class)
            .filter_map(|(_, end)| match end {
                Some(RequestEnd::Answered(latency)) => Some(latency.as_secs_f64() * 1e3),
                _ => None,
            })
            .collect();
        latencies.sort_by(f64::total_cmp);
        latencies
    }

    /// Returns Jain's index of device time over the backlogged tenants of each window, averaged over the windows that
    /// have any. 1 is fair. All tenants have the same weight.
    pub(crate) fn fairness(&self) -> f64 {
        let indices: Vec<f64> = self
            .windows
            .values()
            .filter_map(|tenants| {
                let backlogged = tenants.iter().filter(|portion| {
                    portion.not_in_time as f64 > BACKLOGGED * portion.ended as f64
                });
                let times: Vec<f64> = backlogged
                    .map(|portion| portion.device.as_secs_f64())
                    .collect();
                (!times.is_empty()).then(|| jain(&times))
            })
            .collect();
        if indices.is_empty() {
            1.0
        } else {
            indices.iter().sum::<f64>() / indices.len() as f64
        }
    }

    fn count(&self, is: impl Fn(&RequestEnd) -> bool) -> usize {
        self.ends.iter().flatten().filter(|end| is(end)).count()
    }

    fn row(&self, name: &str, instances: usize) -> String {
        let answered = self.count(|end| matches!(end, RequestEnd::Answered(_)));
        let in_time = (0..self.ends.len()).filter(|n| self.in_time(*n)).count();
        let span = self.span.as_secs_f64().max(1e-9);
        let interactive = self.latencies(Class::Interactive);
        let bulk = self.latencies(Class::Bulk);
        let PerGraph { encoder, sequence } = self.batches;
        let batches = (encoder.count + sequence.count).max(1) as f64;
        let mean = |batches: Batches| batches.rows as f64 / batches.count.max(1) as f64;
        format!(
            "{name:<9}{answered:>9}{:>8}{:>8}{:>8}{:>8}{:>9.0}{:>7.1}{:>8.1}{:>9.1}{:>9.1}{:>10.1}{:>10.1}{:>7.3}{:>7.3}{:>7.3}{:>7.1}{:>7.1}",
            answered - in_time,
            self.count(|end| *end == RequestEnd::Refused),
            self.count(|end| *end == RequestEnd::Expired),
            self.count(|end| *end == RequestEnd::Evicted),
            in_time as f64 / span,
            100.0 * in_time as f64 / self.ends.len().max(1) as f64,
            quantile(&interactive, 0.5),
            quantile(&interactive, 0.99),
            quantile(&interactive, 0.999),
            quantile(&bulk, 0.5),
            quantile(&bulk, 0.99),
            self.fairness(),
            (encoder.padding + sequence.padding) / batches,
            self.busy.as_secs_f64() / (span * instances as f64),
            mean(encoder),
            mean(sequence),
        )
    }
}

/// Returns the table, with a row for each policy.
pub(crate) fn table(runs: &[(&str, Results)], instances: usize) -> String {
    let mut table = format!(
        "{:<9}{:>9}{:>8}{:>8}{:>8}{:>8}{:>9}{:>7}{:>8}{:>9}{:>9}{:>10}{:>10}{:>7}{:>7}{:>7}{:>7}{:>7}\n",
        "policy",
        "answered",
        "late",
        "refused",
        "expired",
        "evicted",
        "good/s",
        "good%",
        "p50",
        "p99",
        "p99.9",
        "bulk p50",
        "bulk p99",
        "jain",
        "pad",
        "util",
        "enc",
        "seq",
    );
    for (name, results) in runs {
        table.push_str(&results.row(name, instances));
        table.push('\n');
    }
    table
}

/// Returns the real time of a policy's decisions, for each kind of call: the mean and the longest.
pub(crate) fn effort(name: &str, efforts: &Efforts) -> String {
    let kinds = [
        ("job", efforts.job),
        ("entry", efforts.entry),
        ("poll", efforts.poll),
        ("done", efforts.done),
        ("leave", efforts.leave),
    ];
    let mut line = format!("{name:<9}");
    let (mut calls, mut total) = (0, Duration::ZERO);
    for (kind, effort) in kinds {
        let Effort { longest, .. } = effort;
        let _ = write!(
            line,
            " {kind} {:.2} (longest {:.0})",
            micros(effort.total, effort.calls),
            longest.as_secs_f64() * 1e6
        );
        calls += effort.calls;
        total += effort.total;
    }
    let _ = write!(line, ", all {:.2} of {calls} calls", micros(total, calls));
    line
}

fn micros(total: Duration, calls: u64) -> f64 {
    total.as_secs_f64() * 1e6 / calls.max(1) as f64
}

/// Draws which part of all interactive requests was answered within a time. Refused requests are included.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn plot(path: &Path, title: &str, runs: &[(&str, Results)]) -> Result<(), String> {
    draw(path, title, runs)
        .map_err(|error| format!("cannot draw the plot {}: {error}", path.display()))
}

fn draw(
    path: &Path,
    title: &str,
    runs: &[(&str, Results)],
) -> Result<(), Box<dyn std::error::Error>> {
    let curves: Vec<_> = runs
        .iter()
        .map(|(name, results)| {
            let offered = results.trace.requests.iter();
            let offered = offered.filter(|request| request.class == Class::Interactive);
            (
                *name,
                results.latencies(Class::Interactive),
                offered.count(),
            )
        })
        .collect();
    let ends = |pick: fn(&Vec<f64>) -> Option<&f64>| {
        let ends = curves.iter().filter_map(move |(_, curve, _)| pick(curve));
        ends.copied()
    };
    let least = ends(|curve| curve.first()).fold(f64::INFINITY, f64::min);
    let most = ends(|curve| curve.last()).fold(0.0, f64::max);
    let (least, most) = if least < most {
        (least, most)
    } else {
        (1.0, 1_000.0)
    };
    let area = SVGBackend::new(path, (960, 600)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 22))
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(56)
        .build_cartesian_2d((least..most).log_scale(), 0.0..1.0)?;
    chart
        .configure_mesh()
        .x_desc("latency of interactive requests, ms")
        .y_desc("part of those offered")
        .x_label_formatter(&|millis| format!("{millis:.0}"))
        .draw()?;
    for (number, (name, curve, offered)) in curves.iter().enumerate() {
        let colour = Palette99::pick(number).mix(1.0);
        let points = (0..=500).filter_map(|point| {
            let place = (curve.len().checked_sub(1)? * point) / 500;
            Some((curve[place], (place + 1) as f64 / (*offered).max(1) as f64))
        });
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK)
        .draw()?;
    area.present()?;
    Ok(())
}

/// Returns a quantile of ascending values; 0 if there are none.
fn quantile(values: &[f64], part: f64) -> f64 {
    let place = (values.len() as f64 * part).ceil() as usize;
    values.get(place.max(1) - 1).copied().unwrap_or_default()
}

/// Returns Jain's index: 1 if all n values are equal, 1 / n if one has everything.
fn jain(values: &[f64]) -> f64 {
    let sum: f64 = values.iter().sum();
    let squares: f64 = values.iter().map(|value| value * value).sum();
    if squares > 0.0 {
        sum * sum / (values.len() as f64 * squares)
    } else {
        1.0
    }
}
