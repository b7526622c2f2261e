//! Tests of decoding as a whole: the samples of known files, and the error for each bad input.

use std::io::Cursor;
use std::time::Duration;

use proptest::prelude::*;

use super::response::resampled;
use super::*;

const SPEC: hound::WavSpec = hound::WavSpec {
    channels: 1,
    sample_rate: 16_000,
    bits_per_sample: 16,
    sample_format: hound::SampleFormat::Int,
};

/// Returns a WAV written by hound, an independent implementation.
fn wav<S: hound::Sample + Copy>(spec: hound::WavSpec, samples: &[S]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = hound::WavWriter::new(Cursor::new(&mut bytes), spec).unwrap();
    for &sample in samples {
        writer.write_sample(sample).unwrap();
    }
    writer.finalize().unwrap();
    bytes
}

fn mono16(samples: &[i16]) -> Vec<u8> {
    wav(SPEC, samples)
}

fn auto(bytes: &[u8]) -> Result<Recording, AudioError> {
    decode(bytes, Encoding::Auto, LaneChoice::Auto, &Limits::default())
}

#[test]
fn samples_at_16_khz_are_kept_bit_for_bit() {
    let samples: Vec<i16> = (0..20_000)
        .map(|i| (i * 7_919 % 65_536 - 32_768) as i16)
        .collect();
    let recording = auto(&mono16(&samples)).unwrap();
    let expected: Vec<f32> = samples.iter().map(|&s| f32::from(s) / 32_768.0).collect();
    assert_eq!(recording.lanes, [expected]);
    assert_eq!(recording.source.codec, "pcm_s16le");
    assert_eq!(recording.source.captured_rate, 16_000);
    assert!(!recording.truncated);
}

#[test]
fn lanes_are_made_as_requested() {
    let frame = [0.25_f32, -0.5, 0.75, 0.125];
    let file = |channels: u16| {
        let spec = hound::WavSpec {
            channels,
            bits_per_sample: 32,
            sample_format: hound::SampleFormat::Float,
            ..SPEC
        };
        wav(spec, &frame[..usize::from(channels)].repeat(9))
    };
    let cases: [(u16, LaneChoice, &[f32]); 8] = [
        (1, LaneChoice::Auto, &[0.25]),
        (1, LaneChoice::Each, &[0.25]),
        (2, LaneChoice::Auto, &[0.25, -0.5]),
        (2, LaneChoice::Mix, &[-0.125]),
        (2, LaneChoice::Select(1), &[-0.5]),
        (4, LaneChoice::Auto, &[0.156_25]),
        (4, LaneChoice::Each, &frame),
        (4, LaneChoice::Select(0), &[0.25]),
    ];
    for (channels, choice, expected) in cases {
        let recording =
            decode(&file(channels), Encoding::Auto, choice, &Limits::default()).unwrap();
        let expected: Vec<Vec<f32>> = expected.iter().map(|&x| vec![x; 9]).collect();
        assert_eq!(recording.lanes, expected, "{choice:?} of {channels}");
    }
    let error = decode(
        &file(2),
        Encoding::Auto,
        LaneChoice::Select(2),
        &Limits::default(),
    );
    assert_eq!(
        error.unwrap_err().to_string(),
        "lane 2 was requested, but there are 2 (the first is 0)"
    );
}

#[test]
fn each_bad_input_has_its_own_error() {
    let patched = |at: usize, with: &[u8]| {
        let mut bytes = mono16(&[1_000; 800]);
        bytes[at..at + with.len()].copy_from_slice(with);
        bytes
    };
    let whole = mono16(&[1; 800]);
    let cases: [(Vec<u8>, &str); 12] = [
        (vec![], "the audio is empty"),
        (b"hello, this is a letter".to_vec(), "this looks like text"),
        (whole[..4].to_vec(), "the WAV header is cut: 4 bytes"),
        (whole[..20].to_vec(), "WAV fmt chunk has only 0 bytes"),
        (whole[..44].to_vec(), "no audio in it"),
        (
            patched(24, &[0; 4]),
            "the WAV header claims 0 Hz; a sample rate is needed",
        ),
        (
            patched(24, &[0xff; 4]),
            "claims 4294967295 Hz; rates of 2000 to 768000 Hz",
        ),
        (patched(22, &[0; 2]), "the WAV header claims 0 channels"),
        (patched(22, &[0xff; 2]), "claims 65535 channels; at most 8"),
        (patched(20, &[0x31, 0]), "GSM 6.10 in WAV is not supported"),
        (
            patched(20, &[0x34, 0x12]),
            "WAV codec 0x1234 is not supported",
        ),
        (
            b"fLaC\0\0\0\x22abcdefghijkl".to_vec(),
            "cannot read this FLAC",
        ),
    ];
    for (bytes, words) in cases {
        let error = auto(&bytes).unwrap_err().to_string();
        assert!(error.contains(words), "{words:?} is not in {error:?}");
    }
}

