//! The codebook: nearest codes (the paper's eq. 1), and how they are learnt.
//!
//! A code is either the mean of the vectors that chose it, as moving averages of their sum and count, or a
//! parameter that a gradient moves towards them. In both cases k-means on the first batch initialises the
//! codes. A code that is no longer chosen is restarted, with sum and count, at a random vector of the batch.

use burn::module::{Module, Param, RunningState};
use burn::nn::Initializer;
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;
use rand::rngs::StdRng;

use super::convolution::{product, view};
use super::values;
use crate::preset::{self, Learning};

/// Number of Lloyd's iterations of the initial k-means.
const KMEANS_ITERATIONS: usize = 10;
/// Number of vectors that are searched together, so that their distances to all codes stay in the cache.
const BLOCK: usize = 256;

/// K codes of width D, and the state of their moving averages.
#[derive(Module, Debug)]
pub struct Quantiser {
    /// The codes [K, D] that are moving averages; all zero if a gradient moves them.
    codebook: RunningState<Tensor<2>>,
    /// The codes [K, D] that a gradient moves.
    parameter: Option<Param<Tensor<2>>>,
    /// Moving sum of the vectors that chose each code [K, D].
    sums: RunningState<Tensor<2>>,
    /// Moving count of them [K]; all zero before the first batch.
    counts: RunningState<Tensor<1>>,
    /// The constants of the averages.
    #[module(skip)]
    averaging: Averaging,
}

/// The constants of the moving averages.
#[derive(Clone, Debug)]
struct Averaging {
    decay: f32,
    smoothing: f32,
    revive_below: f32,
}

impl Quantiser {
    /// Creates an empty codebook; the first [`Quantiser::learn`] fills it.
    pub fn new(preset: &preset::VqVaePreset, device: &Device) -> Self {
        let shape = [preset.codes, preset.dimension];
        let parameter =
            (preset.learning == Learning::Loss).then(|| Initializer::Zeros.init(shape, device));
        let device = &device.clone().without_autodiff();
        Self {
            parameter,
            codebook: RunningState::new(Tensor::zeros(shape, device)),
            sums: RunningState::new(Tensor::zeros(shape, device)),
            counts: RunningState::new(Tensor::zeros([preset.codes], device)),
            averaging: Averaging {
                decay: preset.decay as f32,
                smoothing: preset.smoothing as f32,
                revive_below: preset.revive_below as f32,
            },
        }
    }

    /// Returns the codes [K, D] without a gradient.
    pub fn codes(&self) -> Tensor<2> {
        match &self.parameter {
            Some(parameter) => parameter.val().without_autodiff(),
            None => self.codebook.value_sync().without_autodiff(),
        }
    }

    /// Computes the mean squared distance of vectors [M, D] to their codes, a loss that moves the codes;
    /// `None` if the codes are moving averages.
    pub fn loss(&self, vectors: Vec<f32>, codes: &[usize]) -> Option<Tensor<1>> {
        let parameter = self.parameter.as_ref()?.val();
        let (count, device) = (codes.len(), parameter.device());
        let shape = [count, parameter.dims()[1]];
        let indices = codes.iter().map(|&code| code as i64).collect();
        let indices = Tensor::from_data(TensorData::new::<i64, _>(indices, [count]), &device);
        let vectors = tensor(vectors, shape, &device);
        Some((parameter.select(0, indices) - vectors).square().mean())
    }

    /// Finds the nearest code of each vector [M, D], and the smallest margin, in squared distance, to the
    /// second nearest.
    pub fn nearest(&self, vectors: &[f32]) -> (Vec<usize>, f32) {
        let codes = self.codes();
        let width = codes.dims()[1];
        nearest_of(vectors, &values(codes), width)
    }

    /// Returns the vectors [M, D] of codes.
    pub fn look_up(&self, codes: &[usize]) -> Vec<f32> {
        let book = self.codes();
        let width = book.dims()[1];
        let book = values(book);
        codes
            .iter()
            .flat_map(|code| &book[code * width..][..width])
            .copied()
            .collect()
    }

    /// Moves the codebook towards vectors [M, D], or prepares it for the step along
    /// [`Quantiser::loss`] that does; the first call starts it by k-means on them.
    pub fn learn(&mut self, points: &[f32], random: &mut StdRng) {
        match self.parameter.take() {
            Some(parameter) => self.parameter = Some(self.tended(parameter, points, random)),
            None => self.average(points, random),
        }
    }

