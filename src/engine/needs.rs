//! What a recording asks of the scheduler.

use std::sync::Arc;

use super::{PIECES_UNDER_WAY, lane};
use crate::frontend::{SEGMENT_VALUES, Spec};
use crate::runtime::Sizes;
use crate::scheduler::core::Work;

/// What the served bundle makes of a recording's length.
#[derive(Clone, Debug)]
pub(super) struct Needs {
    spec: Arc<Spec>,
    sizes: Sizes,
    /// Steps of the longest chunk.
    longest: usize,
}

impl Needs {
    pub(super) fn new(spec: Arc<Spec>, sizes: Sizes, longest: usize) -> Self {
        Self {
            spec,
            sizes,
            longest,
        }
    }

    /// Segments of a lane of so many samples.
    pub(super) fn segments(&self, samples: usize) -> usize {
        self.spec.segments(samples)
    }

    /// The work of so many segments in all, and the memory that it holds at a time.
    pub(super) fn of(&self, segments: usize, lanes: usize) -> (Work, usize) {
        let work = Work {
            segments,
            steps: segments,
        };
        (work, self.bytes(segments, lanes))
    }

    /// The memory that so many segments in all hold at a time: pieces under way, or a chunk a lane.
    pub(super) fn bytes(&self, segments: usize, lanes: usize) -> usize {
        let pieces = segments.min(PIECES_UNDER_WAY * lane::most_segments(&self.spec));
        let chunk = self.sizes.history_values() + self.longest * self.sizes.features;
        let values = (pieces * SEGMENT_VALUES).max(lanes * chunk);
        values * size_of::<f32>()
    }
}
