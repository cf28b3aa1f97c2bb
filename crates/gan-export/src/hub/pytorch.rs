//! A generator as PyTorch code: another walk over its layers, whose keys are then those of the weight file.

use crate::{Error, Result};
use gan_layers::layers::act::Activation;
use gan_layers::layers::avg_pool::AvgPool;
use gan_layers::layers::blur_pool::BlurPool;
use gan_layers::layers::blur_upsample::BlurUpsample;
use gan_layers::layers::dropout::DropoutLayer;
use gan_layers::layers::identity::Identity;
use gan_layers::layers::pad::Pad;
use gan_layers::layers::residual::Residual;
use gan_layers::layers::skip::Skip;
use gan_layers::layers::upsample::UpsampleNearest;
use gan_layers::{Act, Conv, ConvTranspose, Node, NormLayer, PadMode, Sequence};
use gan_nets::Generator;

/// Module definitions that printed layers need.
const RESIDUAL: &str = "\
class Residual(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.conv_block = nn.Sequential(*layers)

    def forward(self, x):
        return x + self.conv_block(x)
";
const SKIP: &str = "\
class Skip(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.model = nn.Sequential(*layers)

    def forward(self, x):
        return torch.cat([x, self.model(x)], 1)
";
const BLUR: &str = "\
class Blur(nn.Module):
    def __init__(self, channels, taps, gain):
        super().__init__()
        row = torch.tensor(taps)
        self.register_buffer(\"filt\", (row[:, None] * row * (gain / row.sum() ** 2)).repeat(channels, 1, 1, 1))


class BlurPool(Blur):
    def __init__(self, channels):
        super().__init__(channels, [1.0, 2.0, 1.0], 1.0)

    def forward(self, x):
        return F.conv2d(F.pad(x, [1] * 4, \"reflect\"), self.filt, stride=2, groups=x.shape[1])


class BlurUpsample(Blur):
    def __init__(self, channels):
        super().__init__(channels, [1.0, 3.0, 3.0, 1.0], 4.0)

    def forward(self, x):
        return F.conv_transpose2d(F.pad(x, [1] * 4, \"replicate\"), self.filt, stride=2, padding=3, groups=x.shape[1])
";
const MODEL: &str = "\
class Model(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x)
";
const ENHANCERS: &str = "\
class LocalEnhancers(nn.Module):
    def __init__(self, model, *enhancers):
        super().__init__()
        self.model, self.count = model, len(enhancers)
        for i, (down, up) in enumerate(enhancers, 1):
            setattr(self, f\"model{i}_1\", down)
            setattr(self, f\"model{i}_2\", up)

    def forward(self, x):
        scales = [x]
        for _ in range(self.count):
            scales.append(F.avg_pool2d(scales[-1], 3, 2, 1, count_include_pad=False))
        y = self.model(scales[-1])
        for i in range(1, self.count + 1):
            y = getattr(self, f\"model{i}_2\")(getattr(self, f\"model{i}_1\")(scales[self.count - i]) + y)
        return y
";

/// The code that defines `generator`: classes, then the network. The first lines import nothing.
///
/// # Errors
/// [`Error::NoModule`] for a layer that PyTorch has no module for.
pub(super) fn generator(network: &Generator) -> Result<String> {
    let sequences = network.sequences();
    let body = match &sequences[..] {
        [(_, only)] => {
            let first = only.nodes().first().map_or("", |node| node.path.as_str());
            let levels = first.split('.').take_while(|part| *part == "model").count();
            let mut code = sequence(only, 0, 0)?;
            for _ in 0..levels {
                code = format!("Model({code})");
            }
            code
        }
        [(_, trunk), enhancers @ ..] => {
            let mut parts = vec![sequence(trunk, 1, 0)?];
            let width = trunk_width(trunk);
            for pair in enhancers.chunks(2) {
                let [(_, down), (_, up)] = pair else { continue };
                parts.push(format!("({}, {})", sequence(down, 1, 0)?, sequence(up, 1, width)?));
            }
            format!("LocalEnhancers(\n    {},\n)", parts.join(",\n    "))
        }
        [] => String::new(),
    };
    let uses = |name: &str| body.contains(name);
    let classes = [
        ("Residual(", RESIDUAL),
        ("Skip(", SKIP),
        ("Blur", BLUR),
        (" = Model(", MODEL),
        ("LocalEnhancers(", ENHANCERS),
    ];
    let code = format!("generator = {body}");
    let used = classes.iter().filter(|(name, _)| uses(name) || code.contains(name)).map(|(_, class)| *class);
    let classes: Vec<&str> = used.collect();
    Ok(format!("{}\n\n{code}\n", classes.join("\n\n")))
}

/// Channels that a sequence puts out.
fn trunk_width(seq: &Sequence) -> usize {
    let mut widths = seq.nodes().iter().filter_map(|node| {
        let transposed = node.layer.get::<ConvTranspose>().map(|conv| conv.weight.tensor().dims()[1]);
        transposed.or_else(|| node.layer.get::<Conv>().map(|conv| conv.weight.tensor().dims()[0]))
    });
    widths.next_back().unwrap_or(0)
}

/// A sequence of modules at an indentation, for an input of so many channels where the first layer does not tell.
fn sequence(seq: &Sequence, depth: usize, channels: usize) -> Result<String> {
    let (modules, _) = modules(seq, depth + 1, channels)?;
    Ok(format!("nn.Sequential(\n{}{})", listed(&modules, depth + 1), indent(depth)))
}

/// The modules of a sequence, and the channels of what they put out.
fn modules(seq: &Sequence, depth: usize, mut channels: usize) -> Result<(Vec<String>, usize)> {
    let mut all = Vec::with_capacity(seq.nodes().len());
    for node in seq.nodes() {
        let (text, out) = module(node, depth, channels)?;
        channels = out;
        all.push(text);
    }
    Ok((all, channels))
}

/// Modules one a line; equal ones in a row are one line.
fn listed(modules: &[String], depth: usize) -> String {
    let mut text = String::new();
    for group in modules.chunk_by(|a, b| a == b) {
        let line = match group {
            [one] => one.clone(),
            several => format!("*[{} for _ in range({})]", several[0], several.len()),
        };
        text += &format!("{}{line},\n", indent(depth));
    }
    text
}

fn indent(depth: usize) -> String {
    "    ".repeat(depth)
}

fn module(node: &Node, depth: usize, channels: usize) -> Result<(String, usize)> {
    let layer = &node.layer;
    let inner = |name: &str, class: &str, seq: &Sequence| -> Result<(String, usize)> {
        let expected = format!("{}.{name}.", node.path);
        if seq.nodes().iter().any(|node| !node.path.starts_with(&expected)) {
            return Err(Error::NoModule { path: node.path.clone() });
        }
        let (modules, out) = modules(seq, depth + 1, channels)?;
        Ok((format!("{class}(\n{}{})", listed(&modules, depth + 1), indent(depth)), out))
    };
    if let Some(conv) = layer.get::<Conv>() {
        let (out, in_nc, kh, kw) = conv.weight.tensor().dims4()?;
        let side = if kh == kw { kh.to_string() } else { format!("({kh}, {kw})") };
        let mut text = format!("nn.Conv2d({in_nc}, {out}, {side}");
        if conv.stride != 1 {
            text += &format!(", stride={}", conv.stride);
        }
        match conv.padding {
            [0, 0] => {}
            [rows, columns] if rows == columns => text += &format!(", padding={rows}"),
            [rows, columns] => text += &format!(", padding=({rows}, {columns})"),
        }
        return Ok((text + unbiased(conv.bias.is_none()) + ")", out));
    }
    if let Some(conv) = layer.get::<ConvTranspose>() {
        let (in_nc, out, kernel, _) = conv.weight.tensor().dims4()?;
        let mut text =
            format!("nn.ConvTranspose2d({in_nc}, {out}, {kernel}, stride={}, padding={}", conv.stride, conv.padding);
        if conv.output_padding > 0 {
            text += &format!(", output_padding={}", conv.output_padding);
        }
        return Ok((text + unbiased(conv.bias.is_none()) + ")", out));
    }
    if let Some(Residual(seq)) = layer.get() {
        return inner("conv_block", "Residual", seq);
    }
    if let Some(Skip(seq)) = layer.get() {
        let (text, out) = inner("model", "Skip", seq)?;
        return Ok((text, channels + out));
    }
    let text = if let Some(pad) = layer.get::<Pad>() {
        let class = match pad.mode {
            PadMode::Zero => "ZeroPad2d",
            PadMode::Reflect => "ReflectionPad2d",
            PadMode::Replicate => "ReplicationPad2d",
        };
        format!("nn.{class}({})", pad.size)
    } else if let Some(norm) = layer.get::<NormLayer>() {
        match norm {
            NormLayer::Instance => format!("nn.InstanceNorm2d({channels})"),
            NormLayer::InstanceAffine(_) => format!("nn.InstanceNorm2d({channels}, affine=True)"),
            NormLayer::Batch(batch) if batch.eps == 1e-5 => format!("nn.BatchNorm2d({channels})"),
            NormLayer::Batch(batch) => format!("nn.BatchNorm2d({channels}, eps={:e})", batch.eps),
        }
    } else if let Some(Activation(act)) = layer.get() {
        match act {
            Act::Identity => "nn.Identity()",
            Act::Relu => "nn.ReLU()",
            Act::LeakyRelu => "nn.LeakyReLU(0.2)",
            Act::Tanh => "nn.Tanh()",
        }
        .to_owned()
    } else if layer.get::<Identity>().is_some() {
        "nn.Identity()".to_owned()
    } else if let Some(dropout) = layer.get::<DropoutLayer>() {
        format!("nn.Dropout({})", dropout.p)
    } else if let Some(UpsampleNearest { factor }) = layer.get() {
        format!("nn.Upsample(scale_factor={factor})")
    } else if layer.get::<BlurPool>().is_some() {
        format!("BlurPool({channels})")
    } else if layer.get::<BlurUpsample>().is_some() {
        format!("BlurUpsample({channels})")
    } else if let Some(AvgPool(windows)) = layer.get() {
        let (kernel, stride, padding) = (windows.kernel, windows.stride, windows.padding);
        format!("nn.AvgPool2d({kernel}, {stride}, {padding}, count_include_pad=False)")
    } else {
        return Err(Error::NoModule { path: node.path.clone() });
    };
    Ok((text, channels))
}

fn unbiased(unbiased: bool) -> &'static str {
    if unbiased { ", bias=False" } else { "" }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use gan_nets::{Arch, Builder, GeneratorConfig};

    fn code(config: GeneratorConfig) -> String {
        super::generator(&config.build(Builder::shapes_only()).unwrap()).unwrap()
    }

    #[test]
    fn equal_blocks_are_one_line_and_keys_have_their_levels() {
        let text = code(GeneratorConfig { ngf: 2, ..GeneratorConfig::default() });
        assert!(text.contains("for _ in range(9)]") && text.contains("generator = Model(nn.Sequential("), "{text}");
        assert!(text.contains("class Residual") && !text.contains("class Skip"), "{text}");
        let unet = GeneratorConfig { arch: Arch::Unet, num_downs: 5, ngf: 2, ..GeneratorConfig::default() };
        let text = code(unet);
        assert!(text.contains("generator = Model(Model(nn.Sequential("), "{text}");
        assert_eq!(text.matches("Skip(\n").count(), 4, "{text}");
    }

    #[test]
    fn every_architecture_has_code() {
        for (_, arch) in Arch::ALL {
            let small = GeneratorConfig {
                arch,
                ngf: 2,
                num_downs: 5,
                n_blocks: 1,
                n_blocks_global: 1,
                ..GeneratorConfig::default()
            };
            assert!(code(small).contains("generator = "));
        }
    }
}