    fn average(&self, points: &[f32], random: &mut StdRng) {
        let device = self.codes().device();
        let [number, width] = self.codes().dims();
        let population = (points.len() / width) as f32 / number as f32;
        let mut counts = values(self.counts.value_sync());
        let mut sums = values(self.sums.value_sync());
        if counts.iter().all(|&count| count == 0.0) {
            let start = kmeans(points, number, width, random);
            counts = vec![population; number];
            sums = start.iter().map(|value| value * population).collect();
            self.codebook
                .update(tensor(start, [number, width], &device));
        }
        let (codes, _) = self.nearest(points);

        let averaging = &self.averaging;
        counts
            .iter_mut()
            .for_each(|count| *count *= averaging.decay);
        sums.iter_mut().for_each(|sum| *sum *= averaging.decay);
        for (point, code) in points.chunks_exact(width).zip(codes) {
            counts[code] += 1.0 - averaging.decay;
            for (sum, value) in sums[code * width..][..width].iter_mut().zip(point) {
                *sum += (1.0 - averaging.decay) * value;
            }
        }
        for (count, sum) in counts.iter_mut().zip(sums.chunks_exact_mut(width)) {
            if *count < averaging.revive_below {
                // The count of an ordinary code; otherwise the next steps would restart it before it is chosen.
                *count = population;
                let chosen = random.random_range(0..points.len() / width);
                for (sum, value) in sum.iter_mut().zip(&points[chosen * width..]) {
                    *sum = value * population;
                }
            }
        }
        let total: f32 = counts.iter().sum();
        let smoothing = averaging.smoothing;
        let mut codebook = sums.clone();
        for (code, count) in codebook.chunks_exact_mut(width).zip(&counts) {
            let smoothed = (count + smoothing) / (total + number as f32 * smoothing) * total;
            code.iter_mut().for_each(|value| *value /= smoothed);
        }
        self.codebook
            .update(tensor(codebook, [number, width], &device));
        self.sums.update(tensor(sums, [number, width], &device));
        self.counts.update(Tensor::from_data(
            TensorData::new(counts, [number]),
            &device,
        ));
    }

    /// Initialises and counts codes that a gradient moves, and restarts unused ones.
    fn tended(
        &self,
        parameter: Param<Tensor<2>>,
        points: &[f32],
        random: &mut StdRng,
    ) -> Param<Tensor<2>> {
        let [number, width] = parameter.dims();
        let population = (points.len() / width) as f32 / number as f32;
        let mut counts = values(self.counts.value_sync());
        let mut codes = values(parameter.val());
        let mut changed = false;
        if counts.iter().all(|&count| count == 0.0) {
            codes = kmeans(points, number, width, random);
            counts.fill(population);
            changed = true;
        }
        let averaging = &self.averaging;
        counts
            .iter_mut()
            .for_each(|count| *count *= averaging.decay);
        for code in nearest_of(points, &codes, width).0 {
            counts[code] += 1.0 - averaging.decay;
        }
        for (count, code) in counts.iter_mut().zip(codes.chunks_exact_mut(width)) {
            if *count < averaging.revive_below {
                *count = population;
                let chosen = random.random_range(0..points.len() / width);
                code.copy_from_slice(&points[chosen * width..][..width]);
                changed = true;
            }
        }
        let counts = TensorData::new(counts, [number]);
        let device = self.counts.value_sync().device();
        self.counts.update(Tensor::from_data(counts, &device));
        if !changed {
            return parameter;
        }
        parameter.map(|old| tensor(codes, [number, width], &old.device()).require_grad())
    }
}

/// Computes the perplexity of codes: exp of the entropy of their counts, from 1 to K.
pub fn perplexity(counts: &[u64]) -> f64 {
    let total: u64 = counts.iter().sum();
    let entropy: f64 = counts
        .iter()
        .filter(|&&count| count > 0)
        .map(|&count| count as f64 / total as f64)
        .map(|share| -share * share.ln())
        .sum();
    entropy.exp()
}

/// Finds the nearest of codes [K, D] for each vector [M, D], and the smallest margin to the second nearest.
fn nearest_of(vectors: &[f32], codes: &[f32], width: usize) -> (Vec<usize>, f32) {
    let number = codes.len() / width;
    // |z − e|² without |z|², which is the same for every code.
    let norms: Vec<f32> = codes
        .chunks_exact(width)
        .map(|code| code.iter().map(|value| value * value).sum())
        .collect();
    let twice: Vec<f32> = codes.iter().map(|value| -2.0 * value).collect();
    let mut distances = vec![0.0; BLOCK * number];
    let mut nearest = Vec::with_capacity(vectors.len() / width);
    let mut margin = f32::INFINITY;
    for block in vectors.chunks(BLOCK * width) {
        let rows = block.len() / width;
        let distances = &mut distances[..rows * number];
        product(
            &view(block, rows),
            &view(&twice, number).t(),
            distances,
            number,
            0.0,
        );
        for row in distances.chunks_exact(number) {
            let (code, clearance) = lowest(row, &norms);
            nearest.push(code);
            margin = margin.min(clearance);
        }
    }
    (nearest, margin)
}

