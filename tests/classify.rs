//! `Classify`, `GetModel` and health over a real socket, with real speech.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests"
)]

mod common;

use std::time::Duration;

use common::{Client, Server};
use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use undertone::audio;
use undertone::bundle::{Bundle, Manifest, Turns, embedded, writer};
use undertone::frontend::NarrowBand;
use undertone::service::pb::lane_choice::Choice;
use undertone::service::pb::{
    AudioConfig, AudioEncoding, ClassifyOptions, ClassifyRequest, ClassifyResponse,
    GetModelRequest, Lane, LaneChoice, Prediction, Span, TurnDetection,
};

async fn classify(client: &Client, audio: Vec<u8>) -> ClassifyResponse {
    ask(
        client,
        ClassifyRequest {
            audio: audio.into(),
            ..Default::default()
        },
    )
    .await
}

async fn ask(client: &Client, request: ClassifyRequest) -> ClassifyResponse {
    client.clone().classify(request).await.unwrap().into_inner()
}

fn total(lane: &Lane) -> &Prediction {
    lane.total.as_ref().unwrap()
}

fn probabilities(lane: &Lane) -> Vec<f32> {
    total(lane)
        .emotions
        .iter()
        .map(|emotion| emotion.probability)
        .collect()
}

fn seconds(duration: Option<prost_types::Duration>) -> f64 {
    let duration = duration.unwrap();
    duration.seconds as f64 + f64::from(duration.nanos) / 1e9
}

fn with_lanes(choice: Choice) -> ClassifyRequest {
    let lanes = Some(LaneChoice {
        choice: Some(choice),
    });
    let config = Some(AudioConfig {
        lanes,
        ..Default::default()
    });
    ClassifyRequest {
        config,
        audio: common::call().into(),
        options: None,
    }
}

fn raw(encoding: AudioEncoding, sample_rate_hz: u32, audio: Vec<u8>) -> ClassifyRequest {
    let config = Some(AudioConfig {
        encoding: encoding.into(),
        sample_rate_hz,
        ..Default::default()
    });
    ClassifyRequest {
        config,
        audio: audio.into(),
        options: None,
    }
}

