//! Any samples, cut anywhere, give the segments that they give in one piece, to the bit, or the same
//! error.

use std::sync::Arc;

use undertone::frontend::{BINS, FrontendError, SEGMENT_FRAMES, Segmenter, Segments, Spec};

/// Up to here, as `audio` lets it through, a sample's power is a finite number.
const CEILING: f32 = 1e6;

/// Input: the segment hop, how many chunk sizes follow, these (u16), then samples (f32), all little
/// endian. The sizes are used in turn; there being none means one chunk.
pub(crate) fn holds(data: &[u8]) {
    let [hop, count, rest @ ..] = data else {
        return;
    };
    let hop = usize::from(*hop) % SEGMENT_FRAMES + 1;
    let (sizes, samples) = rest.split_at(rest.len().min(2 * usize::from(*count % 16)));
    let sizes: Vec<usize> = words(sizes, |b| usize::from(u16::from_le_bytes(b)));
    let samples: Vec<f32> = words(samples, f32::from_le_bytes);

    let spec = Spec::new(hop, vec![-12.0; BINS], vec![3.0; BINS]).expect("a sound spec");
    let spec = Arc::new(spec);
    let (whole, ending) = segments(&spec, &samples, &[samples.len()]);
    let (cut, cut_ending) = segments(&spec, &samples, &sizes);
    assert_eq!(cut_ending, ending);
    if ending.is_err() {
        return;
    }
    let bits = |segments: &Segments| -> Vec<u32> {
        segments.values().iter().map(|x| x.to_bits()).collect()
    };
    assert!(bits(&cut) == bits(&whole), "chunks of {sizes:?}");
    assert_eq!(whole.len(), spec.segments(samples.len()));
    if samples.iter().all(|x| x.abs() <= CEILING) {
        let sane = |x: &f32| x.abs() <= spec.clip;
        assert!(whole.values().iter().all(sane), "a value beyond the clip");
    }
}

fn words<const W: usize, T>(bytes: &[u8], read: impl Fn([u8; W]) -> T) -> Vec<T> {
    bytes.as_chunks::<W>().0.iter().map(|&b| read(b)).collect()
}

fn segments(
    spec: &Arc<Spec>,
    mut samples: &[f32],
    sizes: &[usize],
) -> (Segments, Result<bool, FrontendError>) {
    let mut segmenter = Segmenter::new(Arc::clone(spec));
    let mut segments = Segments::default();
    // The last chunk takes what the sizes leave, so that sizes of 0 come to an end too.
    for &size in sizes.iter().cycle().take(sizes.len() * 64) {
        let (now, later) = samples.split_at(size.min(samples.len()));
        if let Err(error) = segmenter.push(now, &mut segments) {
            return (segments, Err(error));
        }
        samples = later;
    }
    let ending = segmenter
        .push(samples, &mut segments)
        .and_then(|()| segmenter.finish(&mut segments));
    (segments, ending.map(|ending| ending.short))
}
