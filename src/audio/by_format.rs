//! Finds the format of a recording and passes it to the decoder of that format.

use super::input::Input;
use super::job::{DecodeJob, LaneSink};
use super::pcm::PcmDecoder;
use super::sniff::FileFormat;
use super::{AudioError, Encoding, Ending, aiff, au, caf, container, magic, sniff, w64, wav};

/// Decodes `input` to samples, which go to `sink`. Every recording passes through here.
pub(super) fn decode(
    mut input: Input<'_>,
    encoding: Encoding,
    job: &DecodeJob,
    sink: LaneSink<'_>,
) -> Result<Ending, AudioError> {
    if let Encoding::Raw {
        format,
        sample_rate,
        channels,
    } = encoding
    {
        let samples = PcmDecoder::raw(format, sample_rate, channels, job)?;
        return samples.read(input, u64::MAX, false, sink);
    }
    let tagged = input.skip_tags()?;
    match sniff::sniff(input.peek(magic::SNIFF_BYTES)?, tagged)? {
        FileFormat::Wav => wav::decode(input, job, sink),
        FileFormat::Wave64 => w64::decode(input, job, sink),
        FileFormat::Au => au::decode(input, job, sink),
        FileFormat::Aiff => aiff::decode(input, job, sink),
        FileFormat::Caf => caf::decode(input, job, sink),
        FileFormat::Container { name } => container::decode(input, name, job, sink),
        FileFormat::Unmarked => container::decode_unmarked(input, job, sink),
    }
}