/// Finds the index of the lowest sum of a distance and a norm, and its margin to the next.
fn lowest(distances: &[f32], norms: &[f32]) -> (usize, f32) {
    let mut best = (f32::INFINITY, 0);
    let mut second = f32::INFINITY;
    for (index, (distance, norm)) in distances.iter().zip(norms).enumerate() {
        let sum = distance + norm;
        if sum < best.0 {
            second = best.0;
            best = (sum, index);
        } else if sum < second {
            second = sum;
        }
    }
    (best.1, second - best.0)
}

/// Computes centres [number, width] of points [M, width]: k-means++, then Lloyd's iterations.
fn kmeans(points: &[f32], number: usize, width: usize, random: &mut StdRng) -> Vec<f32> {
    let mut centres = spread(points, number, width, random);
    for _ in 0..KMEANS_ITERATIONS {
        let mut sums = vec![0.0_f32; number * width];
        let mut counts = vec![0_u32; number];
        for point in points.chunks_exact(width) {
            let nearest = nearest(point, &centres);
            counts[nearest] += 1;
            for (sum, value) in sums[nearest * width..][..width].iter_mut().zip(point) {
                *sum += value;
            }
        }
        for ((centre, sum), &count) in centres
            .chunks_exact_mut(width)
            .zip(sums.chunks_exact(width))
            .zip(&counts)
        {
            if count > 0 {
                for (centre, sum) in centre.iter_mut().zip(sum) {
                    *centre = sum / count as f32;
                }
            }
        }
    }
    centres
}

/// Draws initial centres: each is a point, drawn in proportion to its squared distance to the earlier ones.
fn spread(points: &[f32], number: usize, width: usize, random: &mut StdRng) -> Vec<f32> {
    let population = points.len() / width;
    let mut chosen = random.random_range(0..population);
    let mut distances = vec![f32::INFINITY; population];
    let mut centres = Vec::with_capacity(number * width);
    for _ in 0..number {
        let centre = &points[chosen * width..][..width];
        centres.extend_from_slice(centre);
        for (distance, point) in distances.iter_mut().zip(points.chunks_exact(width)) {
            *distance = distance.min(squared_distance(point, centre));
        }
        let total: f64 = distances.iter().copied().map(f64::from).sum();
        let mut left = random.random::<f64>() * total;
        chosen = distances
            .iter()
            .position(|&distance| {
                left -= f64::from(distance);
                left <= 0.0
            })
            .unwrap_or(population - 1);
    }
    centres
}

fn nearest(point: &[f32], centres: &[f32]) -> usize {
    let mut best = (f32::INFINITY, 0);
    for (index, centre) in centres.chunks_exact(point.len()).enumerate() {
        let distance = squared_distance(point, centre);
        if distance < best.0 {
            best = (distance, index);
        }
    }
    best.1
}

fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

