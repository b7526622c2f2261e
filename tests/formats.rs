//! Compares a clip in every supported container and codec with ffmpeg's decoding of it.
//!
//! The clips have a few KB each and are in `tests/audio/formats`, with the script that made them. The same resampler
//! brings both sides to 16 kHz, so only the codecs are compared.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests"
)]

use std::path::Path;

use undertone::audio::{AudioError, Encoding, LaneChoice, Limits, Recording, decode};

/// A file, the codec's name, the file to compare with, and the required ratio of signal to difference in dB. `EXACT`
/// means that there is no difference.
type Clip = (&'static str, &'static str, &'static str, f64);

const EXACT: f64 = f64::INFINITY;

/// Samples at 16 kHz that a block of the resampler's filter spans.
const EDGE: usize = 640;

const CLIPS: &[Clip] = &[
    ("extensible24.wav", "pcm_s24le", "book.flac", EXACT),
    ("float64.wav", "pcm_f64le", "book.flac", EXACT),
    ("rf64.wav", "pcm_s16le", "book.flac", EXACT),
    ("wave64.w64", "pcm_s16le", "book.flac", EXACT),
    ("wave64_f32.w64", "pcm_f32le", "call.flac", EXACT),
    ("alaw.w64", "pcm_alaw", "alaw.ref.flac", EXACT),
    ("sun.au", "pcm_s16be", "book.flac", EXACT),
    ("sun_f64.au", "pcm_f64be", "call.flac", EXACT),
    ("mulaw.au", "pcm_mulaw", "mulaw.ref.flac", EXACT),
    ("big_endian.aiff", "pcm_s16be", "book.flac", EXACT),
    ("apple.caf", "pcm_s24be", "book.flac", EXACT),
    ("flac.ogg", "flac", "book.flac", EXACT),
    ("flac.mka", "flac", "call.flac", EXACT),
    ("alac.m4a", "alac", "call.flac", EXACT),
    ("ima.wav", "adpcm_ima_wav", "ima.ref.flac", EXACT),
    ("ms.wav", "adpcm_ms", "ms.ref.flac", EXACT),
    ("layer3.mp3", "mp3", "layer3.ref.flac", 60.0),
    ("layer3_48k.mp3", "mp3", "layer3_48k.ref.flac", 60.0),
    ("vorbis.ogg", "vorbis", "vorbis.ref.flac", 60.0),
    ("adts.aac", "aac", "adts.ref.flac", 60.0),
    ("aac.m4a", "aac", "aac.ref.flac", 60.0),
    ("fragmented.mp4", "aac", "fragmented.ref.flac", 60.0),
];

#[cfg(feature = "opus")]
const OPUS_CLIPS: &[Clip] = &[
    ("voice.opus", "opus", "voice.ref.flac", 60.0),
    ("music.opus", "opus", "music.ref.flac", 60.0),
    ("browser.webm", "opus", "browser.ref.flac", 60.0),
    // The packets are those of the WebM file. ffmpeg's MP4 reader leaves 5 ms of the delay in, so its result is not used.
    ("phone.mp4", "opus", "browser.ref.flac", 60.0),
    // The low-frequency channel is so quiet that the rounding to 16 bits matters.
    ("surround.opus", "opus", "surround.ref.flac", 50.0),
];

fn bytes(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/audio/formats");
    std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn decoded(bytes: &[u8]) -> Result<Recording, AudioError> {
    decode(bytes, Encoding::Auto, LaneChoice::Each, &Limits::default())
}

fn lanes(name: &str) -> Recording {
    decoded(&bytes(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Returns the ratio of signal to difference in dB over the common length. Near the end of the shorter one, the
/// resampler's filter mixes in samples that only the longer one has, so this part is left out.
fn snr(ours: &[f32], theirs: &[f32]) -> f64 {
    let mut common = ours.len().min(theirs.len());
    if ours.len() != theirs.len() {
        common -= EDGE;
    }
    let power = |f: &dyn Fn(f64, f64) -> f64| -> f64 {
        let both = ours[..common].iter().zip(theirs);
        both.map(|(&a, &b)| f(f64::from(a), f64::from(b)).powi(2))
            .sum()
    };
    let difference = power(&|a, b| a - b);
    if difference == 0.0 {
        return EXACT;
    }
    10.0 * (power(&|_, b| b) / difference).log10()
}

fn agree(clips: &[Clip]) {
    for &(name, codec, reference, least) in clips {
        let (ours, theirs) = (lanes(name), lanes(reference));
        assert_eq!(ours.source.codec, codec, "{name}");
        assert!(!ours.truncated, "{name}");
        assert_eq!(ours.lanes.len(), theirs.lanes.len(), "{name}");
        let of_lanes = ours.lanes.iter().zip(&theirs.lanes).map(|(a, b)| snr(a, b));
        let worst = of_lanes.fold(EXACT, f64::min);
        println!(
            "{name}: {:.4} s of {:.4} s, {worst:.1} dB",
            ours.seconds(),
            theirs.seconds()
        );
        assert!(worst >= least, "{name}: {worst:.1} dB of {least}");
    }
}

#[test]
fn clips_agree_with_ffmpeg_sample_by_sample() {
    agree(CLIPS);
}

#[cfg(feature = "opus")]
#[test]
fn opus_agrees_with_libopus_sample_by_sample() {
    agree(OPUS_CLIPS);
}

#[cfg(feature = "opus")]
#[test]
fn the_captured_rate_of_opus_comes_from_its_header() {
    for (name, captured) in [
        ("music.opus", 8_000),
        ("voice.opus", 16_000),
        ("browser.webm", 16_000),
        ("phone.mp4", 16_000),
        ("chained.opus", 16_000),
        ("surround.opus", 48_000),
    ] {
        let source = lanes(name).source;
        let rates = (source.sample_rate, source.captured_rate);
        assert_eq!(rates, (48_000, captured), "{name}");
    }
}

#[test]
fn the_captured_rate_of_other_codecs_is_the_decoded_rate() {
    for (name, rate) in [
        ("call.flac", 8_000),
        ("call.mp3", 8_000),
        ("call.aac", 8_000),
        ("call.m4a", 8_000),
        ("call.ogg", 8_000),
        ("ima.wav", 8_000),
        ("mulaw.au", 8_000),
        ("alaw.w64", 8_000),
        ("book.flac", 16_000),
        ("layer3_48k.mp3", 48_000),
    ] {
        let source = lanes(name).source;
        let rates = (source.sample_rate, source.captured_rate);
        assert_eq!(rates, (rate, rate), "{name}");
    }
}

/// Apple's voice messages have this format. CAF has the delay in its table of packets, not in a header of Opus.
#[cfg(feature = "opus")]
#[test]
fn opus_in_caf_decodes_like_opus_in_ogg() {
    let mut caf = bytes("voice.caf");
    let table = caf.windows(4).position(|window| window == b"pakt").unwrap();
    // The frames to drop follow the chunk's header and two counts. ffmpeg writes 0.
    let delay = table + 12 + 16;
    caf[delay..delay + 4].copy_from_slice(&312_u32.to_be_bytes());
    let (ogg, caf) = (lanes("voice.opus"), decoded(&caf).unwrap());
    assert!(!caf.truncated);
    assert_eq!(
        (caf.source.codec, caf.source.sample_rate),
        ("opus".into(), 48_000)
    );
    assert!(snr(&caf.lanes[0], &ogg.lanes[0]) > 60.0);
}

#[cfg(feature = "opus")]
#[test]
fn a_chain_of_opus_streams_is_one_recording() {
    let (one, two) = (lanes("voice.opus"), lanes("chained.opus"));
    let (one, two) = (&one.lanes[0], &two.lanes[0]);
    assert_eq!(two.len(), 2 * one.len());
    // Each stream begins with its own pre-skip, so the second is not shifted. The resampler's filter carries the end
    // of the first into it.
    let (first, second) = two.split_at(one.len());
    let before = one.len() - EDGE;
    assert_eq!(first[..before], one[..before]);
    assert!(snr(&second[EDGE..], &one[EDGE..]) > 60.0);
}

#[cfg(feature = "opus")]
#[test]
fn a_lost_page_of_opus_shifts_nothing_after_it() {
    let whole = bytes("voice.opus");
    let starts: Vec<usize> = (0..whole.len())
        .filter(|&at| whole[at..].starts_with(b"OggS"))
        .collect();
    // Two pages of headers, then at least four of sound.
    assert!(starts.len() >= 6, "{} pages", starts.len());
    let lost = [&whole[..starts[3]], &whole[starts[4]..]].concat();
    let (whole, lost) = (lanes("voice.opus"), decoded(&lost).unwrap());
    assert!(lost.truncated);
    assert_eq!(lost.lanes[0].len(), whole.lanes[0].len());
    let (whole, lost) = (&whole.lanes[0], &lost.lanes[0]);
    let last_page = whole.len() - 1_000;
    assert!(snr(&lost[last_page..], &whole[last_page..]) > 6.0);
}

#[test]
fn two_mp3s_in_one_file_are_both_decoded() {
    let one = bytes("layer3.mp3");
    let both = decoded(&[one.as_slice(), &one].concat()).unwrap();
    let one = lanes("layer3.mp3");
    assert!(!one.truncated && !both.truncated);
    // Only the padding of the first file is known, so the second keeps its delay and padding.
    let seconds = both.seconds() / one.seconds();
    assert!((2.0..2.5).contains(&seconds), "{seconds} times as long");
    assert_eq!(
        both.lanes[0][..one.lanes[0].len() - EDGE],
        one.lanes[0][..one.lanes[0].len() - EDGE]
    );
}

#[test]
fn adpcm_in_wave64_decodes_like_adpcm_in_wav() {
    let guid = |name: &[u8; 4]| [&name[..], &[0; 12]].concat();
    let chunk = |name, body: &[u8]| {
        let mut chunk = guid(name);
        chunk.extend((24 + body.len() as u64).to_le_bytes());
        chunk.extend(body);
        chunk.resize(chunk.len().next_multiple_of(8), 0);
        chunk
    };
    let wav = bytes("ima.wav");
    let body = |name: &[u8; 4]| {
        let at = wav.windows(4).position(|window| window == name).unwrap();
        let size = u32::from_le_bytes(wav[at + 4..at + 8].try_into().unwrap()) as usize;
        &wav[at + 8..at + 8 + size]
    };
    let riff = [b"riff\x2e\x91\xcf\x11".as_slice(), &[0; 16], &guid(b"wave")].concat();
    let wave64 = [
        riff,
        chunk(b"fmt ", body(b"fmt ")),
        chunk(b"data", body(b"data")),
    ];
    assert_eq!(decoded(&wave64.concat()).unwrap(), lanes("ima.wav"));
}

#[test]
fn a_cut_file_is_marked_as_truncated() {
    for name in [
        "layer3.mp3",
        "adts.aac",
        "flac.ogg",
        "rf64.wav",
        "wave64.w64",
        "sun.au",
    ] {
        let whole = bytes(name);
        let cut = decoded(&whole[..whole.len() * 3 / 4]);
        let cut = cut.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(cut.seconds() < lanes(name).seconds(), "{name}");
        assert!(cut.truncated, "{name}");
    }
}
