//! Detects streams without a header: MPEG-TS, which has none, and the later chunks of a recorder in a browser.
//!
//! Both are refused by name, and the error states what to send instead.

use super::AudioError;
use super::magic::SNIFF_BYTES;

/// What to do about a piece of a recording that does not begin with its header.
const SEND_ALL_CHUNKS: &str = "only the first chunk of a recorder has the header: join all chunks from \
    the first on, or start a new recording for each request";

/// Bytes of a packet of MPEG-TS, and the position of its sync byte. In order: plain packets (ISO/IEC 13818-1,
/// section 2.4.3), packets after a time stamp (cameras and Blu-ray discs), packets with a checksum at the end.
const TRANSPORT_PACKETS: [(usize, usize); 3] = [(188, 0), (192, 4), (204, 0)];

/// Sync bytes of MPEG-TS required at the right distance. Other data does not have so many by chance.
const TRANSPORT_SYNCS: usize = 4;

/// Returns the refusal of an MPEG transport stream if `bytes` begin with its first packet.
pub(super) fn transport_stream(bytes: &[u8]) -> Option<AudioError> {
    let head = &bytes[..bytes.len().min(SNIFF_BYTES)];
    let is_stream = TRANSPORT_PACKETS.iter().any(|&(size, at)| {
        let synced = |packet: &[u8]| packet.get(at) == Some(&0x47);
        head.len() >= 2 * size && head.chunks(size).filter(|p| p.len() > at).all(synced)
    });
    is_stream.then(transport_refused)
}

/// Returns the refusal of an MPEG transport stream if `bytes` begin anywhere in one.
pub(super) fn cut_transport_stream(bytes: &[u8]) -> Option<AudioError> {
    let head = &bytes[..bytes.len().min(SNIFF_BYTES)];
    let is_stream = TRANSPORT_PACKETS.iter().any(|&(size, _)| {
        (0..size).any(|start| {
            let syncs = head.iter().skip(start).step_by(size);
            syncs.clone().count() >= TRANSPORT_SYNCS && syncs.clone().all(|&byte| byte == 0x47)
        })
    });
    is_stream.then(transport_refused)
}

fn transport_refused() -> AudioError {
    AudioError::Refused {
        what: "MPEG-TS is not supported".into(),
        cure: "send the audio alone, as ADTS, MP3 or MP4 (ffmpeg -i IN.ts -vn -c:a copy OUT.m4a)"
            .into(),
    }
}

/// Returns the refusal of a piece of a recording if `bytes` begin like one. Recorders in browsers produce such
/// pieces from their second chunk on.
pub(super) fn headless(bytes: &[u8]) -> Option<AudioError> {
    // A cluster of Matroska, with or without its first byte, which Chrome puts into the previous chunk; a
    // segment; or a block followed by another.
    let cluster = bytes.starts_with(b"\x1f\x43\xb6\x75") || bytes.starts_with(b"\x43\xb6\x75");
    let webm = cluster || bytes.starts_with(b"\x18\x53\x80\x67") || begins_with_block(bytes);
    // A page of Ogg that is not the first of its stream (RFC 3533, section 6).
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

/// Returns the refusal of a piece of an MP4 recording.
pub(super) fn headless_mp4() -> AudioError {
    AudioError::Refused {
        what: "this is a fragment of an MP4 recording without the beginning that describes it (moov box)"
            .into(),
        cure: SEND_ALL_CHUNKS.into(),
    }
}

/// Returns whether `bytes` are packets of MPEG-TS to their end. The sync byte must also be rare elsewhere,
/// because in samples it would not be.
pub(super) fn is_transport_stream(bytes: &[u8]) -> bool {
    let syncs = bytes.iter().filter(|&&byte| byte == 0x47).count();
    TRANSPORT_PACKETS.iter().any(|&(size, at)| {
        // The error flag is not set, and there is a payload or an adaptation field.
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

/// Returns whether `bytes` begin with a block of Matroska's first track (RFC 9559, section 10.2), followed by
/// another element of a cluster.
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
    fn packets_of_mpeg_ts_are_distinguished_from_samples() {
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
    fn a_block_of_matroska_counts_only_before_another_element() {
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
