//! What a batch costs: one predicted device time a shape, measured at warm-up and kept up by
//! observation.

use std::time::Duration;

use super::Time;
use super::entry::Graph;
use super::job::Work;
use super::shapes::{Shape, Shapes};

/// How far one observation moves a prediction: an eighth of the difference.
const MEMORY: u32 = 8;
/// An observation counts as no further from the prediction than one part in this many: a worker that
/// the system did not let run says nothing of the graph. The longer a run the likelier that is, so
/// that whatever such runs count for speaks against large batches.
const CLIP: u32 = 8;
/// With a run of half its rows, a shape's prediction goes back to what would be worth its while by one part
/// in this many of what it exceeds that.
const DOUBT: u32 = 256;
/// What every batch costs beside its run, whatever its size: taking, packing, handing out.
const OVERHEAD: Duration = Duration::from_micros(20);
/// A larger batch must be this much cheaper an item to be worth its longer run.
const WORTH: f64 = 0.97;
/// Of what several smaller batches take, the part at which a doubted one seems worth it whatever they take.
const HOPED: f64 = WORTH - 0.02;
/// Half of what a prediction exceeds the warm-up measurement by fades in so long, beside what observations
/// say. A prediction that refuses all work would otherwise never be corrected.
const HALF_LIFE: Duration = Duration::from_secs(60);
/// Predictions fade in steps of this.
const RELAXES_EVERY: Duration = Duration::from_secs(1);
/// A batch that takes no longer than this many times the smallest is never too long: on a device that
/// has become slow, or is slow whatever the size, smaller ones would only make it slower.
const AS_SHORT_AS_CAN_BE: f64 = 1.25;

/// Predicted device times of every shape of the closed set.
#[derive(Clone, Debug, PartialEq)]
pub struct CostTable {
    shapes: Shapes,
    /// By the shape's place in [`Shapes::all`].
    encoder: Vec<Duration>,
    sequence: Vec<Duration>,
    /// The same as measured at warm-up.
    measured: [Vec<Duration>; 2],
    relaxed_at: Time,
}

impl CostTable {
    /// The table of what was measured.
    pub fn new(shapes: Shapes, mut measured: impl FnMut(Graph, Shape) -> Duration) -> Self {
        let mut times = |graph| -> Vec<Duration> {
            let all = shapes.all(graph).into_iter();
            // No run takes no time; a prediction of nothing could not be corrected.
            all.map(|shape| measured(graph, shape).max(Duration::from_nanos(1)))
                .collect()
        };
        let (encoder, sequence) = (times(Graph::Encoder), times(Graph::Sequence));
        Self {
            measured: [encoder.clone(), sequence.clone()],
            relaxed_at: Time::ZERO,
            encoder,
            sequence,
            shapes,
        }
    }

    /// The shapes that there are.
    #[must_use]
    pub fn shapes(&self) -> &Shapes {
        &self.shapes
    }

    /// Predicted time of one run.
    #[must_use]
    pub fn of(&self, graph: Graph, shape: Shape) -> Duration {
        let times = self.times(graph);
        self.place(graph, shape)
            .map_or(Duration::ZERO, |place| times[place])
    }

    /// Predicted device time of an amount of work in batches as large as pays.
    #[must_use]
    pub fn predict(&self, work: Work, most: Duration) -> Duration {
        work.priced(Graph::ALL.map(|graph| self.price(graph, most)))
    }

    /// The least time in which a job with this much left can end, its graphs one after the other.
    #[must_use]
    pub fn least(&self, work: Work) -> Duration {
        let of = |graph| match work.of(graph) {
            0 => Duration::ZERO,
            _ => self.of(graph, self.shapes.fit(graph, 1, 1)),
        };
        of(Graph::Encoder) + of(Graph::Sequence)
    }

