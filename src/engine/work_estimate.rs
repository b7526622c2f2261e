//! Predicts the work and memory of a recording from its length.

use std::sync::Arc;

use super::piece::{PIECES_UNDER_WAY, most_segments};
use crate::frontend::{SEGMENT_VALUES, Spec};
use crate::runtime::Sizes;
use crate::scheduler::core::Work;

/// Predicts the work of a recording for one bundle.
#[derive(Clone, Debug)]
pub(super) struct WorkEstimator {
    spec: Arc<Spec>,
    sizes: Sizes,
    /// Steps of the longest chunk.
    longest_chunk: usize,
}

impl WorkEstimator {
    pub(super) fn new(spec: Arc<Spec>, sizes: Sizes, longest_chunk: usize) -> Self {
        Self {
            spec,
            sizes,
            longest_chunk,
        }
    }

    /// Returns the segments of a lane of `samples` samples.
    pub(super) fn segments(&self, samples: usize) -> usize {
        self.spec.segments(samples)
    }

    /// Returns the work of `segments` segments, all lanes together.
    pub(super) fn work(&self, segments: usize) -> Work {
        Work {
            segments,
            steps: segments,
        }
    }

    /// Returns the most bytes of tensors that `segments` segments, all lanes together, use at a time: the
    /// pieces under way, or one chunk for each lane.
    pub(super) fn bytes(&self, segments: usize, lanes: usize) -> usize {
        let pieces = segments.min(PIECES_UNDER_WAY * most_segments(&self.spec));
        let chunk = self.sizes.history_values() + self.longest_chunk * self.sizes.features;
        let values = (pieces * SEGMENT_VALUES).max(lanes * chunk);
        values * size_of::<f32>()
    }
}
