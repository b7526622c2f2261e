//! Files that are sent as samples.

use undertone::audio::{Encoding, LaneChoice, Limits, RawFormat, decode};

use super::{clip, decoded, raw, read, reported};
use crate::data::shared;

#[test]
fn files_and_text_sent_as_samples_are_refused_by_name() {
    let text = "Hello, is this the 1st line of support? Yes, it is. ".repeat(4);
    let base64 = "f39+/v7+fn5/AQIDd4uLiw8PEzs3Nz0/QEFCQ0RFRkdISUpL";
    let mut cases = vec![
        (clip("rf64.wav"), "RF64"),
        (clip("extensible24.wav"), "WAV"),
        (clip("wave64.w64"), "Wave64"),
        (clip("sun.au"), "AU"),
        (clip("big_endian.aiff"), "AIFF"),
        (clip("apple.caf"), "CAF"),
        (clip("call.flac"), "FLAC"),
        (clip("vorbis.ogg"), "Ogg"),
        (clip("call.webm"), "Matroska"),
        (clip("call.m4a"), "MP4"),
        (clip("call.mp3"), "MP3"),
        (clip("call.mp3")[4_000..].to_vec(), "MP3"),
        (clip("call.aac"), "AAC"),
        (text.into_bytes(), "text"),
        (base64.repeat(9).into_bytes(), "base64 text"),
        (b"0f3ca8d51e92b7604f".repeat(40), "hexadecimal text"),
        (
            br#"{"event":"media","media":{"payload":"f39+"}}"#.repeat(9),
            "JSON",
        ),
    ];
    // Text encodings of µ-law that occur in practice, and wrappers around files.
    let samples: Vec<u8> = (0..4_000_u32).map(|i| (i * i / 7 % 251) as u8).collect();
    let numbers = samples.iter().map(|byte| format!("{byte},"));
    let escaped = samples.iter().map(|byte| match byte {
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => char::from(*byte).to_string(),
        other => format!("%{other:02X}"),
    });
    let listed = samples.iter().map(|byte| format!("0x{byte:02x}, "));
    let python = samples.escape_ascii().to_string();
    let utf16 = |order: fn(u16) -> [u8; 2]| -> Vec<u8> {
        base64.repeat(9).encode_utf16().flat_map(order).collect()
    };
    let form = [
        &b"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n"[..],
        &clip("extensible24.wav"),
    ];
    cases.extend([
        (numbers.collect::<String>().into_bytes(), "numbers in text"),
        (escaped.collect::<String>().into_bytes(), "escaped text"),
        (listed.collect::<String>().into_bytes(), "numbers in text"),
        (format!("b'{python}'").into_bytes(), "escaped text"),
        (
            b"9jqo^BlbD-BleB1DJ+*+F(f,q/0JhKF<GL>Cj@.4Gp$d7F!,L7@<6@)/0JDEF<G%<+EV:2F!,".repeat(3),
            "text",
        ),
        (
            "Здравствуйте, у меня вопрос. ".repeat(9).into_bytes(),
            "text",
        ),
        (utf16(u16::to_le_bytes), "base64 text"),
        (utf16(u16::to_be_bytes), "base64 text"),
        (form.concat(), "WAV after other data"),
        (
            [b"HTTP/1.1 200 OK\r\n\r\n", &samples[..]].concat(),
            "an HTTP message",
        ),
        (
            [b"NIST_1A\n   1024\n", &samples[..]].concat(),
            "NIST SPHERE",
        ),
        (
            [b"Creative Voice File\x1a\x1a\0", &samples[..]].concat(),
            "Creative Voice (VOC)",
        ),
    ]);
    if let Some(bytes) = reported("twilio_b64.txt") {
        cases.push((bytes, "base64 text"));
    }
    for (bytes, name) in cases {
        let name = if name == "RF64" { "WAV" } else { name };
        for format in [
            RawFormat::Mulaw,
            RawFormat::Alaw,
            RawFormat::PcmS16Le,
            RawFormat::PcmF32Le,
        ] {
            let error = match decode(
                &bytes,
                raw(format, 16_000),
                LaneChoice::Auto,
                &Limits::default(),
            ) {
                Ok(_) => panic!("{name} was accepted as {format:?}"),
                Err(error) => error.to_string(),
            };
            // As floats, the bytes may fail earlier, because they are not finite.
            let named = error.contains(&format!("looks like {name}"));
            assert!(named || format == RawFormat::PcmF32Le, "{name}: {error}");
        }
    }
}

