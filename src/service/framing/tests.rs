//! Tests of the message frames.

use proptest::prelude::*;
use tonic::Code;

use super::*;
use crate::service::budget::CHUNK;

const AUDIO: usize = 100_000;
const LIMIT: usize = AUDIO + OVERHEAD;

fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
    let mut frame = vec![flag];
    frame.extend_from_slice(&(message.len() as u32).to_be_bytes());
    frame.extend_from_slice(message);
    frame
}

fn item(id: &str, audio: usize) -> Vec<u8> {
    let request = pb::ClassifyRequest {
        config: Some(pb::AudioConfig::default()),
        audio: vec![7; audio].into(),
        options: Some(pb::ClassifyOptions::default()),
    };
    pb::BatchClassifyRequest {
        id: id.into(),
        request: Some(request),
    }
    .encode_to_vec()
}

fn budget() -> Budget {
    Budget::of_server(LIMIT)
}

/// The results of a call: the bytes for the transport, the refused messages and the final error.
#[derive(Debug, Default, PartialEq)]
struct CallResult {
    bytes: Vec<u8>,
    refused: Vec<(u64, Code, String)>,
    ended: Option<(Code, String)>,
}

fn follow(mut framing: Framing, input: &[u8], cuts: &[usize]) -> CallResult {
    let mut outcome = CallResult::default();
    let mut input = Bytes::copy_from_slice(input);
    let mut cuts = cuts.iter().cycle();
    let code_and_message = |status: Status| (status.code(), status.message().to_owned());
    while !input.is_empty() {
        let cut = cuts
            .next()
            .map_or(input.len(), |cut| (*cut).min(input.len()));
        let mut piece = input.split_to(cut);
        loop {
            match framing.step(&mut piece) {
                Ok(Some(FramingOutput::Bytes(bytes))) => outcome.bytes.extend_from_slice(&bytes),
                Ok(Some(FramingOutput::Charged(..))) => {}
                Ok(Some(FramingOutput::Refused(number, status))) => {
                    let (code, message) = code_and_message(status);
                    outcome.refused.push((number, code, message));
                }
                Ok(None) if piece.is_empty() => break,
                Ok(None) => {}
                Err(status) => {
                    outcome.ended = Some(code_and_message(status));
                    return outcome;
                }
            }
        }
    }
    outcome.ended = framing.finish().err().map(code_and_message);
    outcome
}

#[test]
fn a_message_that_is_too_large_is_replaced_by_its_id_and_the_others_pass() {
    let small = item("small", 1_000);
    let large = item("large", AUDIO + 1_000_000);
    let bomb = Compression::Gzip
        .compress(&item("bomb", 50 * AUDIO))
        .unwrap();
    let fits = Compression::Gzip.compress(&small).unwrap();
    let call = [
        framed(0, &small),
        framed(0, &large),
        framed(1, &fits),
        framed(1, &bomb),
        framed(1, b"no gzip"),
        framed(0, &small),
    ];
    let framing = Framing::new(
        MethodInput::Recordings(AUDIO),
        Some(Compression::Gzip),
        budget(),
    );
    let outcome = follow(framing, &call.concat(), &[]);
    let id = |id| framed(0, &item_of(id));
    let passed = [
        framed(0, &small),
        id("large"),
        framed(0, &small),
        id("bomb"),
        id(""),
        framed(0, &small),
    ];
    assert!(outcome.bytes == passed.concat());
    assert_eq!(outcome.ended, None);
    let [large, bomb, broken] = &outcome.refused[..] else {
        panic!("{:?}", outcome.refused);
    };
    for (refused, number, bytes) in [(large, 1, 1_100_000), (bomb, 3, 5_000_000)] {
        assert_eq!((refused.0, refused.1), (number, Code::OutOfRange));
        let expected = format!(
            "the audio has {bytes} bytes; at most 100000 are accepted in one request ({} too many; the \
             server's --max-audio-bytes)",
            bytes - AUDIO
        );
        assert_eq!(refused.2, expected);
    }
    assert_eq!((broken.0, broken.1), (4, Code::InvalidArgument));
    assert!(broken.2.contains("gzip"), "{}", broken.2);
}

fn item_of(id: &str) -> Vec<u8> {
    let id = id.into();
    pb::BatchClassifyRequest { id, request: None }.encode_to_vec()
}

