//! The definition of every metric: name, kind, unit, labels, buckets and description.
//!
//! [`METRICS`] is the one list. The descriptions at `/metrics`, the buckets and `docs/metrics.md` come from it.

use std::time::Duration;

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use super::names::{
    ABSTAINED, AUDIO, BATCH_CALLERS, BATCH_COST_ERROR, BATCH_DURATION, BATCH_PADDING, BATCH_SIZE,
    BATCHES, CANCELLED, COST, DECISIONS, DECODE_DURATION, DEVICE_BUSY, EVICTED, EXPIRED,
    QUEUE_BYTES, QUEUE_DEVICE, QUEUE_DURATION, QUEUE_ENTRIES, REFUSED, REQUEST_DURATION, REQUESTS,
    REQUESTS_IN_FLIGHT, STALLS,
};

const MODEL_INFO: &str = "undertone_model_info";
const BUILD_INFO: &str = "undertone_build_info";

/// Buckets of durations: from 50 µs (a small batch) to 30 s (an hour of audio).
const SECONDS: [f64; 18] = [
    5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0,
];
/// Buckets of a batch's rows and callers: powers of two. The largest batch has 32 rows on a CPU, 128 on a GPU.
const ROWS: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];
/// Buckets of a run's cost divided by its prediction: 1 means that the prediction was exact.
const ERROR: [f64; 9] = [0.25, 0.5, 0.7, 0.9, 1.1, 1.5, 2.0, 4.0, 10.0];
/// Buckets of ratios from 0 to 1.
const RATIO: [f64; 6] = [0.0, 0.1, 0.2, 0.3, 0.5, 0.75];

/// Interval at which histograms are moved into their buckets, so that their memory stays bounded without a scrape.
pub const UPKEEP: Duration = Duration::from_secs(5);

/// A metric of this process.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name at `/metrics`.
    pub name: &'static str,
    /// What is recorded.
    pub kind: MetricKind,
    /// What one of it is; a number or a ratio if left out.
    pub unit: Option<Unit>,
    /// The names of its labels. Their values come from the model and the code, never from a caller.
    pub labels: &'static [&'static str],
    /// What it counts or measures.
    pub help: &'static str,
}

/// What a metric records.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MetricKind {
    /// A sum that only grows.
    Counter,
    /// A value that goes up and down.
    Gauge,
    /// How values are distributed, with the upper bounds of its buckets.
    Histogram(&'static [f64]),
}

impl Metric {
    const fn counter(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self {
            name,
            kind: MetricKind::Counter,
            unit: None,
            labels,
            help,
        }
    }

    const fn gauge(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self {
            name,
            kind: MetricKind::Gauge,
            unit: None,
            labels,
            help,
        }
    }

    const fn histogram(
        name: &'static str,
        buckets: &'static [f64],
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self {
            name,
            kind: MetricKind::Histogram(buckets),
            unit: None,
            labels,
            help,
        }
    }

    const fn in_unit(self, unit: Unit) -> Self {
        Self {
            unit: Some(unit),
            ..self
        }
    }

    fn describe(&self) {
        match (self.kind, self.unit) {
            (MetricKind::Counter, None) => describe_counter!(self.name, self.help),
            (MetricKind::Counter, Some(unit)) => describe_counter!(self.name, unit, self.help),
            (MetricKind::Gauge, None) => describe_gauge!(self.name, self.help),
            (MetricKind::Gauge, Some(unit)) => describe_gauge!(self.name, unit, self.help),
            (MetricKind::Histogram(_), None) => describe_histogram!(self.name, self.help),
            (MetricKind::Histogram(_), Some(unit)) => {
                describe_histogram!(self.name, unit, self.help);
            }
        }
    }
}

