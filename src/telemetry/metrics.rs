//! Every metric: its name, kind, unit, labels, buckets and meaning.
//!
//! [`METRICS`] is the one list. The descriptions at `/metrics`, the buckets and `docs/metrics.md` come from it.

use std::time::Duration;

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

pub(super) const REQUESTS: &str = "undertone_requests_total";
pub(super) const REQUEST_DURATION: &str = "undertone_request_duration_seconds";
pub(super) const REQUESTS_IN_FLIGHT: &str = "undertone_requests_in_flight";
pub(super) const AUDIO: &str = "undertone_audio_seconds_total";
pub(super) const DECODE_DURATION: &str = "undertone_decode_duration_seconds";
pub(super) const DECISIONS: &str = "undertone_decisions_total";
pub(super) const ABSTAINED: &str = "undertone_abstained_total";
pub(super) const QUEUE_DURATION: &str = "undertone_queue_duration_seconds";
pub(super) const QUEUE_ENTRIES: &str = "undertone_queue_entries";
pub(super) const QUEUE_BYTES: &str = "undertone_queue_bytes";
pub(super) const BATCHES: &str = "undertone_batches_total";
pub(super) const BATCH_SIZE: &str = "undertone_batch_size";
pub(super) const BATCH_CALLERS: &str = "undertone_batch_callers";
pub(super) const BATCH_PADDING: &str = "undertone_batch_padding_ratio";
pub(super) const BATCH_DURATION: &str = "undertone_batch_duration_seconds";
pub(super) const MODEL_INFO: &str = "undertone_model_info";
pub(super) const BUILD_INFO: &str = "undertone_build_info";
pub(super) const QUEUE_DEVICE: &str = "undertone_queue_device_seconds";
pub(super) const BATCH_COST_ERROR: &str = "undertone_batch_cost_error_ratio";
pub(super) const DEVICE_BUSY: &str = "undertone_device_busy_ratio";
pub(super) const EVICTED: &str = "undertone_evicted_total";
pub(super) const STALLS: &str = "undertone_stalls_total";
pub(super) const EXPIRED: &str = "undertone_expired_total";
pub(super) const CANCELLED: &str = "undertone_cancelled_total";
pub(super) const COST: &str = "undertone_batch_cost_seconds";
pub(super) const REFUSED: &str = "undertone_refused_total";

/// From 50 µs, a small batch, to 30 s, an hour of audio.
const SECONDS: [f64; 18] = [
    5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0,
];
/// A batch's rows and callers come in powers of two, up to the largest shape.
const ROWS: [f64; 7] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];
/// Cost of a batch divided by its prediction: 1 is exact.
const ERROR: [f64; 9] = [0.25, 0.5, 0.7, 0.9, 1.1, 1.5, 2.0, 4.0, 10.0];
const RATIO: [f64; 6] = [0.0, 0.1, 0.2, 0.3, 0.5, 0.75];

/// How often histograms are drained into their buckets when nobody scrapes.
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
    Metric::counter(REQUESTS, &["method", "code"], "Requests answered."),
    Metric::histogram(REQUEST_DURATION, &SECONDS, &["method"], "Time from a request's arrival to its answer.").in_unit(Unit::Seconds),
    Metric::gauge(REQUESTS_IN_FLIGHT, &["method"], "Requests being answered."),
    Metric::counter(REFUSED, &["reason", "class"], "Requests refused at admission."),
    Metric::counter(EXPIRED, &["stage"], "Requests that missed their deadline; the stage is admission, queue or answer."),
    Metric::counter(EVICTED, &[], "Bulk requests evicted for interactive ones."),
    Metric::counter(CANCELLED, &["stage"], "Entries cancelled because their caller went away; the stage is queue or device."),
    Metric::counter(STALLS, &[], "Times that the whole process stood still for 125 ms or longer while it had requests."),
    Metric::counter(AUDIO, &["class"], "Audio classified, summed over lanes.").in_unit(Unit::Seconds),
    Metric::histogram(DECODE_DURATION, &SECONDS, &["codec"], "Time to decode one recording to lanes at 16 kHz.").in_unit(Unit::Seconds),
    Metric::counter(DECISIONS, &["label"], "Predictions of a whole lane."),
    Metric::counter(ABSTAINED, &["reason"], "Lanes whose prediction abstained."),
    Metric::gauge(QUEUE_ENTRIES, &["graph", "class"], "Entries that wait for a batch."),
    Metric::histogram(QUEUE_DURATION, &SECONDS, &["graph", "class"], "Time from an entry's admission to each of its batches.").in_unit(Unit::Seconds),
    Metric::gauge(QUEUE_DEVICE, &["class"], "Predicted device time that admitted requests still need.").in_unit(Unit::Seconds),
    Metric::gauge(QUEUE_BYTES, &[], "Tensors of entries that wait or are in a batch.").in_unit(Unit::Bytes),
    Metric::counter(BATCHES, &["graph", "outcome"], "Batches run."),
    Metric::histogram(BATCH_SIZE, &ROWS, &["graph"], "Rows of a batch without padding: segments for the encoder, chunks for the sequence."),
    Metric::histogram(BATCH_CALLERS, &ROWS, &["graph"], "Callers that share a batch."),
    Metric::histogram(BATCH_PADDING, &RATIO, &["graph"], "Share of a batch's items that is padding."),
    Metric::histogram(BATCH_DURATION, &SECONDS, &["graph", "shape"], "Time of one batch on the device.").in_unit(Unit::Seconds),
    Metric::gauge(COST, &["graph", "shape"], "Cost of one batch as measured at warm-up. On one CPU thread it is processor time, otherwise time by the clock.").in_unit(Unit::Seconds),
    Metric::histogram(BATCH_COST_ERROR, &ERROR, &["graph"], "Cost of a batch divided by its prediction. On one CPU thread it is processor time, otherwise time by the clock."),
    Metric::gauge(DEVICE_BUSY, &["instance"], "Share of the last seconds that an instance spent on batches."),
    Metric::gauge(MODEL_INFO, &["name", "version", "device", "precision"], "The model that is served; always 1."),
    Metric::gauge(BUILD_INFO, &["version"], "The version that runs; always 1."),
];

/// Makes this process's metrics recordable; once a process.
///
/// # Errors
/// A second recorder in this process.
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

/// Records which model is served.
pub fn model(name: &str, version: &str, device: &str, precision: &str) {
    let labels = [
        ("name", name.to_owned()),
        ("version", version.to_owned()),
        ("device", device.to_owned()),
        ("precision", precision.to_owned()),
    ];
    metrics::gauge!(MODEL_INFO, &labels).set(1.0);
}