#[test]
fn a_wav_with_a_wrong_size_yields_its_samples() {
    let whole = mono16(&[1_000; 800]);
    let sized = |riff: u32, data: u32| {
        let mut bytes = whole.clone();
        bytes[4..8].copy_from_slice(&riff.to_le_bytes());
        bytes[40..44].copy_from_slice(&data.to_le_bytes());
        bytes
    };
    let cases = [
        ("cut", whole[..844].to_vec(), 400, true),
        ("cut inside a sample", whole[..845].to_vec(), 400, true),
        ("size too large", sized(1_636, 5_000), 800, true),
        ("live, all ones", sized(u32::MAX, u32::MAX), 800, false),
        ("live, sox", sized(0x7fff_f024, 0x7fff_f000), 800, false),
        ("live, zero", sized(0, 0), 800, false),
        ("shorter than the file", sized(836, 800), 400, false),
    ];
    for (what, bytes, samples, truncated) in cases {
        let recording = auto(&bytes).unwrap();
        assert_eq!(recording.lanes[0].len(), samples, "{what}");
        assert_eq!(recording.truncated, truncated, "{what}");
    }
}

#[test]
fn chunks_with_any_padding_are_skipped() {
    let whole = mono16(&[1_000; 80]);
    for padding in [&b""[..], b"\0", b"!"] {
        let chunk = [b"LIST\x03\0\0\0abc".as_slice(), padding].concat();
        let bytes = [&whole[..12], &chunk, &whole[12..]].concat();
        assert_eq!(
            auto(&bytes).unwrap().lanes,
            [vec![1_000.0 / 32_768.0; 80]],
            "{padding:?}"
        );
    }
}

#[test]
fn rf64_is_decoded() {
    let whole = mono16(&[1_000; 80]);
    let sizes = [0_u64, 160, 80].map(u64::to_le_bytes).concat();
    let mut bytes = [
        b"RF64\xff\xff\xff\xffWAVEds64\x1c\0\0\0",
        &sizes[..],
        &[0; 4],
        &whole[12..],
    ]
    .concat();
    let size = bytes.len() - 160 - 4;
    bytes[size..size + 4].fill(0xff);
    bytes.extend_from_slice(b"junk after the data");
    let recording = auto(&bytes).unwrap();
    assert_eq!(recording.lanes[0].len(), 80);
}

#[test]
fn the_error_for_an_impossible_sample_has_its_position() {
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: 8_000,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    for (bad, words) in [
        (
            f32::NAN,
            "lane 1 has a sample that is not a finite number at 1.500 s",
        ),
        (
            f32::NEG_INFINITY,
            "lane 1 has a sample that is not a finite number at 1.500 s",
        ),
        (
            3e30,
            "lane 1 has a sample of 3e30 at 1.500 s; full scale is ±1",
        ),
    ] {
        let mut samples = vec![0.5_f32; 40_000];
        samples[24_001] = bad;
        let bytes = wav(spec, &samples);
        assert_eq!(auto(&bytes).unwrap_err().to_string(), words);
        let other = decode(
            &bytes,
            Encoding::Auto,
            LaneChoice::Select(0),
            &Limits::default(),
        );
        assert!(other.is_ok(), "the other lane is valid");
    }
}

