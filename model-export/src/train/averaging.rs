//! The moving average of a module's weights. It is smoother than the weights, and it is what is exported.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;
use burn::tensor::container::TensorContainer;

/// Moves `average` towards `module`, including the running statistics of normalisations.
///
/// `step` counts from 0. Early averages have a smaller decay, because they would otherwise keep the initial
/// weights. Both modules come from the same one: their parameters have the same ids.
pub fn follow<M: Module>(average: M, module: &M, decay: f64, step: u64) -> M {
    let decay = decay.min((1 + step) as f64 / (10 + step) as f64);
    let mut collector = Collector(TensorContainer::new());
    module.valid().visit(&mut collector);
    average.map(&mut Mover {
        targets: collector.0,
        decay,
    })
}

struct Collector(TensorContainer<ParamId>);

impl ModuleVisitor for Collector {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        self.0.register(parameter.id, parameter.val());
    }
}

struct Mover {
    targets: TensorContainer<ParamId>,
    decay: f64,
}

impl ModuleMapper for Mover {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(target) = self.targets.get::<Tensor<D>>(&parameter.id) else {
            return parameter;
        };
        let decay = self.decay;
        parameter.map(|value| value * decay + target * (1.0 - decay))
    }
}

#[cfg(test)]
mod tests {
    use burn::nn::{BatchNormConfig, LinearConfig};
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn an_average_moves_the_share_that_its_decay_leaves() {
        let device = Device::flex().autodiff();
        let module = LinearConfig::new(3, 2).init(&device);
        let average = module.valid().map(&mut Zero);
        let moved = follow(average, &module, 0.9, 1_000_000);
        let expected = module.valid().weight.val() * 0.1;
        let difference: f32 = (moved.weight.val() - expected).abs().max().into_scalar();
        assert!(difference < 1e-6);
    }

    #[test]
    fn running_statistics_are_averaged_too() {
        let device = Device::flex().autodiff();
        let module = BatchNormConfig::new(2).init(&device);
        let average = module.valid();
        module.running_mean.update(Tensor::ones([2], &device));
        let moved = follow(average, &module, 0.5, 1_000_000);
        let mean: f32 = moved.running_mean.value().max().into_scalar();
        assert!((mean - 0.5).abs() < 1e-6, "{mean}");
    }

    struct Zero;
    impl ModuleMapper for Zero {
        fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
            parameter.map(|value| value.zeros_like())
        }
    }
}
