//! Decoding audio.

use undertone::audio::{
    AudioError, Decoder, Encoding, LaneChoice, Limits, RawFormat, Recording, decode,
};
use undertone::service::pb::{AudioConfig, AudioEncoding, ClassifyRequest};

use crate::common::Server;
use crate::data::shared;

/// A clip of the repository; `call.flac` and `book.flac` stand a folder higher.
fn clip(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/audio/");
    let bytes = std::fs::read(format!("{folder}formats/{name}"));
    let bytes = bytes.or_else(|_| std::fs::read(format!("{folder}{name}")));
    bytes.unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn reported(name: &str) -> Option<Vec<u8>> {
    shared(&format!("regressions/{name}")).map(|path| std::fs::read(path).unwrap())
}

fn read(bytes: &[u8]) -> Result<Recording, AudioError> {
    decoded(bytes, Encoding::Auto, LaneChoice::Auto)
}

/// Decodes at once and in pieces, which must agree.
fn decoded(bytes: &[u8], encoding: Encoding, choice: LaneChoice) -> Result<Recording, AudioError> {
    let whole = decode(bytes, encoding, choice, &Limits::default());
    for size in [997, 40_000] {
        let pieces = in_pieces(bytes, encoding, choice, size);
        let said = |result: &Result<Recording, AudioError>| match result {
            Ok(recording) => Ok(recording.clone()),
            Err(error) => Err(error.to_string()),
        };
        assert!(said(&pieces) == said(&whole), "in pieces of {size}");
    }
    whole
}

fn in_pieces(
    bytes: &[u8],
    encoding: Encoding,
    choice: LaneChoice,
    size: usize,
) -> Result<Recording, AudioError> {
    let mut lanes: Vec<Vec<f32>> = Vec::new();
    let mut take = |samples: &[Vec<f32>]| {
        lanes.resize_with(samples.len(), Vec::new);
        for (lane, samples) in lanes.iter_mut().zip(samples) {
            lane.extend_from_slice(samples);
        }
        Ok::<_, AudioError>(())
    };
    let mut decoder = Decoder::start(encoding, choice, &Limits::default())?;
    for piece in bytes.chunks(size) {
        decoder.push(piece, &mut take)?;
    }
    let ending = decoder.finish(&mut take)?;
    Ok(Recording {
        lanes,
        source: ending.source,
        truncated: ending.truncated,
        remixed: ending.remixed,
    })
}

fn raw(format: RawFormat, sample_rate: u32) -> Encoding {
    Encoding::Raw {
        format,
        sample_rate,
        channels: 1,
    }
}

fn refusal(bytes: &[u8]) -> String {
    match read(bytes) {
        Ok(recording) => panic!("{:?} was decoded", recording.source),
        Err(error) => error.to_string(),
    }
}

/// Replaces the only, or first, `from` in `bytes`.
fn replaced(mut bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|window| window == from);
    let at = at.expect("there is something to replace");
    bytes.splice(at..at + from.len(), to.iter().copied());
    bytes
}

// Audio that changes midway.

