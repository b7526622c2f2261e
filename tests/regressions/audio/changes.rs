//! Audio that changes its channels or rate midway.

use undertone::audio::{Encoding, LaneChoice, Limits, decode};

use super::{clip, decoded, read, reported};

#[test]
fn an_mp3_that_changes_its_channels_or_rate_is_decoded_completely() {
    for (name, seconds, channels_changed) in [
        ("mp3_mono_then_stereo.mp3", 7.056, true),
        ("mp3_rate_change.mp3", 7.032, false),
    ] {
        let Some(bytes) = reported(name) else { return };
        let recording = read(&bytes).unwrap();
        assert!((recording.seconds() - seconds).abs() < 2e-3, "{name}");
        assert_eq!(
            (recording.channels_changed, recording.truncated),
            (channels_changed, false),
            "{name}"
        );
        assert_eq!(recording.lanes.len(), 1, "{name}");
        let source = recording.source;
        assert_eq!((source.sample_rate, source.channels), (16_000, 1), "{name}");
        // Nothing is lost where the files meet.
        let lane = &recording.lanes[0];
        let loudest = |from: f64, to: f64| {
            let at = |seconds: f64| (seconds * 16e3) as usize;
            lane[at(from)..at(to)]
                .iter()
                .fold(0_f32, |most, x| most.max(x.abs()))
        };
        for second in 0..7 {
            let from = f64::from(second);
            assert!(
                loudest(from, (from + 1.0).min(seconds - 0.01)) > 0.01,
                "{name} at {second} s"
            );
        }
    }
}

#[test]
fn joined_files_with_different_channels_keep_the_lanes_of_the_first() {
    // Mono of 16 kHz, and the stereo call of 8 kHz, in each format that can be joined.
    for (mono, stereo) in [
        ("layer3.mp3", "call.mp3"),
        ("adts.aac", "call.aac"),
        ("vorbis.ogg", "call.ogg"),
        ("flac.ogg", "call-flac.ogg"),
        ("book.flac", "call.flac"),
        #[cfg(feature = "opus")]
        ("voice.opus", "music.opus"),
    ] {
        let (mono, stereo) = (clip(mono), clip(stereo));
        let alone = [&mono, &stereo].map(|bytes| read(bytes).unwrap());
        if alone[0].lanes.len() == alone[1].lanes.len() {
            continue;
        }
        for (order, lanes) in [([&mono, &stereo], 1), ([&stereo, &mono], 2)] {
            let joined = [order[0].as_slice(), order[1]].concat();
            let recording = read(&joined).unwrap();
            assert!(recording.channels_changed && !recording.truncated);
            assert_eq!(recording.lanes.len(), lanes);
            assert_eq!(usize::from(recording.source.channels), lanes);
            // The delay and padding of the second file may remain.
            let expected = alone[0].seconds() + alone[1].seconds();
            let off = recording.seconds() - expected;
            assert!((-0.05..0.2).contains(&off), "{off} s");
            let selected = decoded(&joined, Encoding::Auto, LaneChoice::Select(0)).unwrap();
            assert_eq!(selected.lanes.len(), 1);
        }
    }
}

#[test]
fn a_second_file_with_other_channels_is_mixed_or_copied() {
    let (mono, stereo) = (clip("flac.ogg"), clip("call-flac.ogg"));
    let alone = decode(&stereo, Encoding::Auto, LaneChoice::Mix, &Limits::default()).unwrap();
    let joined = read(&[mono.as_slice(), &stereo].concat()).unwrap();
    let (mix, lane) = (&alone.lanes[0], &joined.lanes[0]);
    let tail = mix.len() - 2_000;
    let off = mix[tail..]
        .iter()
        .zip(&lane[lane.len() - 2_000..])
        .map(|(a, b)| (a - b).abs());
    assert!(off.fold(0.0, f32::max) < 1e-4);
    let joined = read(&[stereo.as_slice(), &mono].concat()).unwrap();
    let last = joined.lanes[0].len() - 1_000;
    assert_eq!(joined.lanes[0][last..], joined.lanes[1][last..]);
}

#[test]
fn a_single_frame_unlike_those_around_it_is_damage() {
    let mp3 = clip("call.mp3");
    let whole = read(&mp3).unwrap();
    // The part of the header that is the same in all frames.
    let first = (0..mp3.len())
        .find(|&at| mp3[at] == 0xff && mp3[at + 1] & 0xe0 == 0xe0)
        .unwrap();
    let header = &mp3[first..first + 2];
    let mut frames = (mp3.len() / 3..).filter(|&at| mp3[at..].starts_with(header));
    let at = frames.next().unwrap();
    let mut damaged = mp3.clone();
    damaged[at + 3] |= 0xc0;
    let damaged = read(&damaged).unwrap();
    assert!(damaged.truncated && !damaged.channels_changed);
    assert_eq!(damaged.lanes.len(), whole.lanes.len());
}
