//! The definition of every metric: name, description, unit and buckets.

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
/// Buckets of a batch's rows and callers: powers of two up to the largest shape.
const ROWS: [f64; 7] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];
/// Buckets of a run's cost divided by its prediction: 1 means that the prediction was exact.
const ERROR: [f64; 9] = [0.25, 0.5, 0.7, 0.9, 1.1, 1.5, 2.0, 4.0, 10.0];
/// Buckets of ratios from 0 to 1.
const RATIO: [f64; 6] = [0.0, 0.1, 0.2, 0.3, 0.5, 0.75];

/// Interval at which histograms are moved into their buckets, so that their memory stays bounded without a scrape.
pub const UPKEEP: Duration = Duration::from_secs(5);

/// Installs the recorder of metrics. Must be called once a process.
///
/// # Errors
/// The process already has a recorder.
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
    describe_counter!(
        REQUESTS,
        "Number of requests answered, by method and gRPC code."
    );
    describe_histogram!(
        REQUEST_DURATION,
        Unit::Seconds,
        "Time from a request's arrival to the end of its response, by method."
    );
    describe_gauge!(
        REQUESTS_IN_FLIGHT,
        "Number of requests being processed, by method."
    );
    describe_counter!(
        AUDIO,
        Unit::Seconds,
        "Seconds of audio classified, summed over lanes, by class."
    );
    describe_histogram!(
        DECODE_DURATION,
        Unit::Seconds,
        "Time to decode one recording to lanes at 16 kHz, by codec."
    );
    describe_counter!(
        DECISIONS,
        "Number of predictions for whole lanes, by label."
    );
    describe_counter!(
        ABSTAINED,
        "Number of lanes with a prediction that abstains, by reason."
    );
    describe_histogram!(
        QUEUE_DURATION,
        Unit::Seconds,
        "Time from an entry's admission to each of its batches, by graph and class."
    );
    describe_gauge!(
        QUEUE_ENTRIES,
        "Number of entries waiting for a batch, by graph and class."
    );
    describe_gauge!(
        QUEUE_DEVICE,
        Unit::Seconds,
        "Predicted device time of the admitted work that is not done yet, by class."
    );
    describe_gauge!(
        QUEUE_BYTES,
        Unit::Bytes,
        "Bytes of tensors of entries that wait or run."
    );
    describe_counter!(
        REFUSED,
        "Number of requests refused at admission, by reason and class."
    );
    describe_counter!(
        EVICTED,
        "Number of bulk requests evicted for interactive requests."
    );
    describe_counter!(
        EXPIRED,
        "Number of requests that missed their deadline, by stage: admission, queue or answer."
    );
    describe_counter!(
        CANCELLED,
        "Number of entries cancelled because their caller went away, by stage: queue or device."
    );
    describe_counter!(
        STALLS,
        "Number of times that the whole process did not run for 125 ms or longer while it had requests."
    );
    describe_counter!(BATCHES, "Number of batches run, by graph and outcome.");
    describe_histogram!(
        BATCH_SIZE,
        "Rows of a batch without padding, by graph: segments for the encoder, chunks for the sequence."
    );
    describe_histogram!(
        BATCH_CALLERS,
        "Number of callers that share a batch, by graph."
    );
    describe_histogram!(
        BATCH_PADDING,
        "Fraction of a batch's items that is padding, by graph."
    );
    describe_histogram!(
        BATCH_DURATION,
        Unit::Seconds,
        "Time of one run on the device, by graph and shape."
    );
    describe_histogram!(
        BATCH_COST_ERROR,
        "Cost of a run divided by its prediction, by graph. With one CPU thread the cost is processor time, otherwise wall-clock time."
    );
    describe_gauge!(
        COST,
        Unit::Seconds,
        "Cost of one run measured at warm-up, by graph and shape. With one CPU thread the cost is processor time, otherwise wall-clock time."
    );
    describe_gauge!(
        DEVICE_BUSY,
        "Fraction of the time that an instance spends on runs, over the last 5 s."
    );
    describe_gauge!(
        MODEL_INFO,
        "The served model, by name, version, device and precision. The value is always 1."
    );
    describe_gauge!(
        BUILD_INFO,
        "The version of the server. The value is always 1."
    );
    metrics::gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    metrics_process::Collector::default().describe();
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
