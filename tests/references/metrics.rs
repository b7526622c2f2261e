//! `docs/metrics.md`, from `undertone::telemetry::metrics::METRICS`, and what a server records beside it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use undertone::service::pb::ClassifyRequest;
use undertone::telemetry::metrics::{METRICS, MetricKind};

use super::common::Server;

#[test]
fn the_metrics_page_equals_the_list() {
    super::check("metrics.md", &page());
}

const RULES: &str = "\
`/metrics` of the admin listener (`--metrics-listen`) serves these metrics to Prometheus. No label has a value that a
caller chooses. The metrics of the process itself, `process_*`, come from the crate metrics-process: processor time,
memory, threads, open files and the time of the start.

| metric | kind | unit | labels | meaning |
|---|---|---|---|---|
";

fn page() -> String {
    let mut page = super::heading("Metrics reference", "src/telemetry/metrics.rs") + RULES;
    for metric in METRICS {
        let kind = match metric.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram(_) => "histogram",
        };
        let unit = metric.unit.map_or("", |unit| unit.as_str());
        let labels: Vec<_> = metric
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        writeln!(
            page,
            "| `{}` | {kind} | {unit} | {} | {} |",
            metric.name,
            labels.join(", "),
            metric.help
        )
        .unwrap();
    }
    page += "\n## Buckets\n\nUpper bounds of each histogram's buckets; one more holds what lies above.\n\n\
             | histogram | bounds |\n|---|---|\n";
    for metric in METRICS {
        if let MetricKind::Histogram(buckets) = metric.kind {
            let bounds: Vec<_> = buckets.iter().map(f64::to_string).collect();
            writeln!(page, "| `{}` | {} |", metric.name, bounds.join(", ")).unwrap();
        }
    }
    page
}

#[tokio::test]
async fn a_server_records_no_other_metrics_and_labels() {
    let server = Server::start();
    let audio = include_bytes!("../audio/book.flac").as_slice();
    let request = ClassifyRequest {
        audio: audio.into(),
        ..Default::default()
    };
    server.client().await.classify(request).await.unwrap();
    let scrape = server.scrape();
    let samples = scrape.lines().filter(|line| line.starts_with("undertone_"));
    let mut seen = BTreeSet::new();
    for sample in samples {
        let (series, _value) = sample.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let parts = ["_bucket", "_sum", "_count"];
        let family = parts.iter().find_map(|part| name.strip_suffix(part));
        let metric = METRICS
            .iter()
            .find(|metric| metric.name == name || Some(metric.name) == family)
            .unwrap_or_else(|| panic!("{name} is not in the list"));
        let labels = labels.trim_end_matches('}').split("\",");
        let labels: BTreeSet<_> = labels
            .filter_map(|label| label.split_once('='))
            .map(|(label, _)| label)
            .filter(|label| *label != "le")
            .collect();
        let listed: BTreeSet<_> = metric.labels.iter().copied().collect();
        assert_eq!(labels, listed, "{sample}");
        seen.insert(metric.name);
    }
    assert!(seen.len() > 12, "{seen:?}");
}
