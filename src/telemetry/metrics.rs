//! Every metric: its name, what it says, its unit and its buckets.

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

/// From 50 µs, a small batch, to 30 s, an hour of audio.
const SECONDS: [f64; 18] = [
    5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0,
];
/// A batch's rows and callers come in powers of two, up to the largest shape.
const ROWS: [f64; 7] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];
/// What a run took beside what was predicted: 1 is exact.
const ERROR: [f64; 9] = [0.25, 0.5, 0.7, 0.9, 1.1, 1.5, 2.0, 4.0, 10.0];
const RATIO: [f64; 6] = [0.0, 0.1, 0.2, 0.3, 0.5, 0.75];

/// How often histograms are drained into their buckets when nobody scrapes.
pub const UPKEEP: Duration = Duration::from_secs(5);

/// Makes this process's metrics recordable; once a process.
///
/// # Errors
/// A second recorder in this process.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    let mut builder = PrometheusBuilder::new();
    for (name, buckets) in [
        (REQUEST_DURATION, SECONDS.as_slice()),
        (DECODE_DURATION, &SECONDS),
        (QUEUE_DURATION, &SECONDS),
        (BATCH_DURATION, &SECONDS),
        (BATCH_SIZE, &ROWS),
        (BATCH_CALLERS, &ROWS),
        (BATCH_PADDING, &RATIO),
        (BATCH_COST_ERROR, &ERROR),
    ] {
        builder = builder.set_buckets_for_metric(Matcher::Full(name.into()), buckets)?;
    }
    let handle = builder.install_recorder()?;
    describe();
    Ok(handle)
}

fn describe() {
    describe_counter!(REQUESTS, "Requests answered, by method and gRPC code.");
    describe_histogram!(
        REQUEST_DURATION,
        Unit::Seconds,
        "From a request's arrival to its answer, by method."
    );
    describe_gauge!(REQUESTS_IN_FLIGHT, "Requests being answered, by method.");
    describe_counter!(
        AUDIO,
        Unit::Seconds,
        "Audio that was judged, lanes added up, by class."
    );
    describe_histogram!(
        DECODE_DURATION,
        Unit::Seconds,
        "Decoding one recording to 16 kHz lanes, by codec."
    );
    describe_counter!(DECISIONS, "Predictions of a whole lane, by label.");
    describe_counter!(ABSTAINED, "Lanes whose prediction abstained, by reason.");
    describe_histogram!(
        QUEUE_DURATION,
        Unit::Seconds,
        "From an entry's admission to each of its batches, by graph and class."
    );
    describe_gauge!(
        QUEUE_ENTRIES,
        "Entries waiting for a batch, by graph and class."
    );
    describe_gauge!(
        QUEUE_DEVICE,
        Unit::Seconds,
        "Predicted device time of what requests have still to get, by class."
    );
    describe_gauge!(
        QUEUE_BYTES,
        Unit::Bytes,
        "Tensors of entries waiting or under way."
    );
    describe_counter!(
        REFUSED,
        "Requests that found no place, by reason and class."
    );
    describe_counter!(
        EVICTED,
        "Bulk requests that made room for interactive ones."
    );
    describe_counter!(
        EXPIRED,
        "Requests that missed their deadline, by stage: admission, queue or answer."
    );
    describe_counter!(
        CANCELLED,
        "Entries whose caller went away, by stage: queue or device."
    );
    describe_counter!(
        STALLS,
        "Times that the whole process stood still for 125 ms or longer with requests in hand."
    );
    describe_counter!(BATCHES, "Batches run, by graph and outcome.");
    describe_histogram!(
        BATCH_SIZE,
        "Rows of a batch without padding: segments for the encoder, chunks for the sequence."
    );
    describe_histogram!(BATCH_CALLERS, "Callers that share a batch, by graph.");
    describe_histogram!(
        BATCH_PADDING,
        "Share of a batch's items that is padding, by graph."
    );
    describe_histogram!(
        BATCH_DURATION,
        Unit::Seconds,
        "One run on the device, by graph and shape."
    );
    describe_histogram!(
        BATCH_COST_ERROR,
        "Cost of a run divided by its prediction, by graph. On one CPU thread it is processor time, else time by the clock."
    );
    describe_gauge!(
        COST,
        Unit::Seconds,
        "Cost of one run as measured at warm-up, by graph and shape. On one CPU thread it is processor time, else time by the clock."
    );
    describe_gauge!(
        DEVICE_BUSY,
        "Share of the time that an instance spent on runs, over some seconds."
    );
    describe_gauge!(MODEL_INFO, "The model that is served; always 1.");
    describe_gauge!(BUILD_INFO, "The version that runs; always 1.");
    metrics::gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    metrics_process::Collector::default().describe();
}

/// Says which model is served.
pub fn model(name: &str, version: &str, device: &str, precision: &str) {
    let labels = [
        ("name", name.to_owned()),
        ("version", version.to_owned()),
        ("device", device.to_owned()),
        ("precision", precision.to_owned()),
    ];
    metrics::gauge!(MODEL_INFO, &labels).set(1.0);
}
