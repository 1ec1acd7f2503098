//! Where a network is trained: by the hand-written step on the processor, or by burn on one of its backends.
//!
//! The one file beside `lib.rs` that names cargo features, for a backend's type exists in its build alone.

use burn::backend::{Autodiff, Flex};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::batch::Batch;
use super::cpu::Cpu;
use super::dropout::Dropout;
use super::graph::Graph;
use super::network::Network;
use crate::training::config::{Device, MlpConfig};
use crate::training::error::{Error, Result};

/// Fails where this build or this machine can't train on the device.
pub fn check(device: Device) -> Result<()> {
    match device {
        Device::Cpu | Device::Flex => Ok(()),
        #[cfg(feature = "cuda")]
        Device::Cuda => answers::<burn::backend::Cuda>(device),
        #[cfg(feature = "wgpu")]
        Device::Wgpu => answers::<burn::backend::Wgpu>(device),
        #[allow(unreachable_patterns)]
        Device::Cuda | Device::Wgpu => {
            let name = device.as_str();
            Err(Error::permanent(format!("device `{name}`: this build of fraudml trains on the processor alone"))
                .hint(format!("build it with `cargo build --release --features {name}`, or leave `--device` out")))
        }
    }
}

/// burn's backends panic where there is no driver or no device, on threads of their own too: the hook is off meanwhile.
#[allow(dead_code)]
fn answers<B: Backend>(device: Device) -> Result<()> {
    let sum = || Tensor::<B, 1>::ones([2], &B::Device::default()).sum().into_data().iter::<f32>().next();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let answer = std::panic::catch_unwind(sum);
    std::panic::set_hook(hook);
    match answer {
        Ok(Some(2.0)) => Ok(()),
        _ => Err(Error::failed(format!("device `{}`: no GPU and driver answer on this machine", device.as_str()))
            .hint("`nvidia-smi` (cuda) or `vulkaninfo` (wgpu) shows what is there; without `--device` the processor trains")),
    }
}

/// A network that learns, wherever it lies.
#[derive(Debug)]
pub(super) enum Trainer {
    Cpu(Box<Cpu>),
    Flex(Box<Graph<Autodiff<Flex>>>),
    #[cfg(feature = "cuda")]
    Cuda(Box<Graph<Autodiff<burn::backend::Cuda>>>),
    #[cfg(feature = "wgpu")]
    Wgpu(Box<Graph<Autodiff<burn::backend::Wgpu>>>),
}

macro_rules! each {
    ($trainer:expr, $it:ident => $do:expr) => {
        match $trainer {
            Trainer::Cpu($it) => $do,
            Trainer::Flex($it) => $do,
            #[cfg(feature = "cuda")]
            Trainer::Cuda($it) => $do,
            #[cfg(feature = "wgpu")]
            Trainer::Wgpu($it) => $do,
        }
    };
}

impl Trainer {
    pub fn new(config: &MlpConfig, network: Network) -> Result<Trainer> {
        check(config.device)?;
        let dropout: Vec<Dropout> =
            (0..config.hidden.len()).map(|depth| Dropout::new(config.dropout_after(depth))).collect();
        Ok(match config.device {
            Device::Flex => Trainer::Flex(Box::new(Graph::new(config, network, dropout))),
            #[cfg(feature = "cuda")]
            Device::Cuda => Trainer::Cuda(Box::new(Graph::new(config, network, dropout))),
            #[cfg(feature = "wgpu")]
            Device::Wgpu => Trainer::Wgpu(Box::new(Graph::new(config, network, dropout))),
            _ => Trainer::Cpu(Box::new(Cpu::new(config, network, dropout))),
        })
    }

    /// One step along the gradient of a batch; its mean loss before that.
    pub fn step(&mut self, batch: &Batch, learning_rate: f64) -> f64 {
        each!(self, trainer => trainer.step(batch, learning_rate))
    }

    /// What has been learned so far.
    pub fn network(&self) -> Result<Network> {
        each!(self, trainer => trainer.network())
    }
}
