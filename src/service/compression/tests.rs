//! Tests of compression.

use super::*;
use crate::service::budget::CHUNK;

const ALL: [Compression; 3] = [Compression::Gzip, Compression::Deflate, Compression::Zstd];

fn inflate(
    encoding: Compression,
    limit: usize,
    compressed: &[u8],
    piece: usize,
) -> Result<Vec<u8>, InflateError> {
    let budget = Budget::of_server(0);
    let mut inflater = Inflater::new(encoding, limit, &budget)?;
    for piece in compressed.chunks(piece) {
        let mut piece = Bytes::copy_from_slice(piece);
        while !piece.is_empty() {
            inflater.step(&mut piece)?;
        }
    }
    Ok(inflater.finish()?.0.concat())
}

/// A message that is neither constant nor random.
fn message(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|i| (i * i / 300 % 251) as u8).collect()
}

#[test]
fn a_message_is_restored_whatever_the_size_of_its_pieces() {
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
fn one_byte_too_many_is_refused_and_a_decompression_bomb_is_not_expanded() {
    for encoding in ALL {
        let compressed = encoding.compress(&message(300_000)).unwrap();
        let inflated = inflate(encoding, 299_999, &compressed, 1_000);
        assert_eq!(inflated, Err(InflateError::TooLarge));
        let bomb = encoding.compress(&vec![0; 64 << 20]).unwrap();
        let budget = Budget::of_server(0);
        let mut inflater = Inflater::new(encoding, 100_000, &budget).unwrap();
        let mut bomb = Bytes::from(bomb);
        let mut ended = Ok(());
        while ended.is_ok() && !bomb.is_empty() {
            ended = inflater.step(&mut bomb);
        }
        assert_eq!(ended, Err(InflateError::TooLarge));
        assert!(inflater.inflated_mut().take().0.concat().len() <= 100_000);
    }
}

#[test]
fn a_message_is_charged_for_its_memory_and_refused_beyond_the_budget() {
    for encoding in ALL {
        let bytes = 3 * CHUNK;
        let compressed = encoding.compress(&vec![0; bytes]).unwrap();
        // Zstandard needs the window too, of which as many bytes are filled.
        let needed = match encoding {
            Compression::Zstd => 2 * bytes,
            _ => bytes,
        };
        for (limit, fits) in [(needed, true), (needed - CHUNK, false)] {
            let budget = Budget::of_bytes(limit);
            let mut inflater = Inflater::new(encoding, bytes, &budget).unwrap();
            let mut compressed = Bytes::from(compressed.clone());
            let mut ended = Ok(());
            while ended.is_ok() && !compressed.is_empty() {
                ended = inflater.step(&mut compressed);
            }
            let finished = ended.and_then(|()| inflater.finish());
            drop(inflater);
            match finished {
                Ok((pieces, charge)) => {
                    assert!(fits, "{encoding:?}");
                    assert_eq!(pieces.concat().len(), bytes);
                    assert_eq!(charge.bytes(), bytes);
                }
                Err(error) => {
                    assert!(!fits, "{encoding:?}");
                    assert_eq!(error, InflateError::OverBudget);
                }
            }
            assert_eq!(budget.left(), limit);
        }
    }
}

#[test]
fn a_message_that_is_cut_or_damaged_or_followed_by_bytes_is_corrupt() {
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
fn the_first_supported_encoding_that_a_caller_accepts_is_used() {
    let accepted = |value: &'static str| {
        let value = HeaderValue::from_static(value);
        Compression::accepted(&HeaderMap::from_iter([(ACCEPT_ENCODING, value)]))
    };
    assert_eq!(accepted("identity, zstd,gzip"), Some(Compression::Zstd));
    assert_eq!(accepted("snappy,gzip"), Some(Compression::Gzip));
    assert_eq!(accepted("identity"), None);
}
