//! Mixup (Zhang et al. 2018): mixes each utterance of a batch with another, and the targets likewise.
//!
//! Normalised log powers are mixed, step by step. This is not how two voices add up, but the original
//! mixes pixels in the same way. An utterance keeps its length: a shorter partner is repeated, a longer
//! one is cut. Its own share is the larger one, so its label stays correct.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use undertone::frontend::SEGMENT_VALUES;

use super::minibatch::Batch;

/// Mixes every utterance with the one at its place in a shuffled batch; shares are drawn from Beta(α, α).
pub(super) fn mix(batch: &mut Batch, alpha: f64, rng: &mut StdRng) {
    let plain = batch.clone();
    let mut partners: Vec<usize> = (0..plain.len()).collect();
    partners.shuffle(rng);
    let each = plain.steps * SEGMENT_VALUES;
    let classes = plain.targets.len() / plain.len().max(1);
    for (number, partner) in partners.into_iter().enumerate() {
        let share = beta(alpha, rng);
        let other = share.min(1.0 - share) as f32;
        let steps = batch.segments[number * each..].chunks_exact_mut(SEGMENT_VALUES);
        for (step, values) in steps.take(plain.lengths[number]).enumerate() {
            let place = partner * each + step % plain.lengths[partner] * SEGMENT_VALUES;
            blend(values, &plain.segments[place..], other);
        }
        let targets = &mut batch.targets[number * classes..][..classes];
        blend(targets, &plain.targets[partner * classes..], other);
    }
}

fn blend(values: &mut [f32], others: &[f32], share: f32) {
    for (value, other) in values.iter_mut().zip(others) {
        *value += (other - *value) * share;
    }
}

/// Draws from Beta(α, α) by Jöhnk's method: at α = 0.2, nineteen of twenty tries succeed.
fn beta(alpha: f64, rng: &mut StdRng) -> f64 {
    loop {
        let [x, y] = [(); 2].map(|()| rng.random::<f64>().powf(1.0 / alpha));
        // Both may underflow to 0 if α is tiny.
        if x + y <= 1.0 && x + y > 0.0 {
            return x / (x + y);
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn beta_has_the_moments_it_should_have() {
        let mut rng = StdRng::seed_from_u64(1);
        for alpha in [0.2, 1.0, 3.0] {
            let draws: Vec<f64> = (0..20_000).map(|_| beta(alpha, &mut rng)).collect();
            let mean = draws.iter().sum::<f64>() / 20_000.0;
            let variance = draws.iter().map(|x| (x - 0.5).powi(2)).sum::<f64>() / 20_000.0;
            let expected = 1.0 / (4.0 * (2.0 * alpha + 1.0));
            assert!((mean - 0.5).abs() < 0.01, "α {alpha}: mean {mean}");
            assert!(
                (variance / expected - 1.0).abs() < 0.05,
                "α {alpha}: variance {variance}"
            );
        }
    }
}
