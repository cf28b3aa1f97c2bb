//! All generators behind one config with the references' option names.

use crate::bounds::{self, Factor};
use crate::local::LocalEnhancer;
use crate::{GlobalConfig, LocalConfig, Padding, ResnetConfig, UnetConfig, UnetLayout, Upsample};
use candle_core::{Result, Tensor, bail};
use gan_layers::bands::{Dataflow, Engine, RowSource, Value};
use gan_layers::{Builder, Ctx, InitType, Input, NormKind, OperatorGraph, OperatorValue, Sequence, Summary};
use gan_range::{Range, documented};
use serde::{Deserialize, Serialize};

/// A generator's architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arch {
    /// ResNet with nine residual blocks.
    #[serde(rename = "resnet_9blocks")]
    Resnet9Blocks,
    /// ResNet with six residual blocks.
    #[serde(rename = "resnet_6blocks")]
    Resnet6Blocks,
    /// ResNet with four residual blocks.
    #[serde(rename = "resnet_4blocks")]
    Resnet4Blocks,
    /// U-Net with eight halvings.
    #[serde(rename = "unet_256")]
    Unet256,
    /// U-Net with seven halvings.
    #[serde(rename = "unet_128")]
    Unet128,
    /// ResNet with `n_blocks` blocks.
    Resnet,
    /// U-Net with `num_downs` halvings.
    Unet,
    /// pix2pixHD's global generator.
    Global,
    /// pix2pixHD's local enhancers.
    Local,
}

impl Arch {
    /// Every architecture, with its name in a configuration.
    pub const ALL: [(&'static str, Arch); 9] = [
        ("resnet_9blocks", Arch::Resnet9Blocks),
        ("resnet_6blocks", Arch::Resnet6Blocks),
        ("resnet_4blocks", Arch::Resnet4Blocks),
        ("unet_256", Arch::Unet256),
        ("unet_128", Arch::Unet128),
        ("resnet", Arch::Resnet),
        ("unet", Arch::Unet),
        ("global", Arch::Global),
        ("local", Arch::Local),
    ];

    /// Whether it is the ResNet of CycleGAN, pix2pix and CUT, of any number of blocks.
    pub fn is_resnet(self) -> bool {
        matches!(self, Arch::Resnet9Blocks | Arch::Resnet6Blocks | Arch::Resnet4Blocks | Arch::Resnet)
    }

    /// The name in a configuration.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, a)| *a == self).map_or("?", |(n, _)| n)
    }
}

documented! {
    /// A generator. An architecture ignores keys that it has no use for; [`GeneratorConfig::unused_keys`] names them.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub struct GeneratorConfig {
        /// Architecture.
        pub arch: Arch,
        /// Channels of the input.
        pub input_nc: usize,
        /// Channels of the output.
        pub output_nc: usize,
        /// Width of the first layer.
        pub ngf: usize,
        /// Normalization.
        pub norm: NormKind,
        /// Dropout (ResNet blocks, innermost U-Net blocks).
        pub dropout: bool,
        /// Padding of ResNet blocks.
        pub padding: Padding,
        /// Padding of the halvings of a ResNet or a U-Net.
        pub down_padding: Padding,
        /// How a generator doubles the size.
        pub upsample: Upsample,
        /// Where a U-Net has activations and biases.
        pub unet_layout: UnetLayout,
        /// ResNets halve by a blur behind a convolution with stride 1 (CUT).
        pub antialias: bool,
        /// ResNets double by a blur in front of a convolution (CUT).
        pub antialias_up: bool,
        /// Blocks of `arch = "resnet"`.
        pub n_blocks: usize,
        /// Halvings of `arch = "unet"`.
        pub num_downs: usize,
        /// Halvings of the global generator.
        pub n_downsample_global: usize,
        /// Blocks of the global generator.
        pub n_blocks_global: usize,
        /// Number of local enhancers.
        pub n_local_enhancers: usize,
        /// Blocks of a local enhancer.
        pub n_blocks_local: usize,
        /// Weight initialization.
        pub init_type: InitType,
        /// Its gain.
        pub init_gain: f64,
    }
}

