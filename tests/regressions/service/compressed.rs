//! Compressed requests and responses.

use std::io::Write as _;

use tonic::Code;
use tonic::codec::CompressionEncoding;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use undertone::service::pb::batch_classify_response::Result as Outcome;
use undertone::service::pb::lane_choice::Choice;
use undertone::service::pb::{
    AudioConfig, AudioEncoding, BatchClassifyRequest, BatchClassifyResponse, ClassifyOptions,
    ClassifyRequest, ClassifyResponse, GetModelRequest, GetModelResponse, LaneChoice,
};

use super::raw::{BATCH_CLASSIFY, CLASSIFY, GET_MODEL, call, encoded, framed};
use crate::common::{self, Server};

const ENCODINGS: [CompressionEncoding; 3] = [
    CompressionEncoding::Gzip,
    CompressionEncoding::Deflate,
    CompressionEncoding::Zstd,
];

fn compress(encoding: CompressionEncoding, message: &[u8]) -> Vec<u8> {
    let level = flate2::Compression::default();
    match encoding {
        CompressionEncoding::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(message).unwrap();
            encoder.finish().unwrap()
        }
        CompressionEncoding::Deflate => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
            encoder.write_all(message).unwrap();
            encoder.finish().unwrap()
        }
        _ => zstd::bulk::compress(message, 3).unwrap(),
    }
}

fn name(encoding: CompressionEncoding) -> &'static str {
    match encoding {
        CompressionEncoding::Gzip => "gzip",
        CompressionEncoding::Deflate => "deflate",
        _ => "zstd",
    }
}

fn book() -> ClassifyRequest {
    ClassifyRequest {
        audio: common::book().into(),
        ..Default::default()
    }
}

/// Returns twelve seconds of eight idle lines with a timeline. Its response is larger than the 32 KiB that are compressed
/// on a network thread.
fn long_answer() -> ClassifyRequest {
    let lanes = Some(LaneChoice {
        choice: Some(Choice::Each(true)),
    });
    ClassifyRequest {
        config: Some(AudioConfig {
            encoding: AudioEncoding::Mulaw.into(),
            sample_rate_hz: 8_000,
            channels: 8,
            lanes,
        }),
        audio: vec![0xff; 8 * 8_000 * 12].into(),
        options: Some(ClassifyOptions {
            timeline: true,
            window: Some(prost_types::Duration {
                seconds: 0,
                nanos: 264_000_000,
            }),
            ..Default::default()
        }),
    }
}

#[tokio::test]
async fn a_client_with_compression_gets_the_same_responses_as_one_without() {
    let server = Server::start();
    let channel = server.channel().await;
    let mut plain = server.client().await.max_decoding_message_size(16 << 20);
    let mut expected = Vec::new();
    for request in [book(), long_answer()] {
        expected.push(plain.classify(request).await.unwrap().into_inner());
    }
    assert!(encoded(&expected[1]).len() > 32 << 10);
    let model = plain.get_model(GetModelRequest::default()).await.unwrap();
    for encoding in ENCODINGS {
        let mut client = plain
            .clone()
            .send_compressed(encoding)
            .accept_compressed(encoding);
        for (request, expected) in [book(), long_answer()].into_iter().zip(&expected) {
            let answer = client.classify(request).await.unwrap();
            assert_eq!(
                answer.metadata().get("grpc-encoding").unwrap(),
                name(encoding)
            );
            assert_eq!(answer.get_ref(), expected);
        }
        let answer = client.get_model(GetModelRequest::default()).await.unwrap();
        assert_eq!(answer.get_ref(), model.get_ref());

        let items = (0..2).map(|number| BatchClassifyRequest {
            id: number.to_string(),
            request: Some(book()),
        });
        let items = futures_util::stream::iter(items.collect::<Vec<_>>());
        let mut answers = client.batch_classify(items).await.unwrap().into_inner();
        let mut seen = 0;
        while let Some(answer) = answers.message().await.unwrap() {
            let Some(Outcome::Response(response)) = answer.result else {
                panic!("{answer:?}");
            };
            assert_eq!(response, expected[0]);
            seen += 1;
        }
        assert_eq!(seen, 2);

        let mut health = HealthClient::new(channel.clone())
            .send_compressed(encoding)
            .accept_compressed(encoding);
        assert!(health.check(HealthCheckRequest::default()).await.is_ok());
    }
}