#[tokio::test]
async fn each_lane_of_a_call_is_classified_by_itself() {
    let server = Server::start();
    let client = server.client().await;
    let model = client
        .clone()
        .get_model(GetModelRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert!(model.card.contains("Speaker-independent") && model.card.contains("chance UA"));
    let answer = classify(&client, common::call()).await;
    assert_eq!(answer.model, model.model);
    assert_eq!(seconds(answer.audio_duration), 8.0);
    assert!(!answer.truncated);
    assert_eq!(
        answer
            .lanes
            .iter()
            .map(|lane| lane.index)
            .collect::<Vec<_>>(),
        [0, 1]
    );
    for lane in &answer.lanes {
        let judged = total(lane);
        let labels: Vec<_> = judged
            .emotions
            .iter()
            .map(|emotion| &emotion.label)
            .collect();
        assert_eq!(labels, model.labels.iter().collect::<Vec<_>>());
        let probabilities = probabilities(lane);
        assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        assert_eq!(
            judged.confidence,
            probabilities.iter().copied().fold(0.0, f32::max)
        );
        assert!(lane.timeline.is_empty());
    }
    assert_ne!(
        probabilities(&answer.lanes[0]),
        probabilities(&answer.lanes[1])
    );
}

/// Returns the customer's channel of the call at 16 kHz.
fn customer() -> Vec<f32> {
    let call = audio::decode(
        &common::call(),
        audio::Encoding::Auto,
        audio::LaneChoice::Select(0),
        &audio::Limits::default(),
    );
    call.unwrap().lanes.remove(0)
}

/// Returns the embedded bundle after `change` has changed its manifest.
fn changed_bundle(change: impl FnOnce(&mut Manifest)) -> Bundle {
    let bundle = Bundle::from_files(embedded::files()).unwrap();
    let file = |name| bundle.file(name).unwrap().to_vec();
    let mut manifest = bundle.manifest.clone();
    change(&mut manifest);
    writer::assemble(writer::Parts {
        manifest,
        encoder: file("encoder.onnx"),
        sequence: file("sequence.onnx"),
        step: Some(file("step.onnx")),
        card: bundle.card(),
        golden: bundle.golden.clone(),
    })
    .unwrap()
}

#[tokio::test]
async fn telephone_audio_is_reported_as_narrow_band_and_handled_as_the_bundle_states() {
    for (handling, named) in [
        (NarrowBand::AsIs, "NARROW_BAND_HANDLING_AS_IS"),
        (NarrowBand::Mean, "NARROW_BAND_HANDLING_TRAINING_MEAN"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("bundle");
        let bundle = changed_bundle(|manifest| manifest.frontend.narrow_band = handling);
        writer::write(&bundle, &folder).unwrap();
        let server = Server::with(&["--bundle", folder.to_str().unwrap()]);
        let client = server.client().await;
        let model = client.clone().get_model(GetModelRequest::default()).await;
        let front_end = model.unwrap().into_inner().front_end.unwrap();
        assert_eq!(front_end.narrow_band_handling().as_str_name(), named);

        let narrow = ask(&client, with_lanes(Choice::Select(0))).await;
        assert!(narrow.narrow_band);
        let telephone = raw(AudioEncoding::Mulaw, 8_000, vec![0xff; 16_000]);
        assert!(ask(&client, telephone).await.narrow_band);
        assert!(!classify(&client, common::book()).await.narrow_band);
        // The same samples at 16 kHz. Their origin cannot be detected.
        let samples = customer();
        let bytes = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
        let wide = ask(&client, raw(AudioEncoding::PcmF32le, 16_000, bytes)).await;
        assert!(!wide.narrow_band);
        let heard = [&wide, &narrow].map(|answer| probabilities(&answer.lanes[0]));
        let apart = heard[0].iter().zip(&heard[1]).map(|(a, b)| (a - b).abs());
        let apart = apart.fold(0.0, f32::max);
        match handling {
            NarrowBand::AsIs => assert!(apart < 1e-5, "{apart}"),
            NarrowBand::Mean => assert!(apart > 1e-2, "{apart}"),
        }
    }
}

/// Returns start and end of each turn in seconds, and its prediction.
fn turns(lane: &Lane) -> Vec<(f64, f64, &Prediction)> {
    let turn = |span: &Span| (seconds(span.start), seconds(span.end));
    let judged = lane.turns.iter().map(|span| span.prediction.as_ref());
    let times = lane.turns.iter().map(turn);
    times
        .zip(judged)
        .map(|((start, end), judged)| (start, end, judged.unwrap()))
        .collect()
}

#[tokio::test]
async fn the_turns_of_a_call_are_those_that_a_person_hears() {
    let server = Server::start();
    let client = server.client().await;
    let answer = classify(&client, common::call()).await;
    // The customer ends at 2.7 s, the agent answers from 4.9 s on until the clip is cut.
    let [(start, end, said)] = turns(&answer.lanes[0])[..] else {
        panic!("{:?}", answer.lanes[0].turns);
    };
    assert!(start < 0.3 && (2.4..3.0).contains(&end), "{start} to {end}");
    assert_eq!(Some(said), answer.lanes[0].total.as_ref());
    let [(start, end, said)] = turns(&answer.lanes[1])[..] else {
        panic!("{:?}", answer.lanes[1].turns);
    };
    assert!((4.6..5.2).contains(&start) && end > 7.8, "{start} to {end}");
    assert_eq!(Some(said), answer.lanes[1].total.as_ref());
    assert!(
        answer
            .lanes
            .iter()
            .all(|lane| lane.turns[0].speech_share > 0.7)
    );
}

#[tokio::test]
async fn turns_are_cut_as_the_bundle_states() {
    let patient = Turns {
        least_speech_ms: 144,
        end_silence_ms: 4_000,
        lead_in_ms: 504,
        lead_out_ms: 96,
    };
    for turns in [Some(patient), None] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("bundle");
        writer::write(&changed_bundle(|manifest| manifest.turns = turns), &folder).unwrap();
        let server = Server::with(&["--bundle", folder.to_str().unwrap()]);
        let client = server.client().await;
        let model = client.clone().get_model(GetModelRequest::default()).await;
        let told = model.unwrap().into_inner().turn_detection;
        let times = told.map(|told| {
            let TurnDetection {
                min_speech,
                end_silence,
                lead_in,
                lead_out,
            } = told;
            [min_speech, end_silence, lead_in, lead_out].map(seconds)
        });
        let said = turns.map(|_| [0.144, 4.0, 0.504, 0.096]);
        assert_eq!(times, said);

        let answer = classify(&client, common::book()).await;
        let cut = &answer.lanes[0];
        match turns {
            // With cuts at silences of one second, it has two turns (tests/cli.rs).
            Some(_) => {
                let [(start, end, _)] = self::turns(cut)[..] else {
                    panic!("{:?}", cut.turns);
                };
                assert!(start > 0.0 && end > 5.0, "{start} to {end}");
            }
            None => {
                let [(start, end, said)] = self::turns(cut)[..] else {
                    panic!("{:?}", cut.turns);
                };
                assert_eq!((start, end), (0.0, 6.0));
                assert_eq!(Some(said), cut.total.as_ref());
            }
        }
    }
}

#[tokio::test]
async fn only_the_speech_in_turns_decides_the_total() {
    let server = Server::start();
    let client = server.client().await;
    let customer = customer();
    // After the turn that ends at 2.7 s there is an idle line of varying length, or silence.
    let ends = [
        customer[..64_000].to_vec(),
        customer.clone(),
        [&customer[..64_000], &[0.0; 80_000]].concat(),
    ];
    let mut totals = Vec::new();
    for samples in &ends {
        let answer = classify(&client, common::wav(samples, 16_000)).await;
        assert_eq!(answer.lanes[0].turns.len(), 1);
        totals.push(probabilities(&answer.lanes[0]));
    }
    for total in &totals[1..] {
        let differ = total.iter().zip(&totals[0]).map(|(a, b)| (a - b).abs());
        assert!(differ.fold(0.0, f32::max) <= 1e-5, "{totals:?}");
    }
}

#[tokio::test]
async fn a_line_without_speech_has_no_turn_and_abstains() {
    let server = Server::start();
    let client = server.client().await;
    let mut random = StdRng::seed_from_u64(11);
    let noise: Vec<f32> = (0..64_000)
        .map(|_| 0.02 * (random.random::<f32>() - 0.5))
        .collect();
    let hum = |i: usize| {
        let phase = std::f32::consts::TAU * 50.0 * i as f32 / 16_000.0;
        0.001 * phase.sin() + 0.0005 * (3.0 * phase).sin()
    };
    let hum: Vec<f32> = (0..64_000).map(hum).collect();
    // A knock in silence.
    let mut knock = vec![0.0; 64_000];
    for (i, sample) in knock[20_000..20_400].iter_mut().enumerate() {
        *sample = 0.5 * (random.random::<f32>() - 0.5) * (1.0 - i as f32 / 400.0);
    }
    // A line that opens after a second and a half.
    let opens = [vec![0.0; 24_000], noise.clone()].concat();
    for samples in [noise, hum, knock, opens] {
        let answer = classify(&client, common::wav(&samples, 16_000)).await;
        let lane = &answer.lanes[0];
        assert_eq!(lane.turns, []);
        assert_eq!(
            total(lane).reason().as_str_name(),
            "ABSTENTION_REASON_NO_SPEECH"
        );
    }
}

#[tokio::test]
async fn lanes_are_selected_and_mixed() {
    let server = Server::start();
    let client = server.client().await;
    let each = ask(&client, with_lanes(Choice::Each(true))).await;
    let second = ask(&client, with_lanes(Choice::Select(1))).await;
    assert_eq!((second.lanes.len(), second.lanes[0].index), (1, 1));
    assert_eq!(
        probabilities(&second.lanes[0]),
        probabilities(&each.lanes[1])
    );
    let mix = ask(&client, with_lanes(Choice::Mix(true))).await;
    assert_eq!((mix.lanes.len(), mix.lanes[0].index), (1, 0));
    assert_ne!(probabilities(&mix.lanes[0]), probabilities(&each.lanes[0]));
    let refused = client
        .clone()
        .classify(with_lanes(Choice::Select(2)))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(
        refused.message().contains("lane 2 was requested"),
        "{}",
        refused.message()
    );
}

#[tokio::test]
async fn a_timeline_covers_the_recording_window_by_window() {
    let server = Server::start();
    let client = server.client().await;
    let window = Some(prost_types::Duration {
        seconds: 1,
        nanos: 500_000_000,
    });
    let options = Some(ClassifyOptions {
        timeline: true,
        window,
        timing: true,
        ..Default::default()
    });
    let request = ClassifyRequest {
        audio: common::book().into(),
        config: None,
        options,
    };
    let answer = ask(&client, request).await;
    let spans: Vec<_> = answer.lanes[0]
        .timeline
        .iter()
        .map(|span| (seconds(span.start), seconds(span.end)))
        .collect();
    assert_eq!(spans, [(0.0, 1.5), (1.5, 3.0), (3.0, 4.5), (4.5, 6.0)]);
    // The reader pauses from 3.4 to 4.6 s.
    let spoken: Vec<_> = answer.lanes[0]
        .timeline
        .iter()
        .map(|span| span.speech_share > 0.5)
        .collect();
    assert_eq!(spoken, [true, true, false, true]);
    let timing = answer.timing.unwrap();
    assert!(seconds(timing.decode) > 0.0 && seconds(timing.device) > 0.0);
}

#[tokio::test]
async fn headerless_samples_give_the_same_result_as_a_file_with_them() {
    let server = Server::start();
    let client = server.client().await;
    let samples: Vec<i16> = (0..16_000)
        .map(|i| ((f64::from(i) * 0.1).sin() * 9e3) as i16)
        .collect();
    let floats: Vec<f32> = samples
        .iter()
        .map(|sample| f32::from(*sample) / 32_767.0)
        .collect();
    let file = classify(&client, common::wav(&floats, 16_000)).await;
    let raw = |encoding: AudioEncoding, audio: Vec<u8>| {
        let sample_rate_hz = 16_000;
        let config = AudioConfig {
            sample_rate_hz,
            encoding: encoding.into(),
            ..Default::default()
        };
        ask(
            &client,
            ClassifyRequest {
                config: Some(config),
                audio: audio.into(),
                options: None,
            },
        )
    };
    let bytes = samples
        .iter()
        .flat_map(|sample| sample.to_le_bytes())
        .collect();
    assert_eq!(raw(AudioEncoding::PcmS16le, bytes).await.lanes, file.lanes);
    let floats = samples.iter().map(|sample| f32::from(*sample) / 32_768.0);
    let bytes = floats.flat_map(f32::to_le_bytes).collect();
    assert_eq!(raw(AudioEncoding::PcmF32le, bytes).await.lanes, file.lanes);
}

#[tokio::test]
async fn thirty_two_callers_share_batches_and_each_gets_the_answer_it_gets_alone() {
    let server = Server::start();
    let clients = join_all((0..32).map(|_| server.client())).await;
    let book = audio::decode(
        &common::book(),
        audio::Encoding::Auto,
        audio::LaneChoice::Mix,
        &audio::Limits::default(),
    );
    let samples = &book.unwrap().lanes[0];
    // Each caller sends different speech of a different length.
    let files: Vec<_> = (0..32)
        .map(|caller| {
            common::wav(
                &samples[caller * 1_000..][..20_000 + caller * 1_357],
                16_000,
            )
        })
        .collect();
    let mut alone = Vec::new();
    for file in &files {
        alone.push(classify(&clients[0], file.clone()).await);
    }
    let shared = |server: &Server| {
        let batches = server.metric(r#"undertone_batch_callers_count{graph="encoder"}"#);
        batches - server.metric(r#"undertone_batch_callers_bucket{graph="encoder",le="1"}"#)
    };
    assert_eq!(shared(&server), 0.0, "a single caller shares no batch");
    for _ in 0..4 {
        let calls = clients
            .iter()
            .zip(&files)
            .map(|(client, file)| classify(client, file.clone()));
        for (together, alone) in join_all(calls).await.iter().zip(&alone) {
            let pairs = probabilities(&together.lanes[0])
                .into_iter()
                .zip(probabilities(&alone.lanes[0]));
            let difference = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(difference <= 1e-5, "{difference}");
            assert_eq!(
                total(&together.lanes[0]).label,
                total(&alone.lanes[0]).label
            );
        }
    }
    assert!(
        shared(&server) > 0.0,
        "no encoder batch held two callers' segments"
    );
    let rows = server.metric(r#"undertone_batch_size_sum{graph="encoder"}"#);
    let batches = server.metric(r#"undertone_batch_size_count{graph="encoder"}"#);
    println!("segments per encoder batch: {:.1}", rows / batches);
}

#[tokio::test]
async fn silence_and_very_short_sound_lead_to_abstention() {
    let server = Server::start();
    let client = server.client().await;
    for (samples, reason) in [
        (vec![0.0; 32_000], "ABSTENTION_REASON_NO_SPEECH"),
        (common::tone(160), "ABSTENTION_REASON_TOO_SHORT"),
        (common::tone(4_223), "ABSTENTION_REASON_TOO_SHORT"),
    ] {
        let answer = classify(&client, common::wav(&samples, 16_000)).await;
        let judged = total(&answer.lanes[0]);
        assert!(judged.abstained);
        assert_eq!(
            judged.reason().as_str_name(),
            reason,
            "{} samples",
            samples.len()
        );
    }
    // One segment of speech is enough.
    let book = audio::decode(
        &common::book(),
        audio::Encoding::Auto,
        audio::LaneChoice::Mix,
        &audio::Limits::default(),
    );
    let voice = &book.unwrap().lanes[0][24_000..][..4_224];
    let answer = classify(&client, common::wav(voice, 16_000)).await;
    assert!(!total(&answer.lanes[0]).abstained);
}

#[tokio::test]
async fn health_changes_and_the_process_succeeds_on_sigterm() {
    let server = Server::start();
    let mut health = HealthClient::new(server.channel().await);
    for service in ["", "undertone.v1.EmotionService"] {
        let request = HealthCheckRequest {
            service: service.into(),
        };
        let answer = health.check(request).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service:?}");
    }
    drop(health);
    let ended = tokio::task::spawn_blocking(move || server.terminate());
    let status = tokio::time::timeout(Duration::from_secs(10), ended)
        .await
        .unwrap()
        .unwrap();
    assert!(status.success(), "{status}");
}
