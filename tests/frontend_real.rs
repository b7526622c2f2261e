//! The front end on real speech: any chunking gives bit-identical segments.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests"
)]

use std::sync::Arc;

use undertone::audio::{self, Encoding, LaneChoice, Limits};
use undertone::frontend::{BINS, Segmenter, Segments, Spec};

fn lanes() -> Vec<Vec<f32>> {
    let files = [
        &include_bytes!("audio/call.flac")[..],
        include_bytes!("audio/book.flac"),
    ];
    let decode = |file| audio::decode(file, Encoding::Auto, LaneChoice::Each, &Limits::default());
    files
        .into_iter()
        .flat_map(|file| decode(file).unwrap().lanes)
        .collect()
}

fn segments(spec: &Arc<Spec>, samples: &[f32], chunk: usize) -> Segments {
    let mut segmenter = Segmenter::new(Arc::clone(spec));
    let mut segments = Segments::default();
    for part in samples.chunks(chunk) {
        segmenter.push(part, &mut segments).unwrap();
    }
    segmenter.finish(&mut segments).unwrap();
    segments
}

#[test]
fn chunks_of_1_7_160_4224_and_all_samples_give_identical_segments() {
    let spec = Arc::new(Spec::new(16, vec![-12.0; BINS], vec![3.0; BINS]).unwrap());
    for samples in lanes() {
        let whole = segments(&spec, &samples, samples.len());
        assert!(whole.len() > 40);
        for chunk in [1, 7, 160, 4_224] {
            assert!(
                segments(&spec, &samples, chunk) == whole,
                "chunks of {chunk} samples"
            );
        }
    }
}
