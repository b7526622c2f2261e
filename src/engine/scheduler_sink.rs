//! Passes a recording's pieces to the scheduler, and announces the work and memory that they need.

use super::class_rule::ClassRule;
use super::error::EngineError;
use super::piece::{Piece, PieceSink, RemainingWork};
use super::request::Caller;
use super::sample_time::sample_time;
use super::submission::Submitter;
use super::work_estimate::WorkEstimator;
use crate::scheduler::core::Work;

/// The way of one recording's pieces into the scheduler.
#[derive(Debug)]
pub(super) struct SchedulerSink {
    pub(super) submitter: Submitter,
    pub(super) estimator: WorkEstimator,
    pub(super) class_rule: ClassRule,
    /// The caller with the class that it requested.
    pub(super) caller: Caller,
}

impl PieceSink for SchedulerSink {
    fn announce(&mut self, remaining: RemainingWork) -> Result<(), EngineError> {
        let RemainingWork {
            lanes,
            samples,
            segments,
            steps,
        } = remaining;
        let class = self.class_rule.class(&self.caller, sample_time(samples));
        let bytes = self.estimator.bytes(steps, lanes);
        self.submitter
            .announce(class, Work { segments, steps }, bytes)
    }

    fn submit(&mut self, piece: Piece) -> Result<(), EngineError> {
        self.submitter.submit(piece)
    }
}