#[test]
fn a_message_beyond_the_budget_is_refused_and_the_others_are_charged() {
    let message = item("large", AUDIO);
    let budget = Budget::of_bytes(2 * CHUNK);
    let frame = framed(1, &Compression::Gzip.compress(&message).unwrap());
    let takes = MethodInput::Recordings(AUDIO);
    let mut framing = Framing::new(takes, Some(Compression::Gzip), budget.clone());
    let mut input = Bytes::from([frame.clone(), frame.clone(), frame].concat());
    let (mut charges, mut refused, mut passed) = (Vec::new(), Vec::new(), Vec::new());
    while !input.is_empty() || passed.len() < 2 * (HEADER + message.len()) {
        match framing.step(&mut input).unwrap() {
            Some(FramingOutput::Charged(number, charge)) => charges.push((number, charge)),
            Some(FramingOutput::Refused(number, status)) => refused.push((number, status)),
            Some(FramingOutput::Bytes(bytes)) => passed.extend_from_slice(&bytes),
            None => {}
        }
    }
    let charged: Vec<_> = charges
        .iter()
        .map(|(place, one)| (*place, one.bytes()))
        .collect();
    assert_eq!(charged, [(0, CHUNK), (1, CHUNK)]);
    assert!(passed.starts_with(&framed(0, &message)));
    let [(2, status)] = &refused[..] else {
        panic!("{refused:?}");
    };
    assert_eq!(status.code(), Code::ResourceExhausted);
    drop(charges);
    assert_eq!(budget.left(), 2 * CHUNK);
}

#[test]
fn a_call_of_one_message_ends_with_the_reason() {
    let request = |audio: usize| {
        let audio = vec![7; audio].into();
        let request = pb::ClassifyRequest {
            audio,
            ..Default::default()
        };
        request.encode_to_vec()
    };
    let announced = |bytes: u32| [&[0][..], &bytes.to_be_bytes(), &[7; 2 * START]].concat();
    let takes = MethodInput::Recording(AUDIO);
    for (name, takes, bytes, code, expected) in [
        (
            "audio",
            takes,
            framed(0, &request(LIMIT)),
            Code::OutOfRange,
            "the audio has 165536 bytes; at most 100000 are accepted",
        ),
        (
            "4 GiB",
            takes,
            announced(u32::MAX),
            Code::OutOfRange,
            "the message has 4294967295 bytes",
        ),
        (
            "small",
            MethodInput::Small,
            announced(70_000),
            Code::OutOfRange,
            "70000 bytes, 4464 too many",
        ),
        (
            "flag",
            takes,
            framed(7, b"garbage"),
            Code::InvalidArgument,
            "starts with the byte 7",
        ),
        (
            "no encoding",
            takes,
            framed(1, b"x"),
            Code::Internal,
            "names no grpc-encoding",
        ),
        (
            "cut header",
            takes,
            vec![0, 0],
            Code::InvalidArgument,
            "inside the header",
        ),
        (
            "cut message",
            takes,
            framed(0, b"abc")[..7].to_vec(),
            Code::InvalidArgument,
            "1 bytes are missing",
        ),
    ] {
        let outcome = follow(Framing::new(takes, None, budget()), &bytes, &[]);
        let (ended, message) = outcome.ended.unwrap();
        assert_eq!(ended, code, "{name}: {message}");
        assert!(message.contains(expected), "{name}: {message}");
        assert!(outcome.bytes.len() <= 7, "{name}");
    }
}

#[test]
fn little_memory_is_held_of_a_refused_message() {
    let mut framing = Framing::new(MethodInput::Recordings(AUDIO), None, budget());
    let mut head = Bytes::from([&[0][..], &u32::MAX.to_be_bytes()].concat());
    assert!(framing.step(&mut head).unwrap().is_none());
    let piece = Bytes::from(vec![7; 64 << 10]);
    for _ in 0..100 {
        let mut piece = piece.clone();
        while !piece.is_empty() {
            let _ = framing.step(&mut piece).unwrap();
        }
        let held = match &framing.state {
            FramingState::Starting { start, .. } => start.len(),
            FramingState::Skipping { .. } => 0,
            _ => panic!("the message is not refused"),
        };
        assert!(held <= START && framing.ready.len() <= 3);
    }
}

proptest! {
    #![proptest_config(replay::with_cases(64))]

    #[test]
    fn the_size_of_the_pieces_changes_nothing(
        sizes in prop::collection::vec((0..4_usize, any::<bool>()), 1..6),
        cuts in prop::collection::vec(1..70_000_usize, 1..5),
        end in any::<prop::sample::Index>(),
    ) {
        let call = sizes.iter().enumerate().map(|(place, (size, compressed))| {
            let message = item(&place.to_string(), [0, 10, AUDIO, 3 * AUDIO][*size]);
            if *compressed {
                framed(1, &Compression::Zstd.compress(&message).unwrap())
            } else {
                framed(0, &message)
            }
        });
        let mut call = call.collect::<Vec<_>>().concat();
        call.truncate(end.index(2 * call.len()).max(1));
        let framing = || Framing::new(MethodInput::Recordings(AUDIO), Some(Compression::Zstd), budget());
        let whole = follow(framing(), &call, &[]);
        prop_assert!(whole == follow(framing(), &call, &cuts));
    }

    #[test]
    fn random_bytes_end_a_call_or_pass(
        bytes in prop::collection::vec(any::<u8>(), 0..2_000),
        encoding in prop::sample::select(vec![None, Some(Compression::Gzip), Some(Compression::Deflate), Some(Compression::Zstd)]),
    ) {
        for takes in [MethodInput::Recording(1_000), MethodInput::Recordings(1_000), MethodInput::Small] {
            follow(Framing::new(takes, encoding, budget()), &bytes, &[100]);
        }
    }
}
