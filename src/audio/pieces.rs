//! Streams without a beginning: MPEG-TS, which has none, and pieces that lack theirs, as recorders in browsers
//! give them after the first.
//!
//! Both are refused by name, with what to send instead.

use super::AudioError;
use super::sniff::HEAD;

/// The cure for a piece of a recording that does not begin with its header.
const SEND_ALL_CHUNKS: &str = "only a recorder's first chunk has the header: put all chunks from the \
    first on together, or let the recorder make a new recording for each request";

/// Bytes of a packet of MPEG-TS, and where in it the sync byte stands: plain (ISO/IEC 13818-1, section
/// 2.4.3), behind a time stamp (as cameras and Blu-ray discs have it), with a checksum behind.
const TRANSPORT_PACKETS: [(usize, usize); 3] = [(188, 0), (192, 4), (204, 0)];

/// Packets of MPEG-TS that must begin where they should; samples of other data do by no chance.
const TRANSPORT_SYNCS: usize = 4;

/// The refusal of an MPEG transport stream, if `bytes` are one from its first packet on.
pub(super) fn transport_stream(bytes: &[u8]) -> Option<AudioError> {
    let head = &bytes[..bytes.len().min(HEAD)];
    let is_one = TRANSPORT_PACKETS.iter().any(|&(size, at)| {
        let synced = |packet: &[u8]| packet.get(at) == Some(&0x47);
        head.len() >= 2 * size && head.chunks(size).filter(|p| p.len() > at).all(synced)
    });
    is_one.then(transport_refused)
}

/// The refusal of an MPEG transport stream that was cut anywhere.
pub(super) fn cut_transport_stream(bytes: &[u8]) -> Option<AudioError> {
    let head = &bytes[..bytes.len().min(HEAD)];
    let is_one = TRANSPORT_PACKETS.iter().any(|&(size, _)| {
        (0..size).any(|start| {
            let syncs = head.iter().skip(start).step_by(size);
            syncs.clone().count() >= TRANSPORT_SYNCS && syncs.clone().all(|&byte| byte == 0x47)
        })
    });
    is_one.then(transport_refused)
}

fn transport_refused() -> AudioError {
    AudioError::Refused {
        what: "MPEG-TS is not supported".into(),
        cure: "send the audio alone, as ADTS, MP3 or MP4 (ffmpeg -i IN.ts -vn -c:a copy OUT.m4a)"
            .into(),
    }
}

/// The refusal of a piece of a recording without its header, which is what recorders in browsers give as
/// their second chunk, if `bytes` begin like one.
pub(super) fn headless(bytes: &[u8]) -> Option<AudioError> {
    // A cluster of Matroska, also behind its first byte, which Chrome puts into the chunk before; a segment; a
    // block followed by another.
    let cluster = bytes.starts_with(b"\x1f\x43\xb6\x75") || bytes.starts_with(b"\x43\xb6\x75");
    let webm = cluster || bytes.starts_with(b"\x18\x53\x80\x67") || begins_with_block(bytes);
    // A page of Ogg that does not begin a stream (RFC 3533, section 6).
    let ogg = bytes.starts_with(b"OggS\0") && bytes.get(5).is_some_and(|flags| flags & 2 == 0);
    let format = match (webm, ogg) {
        (true, _) => "a WebM",
        (_, true) => "an Ogg",
        _ => return None,
    };
    Some(AudioError::Refused {
        what: format!("this is a piece of {format} recording without the header that describes it"),
        cure: SEND_ALL_CHUNKS.into(),
    })
}

/// The refusal of a piece of an MP4 recording.
pub(super) fn headless_mp4() -> AudioError {
    AudioError::Refused {
        what: "this is a fragment of an MP4 recording without the beginning that describes it (moov box)"
            .into(),
        cure: SEND_ALL_CHUNKS.into(),
    }
}

/// Whether `bytes` are packets of MPEG-TS to their end, and their sync byte stands hardly anywhere else, as it
/// would in samples.
pub(super) fn is_transport_stream(bytes: &[u8]) -> bool {
    let syncs = bytes.iter().filter(|&&byte| byte == 0x47).count();
    TRANSPORT_PACKETS.iter().any(|&(size, at)| {
        // No error, and a payload or an adaptation field.
        let valid = |packet: &[u8]| {
            matches!(packet.get(at..at + 4), Some([0x47, second, _, fourth])
                if second & 0x80 == 0 && fourth & 0x30 != 0)
        };
        let packets = bytes.len() / size;
        packets >= 2 * TRANSPORT_SYNCS
            && bytes.chunks_exact(size).all(valid)
            && syncs <= packets + bytes.len() / 128 + 4
    })
}

/// Whether a block of Matroska's first track (RFC 9559, section 10.2) stands here and another element of a
/// cluster behind it.
fn begins_with_block(bytes: &[u8]) -> bool {
    let (header, size) = match *bytes {
        [0xa3, size @ 0x80..=0xfe, ..] => (2, usize::from(size & 0x7f)),
        [0xa3, high @ 0x40..=0x7f, low, ..] => {
            (3, usize::from(high & 0x3f) << 8 | usize::from(low))
        }
        _ => return false,
    };
    let track = bytes.get(header) == Some(&0x81);
    let next = bytes.get(header + size..).unwrap_or_default();
    track && (next.starts_with(&[0xa3]) || next.starts_with(b"\x1f\x43\xb6\x75"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_of_mpeg_ts_are_told_from_samples() {
        let packet: Vec<u8> = (0..184).map(|i| (i * 31 % 64) as u8).collect();
        let packet = [&[0x47, 0x41, 0x00, 0x10], packet.as_slice()].concat();
        let stream = packet.repeat(20);
        assert!(is_transport_stream(&stream));
        assert!(transport_stream(&stream).is_some());
        assert!(transport_stream(&stream[90..]).is_none());
        assert!(cut_transport_stream(&stream[90..]).is_some());
        for samples in [vec![0x47; 8_000], [0x47, 0x41, 0x10, 0x10].repeat(2_000)] {
            assert!(!is_transport_stream(&samples));
        }
        assert!(!is_transport_stream(&stream[..7 * 188]));
    }

    #[test]
    fn blocks_of_matroska_are_told_by_what_follows_them() {
        let block = |size: usize| {
            [
                &[0xa3, 0x80 | size as u8, 0x81],
                vec![0; size - 1].as_slice(),
            ]
            .concat()
        };
        let two = [block(40), block(30)].concat();
        assert!(headless(&two).is_some());
        assert!(headless(&two[..42]).is_none());
        assert!(headless(b"\xa3\x84\x82abc\xa3").is_none());
    }
}