#[test]
fn an_mp3_that_changes_its_channels_or_rate_is_read_whole() {
    for (name, seconds, remixed) in [
        ("mp3_mono_then_stereo.mp3", 7.056, true),
        ("mp3_rate_change.mp3", 7.032, false),
    ] {
        let Some(bytes) = reported(name) else { return };
        let recording = read(&bytes).unwrap();
        assert!((recording.seconds() - seconds).abs() < 2e-3, "{name}");
        assert_eq!(
            (recording.remixed, recording.truncated),
            (remixed, false),
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
fn joined_files_of_other_channels_keep_the_lanes_of_the_first() {
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
            assert!(recording.remixed && !recording.truncated);
            assert_eq!(recording.lanes.len(), lanes);
            assert_eq!(usize::from(recording.source.channels), lanes);
            // The encoder's delay and padding of the second file may stay in.
            let expected = alone[0].seconds() + alone[1].seconds();
            let off = recording.seconds() - expected;
            assert!((-0.05..0.2).contains(&off), "{off} s");
            let selected = decoded(&joined, Encoding::Auto, LaneChoice::Select(0)).unwrap();
            assert_eq!(selected.lanes.len(), 1);
        }
    }
}

#[test]
fn what_follows_in_other_channels_is_mixed_or_copied() {
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
fn a_single_frame_unlike_its_neighbours_is_damage() {
    let mp3 = clip("call.mp3");
    let whole = read(&mp3).unwrap();
    // The header of all frames, but for padding and mode.
    let first = (0..mp3.len())
        .find(|&at| mp3[at] == 0xff && mp3[at + 1] & 0xe0 == 0xe0)
        .unwrap();
    let header = &mp3[first..first + 2];
    let mut frames = (mp3.len() / 3..).filter(|&at| mp3[at..].starts_with(header));
    let at = frames.next().unwrap();
    let mut damaged = mp3.clone();
    damaged[at + 3] |= 0xc0;
    let damaged = read(&damaged).unwrap();
    assert!(damaged.truncated && !damaged.remixed);
    assert_eq!(damaged.lanes.len(), whole.lanes.len());
}

// Formats that other tools read, and formats that are refused by name.

#[test]
fn he_aac_gives_its_core_whoever_signals_it() {
    const CONFIG: &[u8] = &[0x2b, 0x09, 0x88, 0x00];
    let Some(explicit) = reported("he_aac_explicit.m4a") else {
        return;
    };
    let sbr = read(&explicit).unwrap();
    assert!((sbr.seconds() - 3.541).abs() < 2e-3, "{}", sbr.seconds());
    assert_eq!(
        (sbr.source.codec.as_str(), sbr.source.sample_rate),
        ("aac", 24_000)
    );
    let compatible = read(&replaced(
        explicit.clone(),
        CONFIG,
        &[0x13, 0x08, 0x00, 0x00],
    ))
    .unwrap();
    assert_eq!(sbr.lanes, compatible.lanes);
    let ps = read(&replaced(
        explicit.clone(),
        CONFIG,
        &[0xeb, 0x09, 0x88, 0x00],
    ))
    .unwrap();
    assert_eq!(sbr.lanes, ps.lanes);
    for (config, name) in [
        ([0xf9, 0x46, 0x20, 0x00], "xHE-AAC (USAC) is not supported"),
        ([0x0b, 0x08, 0x80, 0x00], "AAC Main is not supported"),
        ([0xb9, 0x89, 0x80, 0x00], "AAC-LD is not supported"),
    ] {
        let refusal = refusal(&replaced(explicit.clone(), CONFIG, &config));
        assert!(refusal.contains(name), "{refusal}");
    }
}

/// A CAF file of 8 kHz, mono.
fn caf(codec: &[u8; 4], numbers: [u32; 5], data_size: i64, data: &[u8]) -> Vec<u8> {
    let rate = 8_000_f64.to_be_bytes();
    let numbers = numbers.map(u32::to_be_bytes).concat();
    let desc = [b"desc\0\0\0\0\0\0\0\x20", &rate[..], codec, &numbers].concat();
    let size = data_size.to_be_bytes();
    let data = [b"data", &size[..], &[0; 4], data].concat();
    [b"caff\0\x01\0\0", desc.as_slice(), &data].concat()
}

#[test]
fn caf_of_every_codec_of_telephony_is_read_with_any_size() {
    let codes: Vec<u8> = (0..8_000_u32).map(|i| (i * 7 % 251) as u8).collect();
    for (codec, format) in [(b"ulaw", RawFormat::Mulaw), (b"alaw", RawFormat::Alaw)] {
        let expected = decoded(&codes, raw(format, 8_000), LaneChoice::Auto).unwrap();
        for (size, truncated) in [(8_004, false), (-1, false), (9_000, true)] {
            let recording = read(&caf(codec, [0, 1, 1, 1, 8], size, &codes)).unwrap();
            assert_eq!(recording.lanes, expected.lanes);
            assert_eq!(recording.truncated, truncated);
        }
    }
    // IMA ADPCM: packets of 34 bytes.
    let packets = [&[0x12, 0x05][..], &[0x37; 32]].concat().repeat(50);
    let whole = read(&caf(b"ima4", [0, 34, 64, 1, 0], 4 + 1_700, &packets)).unwrap();
    assert!((whole.seconds() - 0.4).abs() < 1e-3 && !whole.truncated);
    let endless = read(&caf(b"ima4", [0, 34, 64, 1, 0], -1, &packets)).unwrap();
    assert_eq!(endless, whole);
    let cut = read(&caf(
        b"ima4",
        [0, 34, 64, 1, 0],
        4 + 1_700,
        &packets[..1_000],
    ))
    .unwrap();
    assert!(cut.truncated && cut.seconds() > 0.2);
}

#[test]
fn an_aiff_chunk_longer_than_its_parent_costs_nothing() {
    let aiff = clip("big_endian.aiff");
    let whole = read(&aiff).unwrap();
    let behind = [&aiff[..], b"ANNO\0\0\xff\xff and no more"].concat();
    let mut short = aiff.clone();
    short[4..8].copy_from_slice(&60_u32.to_be_bytes());
    for bytes in [behind, short] {
        let recording = read(&bytes).unwrap();
        assert_eq!(recording.lanes, whole.lanes);
        assert!(!recording.truncated);
    }
    // IMA ADPCM in AIFF-C, which ffmpeg and Apple read.
    let packets = [&[0x12, 0x05][..], &[0x37; 32]].concat().repeat(50);
    let comm = b"COMM\0\0\0\x18\0\x01\0\0\0\x32\0\x10\x40\x0b\xfa\0\0\0\0\0\0\0ima4\0\0";
    let size = (8 + 1_700_u32).to_be_bytes();
    let ssnd = [b"SSND", &size[..], &[0; 8], &packets].concat();
    let aifc = [b"FORM\0\0\0\0AIFC", &comm[..], &ssnd].concat();
    let caf = read(&caf(b"ima4", [0, 34, 64, 1, 0], 4 + 1_700, &packets)).unwrap();
    assert_eq!(read(&aifc).unwrap().lanes, caf.lanes);
}

#[test]
fn transport_streams_and_headless_pieces_are_refused_by_name() {
    let packet = |size: usize, at: usize| {
        let mut packet: Vec<u8> = (0..size).map(|i| (i * 31 % 64) as u8).collect();
        packet[at..at + 4].copy_from_slice(&[0x47, 0x41, 0x00, 0x10]);
        packet.repeat(30)
    };
    let stream = packet(188, 0);
    for bytes in [
        &stream[..],
        &packet(192, 4),
        &packet(204, 0),
        &stream[100..],
    ] {
        let refusal = refusal(bytes);
        assert!(
            refusal.contains("MPEG-TS is not supported; send the audio alone"),
            "{refusal}"
        );
    }
    let from = |bytes: &[u8], mark: &[u8], nth: usize| {
        let mut found = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(mark));
        let at = found.nth(nth).unwrap();
        bytes[at..].to_vec()
    };
    let webm = clip("call.webm");
    let cluster = from(&webm, b"\x1f\x43\xb6\x75", 0);
    let block = from(&cluster, b"\xa3", 0);
    let mp4 = clip("call-fragmented.mp4");
    let moof = mp4.windows(4).position(|window| window == b"moof").unwrap() - 4;
    let styp = [b"\0\0\0\x10stypmsdh\0\0\0\0", &mp4[moof..]].concat();
    let ogg = from(&clip("vorbis.ogg"), b"OggS", 1);
    for (bytes, name) in [
        (&cluster[..], "a piece of a WebM recording"),
        (&cluster[1..], "a piece of a WebM recording"),
        (&block, "a piece of a WebM recording"),
        (&mp4[moof..], "a fragment of an MP4 recording"),
        (&styp, "a fragment of an MP4 recording"),
        (&ogg, "a piece of an Ogg recording"),
    ] {
        let refusal = refusal(bytes);
        assert!(
            refusal.contains(name) && refusal.contains("put all chunks"),
            "{refusal}"
        );
    }
}

#[test]
fn an_mp4_cut_before_its_index_says_what_is_missing() {
    let bytes = clip("call-index-last.m4a");
    for end in [bytes.len() / 2, bytes.len() - 3] {
        let refusal = refusal(&bytes[..end]);
        assert!(
            refusal.contains("lacks its index (moov box): it was cut"),
            "{refusal}"
        );
    }
}

// Whether a file is cut.

/// Files of every container: whether one that is cut is still decoded, or refused by its cause.
const WHOLE: &[(&str, bool)] = &[
    ("extensible24.wav", true),
    ("rf64.wav", true),
    ("ima.wav", true),
    ("wave64.w64", true),
    ("sun.au", true),
    ("big_endian.aiff", true),
    ("apple.caf", true),
    // The table of its packets stands at its end.
    ("call.caf", false),
    ("call.flac", true),
    ("call-flac.ogg", true),
    // Its first page of sound, of a second, is not whole before three quarters.
    ("call.ogg", false),
    ("call.mka", true),
    ("flac.mka", true),
    ("call.m4a", true),
    ("call-index-last.m4a", false),
    ("call-fragmented.mp4", true),
    ("call.aac", true),
    ("adts.aac", true),
    ("call.mp3", true),
    ("layer3.mp3", true),
    #[cfg(feature = "opus")]
    ("call.webm", true),
    #[cfg(feature = "opus")]
    ("browser.webm", true),
    #[cfg(feature = "opus")]
    ("music.opus", false),
];

#[test]
fn every_container_tells_a_cut_file_from_a_whole_one() {
    for &(name, decodes) in WHOLE {
        let bytes = clip(name);
        let whole = read(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!whole.truncated, "{name} is whole");
        for end in [bytes.len() * 7 / 10, bytes.len() - 3, bytes.len() - 1] {
            match read(&bytes[..end]) {
                Ok(cut) => {
                    assert!(cut.truncated, "{name} cut at {end} of {}", bytes.len());
                    assert!(cut.seconds() <= whole.seconds(), "{name}");
                }
                Err(error) => {
                    let small = bytes.len() < 4_000 && end < bytes.len() - 3;
                    assert!(!decodes || small, "{name} cut at {end}: {error}");
                }
            }
        }
    }
}

#[test]
fn live_headers_are_whole_where_a_frame_ends() {
    let patched = |name: &str, at: usize, with: &[u8]| {
        let mut bytes = clip(name);
        bytes[at..at + with.len()].copy_from_slice(with);
        bytes
    };
    let of = |name: &str, mark: &[u8]| {
        let bytes = clip(name);
        bytes
            .windows(mark.len())
            .position(|window| window == mark)
            .unwrap()
            + mark.len()
    };
    // The size of FLAC's STREAMINFO, of data chunks, and of a WebM segment and its clusters.
    let flac = clip("call.flac");
    let high = flac[21] & 0xf0;
    let webm = live_webm();
    let cases = [
        ("FLAC", patched("call.flac", 21, &[high, 0, 0, 0, 0]), true),
        ("AU", patched("sun.au", 8, &[0xff; 4]), false),
        (
            "AIFF",
            patched("big_endian.aiff", of("big_endian.aiff", b"SSND"), &[0; 4]),
            false,
        ),
        (
            "CAF",
            patched("apple.caf", of("apple.caf", b"data"), &[0xff; 8]),
            false,
        ),
        (
            "WAV",
            patched("ima.wav", of("ima.wav", b"data"), &[0xff; 4]),
            true,
        ),
        ("WebM", webm, true),
    ];
    for (name, bytes, has_frames) in cases {
        let whole = read(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!whole.truncated, "{name}");
        for end in [bytes.len() * 7 / 10, bytes.len() - 3] {
            let cut = read(&bytes[..end]).unwrap();
            // Plain samples of unknown number end anywhere.
            assert!(cut.truncated || !has_frames, "{name} cut at {end}");
        }
    }
}

/// The call in WebM as a live recorder writes it: segment and clusters of unknown size, up to the last cluster.
fn live_webm() -> Vec<u8> {
    let mut bytes = clip("call.mka");
    let find = |bytes: &[u8], id: &[u8]| bytes.windows(4).position(|window| window == id).unwrap();
    let cues = (0..bytes.len()).rfind(|&at| bytes[at..].starts_with(b"\x1c\x53\xbb\x6b"));
    bytes.truncate(cues.unwrap_or(bytes.len()));
    let mut at = find(&bytes, b"\x18\x53\x80\x67");
    loop {
        let width = bytes[at + 4].leading_zeros() as usize + 1;
        bytes[at + 4..at + 4 + width].fill(0xff);
        bytes[at + 4] = 0xff >> (width - 1);
        let rest = at + 4 + width;
        let next = bytes[rest..]
            .windows(4)
            .position(|window| window == b"\x1f\x43\xb6\x75");
        match next {
            Some(next) => at = rest + next,
            None => return bytes,
        }
    }
}

#[test]
fn a_browsers_recording_that_was_cut_in_a_cluster_says_so() {
    let Some(bytes) = reported("chrome_cut.webm") else {
        return;
    };
    if cfg!(feature = "opus") {
        let recording = read(&bytes).unwrap();
        assert!(recording.truncated && recording.seconds() > 3.0);
    }
}

#[test]
fn tags_behind_an_mp3_are_no_part_of_it() {
    let mp3 = clip("call.mp3");
    let whole = read(&mp3).unwrap();
    let id3 = [b"TAG".as_slice(), &[b'x'; 125]].concat();
    let ape = [
        b"APETAGEX\xd0\x07\0\0\x20\0\0\0\0\0\0\0\0\0\0\x80".as_slice(),
        &[0; 8],
    ]
    .concat();
    let large = vec![0x55; 40_000];
    for tail in [
        &id3,
        &ape,
        &[ape.clone(), id3.clone()].concat(),
        &[ape.clone(), large].concat(),
    ] {
        let tagged = read(&[mp3.as_slice(), tail].concat()).unwrap();
        assert_eq!(
            (tagged.lanes == whole.lanes, tagged.truncated),
            (true, false)
        );
        let cut = [&mp3[..mp3.len() - 50], tail].concat();
        assert!(read(&cut).is_ok());
    }
    let twice = [mp3.as_slice(), &mp3].concat();
    assert!(!read(&twice).unwrap().truncated);
    assert!(read(&twice[..twice.len() - 50]).unwrap().truncated);
}

// Files that are sent as samples.

#[test]
fn files_and_text_sent_as_samples_are_refused_by_name() {
    let text = "Hello, is this the 1st line of support? Yes, it is. ".repeat(4);
    let base64 = "f39+/v7+fn5/AQIDd4uLiw8PEzs3Nz0/QEFCQ0RFRkdISUpL";
    let mut cases = vec![
        (clip("rf64.wav"), "RF64"),
        (clip("extensible24.wav"), "WAV"),
        (clip("wave64.w64"), "Wave64"),
        (clip("sun.au"), "AU"),
        (clip("big_endian.aiff"), "AIFF"),
        (clip("apple.caf"), "CAF"),
        (clip("call.flac"), "FLAC"),
        (clip("vorbis.ogg"), "Ogg"),
        (clip("call.webm"), "Matroska"),
        (clip("call.m4a"), "MP4"),
        (clip("call.mp3"), "MP3"),
        (clip("call.mp3")[4_000..].to_vec(), "MP3"),
        (clip("call.aac"), "AAC"),
        (text.into_bytes(), "text"),
        (base64.repeat(9).into_bytes(), "base64 text"),
        (b"0f3ca8d51e92b7604f".repeat(40), "hexadecimal text"),
        (
            br#"{"event":"media","media":{"payload":"f39+"}}"#.repeat(9),
            "JSON",
        ),
    ];
    if let Some(bytes) = reported("twilio_b64.txt") {
        cases.push((bytes, "base64 text"));
    }
    for (bytes, name) in cases {
        let name = if name == "RF64" { "WAV" } else { name };
        for format in [
            RawFormat::Mulaw,
            RawFormat::Alaw,
            RawFormat::PcmS16Le,
            RawFormat::PcmF32Le,
        ] {
            let error = match decode(
                &bytes,
                raw(format, 16_000),
                LaneChoice::Auto,
                &Limits::default(),
            ) {
                Ok(_) => panic!("{name} was taken for {format:?}"),
                Err(error) => error.to_string(),
            };
            // Floats that are none may be met first.
            let told = error.contains(&format!("looks like {name}"));
            assert!(told || format == RawFormat::PcmF32Le, "{name}: {error}");
        }
    }
}

/// The codes of G.711 for samples: those whose values lie nearest.
fn companded(samples: &[f32], format: RawFormat) -> Vec<u8> {
    let codes: Vec<u8> = (0..=255).collect();
    let values = decoded(&codes, raw(format, 16_000), LaneChoice::Auto).unwrap();
    let mut table: Vec<(f32, u8)> = values.lanes[0].iter().copied().zip(codes).collect();
    table.sort_by(|a, b| a.0.total_cmp(&b.0));
    let nearest = |x: &f32| {
        let at = table.partition_point(|(value, _)| value < x).clamp(1, 255);
        let (below, above) = (table[at - 1], table[at]);
        if x - below.0 < above.0 - x {
            below.1
        } else {
            above.1
        }
    };
    samples.iter().map(nearest).collect()
}

#[test]
fn real_recordings_are_never_taken_for_files() {
    let mut lanes: Vec<(String, Vec<f32>)> = Vec::new();
    for name in ["call.flac", "book.flac"] {
        let recording = read(&clip(name)).unwrap();
        lanes.extend(
            recording
                .lanes
                .into_iter()
                .map(|lane| (name.to_owned(), lane)),
        );
    }
    for folder in ["unlabelled", "emodb", "regressions", "noise", "speechocean"] {
        let Some(folder) = shared(folder) else {
            continue;
        };
        let mut paths = Vec::new();
        let mut folders = vec![folder];
        while let Some(folder) = folders.pop() {
            let entries = std::fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().path());
            let (more, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
            folders.extend(more);
            paths.extend(
                files
                    .into_iter()
                    .filter(|path| path.extension().is_some_and(|e| e == "flac")),
            );
        }
        paths.sort();
        for path in paths.iter().step_by(paths.len().div_ceil(30).max(1)) {
            let bytes = std::fs::read(path).unwrap();
            let decoded = decode(&bytes, Encoding::Auto, LaneChoice::Mix, &Limits::default());
            lanes.push((path.display().to_string(), decoded.unwrap().lanes.remove(0)));
        }
    }
    lanes.push(("silence".into(), vec![0.0; 20_000]));
    lanes.push(("offset".into(), vec![-0.001; 20_000]));
    // A line with an offset stays below zero, where the codes of G.711 are printable.
    for offset in [-0.003_f32, -0.01, -0.1, -0.5] {
        let hum = |i: u32| offset * (1.0 + 0.6 * (f64::from(i) * 0.7).sin() as f32);
        lanes.push((format!("hum at {offset}"), (0..20_000).map(hum).collect()));
    }
    for (name, lane) in &lanes {
        for gain in [1.0, 0.02] {
            let lane: Vec<f32> = lane.iter().take(60_000).map(|x| x * gain).collect();
            let s16 = lane
                .iter()
                .flat_map(|x| ((x * 32_767.0) as i16).to_le_bytes());
            let f32s = lane.iter().flat_map(|x| x.to_le_bytes());
            for (format, width, bytes) in [
                (RawFormat::PcmS16Le, 2, s16.collect::<Vec<u8>>()),
                (RawFormat::PcmF32Le, 4, f32s.collect()),
                (RawFormat::Mulaw, 1, companded(&lane, RawFormat::Mulaw)),
                (RawFormat::Alaw, 1, companded(&lane, RawFormat::Alaw)),
            ] {
                for offset in [0, 999, 7_000, 20_011] {
                    let at = bytes.len().min(offset * width);
                    let part = &bytes[at..bytes.len().min(at + 12_000)];
                    if part.is_empty() {
                        continue;
                    }
                    let taken = decode(
                        part,
                        raw(format, 16_000),
                        LaneChoice::Auto,
                        &Limits::default(),
                    );
                    assert!(
                        taken.is_ok(),
                        "{name} as {format:?} from {offset}: {taken:?}"
                    );
                }
            }
        }
    }
}

// What the answer and the command line say.

#[tokio::test]
async fn the_answer_says_that_audio_changes_or_ends_early_and_names_what_is_sent_as_samples() {
    let server = Server::start();
    let client = server.client().await;
    let ask = |audio: Vec<u8>, encoding: AudioEncoding| {
        let config = AudioConfig {
            encoding: encoding.into(),
            sample_rate_hz: 8_000,
            ..Default::default()
        };
        let mut client = client.clone();
        async move {
            let request = ClassifyRequest {
                audio: audio.into(),
                config: Some(config),
                ..Default::default()
            };
            client
                .classify(request)
                .await
                .map(tonic::Response::into_inner)
        }
    };
    let joined = [clip("flac.ogg"), clip("call-flac.ogg")].concat();
    let answer = ask(joined.clone(), AudioEncoding::Auto).await.unwrap();
    assert_eq!(
        (answer.remixed, answer.truncated, answer.lanes.len()),
        (true, false, 1)
    );
    let cut = joined[..joined.len() - 9].to_vec();
    let answer = ask(cut, AudioEncoding::Auto).await.unwrap();
    assert!(answer.truncated);
    let answer = ask(clip("call.flac"), AudioEncoding::Auto).await.unwrap();
    assert!(!answer.remixed && !answer.truncated);
    let status = ask(clip("call.mp3"), AudioEncoding::Mulaw)
        .await
        .unwrap_err();
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
    assert!(
        status
            .message()
            .contains("sent as raw µ-law, but it looks like MP3"),
        "{}",
        status.message()
    );
}

#[test]
fn the_command_line_shows_that_a_file_is_cut_or_changes() {
    let folder = std::env::temp_dir().join(format!("undertone-cut-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (cut, joined) = (folder.join("cut.mka"), folder.join("joined.ogg"));
    let whole = clip("call.mka");
    std::fs::write(&cut, &whole[..whole.len() * 7 / 10]).unwrap();
    std::fs::write(&joined, [clip("flac.ogg"), clip("call-flac.ogg")].concat()).unwrap();
    let run = |flags: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_undertone"))
            .arg("classify")
            .args(flags)
            .args([&cut, &joined])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let table = run(&[]);
    let line = |name: &str| {
        table
            .lines()
            .find(|line| line.contains(name))
            .unwrap()
            .to_owned()
    };
    assert!(line("cut.mka").contains("truncated"), "{table}");
    assert!(line("joined.ogg").contains("channels change"), "{table}");
    let rows: Vec<serde_json::Value> = run(&["--json"])
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for row in rows {
        let is_cut = row["file"].as_str().unwrap().ends_with("cut.mka");
        assert_eq!(
            (row["truncated"] == is_cut, row["remixed"] == !is_cut),
            (true, true),
            "{row}"
        );
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
