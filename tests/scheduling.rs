//! Scheduling over a real socket with real speech: batches of recordings, deadlines, refusals with advice to retry,
//! priorities and tenants.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests"
)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::calls::{audio, patient, silence, timed};
use common::{Client, Server};
use futures_util::{StreamExt as _, future::join_all, stream};
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;
use undertone::service::pb::batch_classify_response::Result as Outcome;
use undertone::service::pb::{
    BatchClassifyRequest, BatchClassifyResponse, ClassifyOptions, ClassifyRequest,
    ClassifyResponse, GetModelRequest, Priority,
};

fn with_priority(request: ClassifyRequest, priority: Priority) -> ClassifyRequest {
    let options = Some(ClassifyOptions {
        priority: priority.into(),
        ..Default::default()
    });
    ClassifyRequest { options, ..request }
}

/// Five minutes in seconds: long enough that calls that are sent meanwhile also arrive meanwhile.
const LONG: usize = 300;

fn item(id: impl Into<String>, request: ClassifyRequest) -> BatchClassifyRequest {
    BatchClassifyRequest {
        id: id.into(),
        request: Some(request),
    }
}

async fn classify(client: &Client, request: ClassifyRequest) -> Result<ClassifyResponse, Status> {
    let answer = client.clone().classify(request).await;
    answer.map(tonic::Response::into_inner)
}

/// Returns all answers of a batch in the order of their arrival. The stream must end without an error.
async fn batch(client: &Client, items: Vec<BatchClassifyRequest>) -> Vec<BatchClassifyResponse> {
    let answers = client.clone().batch_classify(stream::iter(items)).await;
    let answers = answers.unwrap().into_inner();
    answers.map(Result::unwrap).collect().await
}

/// Waits until a condition on the server's metrics holds. It gives up after 5,000 scrapes.
async fn until(server: &Server, client: &Client, holds: impl Fn(&str) -> bool) {
    let mut scrape = String::new();
    for _ in 0..5_000 {
        scrape = server.scrape();
        if holds(&scrape) {
            return;
        }
        let request = GetModelRequest::default();
        client.clone().get_model(request).await.unwrap();
    }
    panic!("the condition never held:\n{scrape}");
}

/// Returns the samples of these metrics, with their labels.
fn samples<'a>(scrape: &'a str, names: &[&str]) -> Vec<(&'a str, f64)> {
    let sample = |line: &'a str| {
        let (sample, value) = line.rsplit_once(' ')?;
        let name = sample.split('{').next()?;
        names
            .contains(&name)
            .then(|| (sample, value.parse().unwrap()))
    };
    let lines = scrape.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(sample).collect()
}

fn has_work(scrape: &str) -> bool {
    let held = samples(scrape, &["undertone_queue_device_seconds"]);
    held.iter().any(|(_, seconds)| *seconds > 0.0)
}

