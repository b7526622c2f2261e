//! Finds symphonia's reader for a container.

use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader};
use symphonia::core::io::{MediaSource, MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;
use symphonia::default::get_probe;

/// Bytes of the ring buffer in which readers may go back. Up to 32 KiB of it may be read ahead. The rest is
/// more than an Ogg page and more than any reader goes back. With symphonia's default of 64 KiB, the sizes in
/// which the bytes arrive would decide whether enough is left to go back.
const RING_BYTES: usize = 128 << 10;

/// Returns the reader of the container in `source`.
pub(super) fn probe<'a>(
    source: Box<dyn MediaSource + 'a>,
) -> Result<Box<dyn FormatReader + 'a>, Error> {
    let options = MediaSourceStreamOptions {
        buffer_len: RING_BYTES,
    };
    get_probe().probe(
        &Hint::new(),
        MediaSourceStream::new(source, options),
        FormatOptions::default(),
        MetadataOptions::default(),
    )
}
