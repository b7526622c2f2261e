//! Decodes real files: corpora, a stereo call, and 314 unusual files of many origins.
//!
//! The files are not part of the repository. If they are missing, each test prints that, and in CI it fails.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests"
)]

#[path = "common/data.rs"]
mod data;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use data::shared;
use undertone::audio::{AudioError, Decoder, Encoding, LaneChoice, Limits, Recording, decode};

fn read(path: &Path) -> Result<Recording, AudioError> {
    let bytes = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    decode(&bytes, Encoding::Auto, LaneChoice::Auto, &Limits::default())
}

/// Collects the files below `folder` with this extension, sorted.
fn files(folder: &Path, extension: &str, into: &mut Vec<PathBuf>) {
    let listing = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut entries: Vec<_> = listing.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files(&path, extension, into);
        } else if path.extension().is_some_and(|e| e == extension) {
            into.push(path);
        }
    }
}

#[test]
fn corpora_decode_completely() {
    for corpus in ["ravdess", "banglaser", "emodb", "unlabelled"] {
        let Some(folder) = shared(corpus) else {
            continue;
        };
        let mut paths = Vec::new();
        files(&folder, "flac", &mut paths);
        assert!(!paths.is_empty());
        let started = Instant::now();
        let (mut seconds, mut count) = (0.0, 0);
        // Only a sample of each corpus, because all files would take a minute.
        for path in paths.iter().step_by(paths.len().div_ceil(60)) {
            let recording = read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            assert_eq!(recording.lanes.len(), 1);
            assert!(!recording.truncated, "{}", path.display());
            seconds += recording.seconds();
            count += 1;
        }
        let cost = started.elapsed().as_secs_f64() * 1e3 / seconds;
        println!("{corpus}: {count} files, {seconds:.0} s, {cost:.3} ms per second of audio");
    }
}

#[test]
fn a_stereo_call_has_two_lanes() {
    let Some(folder) = shared("long") else { return };
    let call = read(&folder.join("call-40-customer-agent-8k-stereo.flac")).unwrap();
    assert_eq!(call.lanes.len(), 2);
    assert_eq!(call.lanes[0].len(), call.lanes[1].len());
    assert!((call.seconds() - 245.0).abs() < 2.0, "{}", call.seconds());
    assert_ne!(call.lanes[0], call.lanes[1]);
    assert_eq!((call.source.sample_rate, call.source.channels), (8_000, 2));
}

/// The expected result of each hand-made file: seconds, or a part of its error.
const MADE: &[(&str, Result<f64, &str>)] = &[
    ("adpcm_g726.wav", Err("G.726) in WAV is not supported")),
    ("adpcm_ima_wav.wav", Ok(1.531)),
    ("adts.aac", Ok(1.6)),
    ("aifc_sowt.aifc", Ok(1.5)),
    ("alac.m4a", Ok(1.5)),
    ("align_0.wav", Ok(1.5)),
    ("avi.avi", Err("AVI is not supported")),
    ("caf_alac.caf", Ok(1.5)),
    ("channels_65535.wav", Err("65535 channels; at most 8")),
    ("data_size_too_large.wav", Ok(1.5)),
    ("empty.wav", Err("0 bytes")),
    // One flipped bit costs one FLAC frame, which silence replaces.
    ("flac_flipped.flac", Ok(1.5)),
    ("flac_in_mp4.mp4", Ok(1.5)),
    // ffmpeg accepts both. A model would return NaN for the rest of the lane.
    ("float_inf.wav", Err("not a finite number at 0.013 s")),
    ("float_nan.wav", Err("not a finite number at 0.013 s")),
    ("gsm_ms.wav", Err("GSM 6.10 in WAV is not supported")),
    (
        "header_only_half.wav",
        Err("WAV fmt chunk has only 0 bytes"),
    ),
    ("m4a_stsz_lies.m4a", Err("cannot read this MP4")),
    ("mp2.mp2", Ok(1.512)),
    ("faststart.m4a", Ok(1.536)),
    ("mp3_big_id3.mp3", Ok(1.5)),
    ("mp3_cut.mp3", Ok(0.87)),
    ("mp3_from_the_middle.mp3", Ok(1.152)),
    ("mp3_id3_size_lies.mp3", Err("cannot read this MP3")),
    ("mp3_twice.mp3", Ok(3.156)),
    ("mpeg1_48k_two.mp3", Ok(1.5)),
    ("mpeg25_8k.mp3", Ok(1.5)),
    ("noise_bytes.ogg", Err("the first bytes are 6e 34 0b 9c")),
    ("odd_chunk_first.wav", Ok(1.5)),
    ("one_lane_silent.wav", Ok(1.5)),
    ("opus.mka", Ok(1.514)),
    ("opus_cut.opus", Ok(0.994)),
    ("opus_in_mp4.mp4", Ok(1.514)),
    (
        "opus_no_head.opus",
        Err("piece of an Ogg recording without the header"),
    ),
    ("page.mp3", Err("looks like an HTML page")),
    ("pcm_alaw.wav", Ok(1.5)),
    ("pcm_f32le.wav", Ok(1.5)),
    ("pcm_f64le.wav", Ok(1.5)),
    ("pcm_mulaw.wav", Ok(1.5)),
    ("pcm_s24le.wav", Ok(1.5)),
    ("pcm_s32le.wav", Ok(1.5)),
    ("pcm_u8.wav", Ok(1.5)),
    ("plain.flac", Ok(1.5)),
    ("rate11025.wav", Ok(0.2)),
    ("rate192000.wav", Ok(0.2)),
    ("rate22050.wav", Ok(0.2)),
    ("rate48000.wav", Ok(0.2)),
    ("rate96000.wav", Ok(0.2)),
    (
        "rate_0.wav",
        Err("the WAV header claims 0 Hz; a sample rate is needed"),
    ),
    ("rate_4g.wav", Err("claims 4294967295 Hz")),
    ("short_1_sample.wav", Ok(0.0)),
    ("silent.wav", Ok(1.5)),
    ("six_channels.wav", Ok(0.2)),
    ("speex.spx", Err("Speex is not supported")),
    ("stream_size_0.wav", Ok(1.5)),
    ("stream_size_ffffffff.wav", Ok(1.5)),
    ("tta.tta", Err("TTA) is not supported")),
    ("two_lanes_mulaw.wav", Ok(1.5)),
    (
        "unknown_codec.wav",
        Err("WAV codec 0x4242 is not supported"),
    ),
    ("voip.opus", Ok(1.5)),
    ("vorbis_bad_crc.ogg", Ok(1.0)),
    ("vorbis_headers_only.ogg", Err("cannot read this Ogg")),
    ("wave64.w64", Ok(1.5)),
    ("wavpack.wv", Err("WavPack is not supported")),
    ("wrong_name_mp3.wav", Ok(1.5)),
    ("zero_channels.wav", Err("the WAV header claims 0 channels")),
];

