//! Recordings that are decoded while they arrive have the same samples as complete ones, bit for bit, however the
//! bytes are divided.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests"
)]

#[path = "common/wav.rs"]
mod wav;

use proptest::prelude::*;
use undertone::audio::{
    AudioError, Decoder, Encoding, Ending, LaneChoice, Limits, RawFormat, Recording, decode,
    estimate,
};
use wav::wav;

/// A recording and its encoding.
struct Case {
    name: &'static str,
    bytes: Vec<u8>,
    encoding: Encoding,
}

/// The call in other formats, and whether each can be decoded only as a whole.
const FORMATS: [(&str, bool); 12] = [
    ("call.mp3", false),
    ("call.ogg", false),
    ("call-flac.ogg", false),
    ("call.aac", false),
    ("call.m4a", false),
    ("call-fragmented.mp4", false),
    ("call-index-last.m4a", true),
    ("call.mka", false),
    ("call.webm", false),
    ("call.aiff", false),
    ("call.caf", true),
    ("call-adpcm.wav", false),
];

/// Clips of 0.1 to 0.4 s in every container and codec, and whether each can be decoded only as a whole.
const CLIPS: &[(&str, bool)] = &[
    ("extensible24.wav", false),
    ("float64.wav", false),
    ("rf64.wav", false),
    ("wave64.w64", false),
    ("wave64_f32.w64", false),
    ("alaw.w64", false),
    ("sun.au", false),
    ("sun_f64.au", false),
    ("mulaw.au", false),
    ("big_endian.aiff", false),
    ("apple.caf", false),
    ("flac.ogg", false),
    ("flac.mka", false),
    ("alac.m4a", true),
    ("ima.wav", false),
    ("ms.wav", false),
    ("layer3.mp3", false),
    ("layer3_48k.mp3", false),
    ("vorbis.ogg", false),
    ("adts.aac", false),
    ("aac.m4a", true),
    ("fragmented.mp4", false),
    #[cfg(feature = "opus")]
    ("voice.opus", false),
    #[cfg(feature = "opus")]
    ("music.opus", false),
    #[cfg(feature = "opus")]
    ("chained.opus", false),
    #[cfg(feature = "opus")]
    ("surround.opus", false),
    #[cfg(feature = "opus")]
    ("browser.webm", false),
    #[cfg(feature = "opus")]
    ("phone.mp4", true),
    #[cfg(feature = "opus")]
    ("voice.caf", true),
];

const MULAW: Encoding = Encoding::Raw {
    format: RawFormat::Mulaw,
    sample_rate: 8_000,
    channels: 2,
};
const FLOATS: Encoding = Encoding::Raw {
    format: RawFormat::PcmF32Le,
    sample_rate: 11_025,
    channels: 3,
};

fn fixture(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/audio/");
    std::fs::read(format!("{folder}{name}")).unwrap()
}

/// Returns a tone of slowly changing level, half of full scale at most.
fn tone(samples: usize) -> Vec<f32> {
    (0..samples)
        .map(|i| 0.5 * (i as f32 * 0.2).sin() * (i as f32 * 0.001).sin().abs())
        .collect()
}

fn cases() -> Vec<Case> {
    let auto = |name, bytes| Case {
        name,
        bytes,
        encoding: Encoding::Auto,
    };
    let formats = FORMATS.map(|(name, _)| auto(name, fixture(&format!("formats/{name}"))));
    let mut cases = Vec::from(formats);
    let plain = wav(&tone(20_000), 22_050);
    let mut live = plain.clone();
    live[4..8].fill(0xff);
    live[40..44].fill(0xff);
    let mut unfinished = plain.clone();
    unfinished[4..8].fill(0);
    unfinished[40..44].fill(0);
    let chunk = b"LIST\x05\0\0\0chunk\0";
    let junk = [&plain[..12], chunk, &plain[12..], b"junk after the data"].concat();
    let tagged = [&b"ID3\x04\0\0\0\0\x0f\0"[..], &[7; 15 << 7], &plain].concat();
    let floats = tone(9_000);
    cases.extend([
        auto("call.flac", fixture("call.flac")),
        auto("plain.wav", plain),
        auto("live.wav", live),
        auto("unfinished.wav", unfinished),
        auto("junk.wav", junk),
        auto("tagged.wav", tagged),
        Case {
            // One lane has one sample more than the other.
            name: "mulaw",
            bytes: (0..24_001).map(|i| (i * 37 % 251) as u8).collect(),
            encoding: MULAW,
        },
        Case {
            name: "floats",
            bytes: floats.iter().flat_map(|x| x.to_le_bytes()).collect(),
            encoding: FLOATS,
        },
    ]);
    cases
}

