//! Hand-written batch normalisation and ReLU, forward and backward, on maps in the order [N, H, W, C].
//!
//! Each direction takes two passes over the values. [`convolution`](super::convolution) has the reason for
//! hand-written code.

use super::convolution::Maps;

/// Batch normalisation and ReLU over the channels of maps.
#[derive(Clone, Debug)]
pub struct Norm {
    /// Scale γ, one per channel.
    pub gamma: Vec<f32>,
    /// Shift β.
    pub beta: Vec<f32>,
    /// Added to the variance.
    pub epsilon: f32,
}

/// What the backward pass of a normalisation needs, and the batch's statistics.
#[derive(Debug)]
pub struct Normed {
    /// Normalised values before scale and shift.
    hats: Maps,
    inverse: Vec<f32>,
    /// The batch's mean, one per channel.
    pub mean: Vec<f32>,
    /// The batch's variance, without Bessel's correction, as in burn.
    pub variance: Vec<f32>,
}

impl Norm {
    /// Normalises with the batch's statistics, then applies ReLU.
    pub fn forward(&self, mut maps: Maps) -> (Maps, Normed) {
        let channels = maps.channels;
        let places = maps.places() as f64;
        let mean = sums(&maps, |x, _| x)
            .into_iter()
            .map(|sum| (sum / places) as f32)
            .collect::<Vec<_>>();
        let variance = sums(&maps, |x, c| (x - mean[c]) * (x - mean[c]))
            .into_iter()
            .map(|sum| (sum / places) as f32)
            .collect::<Vec<_>>();
        let inverse = variance
            .iter()
            .map(|variance| (variance + self.epsilon).sqrt().recip())
            .collect::<Vec<_>>();
        for place in maps.values.chunks_exact_mut(channels) {
            for ((value, mean), inverse) in place.iter_mut().zip(&mean).zip(&inverse) {
                *value = (*value - mean) * inverse;
            }
        }
        let output = self.scaled(&maps);
        let normed = Normed {
            hats: maps,
            inverse,
            mean,
            variance,
        };
        (output, normed)
    }

    /// Normalises with given statistics, then applies ReLU.
    pub fn with(&self, mut maps: Maps, mean: &[f32], variance: &[f32]) -> Maps {
        let scales: Vec<f32> = variance
            .iter()
            .zip(&self.gamma)
            .map(|(variance, gamma)| gamma / (variance + self.epsilon).sqrt())
            .collect();
        for place in maps.values.chunks_exact_mut(mean.len()) {
            for (((value, mean), scale), beta) in
                place.iter_mut().zip(mean).zip(&scales).zip(&self.beta)
            {
                *value = ((*value - mean) * scale + beta).max(0.0);
            }
        }
        maps
    }

    fn scaled(&self, hats: &Maps) -> Maps {
        let mut output = hats.clone();
        for place in output.values.chunks_exact_mut(hats.channels) {
            for ((value, gamma), beta) in place.iter_mut().zip(&self.gamma).zip(&self.beta) {
                *value = (*value * gamma + beta).max(0.0);
            }
        }
        output
    }

    /// Computes the gradients of γ, β and the input.
    pub fn backward(&self, normed: &Normed, mut gradient: Maps) -> (Vec<f32>, Vec<f32>, Maps) {
        let hats = &normed.hats;
        let channels = hats.channels;
        let places = hats.places() as f32;
        for (place, hats) in gradient
            .values
            .chunks_exact_mut(channels)
            .zip(hats.values.chunks_exact(channels))
        {
            for (((gradient, hat), gamma), beta) in
                place.iter_mut().zip(hats).zip(&self.gamma).zip(&self.beta)
            {
                *gradient = if hat * gamma + beta > 0.0 {
                    *gradient
                } else {
                    0.0
                };
            }
        }
        let narrow = |sums: Vec<f64>| sums.into_iter().map(|sum| sum as f32).collect::<Vec<_>>();
        let beta = narrow(sums(&gradient, |x, _| x));
        let gamma = narrow(sums_of_products(&gradient, hats));
        let scales: Vec<f32> = self
            .gamma
            .iter()
            .zip(&normed.inverse)
            .map(|(gamma, inverse)| gamma * inverse)
            .collect();
        for (place, hats) in gradient
            .values
            .chunks_exact_mut(channels)
            .zip(hats.values.chunks_exact(channels))
        {
            for c in 0..channels {
                place[c] = scales[c] * (place[c] - beta[c] / places - hats[c] * gamma[c] / places);
            }
        }
        (gamma, beta, gradient)
    }
}

/// Sums over all places, one sum per channel; in single precision within a map, in double across maps.
fn sums(maps: &Maps, f: impl Fn(f32, usize) -> f32) -> Vec<f64> {
    let channels = maps.channels;
    let mut totals = vec![0.0; channels];
    let mut part = vec![0.0; channels];
    for map in maps
        .values
        .chunks_exact(maps.size[0] * maps.size[1] * channels)
    {
        part.fill(0.0);
        for place in map.chunks_exact(channels) {
            for (c, (part, value)) in part.iter_mut().zip(place).enumerate() {
                *part += f(*value, c);
            }
        }
        for (total, part) in totals.iter_mut().zip(&part) {
            *total += f64::from(*part);
        }
    }
    totals
}

fn sums_of_products(a: &Maps, b: &Maps) -> Vec<f64> {
    let channels = a.channels;
    let each = a.size[0] * a.size[1] * channels;
    let mut totals = vec![0.0; channels];
    let mut part = vec![0.0; channels];
    for (a, b) in a.values.chunks_exact(each).zip(b.values.chunks_exact(each)) {
        part.fill(0.0);
        for (a, b) in a.chunks_exact(channels).zip(b.chunks_exact(channels)) {
            for ((part, a), b) in part.iter_mut().zip(a).zip(b) {
                *part += a * b;
            }
        }
        for (total, part) in totals.iter_mut().zip(&part) {
            *total += f64::from(*part);
        }
    }
    totals
}
