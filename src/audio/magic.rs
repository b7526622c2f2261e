//! Magic numbers: the bytes by which file formats are recognised.

/// Bytes looked at to find the format. Fewer only if the file has no more.
pub(super) const SNIFF_BYTES: usize = 2 * TEXT_BYTES;

/// Bytes looked at for text and for the codec inside Ogg.
pub(super) const TEXT_BYTES: usize = 512;

/// Formats that are refused by name: offset, bytes, name.
pub(super) const REFUSED: &[(usize, &[u8], &str)] = &[
    (0, b"wvpk", "WavPack"),
    (0, b"MAC ", "Monkey's Audio (APE)"),
    (0, b"tBaK", "TAK"),
    (0, b"MPCK", "Musepack"),
    (0, b"MP+", "Musepack"),
    (0, b"TTA1", "True Audio (TTA)"),
    (0, b"TTA2", "True Audio (TTA)"),
    (0, b"DSD ", "DSD"),
    (0, b"FRM8", "DSD"),
    (
        0,
        b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
        "Windows Media Audio (WMA)",
    ),
    (0, b"#!AMR", "AMR"),
    (0, b"#!SILK", "SILK"),
    (0, b"RIFX", "big-endian WAV (RIFX)"),
    (8, b"AVI ", "AVI"),
    (0, b".ra\xfd", "RealAudio"),
    (0, b".RMF", "RealAudio"),
    (0, b"FLV\x01", "Flash video (FLV)"),
    (0, b"\0\0\x01\xba", "an MPEG program stream (MPG, VOB)"),
    (0, b"MThd", "MIDI"),
    (0, b"NIST_1A", "NIST SPHERE"),
    (0, b"Creative Voice File", "Creative Voice (VOC)"),
    (0, b"\x64\xa3\x01\0", "IRCAM"),
    (0, b"\x64\xa3\x02\0", "IRCAM"),
    (0, b"\x0b\x77", "AC-3"),
    (0, b"\x7f\xfe\x80\x01", "DTS"),
    (8, b"8SVX", "Amiga 8SVX"),
];

/// Formats that symphonia reads: offset, bytes, name.
pub(super) const READ: &[(usize, &[u8], &str)] = &[
    (0, b"fLaC", "FLAC"),
    (0, b"OggS", "Ogg"),
    (0, b"\x1a\x45\xdf\xa3", "Matroska"),
    (4, b"ftyp", "MP4"),
    (4, b"styp", "MP4"),
    (4, b"moov", "MP4"),
    (4, b"moof", "MP4"),
    (4, b"mdat", "MP4"),
    (4, b"sidx", "MP4"),
    (4, b"wide", "MP4"),
    (0, b"APETAGEX", "MP3"),
];

/// Codecs that are refused in Ogg, recognised by the first packet of the stream: bytes, name.
pub(super) const REFUSED_IN_OGG: &[(&[u8], &str)] = &[
    #[cfg(not(feature = "opus"))]
    (b"OpusHead", "Opus"),
    (b"Speex   ", "Speex"),
    (b"PCM     ", "PCM in Ogg"),
    (b"\x80theora", "Theora video"),
];

/// Files that are not audio: offset, bytes, description.
pub(super) const FOREIGN: &[(usize, &[u8], &str)] = &[
    (0, b"\x89PNG", "this looks like a PNG image"),
    (0, b"\xff\xd8\xff", "this looks like a JPEG image"),
    (0, b"GIF8", "this looks like a GIF image"),
    (0, b"FORM", "this looks like an IFF file without audio"),
    (0, b"RIFF", "this looks like a RIFF file that is not WAV"),
    (0, b"%PDF", "this looks like a PDF document"),
    (0, b"PK\x03\x04", "this looks like a ZIP archive"),
    (0, b"\x1f\x8b", "this looks like gzip; send it unpacked"),
    (0, b"\x7fELF", "this looks like a program"),
];

/// Files that are not audio, recognised by at least four bytes: offset, bytes, name.
const FOREIGN_FILES: &[(usize, &[u8], &str)] = &[
    (0, b"\x89PNG", "a PNG image"),
    (6, b"JFIF", "a JPEG image"),
    (6, b"Exif", "a JPEG image"),
    (0, b"GIF8", "a GIF image"),
    (0, b"%PDF", "a PDF document"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"\x7fELF", "a program"),
    (0, b"SQLite format 3", "an SQLite database"),
    (0, b"HTTP/", "an HTTP message"),
];

/// Returns the name of a format with a magic number of four bytes or more. Samples do not start with one by
/// chance.
pub(super) fn name_of(bytes: &[u8]) -> Option<&'static str> {
    let has = |at: usize, magic: &[u8]| bytes.get(at..).is_some_and(|rest| rest.starts_with(magic));
    let own: [(usize, &[u8], &str); 6] = [
        (8, b"WAVE", "WAV"),
        (0, b"riff\x2e\x91\xcf\x11", "Wave64"),
        (0, b".snd\0\0", "AU"),
        (8, b"AIFF", "AIFF"),
        (8, b"AIFC", "AIFF"),
        (0, b"caff\x00\x01", "CAF"),
    ];
    let known = || own.iter().chain(READ).chain(REFUSED).chain(FOREIGN_FILES);
    let long = |&&(at, magic, _): &&(usize, &[u8], &str)| magic.len() >= 4 && has(at, magic);
    if let Some((_, _, name)) = known().find(long) {
        return Some(name);
    }
    // Method deflate, flags in use, and an existing level and operating system.
    if matches!(
        bytes,
        [
            0x1f,
            0x8b,
            8,
            0..=0x1f,
            _,
            _,
            _,
            _,
            0 | 2 | 4,
            0..=13 | 255,
            ..
        ]
    ) {
        return Some("a gzip archive");
    }
    // A known version, and a size of four groups of seven bits.
    let tag = matches!(bytes, [b'I', b'D', b'3', 2..=4, _, _, a, b, c, d, ..] if (a | b | c | d) & 0x80 == 0);
    tag.then_some("MP3 or another file with an ID3 tag")
}