    /// Device time of one item in a batch as large as pays within `most`.
    pub(super) fn price(&self, graph: Graph, most: Duration) -> Duration {
        let steps = match graph {
            Graph::Encoder => 1,
            Graph::Sequence => self.shapes.most_steps(),
        };
        let rows = self.largest(graph, steps, self.bound(graph, most));
        let items = u32::try_from(rows * steps).unwrap_or(u32::MAX);
        self.of(graph, Shape { rows, steps }) / items.max(1)
    }

    /// The longest that a graph's batch may take where `most` is asked for: what is hardly longer
    /// than the smallest is never too long.
    pub(super) fn bound(&self, graph: Graph, most: Duration) -> Duration {
        let longest = self.shapes.fit(graph, 1, self.shapes.most_steps());
        most.max(self.of(graph, longest).mul_f64(AS_SHORT_AS_CAN_BE))
    }

    /// The most rows of `steps` steps that a batch should have: as many as `most` allows and the
    /// table says pay; the smallest shape is always allowed.
    pub(super) fn largest(&self, graph: Graph, steps: usize, most: Duration) -> usize {
        let all = self.shapes.steps(graph);
        let step = all.partition_point(|size| *size < steps).min(all.len() - 1);
        // The times of the shapes with so many steps.
        let times = self.times(graph).iter().skip(step).step_by(all.len());
        let mut best: Option<(usize, f64)> = None;
        for (&rows, &time) in self.shapes.rows(graph).iter().zip(times) {
            if best.is_some() && time > most {
                break;
            }
            let item = (time + OVERHEAD).as_secs_f64() / rows as f64;
            match best {
                Some((_, cheapest)) if item > cheapest * WORTH => {}
                _ => best = Some((rows, item)),
            }
        }
        best.map_or(1, |(rows, _)| rows)
    }

    /// Predicted time of a run with this many rows, if it had a shape of its own: between shapes
    /// the time grows evenly.
    pub(super) fn between(&self, graph: Graph, rows: usize, steps: usize) -> Duration {
        let fit = self.shapes.fit(graph, rows, steps);
        let above = self.of(graph, fit);
        let Some(less) = self.shapes.below(graph, rows).filter(|_| rows < fit.rows) else {
            return above;
        };
        let below = self.of(graph, Shape { rows: less, ..fit });
        let part = (rows - less) as f64 / (fit.rows - less) as f64;
        below + above.saturating_sub(below).mul_f64(part)
    }

    /// A run took this long.
    pub(super) fn observe(&mut self, graph: Graph, shape: Shape, took: Duration) {
        let Some(place) = self.place(graph, shape) else {
            return;
        };
        let times = self.times_mut(graph);
        let predicted = times[place];
        let most = predicted / CLIP;
        let took = took.clamp(predicted - most, predicted + most);
        let moved = (predicted * (MEMORY - 1) + took) / MEMORY;
        times[place] = moved.max(Duration::from_nanos(1));
        self.doubt_larger(graph, shape);
    }

    /// Lets predictions above the warm-up measurement fade towards it. Gives whether any may have changed.
    pub(super) fn relax(&mut self, now: Time) -> bool {
        let age = now.saturating_sub(self.relaxed_at);
        if age < RELAXES_EVERY {
            return false;
        }
        self.relaxed_at = now;
        let left = 0.5_f64.powf(age.as_secs_f64() / HALF_LIFE.as_secs_f64());
        let [encoder, sequence] = &self.measured;
        let times = [(&mut self.encoder, encoder), (&mut self.sequence, sequence)];
        for (times, measured) in times {
            for (time, measured) in times.iter_mut().zip(measured) {
                let excess = time.saturating_sub(*measured);
                *time -= excess - excess.mul_f64(left);
            }
        }
        true
    }