#[tokio::test]
async fn a_response_is_compressed_if_the_caller_accepts_it_and_the_size_is_worth_it() {
    let server = Server::start();
    let channel = server.channel().await;
    let classify = framed(0, &encoded(&book()));
    let get_model = framed(0, &encoded(&GetModelRequest::default()));
    let plain = call(&channel, GET_MODEL, &[], get_model.clone()).await;
    assert_eq!(plain.header("grpc-encoding"), None);
    let model: GetModelResponse = plain.message(0);
    for accepted in ["identity, deflate, gzip", "gzip"] {
        let first = if accepted == "gzip" {
            "gzip"
        } else {
            "deflate"
        };
        let accept = [("grpc-accept-encoding", accepted)];
        // The response for a clip has a few hundred bytes.
        let small = call(&channel, CLASSIFY, &accept, classify.clone()).await;
        assert_eq!(small.header("grpc-encoding"), Some(first));
        assert_eq!(small.message::<ClassifyResponse>(0).lanes.len(), 1);
        // The model card has several kilobytes of text.
        let large = call(&channel, GET_MODEL, &accept, get_model.clone()).await;
        assert_eq!(large.header("grpc-encoding"), Some(first));
        let (flag, message) = &large.messages[0];
        assert_eq!(*flag, 1);
        let plainly = encoded(&model).len();
        assert!(
            message.len() < plainly * 2 / 3,
            "{} of {plainly}",
            message.len()
        );
    }
    // An error has no response message.
    let accept = [("grpc-accept-encoding", "gzip")];
    let refused = call(&channel, CLASSIFY, &accept, framed(0, b"")).await;
    assert_eq!(refused.status.code(), Code::InvalidArgument);
    assert!(refused.messages.is_empty());
}

#[tokio::test]
async fn the_limit_applies_to_the_decompressed_message() {
    let server = Server::with(&["--max-audio-bytes", "200000"]);
    let channel = server.channel().await;
    for encoding in ENCODINGS {
        let headers = [("grpc-encoding", name(encoding))];
        let bomb = ClassifyRequest {
            audio: vec![0; 100 << 20].into(),
            ..Default::default()
        };
        let item = |id: &str, request: &ClassifyRequest| {
            let (id, request) = (id.into(), Some(request.clone()));
            compress(encoding, &encoded(&BatchClassifyRequest { id, request }))
        };
        let expected = "the audio has 104857600 bytes; at most 200000 are accepted in one request \
                    (104657600 too many; the server's --max-audio-bytes)";
        let body = framed(1, &compress(encoding, &encoded(&bomb)));
        let answer = call(&channel, CLASSIFY, &headers, body).await;
        assert_eq!(answer.status.code(), Code::OutOfRange);
        assert_eq!(answer.status.message(), expected);

        let mut damaged = item("damaged", &book());
        damaged[0] ^= 0xff;
        let frames = [
            framed(1, &item("bomb", &bomb)),
            framed(1, &damaged),
            framed(1, &item("book", &book())),
        ];
        let answer = call(&channel, BATCH_CLASSIFY, &headers, frames.concat()).await;
        assert_eq!(answer.status.code(), Code::Ok, "{}", answer.status);
        let outcomes = (0..3).map(|i| answer.message::<BatchClassifyResponse>(i));
        let mut outcomes: Vec<_> = outcomes.map(|answer| (answer.id, answer.result)).collect();
        outcomes.sort_by(|one, other| one.0.cmp(&other.0));
        let [(no_id, damaged), (bomb, large), (last, whole)] = &outcomes[..] else {
            panic!("{outcomes:?}");
        };
        assert_eq!([no_id, bomb, last], ["", "bomb", "book"]);
        assert!(matches!(damaged, Some(Outcome::Error(error))
            if error.code == i32::from(Code::InvalidArgument) && error.message.contains(name(encoding))));
        assert!(matches!(large, Some(Outcome::Error(error)) if error.message == expected));
        assert!(matches!(whole, Some(Outcome::Response(_))));

        // The compressed bytes are cut in the middle, but the frame is complete.
        let whole = compress(encoding, &encoded(&book()));
        let body = framed(1, &whole[..whole.len() / 2]);
        let status = call(&channel, CLASSIFY, &headers, body).await.status;
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().contains("incomplete"), "{status}");
    }
}