fn clips() -> Vec<Case> {
    let clip = |&(name, _): &(&'static str, bool)| Case {
        name,
        bytes: fixture(&format!("formats/{name}")),
        encoding: Encoding::Auto,
    };
    CLIPS.iter().map(clip).collect()
}

fn whole(bytes: &[u8], encoding: Encoding) -> Result<Recording, String> {
    let limits = Limits::default();
    decode(bytes, encoding, LaneChoice::Each, &limits).map_err(|error| error.to_string())
}

/// Decodes `bytes` in pieces of these sizes, which are used in turn.
fn pieces(
    bytes: &[u8],
    encoding: Encoding,
    sizes: &[usize],
) -> Result<(Recording, Ending), String> {
    let mut decoded: Vec<Vec<f32>> = Vec::new();
    let ending = stream(bytes, encoding, sizes, &mut decoded).map_err(|error| error.to_string())?;
    let recording = Recording {
        lanes: decoded,
        source: ending.source.clone(),
        truncated: ending.truncated,
        channels_changed: ending.channels_changed,
    };
    Ok((recording, ending))
}

fn stream(
    mut bytes: &[u8],
    encoding: Encoding,
    sizes: &[usize],
    decoded: &mut Vec<Vec<f32>>,
) -> Result<Ending, AudioError> {
    let mut decoder = Decoder::start(encoding, LaneChoice::Each, &Limits::default())?;
    for &size in sizes.iter().cycle() {
        if bytes.is_empty() {
            break;
        }
        let (now, later) = bytes.split_at(size.min(bytes.len()));
        decoder.push(now, |lanes| append(decoded, lanes))?;
        bytes = later;
    }
    decoder.finish(|lanes| append(decoded, lanes))
}

/// Appends samples to the lanes decoded so far.
fn append(decoded: &mut Vec<Vec<f32>>, lanes: &[Vec<f32>]) -> Result<(), AudioError> {
    decoded.resize_with(lanes.len(), Vec::new);
    for (decoded, samples) in decoded.iter_mut().zip(lanes) {
        decoded.extend_from_slice(samples);
    }
    Ok(())
}

#[test]
fn pieces_of_1_13_4096_and_all_bytes_decode_like_the_whole() {
    for case in cases() {
        let whole = whole(&case.bytes, case.encoding).unwrap();
        assert!(whole.seconds() > 0.2, "{}", case.name);
        assert_eq!(whole.truncated, case.name == "mulaw", "{}", case.name);
        for size in [1, 13, 4_096, case.bytes.len()] {
            let (recording, _) = pieces(&case.bytes, case.encoding, &[size]).unwrap();
            assert!(recording == whole, "{} in pieces of {size}", case.name);
        }
    }
}

#[test]
fn every_container_and_codec_decodes_in_pieces_like_the_whole() {
    for (case, &(_, held)) in clips().iter().zip(CLIPS) {
        let whole = whole(&case.bytes, case.encoding).unwrap();
        for size in [1, 13, 4_096, case.bytes.len()] {
            let (recording, ending) = pieces(&case.bytes, case.encoding, &[size]).unwrap();
            assert!(recording == whole, "{} in pieces of {size}", case.name);
            assert_eq!(ending.held, held, "{}", case.name);
        }
    }
}

#[test]
fn a_file_that_ends_early_is_marked_as_truncated() {
    for name in [
        "call.mka",
        "call.webm",
        "call-flac.ogg",
        "call.m4a",
        "call-fragmented.mp4",
    ] {
        let bytes = fixture(&format!("formats/{name}"));
        let cut = whole(&bytes[..bytes.len() * 7 / 10], Encoding::Auto).unwrap();
        assert!(cut.truncated && cut.seconds() > 0.5, "{name}");
    }
}

#[test]
fn the_position_of_the_index_in_an_mp4_changes_nothing() {
    let [front, last] = ["call.m4a", "call-index-last.m4a"]
        .map(|name| whole(&fixture(&format!("formats/{name}")), Encoding::Auto));
    assert!(front.is_ok() && front == last);
}