fn tensor(values: Vec<f32>, shape: [usize; 2], device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

#[cfg(test)]
mod tests {
    use burn::optim::GradientsParams;
    use rand::SeedableRng;

    use super::*;
    use crate::train::adadelta::Adadelta;

    fn preset() -> preset::VqVaePreset {
        preset::VqVaePreset {
            convolutions: Vec::new(),
            dimension: 2,
            codes: 4,
            learning: Learning::Ema,
            decay: 0.5,
            smoothing: 1e-5,
            commitment: 0.25,
            revive_below: 0.1,
        }
    }

    /// Four clusters around the corners of a square.
    fn clouds(random: &mut StdRng) -> Vec<f32> {
        (0..400)
            .flat_map(|k| {
                let corner = [(k % 2) as f32 * 10.0, (k / 2 % 2) as f32 * 10.0];
                corner.map(|centre| centre + random.random_range(-0.1..0.1))
            })
            .collect()
    }

    #[test]
    fn codes_settle_on_the_clouds() {
        let mut random = StdRng::seed_from_u64(3);
        let mut quantiser = Quantiser::new(&preset(), &Device::flex());
        for _ in 0..200 {
            quantiser.learn(&clouds(&mut random), &mut random);
        }
        let vectors = clouds(&mut random);
        let codes = quantiser.look_up(&quantiser.nearest(&vectors).0);
        for (value, code) in vectors.iter().zip(codes) {
            assert!((value - code).abs() < 0.3, "{value} has the code {code}");
        }
    }

    #[test]
    fn a_code_that_nobody_chooses_is_restarted() {
        let mut random = StdRng::seed_from_u64(3);
        let mut quantiser = Quantiser::new(&preset(), &Device::flex());
        quantiser.learn(&clouds(&mut random), &mut random);
        let mut codes = values(quantiser.codes());
        codes[..2].fill(1e6);
        let sums = codes.iter().map(|value| value * 0.05).collect();
        let device = Device::flex();
        quantiser.codebook.update(tensor(codes, [4, 2], &device));
        quantiser.sums.update(tensor(sums, [4, 2], &device));
        quantiser
            .counts
            .update(Tensor::from_floats([0.05; 4], &device));
        quantiser.learn(&clouds(&mut random), &mut random);
        assert!(values(quantiser.codes()).iter().all(|&value| value < 20.0));
    }

    #[test]
    fn perplexity_counts_the_codes_in_even_use() {
        assert!((perplexity(&[5, 5, 5, 5, 0]) - 4.0).abs() < 1e-9);
        assert!((perplexity(&[7, 0, 0]) - 1.0).abs() < 1e-9);
    }

    /// Learns clusters; returns the distance of vectors to their codes, and the perplexity.
    fn learnt(learning: Learning, codes: usize, steps: usize) -> (f32, f64) {
        let preset = preset::VqVaePreset {
            learning,
            codes,
            decay: 0.9,
            ..preset()
        };
        let mut random = StdRng::seed_from_u64(3);
        let device = Device::flex().autodiff();
        let mut quantiser = Quantiser::new(&preset, &device);
        let mut adadelta = Adadelta::default().module();
        for _ in 0..steps {
            let points = clouds(&mut random);
            quantiser.learn(&points, &mut random);
            let codes = quantiser.nearest(&points).0;
            if let Some(loss) = quantiser.loss(points, &codes) {
                let gradients = GradientsParams::from_grads(loss.backward(), &quantiser);
                quantiser = adadelta.step(1.0, quantiser, gradients);
            }
        }
        let vectors = clouds(&mut random);
        let chosen = quantiser.nearest(&vectors).0;
        let mut counts = vec![0; codes];
        chosen.iter().for_each(|&code| counts[code] += 1);
        let codes = quantiser.look_up(&chosen);
        let furthest = vectors.iter().zip(codes).map(|(v, c)| (v - c).abs());
        (furthest.fold(0.0, f32::max), perplexity(&counts))
    }

    #[test]
    fn both_ways_of_learning_settle_on_the_clouds_and_use_their_codes() {
        for learning in [Learning::Ema, Learning::Loss] {
            for codes in [4, 16] {
                let (furthest, used) = learnt(learning, codes, 60);
                assert!(
                    furthest < 0.3,
                    "{learning:?}, {codes} codes: {furthest} away"
                );
                let share = used / codes as f64;
                assert!(
                    share > 0.25,
                    "{learning:?}, {codes} codes: perplexity {used}"
                );
            }
        }
    }

    #[test]
    fn a_learnt_code_follows_its_vectors_and_a_dead_one_is_restarted() {
        let preset = preset::VqVaePreset {
            learning: Learning::Loss,
            ..preset()
        };
        let mut random = StdRng::seed_from_u64(3);
        let device = Device::flex().autodiff();
        let mut quantiser = Quantiser::new(&preset, &device);
        quantiser.learn(&clouds(&mut random), &mut random);
        let moved: Vec<f32> = clouds(&mut random).iter().map(|v| v + 0.5).collect();
        let distance = |quantiser: &Quantiser| -> f32 {
            let codes = quantiser.nearest(&moved).0;
            let loss = quantiser.loss(moved.clone(), &codes).unwrap();
            loss.into_scalar()
        };
        let before = distance(&quantiser);
        let mut adadelta = Adadelta::default().module();
        for _ in 0..100 {
            let codes = quantiser.nearest(&moved).0;
            let loss = quantiser.loss(moved.clone(), &codes).unwrap();
            let gradients = GradientsParams::from_grads(loss.backward(), &quantiser);
            quantiser = adadelta.step(1.0, quantiser, gradients);
        }
        assert!(distance(&quantiser) < before / 2.0);

        let mut codes = values(quantiser.codes());
        codes[..2].fill(1e6);
        quantiser.parameter = quantiser
            .parameter
            .map(|p| p.map(|_| tensor(codes, [4, 2], &device).require_grad()));
        for _ in 0..20 {
            quantiser.learn(&clouds(&mut random), &mut random);
        }
        assert!(values(quantiser.codes()).iter().all(|&value| value < 20.0));
    }
}
