//! Finds the end of MPEG audio by the encoder's tag, also in several files one after another.
//!
//! symphonia trims everything after the end of the first file. Only padding must be trimmed, not the sound of
//! the next file. If a file has no tag and its source can seek, symphonia guesses the end from the bit rate.
//! `container` gives it no such source.

use symphonia::core::codecs::audio::AudioCodecId;
use symphonia::core::codecs::audio::well_known::{CODEC_ID_MP1, CODEC_ID_MP2, CODEC_ID_MP3};
use symphonia::core::formats::Track;
use symphonia::core::packet::Packet;
use symphonia::core::units::Duration;

/// The end according to the tag, in frames after the encoder's delay.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MpegEnd {
    /// Frames of sound. `None` if there is no tag.
    sound: Option<u64>,
    /// Frames after the sound that only fill the last packet.
    padding: u64,
    /// Frames counted by a tag that does not contain the end of the sound. It may count one packet too many.
    counted: Option<u64>,
}

/// Frames that a tag may count in excess: two of the longest packets.
const COUNT_TOLERANCE: u64 = 2 * 1_152;

impl MpegEnd {
    /// Returns the end of a track. `None` for other codecs, which mark their end in other ways.
    pub(super) fn of(track: &Track, codec: AudioCodecId) -> Option<Self> {
        if ![CODEC_ID_MP1, CODEC_ID_MP2, CODEC_ID_MP3].contains(&codec) {
            return None;
        }
        // Only an encoder's own tag sets `padding`. Other tags count frames, and may count too many.
        Some(match track.padding {
            Some(padding) => Self {
                sound: track.num_frames,
                padding: u64::from(padding),
                counted: None,
            },
            // This is not a guess from the bit rate, because symphonia would have to seek for that.
            None => Self {
                counted: track.num_frames,
                ..Self::default()
            },
        })
    }

    /// Undoes the trimming of `packet` if it belongs to the next file.
    pub(super) fn keep_sound(self, packet: &mut Packet) {
        let start = u64::try_from(packet.pts.get()).unwrap_or(0);
        let end = self.sound.map(|sound| sound.saturating_add(self.padding));
        let next_file = end.is_some_and(|end| start >= end);
        if packet.trim_end.get() > self.padding || next_file {
            packet.trim_end = Duration::ZERO;
        }
    }

    /// Returns whether packets are missing if the last one ended at `timestamp`. A file that is cut between two
    /// packets looks complete otherwise.
    pub(super) fn is_after(self, timestamp: i64) -> bool {
        let end = u64::try_from(timestamp).unwrap_or(0);
        let least = self.sound.map(|sound| sound.saturating_add(self.padding));
        let least = least.or(self
            .counted
            .map(|counted| counted.saturating_sub(COUNT_TOLERANCE)));
        least.is_some_and(|least| end < least)
    }
}

#[cfg(test)]
mod tests {
    use symphonia::core::units::Timestamp;

    use super::*;

    /// Returns the frames to trim of a packet that ends `over` frames after the end.
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
        assert_eq!(
            trimmed(tagged, 700 + 1_152),
            0,
            "the packet is of the next file"
        );
        let mut short = Packet::new(0, Timestamp::new(10_700), Duration::new(576), [0; 4]);
        short.trim_end = Duration::new(576);
        tagged.keep_sound(&mut short);
        assert_eq!(
            short.trim_end.get(),
            0,
            "the packet is of the next file, which has shorter packets"
        );
        track.padding = None;
        let guessed = MpegEnd::of(&track, CODEC_ID_MP3).unwrap();
        assert_eq!(trimmed(guessed, 300), 0);
    }

    #[test]
    fn a_tag_shows_whether_packets_are_missing() {
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
