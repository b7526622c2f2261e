//! Memory returns to the system after a peak.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use undertone::service::pb::ClassifyRequest;

use crate::common::{self, Server};

/// Number of concurrent recordings.
const RECORDINGS: usize = 8;
/// Seconds of each recording.
const SECONDS: usize = 360;
/// Seconds of a recording with so high a sample rate that its message is just below the limit.
const SHORT_SECONDS: usize = 75;
const HIGH_RATE: u32 = 192_000;
/// Memory that the peak must need beyond the memory at rest, so that the test is meaningful.
const PEAK_MIB: f64 = 80.0;
/// Memory of the peak that may remain.
const LEFT_MIB: f64 = 40.0;
/// Time in which a server must return memory. It checks every five seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// Returns a field of a server's `/proc/PID/status` in MiB.
fn mib(server: &Server, field: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.unwrap().trim_start_matches(':').trim_end_matches("kB");
    kib.trim().parse::<f64>().unwrap() / 1024.0
}

fn request(audio: bytes::Bytes) -> ClassifyRequest {
    ClassifyRequest {
        audio,
        ..ClassifyRequest::default()
    }
}

#[tokio::test]
async fn memory_of_long_recordings_returns_to_the_system() {
    let server = Server::start();
    let book = request(common::book().into());
    server.client().await.classify(book).await.unwrap();
    let rest = mib(&server, "VmRSS");
    // By default, glibc keeps in each heap twice the size of the largest piece that was ever returned.
    let tone = common::tone(SHORT_SECONDS * HIGH_RATE as usize);
    let large = request(common::wav(&tone, HIGH_RATE).into());
    server.client().await.classify(large).await.unwrap();
    let tone = common::tone(SECONDS * 8_000);
    let long = bytes::Bytes::from(common::wav(&tone, 8_000));
    let mut calls = JoinSet::new();
    for _ in 0..RECORDINGS {
        let (mut client, long) = (server.client().await, request(long.clone()));
        calls.spawn(async move { client.classify(long).await.unwrap() });
    }
    calls.join_all().await;
    let (peak, after) = (mib(&server, "VmHWM"), mib(&server, "VmRSS"));
    assert!(
        peak > rest + PEAK_MIB,
        "{rest:.0} MiB at rest, {peak:.0} at peak"
    );
    let begun = Instant::now();
    let mut left = after;
    while left > rest + LEFT_MIB {
        assert!(
            begun.elapsed() < PATIENCE,
            "{rest:.0} MiB at rest, {peak:.0} at peak, {after:.0} after it, and still {left:.0}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
        left = mib(&server, "VmRSS");
    }
    println!("{rest:.0} MiB at rest, {peak:.0} at peak, {after:.0} after it, {left:.0} later");
}
