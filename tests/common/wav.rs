//! WAV files for tests and benchmarks.

/// Returns a 16-bit WAV file of mono samples, as a recorder writes it.
pub(crate) fn wav(samples: &[f32], sample_rate: u32) -> Vec<u8> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut bytes, spec).unwrap();
    for sample in samples {
        writer
            .write_sample((sample * 32_767.0).round() as i16)
            .unwrap();
    }
    writer.finalize().unwrap();
    bytes.into_inner()
}
