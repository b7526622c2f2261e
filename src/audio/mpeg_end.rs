//! Where MPEG audio ends: the encoder's tag, and files laid end to end.
//!
//! symphonia trims whatever lies behind the end that it knows, which is that of the first file.
//! Padding is to be trimmed, sound is not. Where a file has no tag, it would guess the end from the
//! bit rate, had it a source that it can seek in; `layout` gives it none.

use symphonia::core::codecs::audio::AudioCodecId;
use symphonia::core::codecs::audio::well_known::{CODEC_ID_MP1, CODEC_ID_MP2, CODEC_ID_MP3};
use symphonia::core::formats::Track;
use symphonia::core::packet::Packet;
use symphonia::core::units::Duration;

/// The end as the tag has it, in frames from the end of the encoder's delay.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MpegEnd {
    /// None: there is no tag.
    sound: Option<u64>,
    /// Frames behind the sound that only fill the last packet.
    padding: u64,
    /// Frames by a tag that does not say where the sound ends; it may count one packet more.
    counted: Option<u64>,
}

/// Frames that a tag may count in excess: two of the longest packets.
const SLACK: u64 = 2 * 1_152;

impl MpegEnd {
    /// None for other codecs: they have other ways to tell.
    pub(super) fn of(track: &Track, codec: AudioCodecId) -> Option<Self> {
        if ![CODEC_ID_MP1, CODEC_ID_MP2, CODEC_ID_MP3].contains(&codec) {
            return None;
        }
        // Only an encoder's own tag sets `padding`; others count frames, and may count more.
        Some(match track.padding {
            Some(padding) => Self {
                sound: track.num_frames,
                padding: u64::from(padding),
                counted: None,
            },
            // Not a guess from the bit rate, for which symphonia would have to seek.
            None => Self {
                counted: track.num_frames,
                ..Self::default()
            },
        })
    }

    /// Takes back what symphonia would trim from `packet` of the next file.
    pub(super) fn keep_sound(self, packet: &mut Packet) {
        let start = u64::try_from(packet.pts.get()).unwrap_or(0);
        let end = self.sound.map(|sound| sound.saturating_add(self.padding));
        let next_file = end.is_some_and(|end| start >= end);
        if packet.trim_end.get() > self.padding || next_file {
            packet.trim_end = Duration::ZERO;
        }
    }

    /// Whether packets are missing when the last one ended at `timestamp`: a file cut between two
    /// of them ends like a whole one.
    pub(super) fn is_after(self, timestamp: i64) -> bool {
        let came = u64::try_from(timestamp).unwrap_or(0);
        let least = self.sound.map(|sound| sound.saturating_add(self.padding));
        let least = least.or(self.counted.map(|counted| counted.saturating_sub(SLACK)));
        least.is_some_and(|least| came < least)
    }
}

#[cfg(test)]
mod tests {
    use symphonia::core::units::Timestamp;

    use super::*;

    /// What is left to trim of a packet that ends `over` frames behind the end.
    fn trimmed(end: MpegEnd, over: u64) -> u64 {
        let mut packet = Packet::new(0, Timestamp::new(0), Duration::new(1_152), [0; 4]);
        packet.trim_end = Duration::new(over);
        end.keep_sound(&mut packet);
        packet.trim_end.get()
    }

    #[test]
    fn padding_is_trimmed_and_sound_is_not() {
        let mut track = Track::new(0);
        track.with_num_frames(10_000).with_padding(700);
        let tagged = MpegEnd::of(&track, CODEC_ID_MP3).unwrap();
        assert_eq!(trimmed(tagged, 0), 0);
        assert_eq!(trimmed(tagged, 700), 700);
        assert_eq!(trimmed(tagged, 700 + 1_152), 0, "the next file's");
        let mut short = Packet::new(0, Timestamp::new(10_700), Duration::new(576), [0; 4]);
        short.trim_end = Duration::new(576);
        tagged.keep_sound(&mut short);
        assert_eq!(
            short.trim_end.get(),
            0,
            "the next file's, of shorter packets"
        );
        track.padding = None;
        let guessed = MpegEnd::of(&track, CODEC_ID_MP3).unwrap();
        assert_eq!(trimmed(guessed, 300), 0);
    }

    #[test]
    fn a_tag_tells_whether_packets_are_missing() {
        let mut track = Track::new(0);
        track.with_num_frames(10_000).with_padding(700);
        let tagged = MpegEnd::of(&track, CODEC_ID_MP3).unwrap();
        assert!(tagged.is_after(10_700 - 1_152));
        assert!(!tagged.is_after(10_700));
        track.padding = None;
        let counted = MpegEnd::of(&track, CODEC_ID_MP3).unwrap();
        assert!(counted.is_after(10_000 - 3 * 1_152));
        assert!(!counted.is_after(10_000 - 2 * 1_152));
        track.num_frames = None;
        let unknown = MpegEnd::of(&track, CODEC_ID_MP3).unwrap();
        assert!(!unknown.is_after(0));
    }
}
