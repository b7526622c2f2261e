//! Dropout with the caller's random generator.
//!
//! burn's dropout uses one generator per process: two trainings in two threads would change each other's
//! numbers, and neither could be repeated.

use burn::tensor::{Tensor, TensorData};
use rand::Rng;
use rand::rngs::StdRng;

/// Sets a share of the values to zero and scales up the others. Changes nothing without a generator.
pub fn dropout<const D: usize>(x: Tensor<D>, share: f64, random: Option<&mut StdRng>) -> Tensor<D> {
    let Some(random) = random.filter(|_| share > 0.0) else {
        return x;
    };
    let limit = (share * f64::from(u32::MAX)) as u32;
    let scale = (1.0 / (1.0 - share)) as f32;
    let shape = x.dims();
    let mask: Vec<f32> = (0..shape.iter().product())
        .map(|_| {
            if random.random::<u32>() < limit {
                0.0
            } else {
                scale
            }
        })
        .collect();
    let mask = Tensor::from_data(TensorData::new(mask, shape), &x.device());
    x * mask
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn a_share_is_dropped_and_the_mean_stays() {
        let x = Tensor::<2>::ones([200, 100], &Device::flex());
        let mut random = StdRng::seed_from_u64(1);
        let dropped = dropout(x.clone(), 0.25, Some(&mut random));
        let zeros: f32 = dropped.clone().equal_elem(0.0).float().mean().into_scalar();
        let mean: f32 = dropped.clone().mean().into_scalar();
        assert!((zeros - 0.25).abs() < 0.02, "{zeros}");
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
        let again = dropout(x.clone(), 0.25, Some(&mut StdRng::seed_from_u64(1)));
        assert_eq!(again.into_data(), dropped.into_data());
        assert_eq!(dropout(x.clone(), 0.25, None).into_data(), x.into_data());
    }
}