#[tokio::test]
async fn an_unsupported_encoding_is_refused_and_the_supported_ones_are_named() {
    let server = Server::start();
    let channel = server.channel().await;
    let headers = [("grpc-encoding", "snappy")];
    let answer = call(&channel, CLASSIFY, &headers, framed(1, b"snappy")).await;
    assert_eq!(answer.status.code(), Code::Unimplemented);
    let accepted = answer.header("grpc-accept-encoding");
    assert_eq!(accepted, Some("identity,deflate,gzip,zstd"));
    let headers = [("grpc-encoding", "identity")];
    let body = framed(0, &encoded(&book()));
    let answer = call(&channel, CLASSIFY, &headers, body).await;
    assert_eq!(answer.status.code(), Code::Ok);
    let marked = call(&channel, CLASSIFY, &[], framed(1, b"anything")).await;
    assert_eq!(marked.status.code(), Code::Internal);
    assert!(marked.status.message().contains("grpc-encoding"));
}

/// Returns the peak memory of a process in bytes.
#[cfg(target_os = "linux")]
fn peak(process: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.unwrap().trim().strip_suffix(" kB").unwrap();
    kib.parse::<usize>().unwrap() << 10
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn the_decompressed_bytes_of_all_calls_are_bounded() {
    /// The server's budget for decompressed messages.
    const BUDGET: usize = 512 << 20;
    let server = Server::start();
    let audio = ClassifyRequest {
        audio: vec![0; 200 << 20].into(),
        ..Default::default()
    };
    let classify = framed(1, &compress(CompressionEncoding::Zstd, &encoded(&audio)));
    let item = BatchClassifyRequest {
        id: "bomb".into(),
        request: Some(audio),
    };
    let item = compress(CompressionEncoding::Zstd, &encoded(&item));
    let book_item = BatchClassifyRequest {
        id: "book".into(),
        request: Some(book()),
    };
    let stream = [framed(1, &item), framed(0, &encoded(&book_item))].concat();
    assert!(classify.len() < 100_000);
    let mut client = server.client().await;
    let expected = client.classify(book()).await.unwrap().into_inner();
    let before = peak(server.id());
    let channel = server.channel().await;
    let mut bombs = tokio::task::JoinSet::new();
    for number in 0..32 {
        let channel = channel.clone();
        let (path, body) = match number % 4 {
            0 => (BATCH_CLASSIFY, stream.clone()),
            _ => (CLASSIFY, classify.clone()),
        };
        bombs.spawn(async move {
            (
                path,
                call(&channel, path, &[("grpc-encoding", "zstd")], body).await,
            )
        });
    }
    let beside = client.classify(book()).await.unwrap().into_inner();
    assert_eq!(beside, expected);
    let mut refused = 0;
    let mut outcome = |code: Code, message: &str| {
        match code {
            Code::ResourceExhausted => {
                assert!(message.contains("decompressed"), "{message}");
                refused += 1;
            }
            // It fits in the budget and is not audio.
            code => assert_eq!(code, Code::InvalidArgument, "{message}"),
        };
    };
    while let Some(ended) = bombs.join_next().await {
        let (path, answer) = ended.unwrap();
        if path == CLASSIFY {
            outcome(answer.status.code(), answer.status.message());
            let pushback = answer.header("grpc-retry-pushback-ms");
            assert_eq!(
                pushback.is_some(),
                answer.status.code() == Code::ResourceExhausted
            );
            continue;
        }
        assert_eq!(answer.status.code(), Code::Ok, "{}", answer.status);
        for place in 0..2 {
            let answer: BatchClassifyResponse = answer.message(place);
            match (answer.id.as_str(), answer.result.unwrap()) {
                ("book", Outcome::Response(response)) => assert_eq!(response, expected),
                (_, Outcome::Error(error)) => {
                    let busy = error.code == i32::from(Code::ResourceExhausted);
                    assert_eq!(error.retry_delay.is_some(), busy);
                    outcome(error.code.into(), &error.message);
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(refused > 0);
    let more = peak(server.id()) - before;
    println!("{} MiB more, {refused} refused", more >> 20);
    assert!(more < BUDGET + (256 << 20), "{} MiB", more >> 20);
    // The whole budget was given back.
    let mut compressing = client.send_compressed(CompressionEncoding::Zstd);
    let after = compressing.classify(book()).await.unwrap().into_inner();
    assert_eq!(after, expected);
}