impl Default for GeneratorConfig {
    fn default() -> Self {
        GeneratorConfig {
            arch: Arch::Resnet9Blocks,
            input_nc: 3,
            output_nc: 3,
            ngf: 64,
            norm: NormKind::Instance,
            dropout: false,
            padding: Padding::Reflect,
            down_padding: Padding::Zero,
            upsample: Upsample::Deconv,
            unet_layout: UnetLayout::Reference,
            antialias: false,
            antialias_up: false,
            n_blocks: 9,
            num_downs: 8,
            n_downsample_global: 4,
            n_blocks_global: 9,
            n_local_enhancers: 1,
            n_blocks_local: 3,
            init_type: InitType::Normal,
            init_gain: 0.02,
        }
    }
}

impl GeneratorConfig {
    /// The ranges of the numeric keys.
    pub const RANGES: &'static [Range] = &[
        bounds::INPUT_NC,
        bounds::OUTPUT_NC,
        bounds::NGF,
        bounds::N_BLOCKS,
        bounds::NUM_DOWNS,
        bounds::N_DOWNSAMPLE_GLOBAL,
        bounds::N_BLOCKS_GLOBAL,
        bounds::N_LOCAL_ENHANCERS,
        bounds::N_BLOCKS_LOCAL,
        bounds::INIT_GAIN,
    ];

    /// Refuses numbers out of range, and a network of more parameters than any machine would hold. Nothing is allocated.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange), [`Error::TooLarge`](crate::Error::TooLarge).
    pub fn validate(&self) -> crate::Result<()> {
        bounds::check_all(self, Self::RANGES)?;
        let d = Self::default();
        let mut factors = vec![
            Factor::linear("input_nc", self.input_nc, d.input_nc),
            Factor::linear("output_nc", self.output_nc, d.output_nc),
            Factor::linear("ngf", self.ngf, d.ngf),
        ];
        match self.arch {
            Arch::Resnet => factors.push(Factor::linear("n_blocks", self.n_blocks, d.n_blocks)),
            Arch::Unet => factors.push(Factor::linear("num_downs", self.num_downs, d.num_downs)),
            Arch::Global | Arch::Local => factors.extend([
                Factor::doubling("n_downsample_global", self.n_downsample_global, d.n_downsample_global),
                Factor::linear("n_blocks_global", self.n_blocks_global, d.n_blocks_global),
            ]),
            _ => {}
        }
        if self.arch == Arch::Local {
            factors.extend([
                Factor::doubling("n_local_enhancers", self.n_local_enhancers, d.n_local_enhancers),
                Factor::linear("n_blocks_local", self.n_blocks_local, d.n_blocks_local),
            ]);
        }
        bounds::check_size(&factors, |at| self.build(at))
    }

    fn resnet(&self, n_blocks: usize) -> ResnetConfig {
        ResnetConfig {
            input_nc: self.input_nc,
            output_nc: self.output_nc,
            ngf: self.ngf,
            n_blocks,
            norm: self.norm,
            dropout: self.dropout,
            padding: self.padding,
            down_padding: self.down_padding,
            upsample: self.upsample,
            antialias: self.antialias,
            antialias_up: self.antialias_up,
        }
    }

    fn unet(&self, num_downs: usize) -> UnetConfig {
        UnetConfig {
            input_nc: self.input_nc,
            output_nc: self.output_nc,
            ngf: self.ngf,
            num_downs,
            norm: self.norm,
            dropout: self.dropout,
            upsample: self.upsample,
            layout: self.unet_layout,
            down_padding: self.down_padding,
        }
    }

    /// Number of halvings of a U-Net.
    fn downs(&self) -> usize {
        match self.arch {
            Arch::Unet256 => 8,
            Arch::Unet128 => 7,
            _ => self.num_downs,
        }
    }

    /// Both sides of the input should be multiples of this. (A ResNet also takes other sizes, but returns the next
    /// multiple of four.)
    pub fn size_multiple(&self) -> usize {
        match self.arch {
            Arch::Resnet9Blocks | Arch::Resnet6Blocks | Arch::Resnet4Blocks | Arch::Resnet => 4,
            Arch::Unet256 | Arch::Unet128 | Arch::Unet => 1 << self.downs(),
            Arch::Global => 1 << self.n_downsample_global,
            Arch::Local => 1 << (self.n_downsample_global + self.n_local_enhancers),
        }
    }

    /// Writes the network down.
    ///
    /// # Errors
    /// For a number out of its range, and those of the builder's source.
    pub fn build<'a>(&self, at: impl Into<Builder<'a>>) -> Result<Generator> {
        let at = at.into();
        let net = match self.arch {
            Arch::Resnet9Blocks => Net::Plain(self.resnet(9).layers(at)?),
            Arch::Resnet6Blocks => Net::Plain(self.resnet(6).layers(at)?),
            Arch::Resnet4Blocks => Net::Plain(self.resnet(4).layers(at)?),
            Arch::Resnet => Net::Plain(self.resnet(self.n_blocks).layers(at)?),
            Arch::Unet256 | Arch::Unet128 | Arch::Unet => Net::Plain(self.unet(self.downs()).layers(at)?),
            Arch::Global => Net::Plain(
                GlobalConfig {
                    input_nc: self.input_nc,
                    output_nc: self.output_nc,
                    ngf: self.ngf,
                    n_downsample: self.n_downsample_global,
                    n_blocks: self.n_blocks_global,
                    norm: self.norm,
                    upsample: self.upsample,
                }
                .layers(at)?,
            ),
            Arch::Local => Net::Local(
                LocalConfig {
                    input_nc: self.input_nc,
                    output_nc: self.output_nc,
                    ngf: self.ngf,
                    n_downsample_global: self.n_downsample_global,
                    n_blocks_global: self.n_blocks_global,
                    n_local: self.n_local_enhancers,
                    n_blocks_local: self.n_blocks_local,
                    norm: self.norm,
                    upsample: self.upsample,
                }
                .layers(at)?,
            ),
        };
        Ok(Generator { net, config: self.clone() })
    }
}