#[tokio::test]
async fn a_batch_is_answered_item_by_item_with_what_each_would_get_alone() {
    let server = Server::start();
    let client = server.client().await;
    let kinds = [
        (audio(common::book()), ""),
        (audio(common::call()), ""),
        (audio(b"this is not audio".to_vec()), "audio"),
        (ClassifyRequest::default(), "audio"),
        (
            with_priority(audio(common::book()), Priority::Interactive),
            "",
        ),
    ];
    let mut alone = Vec::new();
    for (request, _) in &kinds {
        alone.push(classify(&client, request.clone()).await);
    }
    let items = (0..40).map(|i| item(i.to_string(), kinds[i % kinds.len()].0.clone()));
    let answers = batch(&client, items.collect()).await;
    let answers: BTreeMap<usize, _> = answers
        .into_iter()
        .map(|answer| (answer.id.parse().unwrap(), answer.result.unwrap()))
        .collect();
    assert_eq!(answers.len(), 40, "every id once");
    for (i, answer) in answers {
        let (_, field) = &kinds[i % kinds.len()];
        match (answer, &alone[i % kinds.len()]) {
            (Outcome::Response(answer), Ok(alone)) => assert_eq!(answer, *alone, "{i}"),
            (Outcome::Error(error), Err(alone)) => {
                assert_eq!(error.code, i32::from(Code::InvalidArgument), "{i}");
                assert_eq!((&*error.message, &*error.field), (alone.message(), *field));
            }
            (answer, alone) => panic!("{i}: {answer:?}, but alone {alone:?}"),
        }
    }
    assert_eq!(
        server.metric(r#"undertone_requests_total{method="BatchClassify",code="OK"}"#),
        1.0
    );
}

#[tokio::test]
async fn an_id_that_is_too_long_is_an_error_of_its_item_alone() {
    let server = Server::start();
    let client = server.client().await;
    // 128 letters of two bytes each are the most. A letter that the bound would split is left out.
    let longest = "ü".repeat(128);
    let items = vec![
        item(longest.clone(), audio(common::book())),
        item(format!("x{longest}"), audio(common::book())),
        item("", audio(common::book())),
    ];
    let answers = batch(&client, items).await;
    let answers: BTreeMap<_, _> = answers
        .into_iter()
        .map(|answer| (answer.id, answer.result.unwrap()))
        .collect();
    assert!(matches!(answers[&longest], Outcome::Response(_)));
    assert!(matches!(answers[""], Outcome::Response(_)));
    let Outcome::Error(error) = &answers[&format!("x{}", "ü".repeat(127))] else {
        panic!("{answers:?}");
    };
    assert_eq!(error.code, i32::from(Code::InvalidArgument));
    assert_eq!(error.field, "id");
    assert!(error.message.contains("256"), "{}", error.message);
}

#[tokio::test]
async fn no_item_of_a_batch_is_refused() {
    let server = Server::with(&["--max-requests", "2"]);
    let client = server.client().await;
    let items = (0..30).map(|i| item(i.to_string(), audio(common::book())));
    let answers = batch(&client, items.collect()).await;
    assert_eq!(answers.len(), 30);
    for answer in answers {
        assert!(
            matches!(answer.result, Some(Outcome::Response(_))),
            "{answer:?}"
        );
    }
    let refused = server.metric(r#"undertone_refused_total{reason="requests",class="bulk"}"#);
    assert!(refused > 0.0, "no item had to wait for a place");
}

#[tokio::test]
async fn a_sender_is_paused_while_nothing_can_be_answered() {
    let server = Server::with(&["--max-requests", "1"]);
    let client = server.client().await;
    let elsewhere = server.client().await;
    let long = tokio::spawn({
        let client = server.client().await;
        async move { classify(&client, silence(LONG)).await }
    });
    until(&server, &client, has_work).await;
    // 1 MB each, which is what the transport buffers.
    let sent = Arc::new(AtomicUsize::new(0));
    let items = stream::iter(0..64).map({
        let sent = Arc::clone(&sent);
        move |i: usize| {
            sent.fetch_add(1, Ordering::SeqCst);
            item(i.to_string(), audio(vec![b'x'; 1_000_000]))
        }
    });
    let answers = tokio::spawn(async move {
        let answers = elsewhere.clone().batch_classify(items).await.unwrap();
        answers.into_inner().map(Result::unwrap).count().await
    });
    long.await.unwrap().unwrap();
    let sent_meanwhile = sent.load(Ordering::SeqCst);
    assert!(sent_meanwhile < 32, "{sent_meanwhile} were sent");
    assert_eq!(answers.await.unwrap(), 64);
}

#[tokio::test]
async fn a_deadline_that_passes_is_deadline_exceeded_and_the_next_call_is_served() {
    let server = Server::start();
    let client = server.client().await;
    // 16 MB take longer than 1 ms to arrive.
    let request = timed(silence(2_000), "1m");
    let mut patient = patient(&server).await;
    let late = patient.classify(request).await.unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded, "{late}");
    classify(&client, audio(common::book())).await.unwrap();
    assert_eq!(
        server.metric(r#"undertone_requests_total{method="Classify",code="OK"}"#),
        1.0
    );

    // A batch that its sender never closes.
    let items = stream::iter([item("", audio(common::book()))]).chain(stream::pending());
    let answers = patient.batch_classify(timed(items, "500m")).await;
    let mut answers = answers.unwrap().into_inner();
    let late = loop {
        match answers.next().await.expect("an end with a status") {
            Ok(_) => {}
            Err(status) => break status,
        }
    };
    assert_eq!(late.code(), Code::DeadlineExceeded, "{late}");
    let code = r#"undertone_requests_total{method="BatchClassify",code="DEADLINE_EXCEEDED"}"#;
    assert_eq!(server.metric(code), 1.0);
    classify(&client, audio(common::book())).await.unwrap();
}

#[tokio::test]
async fn a_server_that_shuts_down_answers_what_it_has_read_and_ends_the_stream() {
    let server = Server::with(&["--grace-seconds", "300"]);
    let (items, incoming) = tokio::sync::mpsc::channel(1);
    let incoming = stream::unfold(incoming, async |mut incoming| {
        let item = incoming.recv().await?;
        Some((item, incoming))
    });
    let mut client = server.client().await;
    let answers = client.batch_classify(Box::pin(incoming)).await.unwrap();
    let mut answers = answers.into_inner();
    items.send(item("first", silence(LONG / 5))).await.unwrap();
    until(&server, &client, has_work).await;

    let mut health = HealthClient::new(server.channel().await);
    let health = health.watch(HealthCheckRequest::default()).await.unwrap();
    server.signal();
    // The stream of a health watch ends once no new request is accepted.
    health.into_inner().for_each(async |_| {}).await;
    items
        .send(item("second", audio(common::book())))
        .await
        .unwrap();
    let mut answered = Vec::new();
    let ended = loop {
        match answers.next().await.unwrap() {
            Ok(answer) => answered.push((answer.id, answer.result.unwrap())),
            Err(status) => break status,
        }
    };
    assert_eq!(ended.code(), Code::Unavailable, "{ended}");
    // The item that it had read is answered. The other one is not, and the sender is still connected.
    match &answered[..] {
        [(id, Outcome::Response(_))] => assert_eq!(id, "first"),
        other => panic!("{other:?}"),
    }
    let ended = tokio::task::spawn_blocking(move || server.ended());
    assert!(ended.await.unwrap().success());
    drop(items);
}

#[tokio::test]
async fn a_refused_caller_is_advised_when_to_retry() {
    let server = Server::with(&["--max-requests", "1"]);
    let clients = join_all([server.client(), server.client()]).await;
    let calls = clients.iter().map(|client| classify(client, silence(LONG)));
    let (answered, refused): (Vec<_>, Vec<_>) =
        join_all(calls).await.into_iter().partition(Result::is_ok);
    assert_eq!((answered.len(), refused.len()), (1, 1), "{refused:?}");
    let status = refused.into_iter().next().unwrap().unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    let pushback = status.metadata().get("grpc-retry-pushback-ms").unwrap();
    let pushback: u64 = pushback.to_str().unwrap().parse().unwrap();
    let info = status.get_details_retry_info().unwrap();
    let delay = info.retry_delay.unwrap();
    assert_eq!(u128::from(pushback), delay.as_millis());
    assert!(delay > Duration::ZERO);
    let counted = server.metric(r#"undertone_refused_total{reason="requests",class="bulk"}"#);
    assert_eq!(counted, 1.0);
}

#[tokio::test]
async fn a_recording_too_large_for_interactive_work_is_served_as_bulk_or_in_a_batch() {
    let server = Server::with(&[
        "--max-interactive-seconds",
        "0.01",
        "--interactive-seconds",
        "600",
    ]);
    let client = server.client().await;
    let refused = classify(&client, silence(300)).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange, "{refused}");
    assert!(refused.message().contains("send it as bulk"), "{refused}");
    let bulk = classify(&client, with_priority(silence(300), Priority::Bulk)).await;
    let items = vec![
        item("default", silence(300)),
        item(
            "interactive",
            with_priority(silence(300), Priority::Interactive),
        ),
    ];
    for answer in batch(&client, items).await {
        match (&*answer.id, answer.result.unwrap()) {
            ("default", Outcome::Response(answer)) => assert_eq!(answer, *bulk.as_ref().unwrap()),
            ("interactive", Outcome::Error(error)) => {
                assert_eq!(error.code, i32::from(Code::OutOfRange));
            }
            (id, other) => panic!("{id}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_header_that_claims_too_much_does_not_refuse_the_recording() {
    let server = Server::with(&[
        "--max-interactive-seconds",
        "0.1",
        "--interactive-seconds",
        "3600",
    ]);
    let client = server.client().await;
    let refused = classify(&client, silence(3_500)).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange, "{refused}");
    // FLAC with a header that states almost an hour, and with 6 s of audio.
    let mut claims = common::book();
    claims[22..26].copy_from_slice(&(3_500 * 16_000_u32).to_be_bytes());
    let answer = classify(&client, audio(claims)).await.unwrap();
    assert_eq!(answer.audio_duration.unwrap().seconds, 6);
}

#[tokio::test]
async fn a_tenants_name_is_bounded() {
    let server = Server::start();
    let client = server.client().await;
    for (length, code) in [(64, Code::Ok), (65, Code::InvalidArgument)] {
        let mut request = Request::new(audio(common::book()));
        let name = "t".repeat(length).parse().unwrap();
        request.metadata_mut().insert("undertone-tenant", name);
        let answer = client.clone().classify(request).await;
        assert_eq!(
            answer.map_or_else(|status| status.code(), |_| Code::Ok),
            code
        );

        let mut request = Request::new(stream::iter([item("", audio(common::book()))]));
        let name = "t".repeat(length).parse().unwrap();
        request.metadata_mut().insert("undertone-tenant", name);
        let answers = client.clone().batch_classify(request).await;
        let answered = answers.map_or_else(|status| status.code(), |_| Code::Ok);
        assert_eq!(answered, code);
    }
}

/// Nothing is held for callers that are gone, whether they were answered or left before.
#[tokio::test]
async fn nothing_is_held_after_a_burst_in_which_callers_left() {
    let server = Server::start();
    let client = server.client().await;
    let calls = (0..48).map(|i| {
        let client = client.clone();
        let request = match i % 3 {
            0 => silence(LONG / 5),
            1 => audio(common::call()),
            _ => audio(common::book()),
        };
        tokio::spawn(async move { classify(&client, request).await.map(drop) })
    });
    let calls: Vec<_> = calls.collect();
    let batches = (0..4).map(|i| {
        let client = client.clone();
        let items = (0..20).map(|i| item(i.to_string(), audio(common::call())));
        let items: Vec<_> = items.collect();
        // Every other caller leaves after its first answer.
        let most = if i % 2 == 0 { 1 } else { 20 };
        tokio::spawn(async move {
            let answers = client.clone().batch_classify(stream::iter(items)).await;
            let answers = answers.unwrap().into_inner().map(Result::unwrap);
            answers.take(most).count().await
        })
    });
    let batches: Vec<_> = batches.collect();
    until(&server, &client, has_work).await;
    let (left, stayed): (Vec<_>, Vec<_>) =
        calls.into_iter().enumerate().partition(|(i, _)| i % 3 == 0);
    for (_, call) in left {
        call.abort();
    }
    for (i, batch) in batches.into_iter().enumerate() {
        assert_eq!(batch.await.unwrap(), if i % 2 == 0 { 1 } else { 20 });
    }
    for (_, call) in stayed {
        call.await.unwrap().unwrap();
    }
    let gauges = [
        "undertone_queue_entries",
        "undertone_queue_bytes",
        "undertone_queue_device_seconds",
        "undertone_requests_in_flight",
    ];
    until(&server, &client, |scrape| {
        let held = samples(scrape, &gauges);
        // Entries of two graphs and two classes, device time of two classes, requests of three methods, and bytes.
        assert_eq!(held.len(), 4 + 2 + 3 + 1, "{held:?}");
        held.iter().all(|(_, value)| *value == 0.0)
    })
    .await;
    let gone = r#"undertone_requests_total{method="BatchClassify",code="CANCELLED"}"#;
    assert_eq!(server.metric(gone), 2.0);
}

/// Returns the kinds of threads that a server has, by name, with their scheduling policies.
#[cfg(target_os = "linux")]
fn threads(server: &Server) -> BTreeSet<(String, String)> {
    let threads = std::fs::read_dir(format!("/proc/{}/task", server.id())).unwrap();
    // A thread that has ended meanwhile cannot be read.
    let stats =
        threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("stat")).ok());
    let kind = |stat: String| {
        let (name, fields) = stat.split_once('(').unwrap().1.rsplit_once(')').unwrap();
        let policy = fields.split_whitespace().nth(38).unwrap();
        (
            name.split('-').next().unwrap().to_owned(),
            policy.to_owned(),
        )
    };
    stats.map(kind).collect()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn threads_use_batch_scheduling_and_bulk_is_decoded_on_idle_processors() {
    let server = Server::start();
    // SCHED_BATCH and SCHED_IDLE, see sched(7).
    let expected = [
        ("bulk", "5"),
        ("device", "3"),
        ("memory", "3"),
        ("tokio", "3"),
        ("undertone", "3"),
    ];
    let expected = expected.map(|(kind, policy)| (kind.to_owned(), policy.to_owned()));
    // A new thread sets its policy when it first runs.
    for _ in 0..500 {
        if threads(&server) == expected.clone().into() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(threads(&server), expected.into());
}