/// All metrics but those of the process itself (`process_*`), which the crate metrics-process describes.
pub const METRICS: [Metric; 26] = [
    Metric::counter(REQUESTS, &["method", "code"], "Number of requests answered, by method and gRPC code."),
    Metric::histogram(REQUEST_DURATION, &SECONDS, &["method"], "Time from a request's arrival to the end of its response, by method.").in_unit(Unit::Seconds),
    Metric::gauge(REQUESTS_IN_FLIGHT, &["method"], "Number of requests being processed, by method."),
    Metric::counter(REFUSED, &["reason", "class"], "Number of requests refused at admission, by reason and class."),
    Metric::counter(EXPIRED, &["stage"], "Number of requests that missed their deadline, by stage: admission, queue or answer."),
    Metric::counter(EVICTED, &[], "Number of bulk requests evicted for interactive requests."),
    Metric::counter(CANCELLED, &["stage"], "Number of entries cancelled because their caller went away, by stage: queue or device."),
    Metric::counter(STALLS, &[], "Number of times that the whole process did not run for 125 ms or longer while it had requests."),
    Metric::counter(AUDIO, &["class"], "Seconds of audio classified, summed over lanes, by class.").in_unit(Unit::Seconds),
    Metric::histogram(DECODE_DURATION, &SECONDS, &["codec"], "Time to decode one recording to lanes at 16 kHz, by codec.").in_unit(Unit::Seconds),
    Metric::counter(DECISIONS, &["label"], "Number of predictions for whole lanes, by label."),
    Metric::counter(ABSTAINED, &["reason"], "Number of lanes with a prediction that abstains, by reason."),
    Metric::gauge(QUEUE_ENTRIES, &["graph", "class"], "Number of entries waiting for a batch, by graph and class."),
    Metric::histogram(QUEUE_DURATION, &SECONDS, &["graph", "class"], "Time from an entry's admission to each of its batches, by graph and class.").in_unit(Unit::Seconds),
    Metric::gauge(QUEUE_DEVICE, &["class"], "Predicted device time of the admitted work that is not done yet, by class.").in_unit(Unit::Seconds),
    Metric::gauge(QUEUE_BYTES, &[], "Bytes of tensors of entries that wait or run.").in_unit(Unit::Bytes),
    Metric::counter(BATCHES, &["graph", "outcome"], "Number of batches run, by graph and outcome."),
    Metric::histogram(BATCH_SIZE, &ROWS, &["graph"], "Rows of a batch without padding, by graph: segments for the encoder, chunks for the sequence."),
    Metric::histogram(BATCH_CALLERS, &ROWS, &["graph"], "Number of callers that share a batch, by graph."),
    Metric::histogram(BATCH_PADDING, &RATIO, &["graph"], "Fraction of a batch's items that is padding, by graph."),
    Metric::histogram(BATCH_DURATION, &SECONDS, &["graph", "shape"], "Time of one run on the device, by graph and shape.").in_unit(Unit::Seconds),
    Metric::gauge(COST, &["graph", "shape"], "Cost of one run measured at warm-up, by graph and shape. With one CPU thread the cost is processor time, otherwise wall-clock time.").in_unit(Unit::Seconds),
    Metric::histogram(BATCH_COST_ERROR, &ERROR, &["graph"], "Cost of a run divided by its prediction, by graph. With one CPU thread the cost is processor time, otherwise wall-clock time."),
    Metric::gauge(DEVICE_BUSY, &["instance"], "Fraction of the time that an instance spends on runs, over the last 5 s."),
    Metric::gauge(MODEL_INFO, &["name", "version", "device", "precision"], "The served model, by name, version, device and precision. The value is always 1."),
    Metric::gauge(BUILD_INFO, &["version"], "The version of the server. The value is always 1."),
];

/// Installs the recorder of metrics. Must be called once a process.
///
/// # Errors
/// The process already has a recorder.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    let mut builder = PrometheusBuilder::new();
    for metric in METRICS {
        if let MetricKind::Histogram(buckets) = metric.kind {
            builder = builder.set_buckets_for_metric(Matcher::Full(metric.name.into()), buckets)?;
        }
    }
    let handle = builder.install_recorder()?;
    for metric in METRICS {
        metric.describe();
    }
    metrics::gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    metrics_process::Collector::default().describe();
    Ok(handle)
}

/// Sets the metric of the served model.
pub fn model(name: &str, version: &str, device: &str, precision: &str) {
    let labels = [
        ("name", name.to_owned()),
        ("version", version.to_owned()),
        ("device", device.to_owned()),
        ("precision", precision.to_owned()),
    ];
    metrics::gauge!(MODEL_INFO, &labels).set(1.0);
}
