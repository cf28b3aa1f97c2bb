//! Lightness and colour of images (CIE Lab) as part of the graph, in 32 bits.

use super::graph::{Graph, int};
use super::preprocessing::number;
use crate::Result;
use candle_core::{Device, Tensor};
use gan_data::{RGB_TO_XYZ, WHITE, xyz_to_rgb};

const PATH: &str = "lab";

/// Levels `[N, 3, H, W]` of an image as lightness `[N, 1, H, W]`, `L / 50 - 1`.
pub(super) fn lightness(to: &mut Graph, levels: &str) -> Result<String> {
    let top = number(to, "255", 255.)?;
    let unit = to.node(PATH, "Div", &[levels, &top], Vec::new());
    // sRGB's curve taken back.
    let (offset, scale, power) = (number(to, "0.055", 0.055)?, number(to, "1.055", 1.055)?, number(to, "2.4", 2.4)?);
    let (knee, slope) = (number(to, "0.04045", 0.04045)?, number(to, "12.92", 12.92)?);
    let shifted = to.node(PATH, "Add", &[&unit, &offset], Vec::new());
    let scaled = to.node(PATH, "Div", &[&shifted, &scale], Vec::new());
    let curved = to.node(PATH, "Pow", &[&scaled, &power], Vec::new());
    let straight = to.node(PATH, "Div", &[&unit, &slope], Vec::new());
    let linear = above(to, &unit, &knee, (&curved, &straight));
    // Y alone makes the lightness.
    let y = mixed(to, "lab_y", &linear, &[RGB_TO_XYZ[1].map(|part| part / WHITE[1])], None)?;
    let (third, knee) = (number(to, "third", 1. / 3.)?, number(to, "0.008856", 0.008856)?);
    let root = to.node(PATH, "Pow", &[&y, &third], Vec::new());
    let straight = mixed(to, "lab_straight", &y, &[[7.787]], Some(&[16.0 / 116.0]))?;
    let f = above(to, &y, &knee, (&root, &straight));
    mixed(to, "lab_l", &f, &[[116.0 / 50.0]], Some(&[-16.0 / 50.0 - 1.0]))
}

/// Lightness `[N, 1, H, W]` and colour `[N, 2, H, W]`, `(a, b) / 110`, as red, green and blue; those of colours that sRGB has lie in [0, 1].
pub(super) fn rgb(to: &mut Graph, lightness: &str, colour: &str) -> Result<String> {
    let lab = to.node(PATH, "Concat", &[lightness, colour], vec![int("axis", 1)]);
    let (of_l, shift) = (50.0 / 116.0, 66.0 / 116.0);
    let rows = [[of_l, 110.0 / 500.0, 0.0], [of_l, 0.0, 0.0], [of_l, 0.0, -110.0 / 200.0]];
    let f = mixed(to, "lab_f", &lab, &rows, Some(&[shift; 3]))?;
    let (none, knee) = (number(to, "0", 0.)?, number(to, "0.2068966", 0.206_896_6)?);
    // Only the last of the three has a lower bound.
    let least = Tensor::new(&[-1e3f32, -1e3, 0.0], &Device::Cpu)?.reshape((1, 3, 1, 1))?;
    let least = to.constant("lab_least", least);
    let f = to.node(PATH, "Max", &[&f, &least], Vec::new());
    let square = to.node(PATH, "Mul", &[&f, &f], Vec::new());
    let cube = to.node(PATH, "Mul", &[&square, &f], Vec::new());
    let diagonal = [0, 1, 2].map(|i| std::array::from_fn::<f64, 3, _>(|j| if i == j { 1.0 / 7.787 } else { 0.0 }));
    let straight = mixed(to, "lab_t", &f, &diagonal, Some(&[-16.0 / 116.0 / 7.787; 3]))?;
    let xyz = above(to, &f, &knee, (&cube, &straight));
    let rows = xyz_to_rgb().map(|row| [row[0] * WHITE[0], row[1] * WHITE[1], row[2] * WHITE[2]]);
    let linear = mixed(to, "lab_rgb", &xyz, &rows, None)?;
    let (knee, power) = (number(to, "0.0031308", 0.003_130_8)?, number(to, "1/2.4", 1. / 2.4)?);
    let (scale, offset, slope) =
        (number(to, "1.055", 1.055)?, number(to, "0.055", 0.055)?, number(to, "12.92", 12.92)?);
    // A power of what is negative is no number; there the straight part counts.
    let positive = to.node(PATH, "Max", &[&linear, &knee], Vec::new());
    let root = to.node(PATH, "Pow", &[&positive, &power], Vec::new());
    let scaled = to.node(PATH, "Mul", &[&root, &scale], Vec::new());
    let curved = to.node(PATH, "Sub", &[&scaled, &offset], Vec::new());
    let straight = to.node(PATH, "Mul", &[&linear, &slope], Vec::new());
    let value = above(to, &linear, &knee, (&curved, &straight));
    let one = number(to, "1", 1.)?;
    Ok(to.node(PATH, "Clip", &[&value, &none, &one], Vec::new()))
}

/// The first of two values where `x` is above the knee, else the second.
fn above(to: &mut Graph, x: &str, knee: &str, (yes, no): (&str, &str)) -> String {
    let is = to.node(PATH, "Greater", &[x, knee], Vec::new());
    to.node(PATH, "Where", &[&is, yes, no], Vec::new())
}

/// Channels that are sums of products of the channels of `x`: a convolution of one pixel.
fn mixed<const C: usize>(
    to: &mut Graph,
    name: &str,
    x: &str,
    rows: &[[f64; C]],
    shift: Option<&[f64]>,
) -> Result<String> {
    let weights: Vec<f32> = rows.iter().flatten().map(|&part| part as f32).collect();
    let weights = to.constant(name, Tensor::from_vec(weights, (rows.len(), C, 1, 1), &Device::Cpu)?);
    let shift = shift
        .map(|shift| Tensor::from_iter(shift.iter().map(|&part| part as f32), &Device::Cpu))
        .transpose()?
        .map(|shift| to.constant(&format!("{name}_shift"), shift));
    let inputs: Vec<&str> = [x, &weights].into_iter().chain(shift.as_deref()).collect();
    let attributes = vec![
        int("group", 1),
        super::graph::ints("pads", &[0; 4]),
        super::graph::ints("strides", &[1; 2]),
        super::graph::ints("kernel_shape", &[1; 2]),
    ];
    Ok(to.node(PATH, "Conv", &inputs, attributes))
}