#[test]
fn each_exceeded_limit_is_named() {
    let bytes = mono16(&[1; 32_000]);
    let cases = [
        (
            Limits {
                bytes: 999,
                ..Limits::default()
            },
            "has 64044 bytes; at most 999",
        ),
        (
            Limits {
                seconds: 1.5,
                ..Limits::default()
            },
            "longer than 1.5 s",
        ),
        (
            Limits {
                channels: 0,
                ..Limits::default()
            },
            "1 channels; at most 0",
        ),
        (
            Limits {
                decoded_bytes: 4_000,
                ..Limits::default()
            },
            "more than 4000 bytes",
        ),
        (
            Limits {
                time: Duration::ZERO,
                ..Limits::default()
            },
            "stopped after 0 s",
        ),
    ];
    for (limits, words) in cases {
        let error = decode(&bytes, Encoding::Auto, LaneChoice::Auto, &limits).unwrap_err();
        assert!(error.is_limit(), "{error}");
        assert!(
            error.to_string().contains(words),
            "{words:?} is not in {error}"
        );
    }
    assert!(!AudioError::Empty.is_limit());
}

#[test]
fn samples_without_a_header_need_a_possible_rate_and_channel_count() {
    let raw = |format, sample_rate, channels| Encoding::Raw {
        format,
        sample_rate,
        channels,
    };
    let decode = |bytes: &[u8], encoding| {
        super::decode(bytes, encoding, LaneChoice::Auto, &Limits::default())
    };
    let two = decode(&[0, 0x40, 0, 0xc0, 1], raw(RawFormat::PcmS16Le, 16_000, 2)).unwrap();
    assert_eq!(two.lanes, [[0.5], [-0.5]]);
    assert!(two.truncated, "a byte is left over");
    let silence = decode(&[0xd5; 8_000], raw(RawFormat::Alaw, 8_000, 1)).unwrap();
    assert_eq!(silence.seconds(), 1.0);
    for (encoding, words) in [
        (
            raw(RawFormat::Mulaw, 0, 1),
            "the request claims 0 Hz; a sample rate is needed",
        ),
        (
            raw(RawFormat::Mulaw, 8_000, 0),
            "the request claims 0 channels",
        ),
        (
            raw(RawFormat::Mulaw, 1_000, 1),
            "the request claims 1000 Hz",
        ),
        (raw(RawFormat::PcmF32Le, 8_000, 2), "no audio in it"),
    ] {
        let error = decode(&[0; 4], encoding).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn a_lane_has_the_same_samples_whatever_its_thread_resampled_before() {
    for rate in [8_000, 44_100] {
        let lane: Vec<f32> = (0..5_000).map(|i| (i as f32 * 0.37).sin()).collect();
        let other: Vec<f32> = lane.iter().map(|sample| 1.0 - sample).collect();
        let first = std::thread::scope(|scope| {
            let first = scope.spawn(|| resampled(rate, &lane, []));
            first.join().unwrap()
        });
        resampled(rate, &other, []);
        // A lane that ends early.
        let mut broken = Resampler::new(rate).unwrap();
        broken.push(&other[..1_111], &mut Vec::new()).unwrap();
        drop(broken);
        assert_eq!(resampled(rate, &lane, []), first);
    }
}

proptest! {
    #![proptest_config(replay::with_cases(48))]

    #[test]
    fn dividing_the_input_anywhere_changes_no_sample(
        rate in prop::sample::select(vec![8_000_u32, 11_025, 16_000, 22_050, 44_100, 48_000]),
        samples in prop::collection::vec(-1.0_f32..1.0, 0..6_000),
        cuts in prop::collection::vec(0_usize..1_500, 0..12),
    ) {
        let whole = resampled(rate, &samples, []);
        let due = (samples.len() as u64 * 16_000).div_ceil(u64::from(rate));
        prop_assert_eq!(whole.len() as u64, due);
        prop_assert_eq!(resampled(rate, &samples, cuts), whole);
    }

    #[test]
    fn no_bytes_cause_a_panic(
        head in prop::sample::select(vec![
            &b""[..], b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0", b"fLaC", b"OggS\0\x02",
            b"\xff\xfb\x90\x64", b"caff\0\x01\0\0desc", b"\0\0\0\x18ftypM4A ", b"\x1a\x45\xdf\xa3",
            b"FORM\0\0\xff\xffAIFFCOMM", b"ID3\x03\0\0\0\0\0\x05",
        ]),
        tail in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let _ = auto(&[head, &tail].concat());
    }
}
