//! Detection of cut files.

use super::{clip, read, reported};

/// Files of every container, and whether a cut one is decoded. Otherwise it is refused with the cause.
const WHOLE: &[(&str, bool)] = &[
    ("extensible24.wav", true),
    ("rf64.wav", true),
    ("ima.wav", true),
    ("wave64.w64", true),
    ("sun.au", true),
    ("big_endian.aiff", true),
    ("apple.caf", true),
    // The table of its packets is at its end.
    ("call.caf", false),
    ("call.flac", true),
    ("call-flac.ogg", true),
    // Its first page of sound holds one second and is complete only after three quarters of the file.
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
fn a_cut_file_is_detected_in_every_container() {
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
fn a_live_recording_is_complete_where_a_frame_ends() {
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
            // Plain samples of unknown number may end anywhere.
            assert!(cut.truncated || !has_frames, "{name} cut at {end}");
        }
    }
}

/// Returns the call in WebM as a live recorder writes it: segment and clusters have unknown sizes.
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
fn a_recording_of_a_browser_that_is_cut_in_a_cluster_is_marked_as_truncated() {
    let Some(bytes) = reported("chrome_cut.webm") else {
        return;
    };
    if cfg!(feature = "opus") {
        let recording = read(&bytes).unwrap();
        assert!(recording.truncated && recording.seconds() > 3.0);
    }
}

#[test]
fn tags_after_an_mp3_are_not_decoded() {
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
