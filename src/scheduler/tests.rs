//! The shell with a device that adds up: a stream's state is the sum of what it has heard.

use std::sync::{Arc, Mutex, mpsc};

use futures_util::future::join_all;

use super::core::{Bounds, Shapes};
use super::{Chunk, Evidence, Scheduler, Waiter};
use crate::bundle::Sequence;
use crate::frontend::SEGMENT_VALUES;
use crate::runtime::{Device, Encoded, History, RuntimeError, SequenceBatch, Sizes, StepEvidence};

const SIZES: Sizes = Sizes {
    features: 1,
    sequence: Sequence::Recurrent {
        layers: 1,
        state: 1,
    },
    labels: 2,
    codes: None,
};

struct Adder {
    /// An encoder batch ends when it is told to, so a test can fill the queue meanwhile.
    encoded: mpsc::Receiver<()>,
    /// The real steps of every sequence batch.
    batches: Arc<Mutex<Vec<Vec<usize>>>>,
}

impl Device for Adder {
    fn encode(&mut self, segments: &[f32]) -> Result<Encoded, RuntimeError> {
        self.encoded.recv().unwrap();
        Ok(Encoded {
            features: vec![0.0; segments.len() / SEGMENT_VALUES],
            codes: Vec::new(),
            distance: Vec::new(),
        })
    }

    fn sequence(&mut self, batch: SequenceBatch<'_>) -> Result<StepEvidence, RuntimeError> {
        self.batches.lock().unwrap().push(batch.real.to_vec());
        let mut evidence = StepEvidence {
            logits: Vec::new(),
            scores: Vec::new(),
            carried: batch.history.to_vec(),
        };
        for (row, sum) in evidence.carried.iter_mut().enumerate() {
            for step in 0..batch.steps {
                if step < batch.real[row] {
                    *sum += batch.features[row * batch.steps + step];
                }
                evidence.logits.extend([*sum, -*sum]);
                evidence.scores.push(*sum);
            }
        }
        Ok(evidence)
    }
}

#[tokio::test]
async fn a_stream_carries_its_own_state_through_batches_of_unequal_chunks() {
    let (end_encoding, encoded) = mpsc::channel();
    let batches = Arc::new(Mutex::new(Vec::new()));
    let device = Adder {
        encoded,
        batches: Arc::clone(&batches),
    };
    let bounds = Bounds {
        entries: 100,
        bytes: 1 << 20,
    };
    let scheduler = Scheduler::start(vec![device], SIZES, bounds, Shapes::default()).unwrap();
    let lengths = [[3, 8], [7, 1], [5, 5]];
    let mut histories = lengths.map(|_| History::new(SIZES));
    let mut heard = [0.0; 3];
    for round in 0..2 {
        let segment: Arc<[f32]> = vec![0.0; SEGMENT_VALUES].into();
        let encoding = scheduler.encode(scheduler.caller(), segment).unwrap();
        let waiters: Vec<Waiter<Evidence>> = lengths
            .iter()
            .zip(&histories)
            .enumerate()
            .map(|(stream, (steps, history))| {
                let chunk = Chunk {
                    features: vec![stream as f32 + 1.0; steps[round]],
                    history: history.clone(),
                };
                scheduler.sequence(scheduler.caller(), chunk).unwrap()
            })
            .collect();
        end_encoding.send(()).unwrap();
        encoding.await.unwrap();
        for (stream, answer) in join_all(waiters).await.into_iter().enumerate() {
            let evidence = answer.unwrap();
            let steps = 1..=lengths[stream][round];
            let sums: Vec<f32> = steps
                .map(|step| heard[stream] + step as f32 * (stream as f32 + 1.0))
                .collect();
            assert_eq!(evidence.scores, sums);
            assert_eq!(evidence.logits.len(), 2 * sums.len());
            heard[stream] = sums[sums.len() - 1];
            assert_eq!(evidence.history.values(), [heard[stream]]);
            histories[stream] = evidence.history;
        }
    }
    assert_eq!(
        *batches.lock().unwrap(),
        [[3, 7, 5, 0], [8, 1, 5, 0]],
        "the chunks shared their batches, padded to four rows"
    );
}
