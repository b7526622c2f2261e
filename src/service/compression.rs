//! gRPC's message encodings: a message inflated within a bound, and an answer compressed.
//!
//! The transport can do both, but inflates a message in one go on a network thread, holds it twice, and
//! ends the call with words of its own where its bound is met.

use std::io::{self, Write as _};

use bytes::{Buf as _, Bytes};
use flate2::write::{GzDecoder, GzEncoder, ZlibEncoder};
use flate2::{Decompress, FlushDecompress, Status};
use http::{HeaderMap, HeaderName, HeaderValue};
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation as _, OutBuffer};

/// How the messages of one direction are compressed.
pub(super) const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
/// What whoever sends it can inflate.
pub(super) const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
/// What this server can inflate.
pub(super) const ACCEPTED: HeaderValue = HeaderValue::from_static("identity,deflate,gzip,zstd");

/// Inflated bytes are held in pieces of about this size, each of which is given back once it is read.
const PIECE: usize = 64 << 10;
/// Largest window of Zstandard, as a power of two: the 8 MiB that RFC 8878 asks a decoder for. It is held
/// beside the message.
const ZSTD_WINDOW_LOG: u32 = 23;

/// A way to compress messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Gzip,
    Deflate,
    Zstd,
}

impl Encoding {
    /// As headers write it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Zstd => "zstd",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        let all = [Self::Gzip, Self::Deflate, Self::Zstd];
        all.into_iter().find(|encoding| encoding.name() == name)
    }

    /// The first that the sender of these headers accepts.
    pub(super) fn accepted(headers: &HeaderMap) -> Option<Self> {
        let accepted = headers.get(ACCEPT_ENCODING)?.to_str().ok()?;
        accepted.split(',').map(str::trim).find_map(Self::named)
    }

    /// One message compressed. Fast levels: an answer repeats its labels, and hardly shrinks further by
    /// more work.
    pub(super) fn compress(self, message: &[u8]) -> io::Result<Vec<u8>> {
        let level = flate2::Compression::fast();
        match self {
            Self::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), level);
                encoder.write_all(message)?;
                encoder.finish()
            }
            Self::Deflate => {
                let mut encoder = ZlibEncoder::new(Vec::new(), level);
                encoder.write_all(message)?;
                encoder.finish()
            }
            Self::Zstd => zstd::bulk::compress(message, 1),
        }
    }
}

/// Why a message does not inflate.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum InflateError {
    /// It is larger than its bound.
    TooLarge,
    /// It is not what its encoding says.
    Corrupt(String),
}

/// Inflates one message that comes in pieces.
pub(super) struct Inflater {
    encoding: Encoding,
    stream: Inflating,
}

enum Inflating {
    Gzip(GzDecoder<Inflated>),
    /// Those whose decoders do not tell by themselves whether the message is whole.
    Counted {
        decoder: Counted,
        inflated: Inflated,
        whole: bool,
    },
}