#[test]
fn samples_come_while_bytes_arrive_unless_the_format_prevents_it() {
    for case in cases() {
        let must_wait = FORMATS.contains(&(case.name, true));
        let all = whole(&case.bytes, case.encoding).unwrap().lanes[0].len();
        let mut decoded = Vec::new();
        let mut decoder =
            Decoder::start(case.encoding, LaneChoice::Each, &Limits::default()).unwrap();
        // The bytes per second of audio vary, and pages of Ogg hold one second.
        let (first, rest) = case.bytes.split_at(case.bytes.len() * 9 / 10);
        decoder
            .push(first, |lanes| append(&mut decoded, lanes))
            .unwrap();
        let early = decoded.first().map_or(0, Vec::len);
        assert_eq!(early == 0, must_wait, "{}: {early} of {all}", case.name);
        assert!(
            must_wait || 3 * early > all,
            "{}: {early} of {all}",
            case.name
        );
        decoder
            .push(rest, |lanes| append(&mut decoded, lanes))
            .unwrap();
        let ending = decoder.finish(|lanes| append(&mut decoded, lanes)).unwrap();
        assert_eq!(ending.held, must_wait, "{}", case.name);
        assert_eq!(decoded[0].len(), all, "{}", case.name);
    }
}

proptest! {
    #![proptest_config(replay::with_cases(96))]

    #[test]
    fn any_division_of_any_bytes_decodes_like_the_whole(
        which in any::<prop::sample::Index>(),
        sizes in prop::collection::vec(prop_oneof![1..40_usize, 1..9_000_usize], 1..12),
        length in 0.0..1.3_f64,
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1..=255_u8), 0..4),
    ) {
        let cases: Vec<Case> = cases().into_iter().chain(clips()).collect();
        let mut case = which.get(&cases).bytes.clone();
        let encoding = which.get(&cases).encoding;
        // The bytes are often cut and sometimes damaged. Both ways of decoding must fail alike.
        case.truncate((case.len() as f64 * length) as usize);
        for (at, flip) in flips {
            if !case.is_empty() {
                let at = at.index(case.len());
                case[at] ^= flip;
            }
        }
        let streamed = pieces(&case, encoding, &sizes).map(|(recording, _)| recording);
        prop_assert!(streamed == whole(&case, encoding), "{}", which.get(&cases).name);
    }
}

#[test]
fn an_estimate_is_near_the_decoded_length() {
    let headed = [".wav", ".w64", ".au", ".aiff", ".caf"];
    let is_headed = |case: &Case| headed.iter().any(|end| case.name.ends_with(end));
    for case in cases()
        .into_iter()
        .chain(clips().into_iter().filter(is_headed))
    {
        let whole = whole(&case.bytes, case.encoding).unwrap();
        let guess = estimate(&case.bytes, case.encoding);
        let plain = matches!(case.encoding, Encoding::Raw { .. })
            || is_headed(&case) && whole.source.codec.starts_with("pcm_");
        assert_eq!(guess.exact, plain, "{}: {guess:?}", case.name);
        assert_eq!(
            usize::from(guess.channels),
            whole.lanes.len(),
            "{}",
            case.name
        );
        let seconds = whole.seconds();
        if plain || case.name == "call.flac" {
            assert!(
                (guess.seconds - seconds).abs() < 1e-3,
                "{}: {guess:?}",
                case.name
            );
        }
        let factor = guess.seconds / seconds;
        assert!((0.25..4.0).contains(&factor), "{}: {factor}", case.name);
    }
}

/// Returns FLAC of digital silence, 8 kHz mono. Half a second has 14 bytes.
fn silence(seconds: usize) -> Vec<u8> {
    use flacenc::component::BitRepr as _;
    use flacenc::error::Verify as _;
    let config = flacenc::config::Encoder::default().into_verified().unwrap();
    let samples = vec![0; seconds * 8_000];
    let source = flacenc::source::MemSource::from_samples(&samples, 1, 16, 8_000);
    // If the last block were shorter, flacenc would write a header that symphonia refuses.
    let stream = flacenc::encode_with_fixed_block_size(&config, source, 4_000).unwrap();
    let mut bits = flacenc::bitsink::ByteSink::new();
    stream.write(&mut bits).unwrap();
    bits.as_slice().to_vec()
}