#[test]
fn hand_made_files_decode_or_are_refused_by_name() {
    let Some(folder) = shared("formats/made") else {
        return;
    };
    for (name, expected) in MADE {
        match (read(&folder.join(name)), expected) {
            (Ok(recording), Ok(seconds)) => {
                let off = (recording.seconds() - seconds).abs();
                assert!(
                    off < 0.002,
                    "{name}: {} s, not {seconds}",
                    recording.seconds()
                );
            }
            (Err(error), Err(words)) => {
                assert!(error.to_string().contains(words), "{name}: {error}");
            }
            (got, _) => panic!(
                "{name}: {:?}, expected {expected:?}",
                got.map(|r| r.seconds())
            ),
        }
    }
}

#[test]
fn unusual_files_decode_or_are_refused() {
    let Some(folder) = shared("formats") else {
        return;
    };
    let index = fs::read_to_string(folder.join("INDEX.tsv")).unwrap();
    let (mut agree, mut decodable) = (0, 0);
    for line in index.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let seconds: f64 = fields[6].parse().unwrap_or(0.0);
        let outcome = match read(&folder.join(fields[0])) {
            Ok(recording) => {
                assert!(
                    recording.lanes.iter().flatten().all(|x| x.is_finite()),
                    "{}",
                    fields[0]
                );
                agree += u32::from(seconds > 0.0 && (recording.seconds() - seconds).abs() < 0.06);
                let cut = if recording.truncated {
                    ", truncated"
                } else {
                    ""
                };
                format!(
                    "{:.3} s of {}{cut}",
                    recording.seconds(),
                    recording.source.codec
                )
            }
            Err(error) => error.to_string(),
        };
        decodable += u32::from(seconds > 0.0);
        println!("{}\t{} {seconds}\t{outcome}", fields[0], fields[3]);
    }
    println!("{agree} of the {decodable} that ffmpeg decodes agree in length");
    assert!(agree >= 190, "only {agree} agree");
}

#[test]
fn unusual_files_decode_in_pieces_like_the_whole() {
    let Some(folder) = shared("formats") else {
        return;
    };
    let index = fs::read_to_string(folder.join("INDEX.tsv")).unwrap();
    for line in index.lines().skip(1) {
        let name = line.split('\t').next().unwrap();
        let whole = read(&folder.join(name)).map_err(|error| error.to_string());
        let bytes = fs::read(folder.join(name)).unwrap();
        for size in [97, 20_000] {
            let pieces = in_pieces(&bytes, size).map_err(|error| error.to_string());
            assert!(pieces == whole, "{name} in pieces of {size}");
        }
    }
}

fn in_pieces(bytes: &[u8], size: usize) -> Result<Recording, AudioError> {
    let mut lanes: Vec<Vec<f32>> = Vec::new();
    let mut append = |samples: &[Vec<f32>]| {
        lanes.resize_with(samples.len(), Vec::new);
        for (lane, samples) in lanes.iter_mut().zip(samples) {
            lane.extend_from_slice(samples);
        }
        Ok::<_, AudioError>(())
    };
    let mut decoder = Decoder::start(Encoding::Auto, LaneChoice::Auto, &Limits::default())?;
    for piece in bytes.chunks(size) {
        decoder.push(piece, &mut append)?;
    }
    let ending = decoder.finish(&mut append)?;
    Ok(Recording {
        lanes,
        source: ending.source,
        truncated: ending.truncated,
        channels_changed: ending.channels_changed,
    })
}