enum Counted {
    Deflate(Decompress),
    Zstd(Decoder<'static>),
}

impl Inflater {
    /// For a message that may have `limit` bytes.
    pub(super) fn new(encoding: Encoding, limit: usize) -> Result<Self, InflateError> {
        let inflated = Inflated::new(limit);
        let decoder = match encoding {
            Encoding::Gzip => {
                let stream = Inflating::Gzip(GzDecoder::new(inflated));
                return Ok(Self { encoding, stream });
            }
            Encoding::Deflate => Counted::Deflate(Decompress::new(true)),
            Encoding::Zstd => {
                let decoder = Decoder::new().and_then(|mut decoder| {
                    decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG))?;
                    Ok(decoder)
                });
                let failed = |error: io::Error| InflateError::Corrupt(error.to_string());
                Counted::Zstd(decoder.map_err(failed)?)
            }
        };
        let stream = Inflating::Counted {
            decoder,
            inflated,
            whole: false,
        };
        Ok(Self { encoding, stream })
    }

    /// Takes some of the input, and inflates 64 KiB of it at most.
    pub(super) fn step(&mut self, input: &mut Bytes) -> Result<(), InflateError> {
        let ran = match &mut self.stream {
            // It takes something unless the message is whole.
            Inflating::Gzip(decoder) => decoder.write(input).map(|taken| (taken, 0)),
            Inflating::Counted {
                decoder,
                inflated,
                whole,
            } => decoder.run(input, inflated, whole),
        };
        match ran {
            Ok((0, 0)) => Err(self.corrupt("bytes follow its end")),
            Ok((taken, _)) => {
                input.advance(taken);
                Ok(())
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// All input has come. The message, in pieces.
    pub(super) fn finish(&mut self) -> Result<Vec<Bytes>, InflateError> {
        let ended = match &mut self.stream {
            Inflating::Gzip(decoder) => decoder.try_finish(),
            Inflating::Counted {
                decoder,
                inflated,
                whole,
            } => loop {
                match decoder.run(&[], inflated, whole) {
                    Ok((_, 0)) if *whole => break Ok(()),
                    Ok((_, 0)) => break Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok(_) => {}
                    Err(error) => break Err(error),
                }
            },
        };
        match ended {
            Ok(()) => Ok(self.inflated_mut().take()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.corrupt("it is cut off"))
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// The first bytes of what was inflated.
    pub(super) fn start(&self) -> &[u8] {
        let inflated = match &self.stream {
            Inflating::Gzip(decoder) => decoder.get_ref(),
            Inflating::Counted { inflated, .. } => inflated,
        };
        inflated
            .pieces
            .first()
            .map_or(&inflated.open, |piece| piece)
    }

    fn inflated_mut(&mut self) -> &mut Inflated {
        match &mut self.stream {
            Inflating::Gzip(decoder) => decoder.get_mut(),
            Inflating::Counted { inflated, .. } => inflated,
        }
    }

    fn failed(&mut self, error: &io::Error) -> InflateError {
        if self.inflated_mut().exceeded {
            return InflateError::TooLarge;
        }
        self.corrupt(&error.to_string())
    }

    fn corrupt(&self, what: &str) -> InflateError {
        let name = self.encoding.name();
        InflateError::Corrupt(format!("a message does not inflate as {name}: {what}"))
    }
}

impl Counted {
    /// Bytes of the input taken, and bytes inflated. Where both are none, there is nothing to be done.
    fn run(
        &mut self,
        input: &[u8],
        inflated: &mut Inflated,
        whole: &mut bool,
    ) -> io::Result<(usize, usize)> {
        let mut buffer = [0; 16 << 10];
        let (taken, given) = match self {
            Self::Deflate(decoder) => {
                let before = (decoder.total_in(), decoder.total_out());
                let flush = FlushDecompress::None;
                let status = decoder.decompress(input, &mut buffer, flush)?;
                *whole |= status == Status::StreamEnd;
                let taken = decoder.total_in() - before.0;
                let given = decoder.total_out() - before.1;
                (taken as usize, given as usize)
            }
            Self::Zstd(decoder) => {
                let mut source = InBuffer::around(input);
                let mut sink = OutBuffer::around(&mut buffer[..]);
                let wanted = decoder.run(&mut source, &mut sink)?;
                let (taken, given) = (source.pos(), sink.pos());
                // Asked again behind its end, it wants the next frame.
                if taken > 0 || given > 0 {
                    *whole = wanted == 0;
                }
                (taken, given)
            }
        };
        inflated.write_all(&buffer[..given])?;
        Ok((taken, given))
    }
}

/// What was inflated: never more than the bound.
struct Inflated {
    pieces: Vec<Bytes>,
    open: Vec<u8>,
    left: usize,
    exceeded: bool,
}

impl Inflated {
    fn new(limit: usize) -> Self {
        Self {
            pieces: Vec::new(),
            open: Vec::new(),
            left: limit,
            exceeded: false,
        }
    }

    fn take(&mut self) -> Vec<Bytes> {
        let mut pieces = std::mem::take(&mut self.pieces);
        pieces.push(std::mem::take(&mut self.open).into());
        pieces
    }
}

impl io::Write for Inflated {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(left) = self.left.checked_sub(bytes.len()) else {
            self.exceeded = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        };
        self.left = left;
        self.open.extend_from_slice(bytes);
        if self.open.len() >= PIECE {
            self.pieces.push(std::mem::take(&mut self.open).into());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Encoding; 3] = [Encoding::Gzip, Encoding::Deflate, Encoding::Zstd];

    fn inflate(
        encoding: Encoding,
        limit: usize,
        compressed: &[u8],
        piece: usize,
    ) -> Result<Vec<u8>, InflateError> {
        let mut inflater = Inflater::new(encoding, limit)?;
        for piece in compressed.chunks(piece) {
            let mut piece = Bytes::copy_from_slice(piece);
            while !piece.is_empty() {
                inflater.step(&mut piece)?;
            }
        }
        Ok(inflater.finish()?.concat())
    }

    /// Neither all alike nor random.
    fn message(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|i| (i * i / 300 % 251) as u8).collect()
    }

    #[test]
    fn a_message_inflates_to_what_it_was_however_it_is_cut() {
        for encoding in ALL {
            for bytes in [0, 1, 5_000, 300_000] {
                let message = message(bytes);
                let compressed = encoding.compress(&message).unwrap();
                for piece in [1, 7, 4_096, usize::MAX] {
                    let inflated = inflate(encoding, bytes, &compressed, piece);
                    assert!(inflated.unwrap() == message, "{encoding:?} {bytes} {piece}");
                }
            }
        }
    }

    #[test]
    fn one_byte_too_many_is_too_large_and_a_bomb_is_not_inflated() {
        for encoding in ALL {
            let compressed = encoding.compress(&message(300_000)).unwrap();
            let inflated = inflate(encoding, 299_999, &compressed, 1_000);
            assert_eq!(inflated, Err(InflateError::TooLarge));
            let bomb = encoding.compress(&vec![0; 64 << 20]).unwrap();
            let mut inflater = Inflater::new(encoding, 100_000).unwrap();
            let mut bomb = Bytes::from(bomb);
            let mut ended = Ok(());
            while ended.is_ok() && !bomb.is_empty() {
                ended = inflater.step(&mut bomb);
            }
            assert_eq!(ended, Err(InflateError::TooLarge));
            assert!(inflater.inflated_mut().pieces.concat().len() <= 100_000);
        }
    }

    #[test]
    fn what_is_cut_or_damaged_or_followed_by_more_is_corrupt() {
        for encoding in ALL {
            let whole = encoding.compress(&message(5_000)).unwrap();
            let mut damaged = whole.clone();
            damaged[1] ^= 0xff;
            for bad in [
                &whole[..whole.len() - 1],
                &damaged,
                &[whole.as_slice(), b"more"].concat(),
            ] {
                let inflated = inflate(encoding, 10_000, bad, 512);
                assert!(
                    matches!(inflated, Err(InflateError::Corrupt(_))),
                    "{encoding:?}: {inflated:?}"
                );
            }
        }
    }

    #[test]
    fn the_first_known_encoding_that_a_caller_accepts_is_taken() {
        let accepted = |value: &'static str| {
            let value = HeaderValue::from_static(value);
            Encoding::accepted(&HeaderMap::from_iter([(ACCEPT_ENCODING, value)]))
        };
        assert_eq!(accepted("identity, zstd,gzip"), Some(Encoding::Zstd));
        assert_eq!(accepted("snappy,gzip"), Some(Encoding::Gzip));
        assert_eq!(accepted("identity"), None);
    }
}