    /// Doubts what is predicted of the next larger shape, now that this one has run. Larger shapes that
    /// seem not to pay are not run, so nothing would correct a prediction that a slow moment has raised:
    /// it sinks until they seem worth a run again, which tells.
    fn doubt_larger(&mut self, graph: Graph, ran: Shape) {
        let mut sizes = self.shapes.rows(graph).iter().copied();
        let Some(rows) = sizes.find(|rows| *rows > ran.rows) else {
            return;
        };
        let several = rows as f64 / ran.rows as f64;
        let hoped = self.of(graph, ran).mul_f64(HOPED * several);
        let Some(place) = self.place(graph, Shape { rows, ..ran }) else {
            return;
        };
        let predicted = &mut self.times_mut(graph)[place];
        *predicted -= predicted.saturating_sub(hoped) / DOUBT;
    }

    fn times(&self, graph: Graph) -> &[Duration] {
        match graph {
            Graph::Encoder => &self.encoder,
            Graph::Sequence => &self.sequence,
        }
    }

    fn times_mut(&mut self, graph: Graph) -> &mut [Duration] {
        match graph {
            Graph::Encoder => &mut self.encoder,
            Graph::Sequence => &mut self.sequence,
        }
    }

    fn place(&self, graph: Graph, shape: Shape) -> Option<usize> {
        let steps = self.shapes.steps(graph);
        let row = self
            .shapes
            .rows(graph)
            .iter()
            .position(|&rows| rows == shape.rows)?;
        let step = steps.iter().position(|&steps| steps == shape.steps)?;
        Some(row * steps.len() + step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    /// 100 µs a run and 10 µs an item.
    fn table() -> CostTable {
        CostTable::new(Shapes::default(), |_, shape| {
            micros(100) + micros(10) * u32::try_from(shape.rows * shape.steps).unwrap()
        })
    }

    #[test]
    fn an_observation_moves_its_shape_and_an_outlier_moves_it_little() {
        let mut costs = table();
        let (small, large) = (Shape { rows: 1, steps: 1 }, Shape { rows: 2, steps: 1 });
        costs.observe(Graph::Encoder, small, micros(118));
        assert_eq!(costs.of(Graph::Encoder, small), micros(111));
        assert_eq!(costs.of(Graph::Encoder, large), micros(120));
        costs.observe(Graph::Encoder, large, Duration::from_secs(10));
        assert!(costs.of(Graph::Encoder, large) < micros(122));
    }

    #[test]
    fn a_device_that_has_become_slow_is_believed_in_the_end() {
        let mut costs = table();
        let shape = Shape { rows: 4, steps: 1 };
        for _ in 0..100 {
            costs.observe(Graph::Encoder, shape, micros(420));
        }
        let now = costs.of(Graph::Encoder, shape);
        assert!((micros(400)..=micros(420)).contains(&now), "{now:?}");
    }

    #[test]
    fn runs_that_the_system_interrupts_say_little_against_large_batches() {
        let mut costs = table();
        let most = micros(10_000);
        assert_eq!(costs.largest(Graph::Encoder, 1, most), 32);
        // A large batch is interrupted every third time, for a millisecond; a small one seldom.
        for run in 0..300 {
            for (rows, often) in [(4, 24), (8, 12), (16, 6), (32, 3)] {
                let undisturbed = micros(100 + 10 * rows);
                let interrupted = run % often == 0;
                let took = undisturbed
                    + if interrupted {
                        micros(1_000)
                    } else {
                        micros(0)
                    };
                let rows = rows as usize;
                costs.observe(Graph::Encoder, Shape { rows, steps: 1 }, took);
            }
        }
        assert_eq!(costs.largest(Graph::Encoder, 1, most), 32);
    }

    #[test]
    fn a_large_batch_that_a_slow_moment_has_made_dear_is_tried_again() {
        let shape = |rows| Shape { rows, steps: 1 };
        for scale in [1, 20] {
            let mut costs = CostTable::new(Shapes::default(), |_, shape| {
                scale * (micros(100) + micros(10) * u32::try_from(shape.rows).unwrap())
            });
            let most = scale * micros(10_000);
            let truth = |rows| scale * (micros(100) + micros(10) * rows);
            let slow = 5 * truth(32);
            (0..100).for_each(|_| costs.observe(Graph::Encoder, shape(32), slow));
            assert_eq!(costs.largest(Graph::Encoder, 1, most), 16);
            let mut runs = 0;
            while costs.largest(Graph::Encoder, 1, most) == 16 {
                costs.observe(Graph::Encoder, shape(16), truth(16));
                runs += 1;
                assert!(runs < 2_000, "at {scale} times the time");
            }
        }
    }

    #[test]
    fn a_large_batch_that_is_dear_in_truth_is_run_seldom() {
        let mut costs = table();
        let shape = |rows| Shape { rows, steps: 1 };
        let mut large = 0;
        for _ in 0..10_000 {
            let rows = costs.largest(Graph::Encoder, 1, micros(10_000));
            large += usize::from(rows == 32);
            let took = if rows == 32 { micros(650) } else { micros(260) };
            costs.observe(Graph::Encoder, shape(rows), took);
        }
        assert!((1..200).contains(&large), "{large} of 10,000");
    }

    #[test]
    fn a_batch_is_as_large_as_pays_and_as_is_allowed() {
        let costs = table();
        let most = |micros_allowed| costs.largest(Graph::Encoder, 1, micros(micros_allowed));
        assert_eq!(most(10_000), 32);
        assert_eq!(most(300), 16, "16 take 260 µs, 32 take 420");
        assert_eq!(most(1), 1, "the smallest always runs");
        let linear = CostTable::new(Shapes::default(), |_, shape| {
            micros(1_000) * u32::try_from(shape.rows).unwrap()
        });
        assert_eq!(linear.largest(Graph::Encoder, 1, micros(100_000)), 1);
    }

    #[test]
    fn chunks_are_priced_as_the_shape_that_they_are_padded_to() {
        // Batches of chunks pay the more the longer they are: up to so many rows.
        let pays = |steps| [(8, 1), (16, 2), (24, 4), (32, 8)].map(|(s, rows)| (s == steps, rows));
        let costs = CostTable::new(Shapes::default(), |_, shape| {
            let best = pays(shape.steps).into_iter().find(|(this, _)| *this);
            let rows = best.map_or(1, |(_, rows)| rows);
            micros(1_000) * u32::try_from(shape.rows.div_ceil(rows)).unwrap()
        });
        let largest = |steps| costs.largest(Graph::Sequence, steps, micros(1_000_000));
        let found = [1, 8, 9, 16, 17, 24, 25, 32, 33].map(largest);
        assert_eq!(found, [1, 1, 2, 2, 4, 4, 8, 8, 8]);
    }

    #[test]
    fn on_a_device_that_is_slow_whatever_the_size_a_batch_is_not_cut_to_one_row() {
        let slow = CostTable::new(Shapes::default(), |_, shape| {
            micros(50_000) + micros(100) * u32::try_from(shape.rows).unwrap()
        });
        let most = slow.bound(Graph::Encoder, micros(10_000));
        assert_eq!(slow.largest(Graph::Encoder, 1, most), 32);
    }

    #[test]
    fn between_shapes_the_time_grows_evenly() {
        let costs = table();
        assert_eq!(costs.between(Graph::Encoder, 3, 1), micros(130));
        assert_eq!(costs.between(Graph::Encoder, 24, 1), micros(340));
        assert_eq!(costs.between(Graph::Encoder, 16, 1), micros(260));
    }

    #[test]
    fn work_is_predicted_in_the_batches_that_will_run_it() {
        let costs = table();
        let work = Work {
            segments: 64,
            steps: 0,
        };
        assert_eq!(
            costs.predict(work, micros(10_000)),
            micros(13_125 * 64) / 1_000
        );
        assert_eq!(
            costs.least(Work {
                segments: 64,
                steps: 9
            }),
            micros(110 + 180)
        );
    }
}