/// A generator network.
#[derive(Debug, Clone)]
pub struct Generator {
    pub(crate) net: Net,
    config: GeneratorConfig,
}

#[derive(Debug, Clone)]
pub(crate) enum Net {
    Plain(Sequence),
    Local(LocalEnhancer),
}

impl Generator {
    /// Another network of the same configuration.
    pub(crate) fn with_net(&self, net: Net) -> Self {
        Generator { net, config: self.config.clone() }
    }

    /// What it was built from.
    pub fn config(&self) -> &GeneratorConfig {
        &self.config
    }

    /// `[N, input_nc, H, W]`, a tensor or the planes of labels → `[N, output_nc, H, W]` in [-1, 1].
    ///
    /// # Errors
    /// `x` does not have `input_nc` channels, or has a size that the layers do not take (see
    /// [`GeneratorConfig::size_multiple`]); those of [`Sequence::forward`].
    pub fn forward<'a>(&self, x: impl Into<Input<'a>>, ctx: &Ctx) -> Result<Tensor> {
        self.forward_with_coarse(x, ctx, ctx)
    }

    /// As [`Generator::forward`]; all but the outermost local enhancer run with the context `coarse` (frozen while
    /// pix2pixHD trains a new enhancer).
    ///
    /// # Errors
    /// As [`Generator::forward`].
    pub fn forward_with_coarse<'a>(&self, x: impl Into<Input<'a>>, ctx: &Ctx, coarse: &Ctx) -> Result<Tensor> {
        match &self.net {
            Net::Plain(seq) => seq.forward(x, ctx),
            Net::Local(local) => local.forward(x, ctx, coarse),
        }
    }

    /// The network for one input as a dataflow that is evaluated in bands of rows, and its output; on the CPU with the bits of
    /// [`Generator::forward`].
    ///
    /// # Errors
    /// As [`Generator::forward`] and [`Dataflow::new`].
    pub fn dataflow<'a>(&'a self, x: impl Into<Input<'a>>, ctx: &Ctx) -> Result<(Dataflow<'a>, Value)> {
        self.trace(Dataflow::new(x.into(), ctx)?)
    }

    /// The same by another engine than that of the input's device.
    ///
    /// # Errors
    /// As [`Generator::dataflow`].
    pub fn dataflow_by<'a>(
        &'a self,
        x: impl Into<Input<'a>>,
        ctx: &Ctx,
        engine: Engine,
    ) -> Result<(Dataflow<'a>, Value)> {
        self.trace(Dataflow::new(x.into(), ctx)?.with_engine(engine)?)
    }

    /// The same for an input that is read row by row.
    ///
    /// # Errors
    /// As [`Generator::forward`] and [`Dataflow::over`].
    pub fn dataflow_over<'a>(
        &'a self,
        source: &'a dyn RowSource,
        ctx: &Ctx,
        engine: Engine,
    ) -> Result<(Dataflow<'a>, Value)> {
        self.trace(Dataflow::over(source, ctx, engine)?)
    }

    fn trace<'a>(&'a self, mut flow: Dataflow<'a>) -> Result<(Dataflow<'a>, Value)> {
        let output = match &self.net {
            Net::Plain(seq) => flow.apply_to_input(seq)?,
            Net::Local(local) => local.trace(&mut flow)?,
        };
        Ok((flow, output))
    }

    /// The operators of the network, and its output `[N, output_nc, H, W]` among them; the statistics of batch norms are those that `ctx` says.
    ///
    /// # Errors
    /// As [`OperatorGraph::new`] and [`OperatorGraph::apply`].
    pub fn operators(&self, ctx: &Ctx) -> Result<(OperatorGraph, OperatorValue)> {
        let mut graph = OperatorGraph::new(self.config.input_nc, ctx)?;
        let output = match &self.net {
            Net::Plain(seq) => graph.apply(seq, graph.input())?,
            Net::Local(local) => local.operators(&mut graph)?,
        };
        Ok((graph, output))
    }

    /// The sequences that it consists of, by what their keys begin with: one, or those of local enhancers in the order of the state dict.
    pub fn sequences(&self) -> Vec<(String, &Sequence)> {
        match &self.net {
            Net::Plain(seq) => vec![("model".to_owned(), seq)],
            Net::Local(local) => local.sequences(),
        }
    }

    /// Whether it was built over a [`ParamStore`](gan_layers::ParamStore), whose parameters may change.
    pub fn is_trainable(&self) -> bool {
        match &self.net {
            Net::Plain(seq) => seq.is_trainable(),
            Net::Local(local) => local.trunk.is_trainable(),
        }
    }

    /// Layers, parameters and multiply-adds for images of this height and width.
    ///
    /// # Errors
    /// Where a layer does not take the size that reaches it.
    pub fn summary(&self, (h, w): (usize, usize)) -> Result<Summary> {
        let mut summary = Summary::default();
        match &self.net {
            Net::Plain(seq) => {
                summary.add(seq, (self.config.input_nc, h, w))?;
            }
            Net::Local(local) => {
                let mut sizes = vec![(h, w)];
                for _ in &local.enhancers {
                    let (h, w) = sizes[sizes.len() - 1];
                    sizes.push((h.div_ceil(2), w.div_ceil(2)));
                }
                let at = |i: usize| (self.config.input_nc, sizes[i].0, sizes[i].1);
                summary.add(&local.trunk, at(local.enhancers.len()))?;
                for (m, enhancer) in local.enhancers.iter().enumerate() {
                    let coarse = summary.output_hw();
                    let down = summary.add(&enhancer.down, at(local.enhancers.len() - 1 - m))?;
                    if coarse != Some((down.1, down.2)) {
                        bail!(
                            "model{}_1 puts out {} x {}, which does not fit what comes below it",
                            m + 1,
                            down.1,
                            down.2
                        );
                    }
                    summary.add(&enhancer.up, down)?;
                }
            }
        }
        Ok(summary)
    }
}

/// For translation: batch statistics, no dropout, nothing tracked ([`Ctx::translate`]).
impl candle_nn::Module for Generator {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Generator::forward(self, x, &Ctx::translate())
    }
}