/// Returns the G.711 codes of samples: those with the nearest values.
fn companded(samples: &[f32], format: RawFormat) -> Vec<u8> {
    let codes: Vec<u8> = (0..=255).collect();
    let values = decoded(&codes, raw(format, 16_000), LaneChoice::Auto).unwrap();
    let mut table: Vec<(f32, u8)> = values.lanes[0].iter().copied().zip(codes).collect();
    table.sort_by(|a, b| a.0.total_cmp(&b.0));
    let nearest = |x: &f32| {
        let at = table.partition_point(|(value, _)| value < x).clamp(1, 255);
        let (below, above) = (table[at - 1], table[at]);
        if x - below.0 < above.0 - x {
            below.1
        } else {
            above.1
        }
    };
    samples.iter().map(nearest).collect()
}

#[test]
fn real_recordings_are_never_refused_as_files() {
    let mut lanes: Vec<(String, Vec<f32>)> = Vec::new();
    for name in ["call.flac", "book.flac"] {
        let recording = read(&clip(name)).unwrap();
        lanes.extend(
            recording
                .lanes
                .into_iter()
                .map(|lane| (name.to_owned(), lane)),
        );
    }
    for folder in ["unlabelled", "emodb", "regressions", "noise", "speechocean"] {
        let Some(folder) = shared(folder) else {
            continue;
        };
        let mut paths = Vec::new();
        let mut folders = vec![folder];
        while let Some(folder) = folders.pop() {
            let entries = std::fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().path());
            let (more, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
            folders.extend(more);
            paths.extend(
                files
                    .into_iter()
                    .filter(|path| path.extension().is_some_and(|e| e == "flac")),
            );
        }
        paths.sort();
        for path in paths.iter().step_by(paths.len().div_ceil(30).max(1)) {
            let bytes = std::fs::read(path).unwrap();
            let decoded = decode(&bytes, Encoding::Auto, LaneChoice::Mix, &Limits::default());
            lanes.push((path.display().to_string(), decoded.unwrap().lanes.remove(0)));
        }
    }
    lanes.push(("silence".into(), vec![0.0; 20_000]));
    lanes.push(("offset".into(), vec![-0.001; 20_000]));
    // A telephone line with an offset can stay below zero, where the codes of G.711 are printable.
    for offset in [-0.003_f32, -0.01, -0.1, -0.5] {
        let hum = |i: u32| offset * (1.0 + 0.6 * (f64::from(i) * 0.7).sin() as f32);
        lanes.push((format!("hum at {offset}"), (0..20_000).map(hum).collect()));
    }
    // Noise on such lines, which varies as much as text.
    let mut state = 1_u32;
    let mut noise = move || {
        let uniform = (0..4).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(state >> 8) / f64::from(1 << 24) - 0.5
        });
        uniform.sum::<f64>() as f32
    };
    for offset in [0.0024_f32, -0.003, -0.03, -0.1, -0.3] {
        for depth in [0.1, 0.3, 0.6] {
            let lane = (0..20_000).map(|_| offset * (1.0 + depth * noise()));
            lanes.push((format!("noise of {depth} at {offset}"), lane.collect()));
        }
    }
    for (name, lane) in &lanes {
        for gain in [1.0, 0.02] {
            let lane: Vec<f32> = lane.iter().take(60_000).map(|x| x * gain).collect();
            let s16 = lane
                .iter()
                .flat_map(|x| ((x * 32_767.0) as i16).to_le_bytes());
            let f32s = lane.iter().flat_map(|x| x.to_le_bytes());
            for (format, width, bytes) in [
                (RawFormat::PcmS16Le, 2, s16.collect::<Vec<u8>>()),
                (RawFormat::PcmF32Le, 4, f32s.collect()),
                (RawFormat::Mulaw, 1, companded(&lane, RawFormat::Mulaw)),
                (RawFormat::Alaw, 1, companded(&lane, RawFormat::Alaw)),
            ] {
                for offset in [0, 999, 7_000, 20_011] {
                    let at = bytes.len().min(offset * width);
                    let part = &bytes[at..bytes.len().min(at + 12_000)];
                    if part.is_empty() {
                        continue;
                    }
                    let result = decode(
                        part,
                        raw(format, 16_000),
                        LaneChoice::Auto,
                        &Limits::default(),
                    );
                    assert!(
                        result.is_ok(),
                        "{name} as {format:?} from {offset}: {result:?}"
                    );
                }
            }
        }
    }
}
