//! Messages that are too large, cut or invalid: they are refused with the server's own messages, and later messages are
//! answered.

use std::collections::BTreeMap;

use tonic::Code;
use tonic::transport::Channel;
use undertone::service::pb::batch_classify_response::Result as Outcome;
use undertone::service::pb::{
    BatchClassifyRequest, BatchClassifyResponse, ClassifyRequest, ClassifyResponse,
};

use super::raw::{BATCH_CLASSIFY, CLASSIFY, GET_MODEL, call, encoded, framed};
use crate::common::{self, Server};

const LIMIT: usize = 200_000;

fn server() -> Server {
    Server::with(&["--max-audio-bytes", "200000"])
}

fn audio(bytes: usize) -> ClassifyRequest {
    ClassifyRequest {
        audio: vec![7; bytes].into(),
        ..Default::default()
    }
}

fn item(id: &str, request: ClassifyRequest) -> BatchClassifyRequest {
    BatchClassifyRequest {
        id: id.into(),
        request: Some(request),
    }
}

fn book() -> ClassifyRequest {
    ClassifyRequest {
        audio: common::book().into(),
        ..Default::default()
    }
}

fn too_large(bytes: usize) -> String {
    format!(
        "the audio has {bytes} bytes; at most {LIMIT} are accepted in one request ({} too many; the \
         server's --max-audio-bytes)",
        bytes - LIMIT
    )
}

/// From one byte too many to beyond every tolerance of the transport.
const SIZES: [usize; 4] = [LIMIT + 1, LIMIT + (64 << 10), LIMIT + (2 << 20), 40 << 20];

#[tokio::test]
async fn a_recording_that_is_too_large_is_refused_by_the_servers_limit_at_any_size() {
    let server = server();
    let client = server.client().await;
    for bytes in SIZES {
        let status = client.clone().classify(audio(bytes)).await.unwrap_err();
        assert_eq!(status.code(), Code::OutOfRange);
        assert_eq!(status.message(), too_large(bytes));
    }
    let taken = client.clone().classify(audio(LIMIT)).await.unwrap_err();
    assert_eq!(taken.code(), Code::InvalidArgument, "{taken}");
    assert!(client.clone().classify(book()).await.is_ok());
}

#[tokio::test]
async fn a_recording_that_is_too_large_gets_its_own_error_and_the_stream_continues() {
    let server = server();
    let mut client = server.client().await;
    let mut items = vec![item("first", book())];
    for bytes in SIZES {
        items.push(item(&bytes.to_string(), audio(bytes)));
        items.push(item(&format!("after {bytes}"), book()));
    }
    let count = items.len();
    let answers = client
        .batch_classify(futures_util::stream::iter(items))
        .await;
    let mut answers = answers.unwrap().into_inner();
    let mut outcomes = BTreeMap::new();
    while let Some(answer) = answers.message().await.unwrap() {
        let twice = outcomes.insert(answer.id, answer.result.unwrap());
        assert!(twice.is_none());
    }
    assert_eq!(outcomes.len(), count);
    for (id, outcome) in outcomes {
        match (id.parse::<usize>(), outcome) {
            (Ok(bytes), Outcome::Error(error)) => {
                assert_eq!(error.code, i32::from(Code::OutOfRange));
                assert_eq!(error.message, too_large(bytes));
            }
            (Err(_), Outcome::Response(_)) => {}
            (_, outcome) => panic!("{id}: {outcome:?}"),
        }
    }
}

#[tokio::test]
async fn a_message_that_announces_too_much_is_answered_before_it_has_arrived() {
    let server = server();
    let channel = server.channel().await;
    // One byte less than 4 GiB is announced. An id and some audio arrive, and then the call ends.
    let start = encoded(&item("endless", audio(10_000)));
    let endless = [&[0][..], &u32::MAX.to_be_bytes(), &start].concat();
    let body = [framed(0, &encoded(&item("book", book()))), endless].concat();
    let answer = call(&channel, BATCH_CLASSIFY, &[], body).await;
    let mut outcomes: Vec<BatchClassifyResponse> = (0..2).map(|i| answer.message(i)).collect();
    outcomes.sort_by(|one, other| one.id.cmp(&other.id));
    assert!(matches!(outcomes[0].result, Some(Outcome::Response(_))));
    let Some(Outcome::Error(error)) = &outcomes[1].result else {
        panic!("{outcomes:?}");
    };
    assert_eq!(
        (&*outcomes[1].id, error.code),
        ("endless", i32::from(Code::OutOfRange))
    );
    assert!(
        error.message.contains("4294967295 bytes"),
        "{}",
        error.message
    );
    assert!(
        error.message.contains("--max-audio-bytes"),
        "{}",
        error.message
    );
    assert_eq!(answer.status.code(), Code::InvalidArgument);
    assert!(
        answer.status.message().contains("ends inside a message"),
        "{}",
        answer.status
    );
    still_serves(&channel).await;
}

#[tokio::test]
async fn cut_or_invalid_frames_get_a_clear_status_and_the_server_continues() {
    let server = server();
    let channel = server.channel().await;
    let whole = framed(0, &encoded(&book()));
    let announced = |bytes: u32| [&[0][..], &bytes.to_be_bytes(), &[7; 2_000]].concat();
    let cases = [
        (
            CLASSIFY,
            announced(u32::MAX),
            Code::OutOfRange,
            "--max-audio-bytes",
        ),
        (
            GET_MODEL,
            announced(u32::MAX),
            Code::OutOfRange,
            "accepts at most 65536",
        ),
        (
            GET_MODEL,
            framed(0, &[7; 70_000]),
            Code::OutOfRange,
            "70000 bytes, 4464 too many",
        ),
        (
            CLASSIFY,
            whole[..100].to_vec(),
            Code::InvalidArgument,
            "ends inside a message",
        ),
        (
            CLASSIFY,
            whole[..3].to_vec(),
            Code::InvalidArgument,
            "inside the header",
        ),
        (
            BATCH_CLASSIFY,
            whole[..3].to_vec(),
            Code::InvalidArgument,
            "inside the header",
        ),
        (
            CLASSIFY,
            vec![7; 500],
            Code::InvalidArgument,
            "starts with the byte 7",
        ),
        (
            BATCH_CLASSIFY,
            vec![7; 500],
            Code::InvalidArgument,
            "starts with the byte 7",
        ),
        (CLASSIFY, vec![], Code::InvalidArgument, "no message"),
        (
            CLASSIFY,
            framed(0, &[0xff; 500]),
            Code::Internal,
            "failed to decode",
        ),
        (
            GET_MODEL,
            framed(0, &[0xff; 500]),
            Code::Internal,
            "failed to decode",
        ),
        (
            BATCH_CLASSIFY,
            framed(0, &[0xff; 500]),
            Code::Internal,
            "failed to decode",
        ),
    ];
    for (path, body, code, expected) in cases {
        let name = format!("{path}, {} bytes", body.len());
        let status = call(&channel, path, &[], body).await.status;
        assert_eq!(status.code(), code, "{name}: {status}");
        assert!(status.message().contains(expected), "{name}: {status}");
    }
    still_serves(&channel).await;
}

async fn still_serves(channel: &Channel) {
    let answer = call(channel, CLASSIFY, &[], framed(0, &encoded(&book()))).await;
    assert_eq!(answer.status.code(), Code::Ok);
    assert_eq!(answer.message::<ClassifyResponse>(0).lanes.len(), 1);
}
