//! The cost table: one predicted device time for each batch shape. Warm-up measures it, and observations keep
//! it up to date.

use std::time::Duration;

use super::graph::{Graph, PerGraph};
use super::job::Work;
use super::shapes::{Shape, Shapes};
use super::time::Time;

/// One observation moves a prediction by one part in this many of their difference.
const MEMORY: u32 = 8;
/// An observation counts as no further from the prediction than one part in this many of it. A run that the
/// system interrupted is an outlier that does not describe the graph. Longer runs are interrupted more often,
/// so without the clip such outliers would make large batches look more expensive than they are.
const CLIP: u32 = 8;
/// After a run of the next smaller shape, the part of the excess by which a prediction is lowered; see
/// [`CostTable::observe`].
const EXPLORE: u32 = 256;
/// What every batch costs beside its run, whatever its size: taking, packing and handing out.
const OVERHEAD: Duration = Duration::from_micros(20);
/// A larger batch pays if its cost per item is at most this part of the smaller batch's.
const PAYS: f64 = 0.97;
/// A larger batch is explored until its prediction is this part of what several smaller batches take. It is below
/// [`PAYS`], so the larger batch runs again in the end.
const EXPLORE_TARGET: f64 = PAYS - 0.02;
/// Half of the excess of a prediction over its warm-up measurement fades in this time, beside the effect of
/// observations. Without fading, a prediction that refuses all work would never be corrected.
const HALF_LIFE: Duration = Duration::from_secs(60);
/// Predictions fade in steps of this time.
const RELAXES_EVERY: Duration = Duration::from_secs(1);
/// A batch that takes no longer than this many times the smallest is never too long. On a device that has
/// become slow, or is slow whatever the size, smaller batches would only make it slower.
const HARDLY_LONGER: f64 = 1.25;

/// Predicted device times of every shape of the closed set.
///
/// Each observation moves the prediction of its shape by an exponential average:
///
/// ```text
/// prediction = prediction · (1 − 1 / MEMORY) + observation / MEMORY
/// ```
///
/// The observation is clipped to `prediction · (1 ± 1 / CLIP)`. `MEMORY` and `CLIP` are 8.
#[derive(Clone, Debug, PartialEq)]
pub struct CostTable {
    shapes: Shapes,
    /// The times of each graph's shapes, in the order of [`Shapes::all`].
    times: PerGraph<Vec<Duration>>,
    /// The same times as measured at warm-up.
    measured: PerGraph<Vec<Duration>>,
    relaxed_at: Time,
}

impl CostTable {
    /// Returns a table of the times that `measure` gives for each shape.
    pub fn new(shapes: Shapes, mut measure: impl FnMut(Graph, Shape) -> Duration) -> Self {
        let times = PerGraph::from_fn(|graph| -> Vec<Duration> {
            let all = shapes.all(graph).into_iter();
            // No run takes no time. A prediction of zero could never be corrected.
            all.map(|shape| measure(graph, shape).max(Duration::from_nanos(1)))
                .collect()
        });
        Self {
            measured: times.clone(),
            relaxed_at: Time::ZERO,
            times,
            shapes,
        }
    }

    /// Returns the closed set of shapes.
    #[must_use]
    pub fn shapes(&self) -> &Shapes {
        &self.shapes
    }

    /// Returns the predicted time of one batch.
    #[must_use]
    pub fn of(&self, graph: Graph, shape: Shape) -> Duration {
        self.place(graph, shape)
            .map_or(Duration::ZERO, |place| self.times[graph][place])
    }

    /// Returns the predicted device time of an amount of work, in batches as large as pays that take at most
    /// `most`.
    #[must_use]
    pub fn predict(&self, work: Work, most: Duration) -> Duration {
        work.priced(PerGraph::from_fn(|graph| self.price(graph, most)))
    }

    /// Returns the least time in which a job can end that has this much work left. Its graphs run one after
    /// the other.
    #[must_use]
    pub fn least(&self, work: Work) -> Duration {
        let of = |graph| match work.of(graph) {
            0 => Duration::ZERO,
            _ => self.of(graph, self.shapes.fit(graph, 1, 1)),
        };
        of(Graph::Encoder) + of(Graph::Sequence)
    }

    /// Returns the device time of one item in a batch as large as pays that takes at most `most`.
    pub(super) fn price(&self, graph: Graph, most: Duration) -> Duration {
        let steps = match graph {
            Graph::Encoder => 1,
            Graph::Sequence => self.shapes.most_steps(),
        };
        let rows = self.largest(graph, steps, self.bound(graph, most));
        let items = u32::try_from(rows * steps).unwrap_or(u32::MAX);
        self.of(graph, Shape { rows, steps }) / items.max(1)
    }

    /// Returns the longest time that a graph's batch may take: `most`, or [`HARDLY_LONGER`] times the time of
    /// one row if that is longer.
    pub(super) fn bound(&self, graph: Graph, most: Duration) -> Duration {
        let longest = self.shapes.fit(graph, 1, self.shapes.most_steps());
        most.max(self.of(graph, longest).mul_f64(HARDLY_LONGER))
    }

