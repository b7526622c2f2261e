//! Formats that other tools read, and formats that are refused by name.

use undertone::audio::{LaneChoice, RawFormat};

use super::{clip, decoded, raw, read, refusal, replaced, reported};

#[test]
fn every_signalling_of_he_aac_decodes_its_aac_lc_part() {
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

/// Returns a CAF file of 8 kHz, mono.
fn caf(codec: &[u8; 4], numbers: [u32; 5], data_size: i64, data: &[u8]) -> Vec<u8> {
    let rate = 8_000_f64.to_be_bytes();
    let numbers = numbers.map(u32::to_be_bytes).concat();
    let desc = [b"desc\0\0\0\0\0\0\0\x20", &rate[..], codec, &numbers].concat();
    let size = data_size.to_be_bytes();
    let data = [b"data", &size[..], &[0; 4], data].concat();
    [b"caff\0\x01\0\0", desc.as_slice(), &data].concat()
}

#[test]
fn caf_of_every_telephone_codec_decodes_with_any_size() {
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
    let extended = [&aiff[..], b"ANNO\0\0\xff\xff and no more"].concat();
    let mut short = aiff.clone();
    short[4..8].copy_from_slice(&60_u32.to_be_bytes());
    for bytes in [extended, short] {
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
fn transport_streams_and_pieces_without_a_header_are_refused_by_name() {
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
            refusal.contains(name) && refusal.contains("join all chunks"),
            "{refusal}"
        );
    }
}

#[test]
fn the_error_for_an_mp4_cut_before_its_index_names_what_is_missing() {
    let bytes = clip("call-index-last.m4a");
    for end in [bytes.len() / 2, bytes.len() - 3] {
        let refusal = refusal(&bytes[..end]);
        assert!(
            refusal.contains("lacks its index (moov box): it was cut"),
            "{refusal}"
        );
    }
}
