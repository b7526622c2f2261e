//! Tests of the check of raw samples.

use proptest::prelude::*;

use super::*;

fn check(bytes: &[u8], piece: usize) -> Result<(), AudioError> {
    let mut check = RawContentCheck::default();
    for piece in bytes.chunks(piece) {
        check.push(piece, RawFormat::Mulaw)?;
    }
    check.finish(RawFormat::Mulaw)
}

fn frames_of(header: &[u8], size: usize, count: usize) -> Vec<u8> {
    let body = (header.len()..size).map(|i| (i * 7 + i * i / 3) as u8 & 0x7f);
    let frame: Vec<u8> = header.iter().copied().chain(body).collect();
    frame.repeat(count)
}

#[test]
fn files_and_text_are_refused_by_name() {
    let mp3 = frames_of(&[0xff, 0xfb, 0x90, 0], 417, 8);
    let aac = frames_of(&[0xff, 0xf1, 0x60, 0x40, 0x2e, 0x7f, 0xfc], 0x173, 9);
    let base64 = "Zm9vYmFyK2Jh/3NlNjQ9".repeat(9);
    let silence = [&[b'/'; 5_000][..], base64.as_bytes()].concat();
    let hex = "ff7f03fe81a09b".repeat(9);
    let json = br#"{"event": "media", "media": {"track": "inbound", "payload": "f39+/w=="}}"#;
    let prose = "She said \u{201c}no\u{201d}, and the line went dead. ".repeat(4);
    let packet: Vec<u8> = (0..184).map(|i| (i * 31 % 64) as u8).collect();
    let stream = [&[0x47, 0x41, 0x00, 0x10], packet.as_slice()]
        .concat()
        .repeat(60);
    let cases: [(&[u8], &str); 15] = [
        (&stream, "MPEG-TS"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\x03", "a gzip archive"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "WAV"),
        (b"OggS\0\x02\0\0\0\0\0\0", "Ogg"),
        (b"fLaC\0\0\0\x22", "FLAC"),
        (b"\0\0\0\x18ftypM4A \0\0\0\0", "MP4"),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81", "Matroska"),
        (b"ID3\x04\0\0\0\0\x01\x02ab", "MP3"),
        (&mp3, "MP3"),
        (&mp3[200..], "MP3"),
        (&aac, "AAC"),
        (base64.as_bytes(), "base64"),
        (&silence, "base64"),
        (hex.as_bytes(), "hexadecimal"),
        (json, "JSON"),
    ];
    for (bytes, name) in cases.into_iter().chain([(prose.as_bytes(), "text")]) {
        for piece in [1, 100, bytes.len()] {
            let error = check(bytes, piece).unwrap_err().to_string();
            assert!(
                error.contains(&format!("looks like {name}")),
                "{name}: {error}"
            );
        }
    }
}

#[test]
fn constants_and_tones_are_not_refused() {
    for value in 0..=255 {
        assert!(check(&[value; 20_000], 160).is_ok(), "constant {value}");
    }
    let patterns: [&[u8]; 8] = [
        b"\xff\xfb\x90\0",
        b"\xff\xf1\x60\x40\x2e\x7f\xfc\x80",
        b"\xd5\x55",
        b"~}|{zyxwvutsrqp",
        b"0123456789",
        b"\xff\x7f\xfe\x7e",
        // Quiet A-law and loud µ-law below zero.
        b"UTWVQPSR]\\_^YX[ZEDGFA@CBMLONIHKJutwvqpsr",
        b"~zvrnjfb^ZVRNJFB>:62.*&\"$(,048<@DHLPTX\\`dhlptx|",
    ];
    for pattern in patterns {
        assert!(check(&pattern.repeat(3_000), 160).is_ok(), "{pattern:x?}");
    }
}

proptest! {
    #![proptest_config(replay::defaults())]

    #[test]
    fn the_sizes_of_the_pieces_change_nothing(
        head in prop::sample::select(vec![&b""[..], b"RIFF\0\0\0\0WAVE", b"////////", b"\xff\xfb\x90\0"]),
        tail in prop::collection::vec(any::<u8>(), 0..300),
        piece in 1..50_usize,
    ) {
        let bytes = [head, &tail].concat();
        let whole = check(&bytes, bytes.len().max(1)).map_err(|error| error.to_string());
        prop_assert_eq!(check(&bytes, piece).map_err(|error| error.to_string()), whole);
    }

    #[test]
    fn noise_is_not_refused(seed in any::<u64>(), spread in 1..256_u64) {
        let mut state = seed;
        let noise: Vec<u8> = (0..10_000).map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) % spread) as u8 ^ 0xff
        }).collect();
        prop_assert!(check(&noise, 4_000).is_ok());
    }
}