    /// Returns the most rows of `steps` steps that a batch should have: as many as pay by the table and take at
    /// most `most`. The smallest shape is always allowed.
    pub(super) fn largest(&self, graph: Graph, steps: usize, most: Duration) -> usize {
        let all = self.shapes.steps(graph);
        let step = all.partition_point(|size| *size < steps).min(all.len() - 1);
        // The times of the shapes with so many steps.
        let times = self.times[graph].iter().skip(step).step_by(all.len());
        let mut best: Option<(usize, f64)> = None;
        for (&rows, &time) in self.shapes.rows(graph).iter().zip(times) {
            if best.is_some() && time > most {
                break;
            }
            let item = (time + OVERHEAD).as_secs_f64() / rows as f64;
            match best {
                Some((_, cheapest)) if item > cheapest * PAYS => {}
                _ => best = Some((rows, item)),
            }
        }
        best.map_or(1, |(rows, _)| rows)
    }

    /// Returns the predicted time of a batch with exactly this many rows, interpolated linearly between the
    /// shapes around it.
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

    /// Learns from a batch that took this long.
    ///
    /// It also lowers the prediction of the next larger shape a little. Larger shapes that do not seem to pay
    /// are not run, so nothing else would correct a prediction that a slow moment has raised. It sinks until
    /// the larger shape seems to pay and runs once; that run is then observed.
    pub(super) fn observe(&mut self, graph: Graph, shape: Shape, took: Duration) {
        let Some(place) = self.place(graph, shape) else {
            return;
        };
        let predicted = &mut self.times[graph][place];
        let most = *predicted / CLIP;
        let took = took.clamp(*predicted - most, *predicted + most);
        let moved = (*predicted * (MEMORY - 1) + took) / MEMORY;
        *predicted = moved.max(Duration::from_nanos(1));
        self.explore_larger(graph, shape);
    }

    /// Lets predictions above the warm-up measurement fade towards it. Returns whether any may have changed.
    pub(super) fn relax(&mut self, now: Time) -> bool {
        let age = now.saturating_sub(self.relaxed_at);
        if age < RELAXES_EVERY {
            return false;
        }
        self.relaxed_at = now;
        let left = 0.5_f64.powf(age.as_secs_f64() / HALF_LIFE.as_secs_f64());
        for (graph, times) in self.times.iter_mut() {
            for (time, measured) in times.iter_mut().zip(&self.measured[graph]) {
                let excess = time.saturating_sub(*measured);
                *time -= excess - excess.mul_f64(left);
            }
        }
        true
    }

    /// Lowers the prediction of the next larger shape after a run of this one:
    ///
    /// ```text
    /// target     = prediction of this shape · rows of the larger / rows of this · EXPLORE_TARGET
    /// prediction = prediction − max(0, prediction − target) / EXPLORE
    /// ```
    fn explore_larger(&mut self, graph: Graph, ran: Shape) {
        let mut sizes = self.shapes.rows(graph).iter().copied();
        let Some(rows) = sizes.find(|rows| *rows > ran.rows) else {
            return;
        };
        let several = rows as f64 / ran.rows as f64;
        let target = self.of(graph, ran).mul_f64(EXPLORE_TARGET * several);
        let Some(place) = self.place(graph, Shape { rows, ..ran }) else {
            return;
        };
        let predicted = &mut self.times[graph][place];
        *predicted -= predicted.saturating_sub(target) / EXPLORE;
    }

    /// Returns a shape's place in [`Shapes::all`].
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

    /// Returns a table with 100 µs a batch and 10 µs an item.
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
    fn predictions_follow_a_device_that_has_become_slow() {
        let mut costs = table();
        let shape = Shape { rows: 4, steps: 1 };
        for _ in 0..100 {
            costs.observe(Graph::Encoder, shape, micros(420));
        }
        let now = costs.of(Graph::Encoder, shape);
        assert!((micros(400)..=micros(420)).contains(&now), "{now:?}");
    }

    #[test]
    fn interrupted_runs_hardly_raise_the_cost_of_large_batches() {
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
    fn a_large_batch_that_a_slow_moment_made_expensive_is_tried_again() {
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
    fn a_large_batch_that_is_really_expensive_is_run_seldom() {
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
    fn a_batch_is_as_large_as_pays_and_as_the_bound_allows() {
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
    fn chunks_cost_what_the_shape_costs_that_they_are_padded_to() {
        // The longer the chunks, the more rows pay.
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
    fn on_a_device_that_is_slow_at_any_size_a_batch_is_not_cut_to_one_row() {
        let slow = CostTable::new(Shapes::default(), |_, shape| {
            micros(50_000) + micros(100) * u32::try_from(shape.rows).unwrap()
        });
        let most = slow.bound(Graph::Encoder, micros(10_000));
        assert_eq!(slow.largest(Graph::Encoder, 1, most), 32);
    }

    #[test]
    fn between_shapes_the_time_grows_linearly() {
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
