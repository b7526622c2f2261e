//! Bad input over a real socket: the status is right, the message names the cause, and the next call succeeds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests"
)]

mod common;

use common::{Client, Server};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use undertone::service::pb::{AudioConfig, AudioEncoding, ClassifyOptions, ClassifyRequest};

struct Case {
    name: &'static str,
    request: ClassifyRequest,
    code: Code,
    /// Texts that the message must contain.
    contains: &'static [&'static str],
}

fn audio(bytes: Vec<u8>) -> ClassifyRequest {
    ClassifyRequest {
        audio: bytes.into(),
        ..Default::default()
    }
}

/// Returns a WAV file after `damage` has changed its 44 header bytes.
fn damaged(samples: usize, damage: impl Fn(&mut [u8])) -> ClassifyRequest {
    let mut bytes = common::wav(&common::tone(samples), 16_000);
    damage(&mut bytes);
    audio(bytes)
}

fn set_u16(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
}

fn set_u32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

/// Offsets of the fields in a WAV header that `hound` writes.
const RIFF_SIZE: usize = 4;
const CHANNELS: usize = 22;
const RATE: usize = 24;
const DATA_SIZE: usize = 40;

fn floats(samples: &[f32]) -> ClassifyRequest {
    let config = AudioConfig {
        encoding: AudioEncoding::PcmF32le.into(),
        sample_rate_hz: 16_000,
        ..Default::default()
    };
    let bytes: Vec<u8> = samples
        .iter()
        .flat_map(|sample| sample.to_le_bytes())
        .collect();
    ClassifyRequest {
        config: Some(config),
        audio: bytes.into(),
        options: None,
    }
}

fn cases() -> Vec<Case> {
    let invalid = Code::InvalidArgument;
    let mut not_finite = common::tone(16_000);
    not_finite[8_000] = f32::NAN;
    let encoding = AudioConfig {
        encoding: 99,
        ..Default::default()
    };
    let no_rate = AudioConfig {
        encoding: AudioEncoding::Mulaw.into(),
        ..Default::default()
    };
    let of = |config| ClassifyRequest {
        config: Some(config),
        ..audio(vec![0; 1_000])
    };
    let window = |nanos| {
        let window = Some(prost_types::Duration { seconds: 0, nanos });
        let options = Some(ClassifyOptions {
            timeline: true,
            window,
            ..Default::default()
        });
        ClassifyRequest {
            options,
            ..audio(common::book())
        }
    };
    let model = Some(ClassifyOptions {
        model: "whisper".into(),
        ..Default::default()
    });
    vec![
        Case {
            name: "empty blob",
            request: audio(vec![]),
            code: invalid,
            contains: &["empty"],
        },
        Case {
            name: "text file",
            request: audio(include_bytes!("../README.md").to_vec()),
            code: invalid,
            contains: &["text"],
        },
        Case {
            name: "WAV header alone",
            request: damaged(0, |_| {}),
            code: invalid,
            contains: &["no audio"],
        },
        Case {
            name: "zero-rate WAV",
            request: damaged(16_000, |bytes| set_u32(bytes, RATE, 0)),
            code: invalid,
            contains: &["0 Hz", "sample rate is needed"],
        },
        Case {
            name: "WAV that claims 65,535 channels",
            request: damaged(16_000, |bytes| set_u16(bytes, CHANNELS, 65_535)),
            code: Code::OutOfRange,
            contains: &["65535 channels", "at most 8"],
        },
        Case {
            name: "NaN among the samples",
            request: floats(&not_finite),
            code: invalid,
            contains: &["not a finite number", "0.500 s"],
        },
        Case {
            name: "less than 10 ms",
            request: audio(common::wav(&common::tone(159), 16_000)),
            code: invalid,
            contains: &["9.9 ms", "10 ms are needed"],
        },
        Case {
            name: "blob over the limit",
            request: audio(vec![7; LIMIT + 1]),
            code: Code::OutOfRange,
            contains: &["1000001 bytes", "at most 1000000"],
        },
        Case {
            name: "blob over the transport's limit",
            request: audio(vec![7; LIMIT + (3 << 20)]),
            code: Code::OutOfRange,
            contains: &["4145728 bytes", "at most 1000000", "--max-audio-bytes"],
        },
        Case {
            name: "longer than the limit",
            request: audio(common::wav(&common::tone(31 * 8_000), 8_000)),
            code: Code::OutOfRange,
            contains: &["longer than 30 s"],
        },
        Case {
            name: "unknown encoding",
            request: of(encoding),
            code: invalid,
            contains: &["99"],
        },
        Case {
            name: "raw without a rate",
            request: of(no_rate),
            code: invalid,
            contains: &["needs its sample rate"],
        },
        Case {
            name: "window shorter than a segment",
            request: window(1_000_000),
            code: invalid,
            contains: &["1 ms is too short", "264 ms"],
        },
        Case {
            name: "negative window",
            request: window(-1_000_000),
            code: invalid,
            contains: &["not a positive duration"],
        },
        Case {
            name: "unknown model",
            request: ClassifyRequest {
                options: model,
                ..audio(common::book())
            },
            code: Code::NotFound,
            contains: &["whisper", "it serves"],
        },
    ]
}

const LIMIT: usize = 1_000_000;

#[tokio::test]
async fn bad_input_gets_its_status_and_its_cause_and_the_next_call_succeeds() {
    let server = Server::with(&["--max-audio-bytes", "1000000", "--max-audio-seconds", "30"]);
    let client = server.client().await;
    for Case {
        name,
        request,
        code,
        contains,
    } in cases()
    {
        let status = refused(&client, request, name).await;
        assert_eq!(status.code(), code, "{name}: {}", status.message());
        for words in contains {
            assert!(
                status.message().contains(words),
                "{name}: {}",
                status.message()
            );
        }
        if code == Code::InvalidArgument {
            let details = status.get_details_bad_request();
            assert!(
                details.is_some_and(|details| !details.field_violations.is_empty()),
                "{name}"
            );
        }
        let next = client.clone().classify(audio(common::book())).await;
        assert!(next.is_ok(), "after {name}: {next:?}");
    }
}

async fn refused(client: &Client, request: ClassifyRequest, name: &str) -> Status {
    match client.clone().classify(request).await {
        Ok(answer) => panic!("{name} was answered: {answer:?}"),
        Err(status) => status,
    }
}

/// Files of a recorder that was stopped, and of a live recorder: the audio that is there is classified.
#[tokio::test]
async fn a_wav_file_that_ends_early_is_classified_up_to_its_end() {
    let server = Server::start();
    let client = server.client().await;
    let mut cut = common::wav(&common::tone(32_000), 16_000);
    cut.truncate(44 + 2 * 16_000);
    // A live recorder writes 4 GiB because it does not know the length. Nothing is missing then.
    let four_gib = damaged(16_000, |bytes| {
        set_u32(bytes, RIFF_SIZE, u32::MAX);
        set_u32(bytes, DATA_SIZE, u32::MAX - 40);
    });
    for (name, request, truncated) in [
        ("truncated WAV", audio(cut), true),
        ("WAV that claims 4 GiB", four_gib, false),
    ] {
        let answer = client.clone().classify(request).await.unwrap().into_inner();
        assert_eq!(answer.truncated, truncated, "{name}");
        assert_eq!(answer.audio_duration.unwrap().seconds, 1, "{name}");
    }
}