#[test]
fn long_silence_is_accepted_only_if_the_limit_allows_it() {
    let in_one_push = |limits: &Limits, bytes: &[u8]| {
        let mut samples = 0;
        let mut count = |lanes: &[Vec<f32>]| {
            samples += lanes[0].len();
            Ok::<_, AudioError>(())
        };
        let mut decoder = Decoder::start(Encoding::Auto, LaneChoice::Auto, limits)?;
        decoder.push(bytes, &mut count)?;
        decoder.finish(&mut count)?;
        Ok::<_, AudioError>(samples)
    };
    let decode = |limits: &Limits, bytes: &[u8]| {
        decode(bytes, Encoding::Auto, LaneChoice::Auto, limits).map(|whole| whole.lanes[0].len())
    };
    let (defaults, short, long) = (Limits::default(), silence(600), silence(700));
    assert!(long.len() < 25_000, "{} bytes", long.len());
    let lenient = Limits {
        seconds_per_megabyte: 20_000.0,
        ..defaults
    };
    for decode in [&decode as &dyn Fn(&Limits, &[u8]) -> _, &in_one_push] {
        assert_eq!(decode(&defaults, &short).unwrap(), 600 * 16_000);
        assert_eq!(decode(&lenient, &long).unwrap(), 700 * 16_000);
        let error = decode(&defaults, &long).unwrap_err();
        assert!(error.is_limit(), "{error}");
        assert!(
            error
                .to_string()
                .contains("the limit is 2500 s per megabyte"),
            "{error}"
        );
    }
}

#[test]
fn a_decoder_may_change_threads() {
    let mut decoder = Decoder::start(Encoding::Auto, LaneChoice::Each, &Limits::default()).unwrap();
    let call = fixture("call.flac");
    let other_thread = std::thread::spawn(move || {
        let mut decoded = 0;
        let mut count = |lanes: &[Vec<f32>]| {
            decoded += lanes[0].len();
            Ok::<_, AudioError>(())
        };
        decoder.push(&call, &mut count).unwrap();
        decoder.finish(&mut count).unwrap();
        decoded
    });
    assert_eq!(other_thread.join().unwrap(), 128_000);
}

#[test]
fn a_stopped_decoder_fails_at_every_push() {
    let call = fixture("call.flac");
    let mut decoder = Decoder::start(Encoding::Auto, LaneChoice::Each, &Limits::default()).unwrap();
    let ignore = |_: &[Vec<f32>]| Ok::<_, AudioError>(());
    decoder.push(&call[..9_000], ignore).unwrap();
    decoder.stop().stop();
    for _ in 0..2 {
        let stopped = decoder.push(&call[9_000..], ignore);
        assert!(matches!(stopped, Err(AudioError::Stopped)), "{stopped:?}");
    }
}

#[test]
fn an_error_of_the_sink_ends_the_push() {
    #[derive(Debug)]
    enum SinkError {
        Audio,
        Enough,
    }
    impl From<AudioError> for SinkError {
        fn from(_: AudioError) -> Self {
            Self::Audio
        }
    }
    for (bytes, encoding) in [
        (fixture("call.flac"), Encoding::Auto),
        (vec![0; 32_000], MULAW),
    ] {
        let mut decoder = Decoder::start(encoding, LaneChoice::Each, &Limits::default()).unwrap();
        let result = decoder.push(&bytes, |_| Err(SinkError::Enough));
        assert!(matches!(result, Err(SinkError::Enough)), "{result:?}");
        let again = decoder.push(&bytes, |_| Ok(()));
        assert!(matches!(again, Err(SinkError::Audio)), "{again:?}");
    }
}

#[test]
fn each_limit_holds_while_bytes_arrive() {
    let defaults = Limits::default();
    let wav = wav(&tone(64_000), 16_000);
    let held = fixture("formats/call-index-last.m4a");
    let cases = [
        (
            &wav,
            Limits {
                bytes: 99_999,
                ..defaults
            },
            "at most 99999 are accepted",
        ),
        (
            &wav,
            Limits {
                seconds: 3.5,
                ..defaults
            },
            "longer than 3.5 s",
        ),
        (
            &wav,
            Limits {
                channels: 0,
                ..defaults
            },
            "1 channels; at most 0",
        ),
        (
            &wav,
            Limits {
                time: std::time::Duration::ZERO,
                ..defaults
            },
            "after 0 s",
        ),
        (
            &held,
            Limits {
                held_bytes: 5_000,
                ..defaults
            },
            "larger than 5000 bytes",
        ),
    ];
    for (bytes, limits, words) in cases {
        let mut decoder = Decoder::start(Encoding::Auto, LaneChoice::Each, &limits).unwrap();
        let mut parts = bytes.chunks(1_000);
        let error = loop {
            let part = parts.next().expect("the limit is exceeded before the end");
            if let Err(error) = decoder.push(part, |_| Ok::<_, AudioError>(())) {
                break error;
            }
        };
        assert!(error.is_limit(), "{error}");
        assert!(
            error.to_string().contains(words),
            "{words:?} is not in {error}"
        );
    }
    let empty = Decoder::start(Encoding::Auto, LaneChoice::Each, &defaults).unwrap();
    let error = empty.finish(|_| Ok::<_, AudioError>(())).unwrap_err();
    assert!(matches!(error, AudioError::Empty), "{error}");
}
