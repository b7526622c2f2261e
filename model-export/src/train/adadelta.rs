//! Adadelta (Zeiler 2012), which burn does not provide.
//!
//! The same arithmetic as PyTorch's `torch.optim.Adadelta`: moving averages of the squared gradient and of
//! the squared step. The root of their ratio scales the step, so no learning rate has to be chosen.

use burn::optim::{LearningRate, ModuleOptimizer, Optimizer};
use burn::tensor::{Device, Tensor};

use crate::RecordState;

/// The optimizer of one parameter; [`Adadelta::module`] makes one for a whole module.
#[derive(Clone, Debug)]
pub struct Adadelta {
    /// Decay ρ of both averages.
    pub rho: f32,
    /// Added to both averages under the root; it decides the length of the first step.
    pub epsilon: f32,
    /// Multiplied by the parameter and added to the gradient.
    pub weight_decay: f64,
}

impl Default for Adadelta {
    /// Zeiler's values: ρ 0.95, ε 1e−6, no weight decay.
    fn default() -> Self {
        Self {
            rho: 0.95,
            epsilon: 1e-6,
            weight_decay: 0.0,
        }
    }
}

/// The state of one parameter.
#[derive(Clone, Debug, RecordState)]
pub struct AdadeltaState<const D: usize> {
    /// Moving average of the squared gradient.
    pub gradient: Tensor<D>,
    /// Moving average of the squared step.
    pub step: Tensor<D>,
}

impl Adadelta {
    /// Creates an optimizer of all parameters of a module, without state.
    pub fn module(self) -> ModuleOptimizer {
        ModuleOptimizer::from(self)
    }
}

impl Optimizer for Adadelta {
    type State<const D: usize> = AdadeltaState<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        parameter: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        let gradient = if self.weight_decay > 0.0 {
            gradient + parameter.clone() * self.weight_decay
        } else {
            gradient
        };
        let state = state.unwrap_or_else(|| AdadeltaState {
            gradient: gradient.zeros_like(),
            step: gradient.zeros_like(),
        });
        let squared = state.gradient * self.rho + gradient.clone().square() * (1.0 - self.rho);
        let length =
            (state.step.clone() + self.epsilon).sqrt() / (squared.clone() + self.epsilon).sqrt();
        let step = gradient * length;
        let state = AdadeltaState {
            gradient: squared,
            step: state.step * self.rho + step.clone().square() * (1.0 - self.rho),
        };
        (parameter - step * rate, Some(state))
    }

    fn to_device<const D: usize>(state: Self::State<D>, device: &Device) -> Self::State<D> {
        AdadeltaState {
            gradient: state.gradient.to_device(device),
            step: state.step.to_device(device),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// f(x) = x² from x = 1, so g = 2x; the formulae written out in f64.
    #[test]
    fn steps_equal_the_published_formulae() {
        let device = Device::flex();
        let (mut x, mut squares, mut steps) = (1.0_f64, 0.0, 0.0);
        let mut parameter = Tensor::<1>::from_floats([1.0], &device);
        let mut state = None;
        for k in 0..20 {
            let g = 2.0 * x;
            squares = 0.95 * squares + 0.05 * g * g;
            let step = ((steps + 1e-6_f64) / (squares + 1e-6)).sqrt() * g;
            steps = 0.95 * steps + 0.05 * step * step;
            x -= step;
            let gradient = parameter.clone() * 2.0;
            (parameter, state) = Adadelta::default().step(1.0, parameter, gradient, state);
            let ours: f32 = parameter.clone().into_scalar();
            assert!(
                (f64::from(ours) - x).abs() < 1e-6,
                "step {k}: {ours} against {x}"
            );
        }
    }

    /// By hand, as PyTorch's documentation has it: v = 0.05·4 = 0.2, step = √1e−6 / √0.200001 · 2.
    #[test]
    fn the_first_step_is_the_one_computed_by_hand() {
        let device = Device::flex();
        let parameter = Tensor::<1>::from_floats([1.0], &device);
        let gradient = Tensor::<1>::from_floats([2.0], &device);
        let (parameter, _) = Adadelta::default().step(1.0, parameter, gradient, None);
        let x: f32 = parameter.into_scalar();
        assert!((x - (1.0 - 0.004_472_125)).abs() < 1e-6, "{x}");
    }
}
