//! Faults of admission and of the order of work.

use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tonic::{Code, Status};

use crate::common::calls::{audio, patient, silence, timed};
use crate::common::{Server, book};

/// How often a refused caller tries in all.
const TRIES: usize = 6;

fn signal(server: &Server, name: &str) {
    let id = server.id().to_string();
    let sent = Command::new("kill").args([name, &id]).status().unwrap();
    assert!(sent.success());
}

/// After the process was stopped with calls under way, the idle server refused every call with a deadline of a few
/// times the call's own work.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_was_stopped_refuses_no_call_when_it_continues() {
    let server = Server::start();
    let mut client = patient(&server).await;
    let minute = || silence(60);
    let callers = server.client().await;
    let waiting = (0..16).map(|_| {
        let mut client = callers.clone();
        tokio::spawn(async move { client.classify(minute()).await.map(|_| ()) })
    });
    let waiting: Vec<_> = waiting.collect();
    while server.metric("undertone_requests_in_flight{method=\"Classify\"}") < 1.0 {}
    signal(&server, "-STOP");
    tokio::time::sleep(Duration::from_secs(2)).await;
    signal(&server, "-CONT");
    for call in waiting {
        call.await.unwrap().unwrap();
    }
    let begun = Instant::now();
    client.classify(minute()).await.unwrap();
    let deadline = format!("{}u", 4 * begun.elapsed().as_micros());
    let mut answered = 0;
    for _ in 0..20 {
        match client.classify(timed(minute(), &deadline)).await {
            Ok(_) => answered += 1,
            // The machine may be slow at that moment, but no other call is ahead.
            Err(status) => assert_eq!(status.code(), Code::DeadlineExceeded, "{status}"),
        }
    }
    assert!(answered > 0);
}

/// A call with a deadline shorter than its own work was refused with RESOURCE_EXHAUSTED.
#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_shorter_than_the_calls_own_work_is_deadline_exceeded() {
    let server = Server::start();
    let mut client = patient(&server).await;
    for (seconds, deadline) in [(3, "1m"), (60, "1m"), (600, "10m"), (3_000, "30m")] {
        let call = timed(silence(seconds), deadline);
        let status = client.classify(call).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{seconds}: {status}");
    }
    assert_eq!(
        server.metric("undertone_refused_total{reason=\"deadline\",class=\"interactive\"}"),
        0.0
    );
}

fn advice(status: &Status) -> Duration {
    let pushback = status.metadata().get("grpc-retry-pushback-ms").unwrap();
    Duration::from_millis(pushback.to_str().unwrap().parse().unwrap())
}

/// All refused callers of one tenant were advised to retry after 1 ms, in vain.
#[tokio::test(flavor = "multi_thread")]
async fn callers_of_one_tenant_that_retry_as_advised_are_answered() {
    let server = Server::with(&["--max-requests", "32"]);
    let client = server.client().await;
    // The server learns how fast it is.
    let warm = join_all((0..24).map(|_| {
        let mut client = client.clone();
        async move { client.classify(audio(book())).await.map(|_| ()) }
    }));
    assert!(warm.await.iter().all(Result::is_ok));
    let call = async || {
        for left in (0..TRIES).rev() {
            match client.clone().classify(audio(book())).await {
                Ok(_) => return true,
                Err(status) if left > 0 => {
                    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
                    tokio::time::sleep(advice(&status)).await;
                }
                Err(_) => {}
            }
        }
        false
    };
    let answered = join_all((0..64).map(|_| call())).await;
    let gave_up = answered.iter().filter(|answered| !**answered).count();
    assert_eq!(gave_up, 0, "of {}", answered.len());
}

/// An interactive recording of minutes delayed the short calls of its tenant.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_recording_without_a_deadline_is_bulk() {
    let server = Server::with(&["--interactive-seconds", "20"]);
    let mut client = patient(&server).await;
    let audio_of = |class| {
        server.metric(&format!(
            "undertone_audio_seconds_total{{class=\"{class}\"}}"
        ))
    };
    for (seconds, deadline, class) in [
        (20, None, "interactive"),
        (21, Some("100S"), "interactive"),
        (21, None, "bulk"),
    ] {
        let before = audio_of(class);
        let mut call = tonic::Request::new(silence(seconds));
        if let Some(deadline) = deadline {
            call = timed(silence(seconds), deadline);
        }
        client.classify(call).await.unwrap();
        assert_eq!(audio_of(class) - before, seconds as f64, "{deadline:?}");
    }
}
