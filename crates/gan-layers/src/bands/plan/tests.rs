//! Plans: how they keep to limits, and how fast they are beside all others.

#![allow(clippy::unwrap_used, clippy::print_stdout)]
use super::*;
use crate::bands::{Content, Engine, RowSource};
use crate::{Act, Builder, ConvSpec, Ctx, NormKind, PadMode, Sequence, SequenceBuilder};
use candle_core::{Result, Tensor, bail};
use std::ops::Range;

/// An image that no plan looks at.
struct Square(usize);

impl RowSource for Square {
    fn content(&self) -> Content {
        Content::Planes { channels: 3 }
    }

    fn size(&self) -> (usize, usize) {
        (self.0, self.0)
    }

    fn rows(&self, _: &Range<usize>) -> Result<Tensor> {
        bail!("nothing is computed")
    }
}

fn half_block(s: SequenceBuilder<'_>) -> Result<SequenceBuilder<'_>> {
    let conv = ConvSpec { in_nc: 256, out_nc: 256, kernel: 3, stride: 1, padding: 0, bias: true };
    s.pad(PadMode::Reflect, 1).conv(conv)?.norm(NormKind::Instance, 256)
}

/// The ResNet of so many blocks of CycleGAN.
fn resnet(blocks: usize) -> Sequence {
    let conv = |in_nc, out_nc, kernel, stride, padding| ConvSpec { in_nc, out_nc, kernel, stride, padding, bias: true };
    let norm = NormKind::Instance;
    let mut s = SequenceBuilder::new(Builder::shapes_only()).pad(PadMode::Reflect, 3);
    s = s.conv(conv(3, 64, 7, 1, 0)).unwrap().norm(norm, 64).unwrap().act(Act::Relu);
    for channels in [64, 128] {
        let more = 2 * channels;
        s = s.conv(conv(channels, more, 3, 2, 1)).unwrap().norm(norm, more).unwrap().act(Act::Relu);
    }
    for _ in 0..blocks {
        s = s.residual("conv_block", |s| half_block(half_block(s)?.act(Act::Relu))).unwrap();
    }
    for channels in [256, 128] {
        let fewer = channels / 2;
        s = s.conv_transpose(conv(channels, fewer, 3, 2, 1), 1).unwrap().norm(norm, fewer).unwrap().act(Act::Relu);
    }
    s.pad(PadMode::Reflect, 3).conv(conv(64, 3, 7, 1, 0)).unwrap().act(Act::Tanh).finish()
}

/// With `--nocapture`, prints what each sweep computes, reads and writes.
#[test]
fn files_move_no_more_than_they_must() {
    let (net, image) = (resnet(9), Square(4096));
    let mut flow = Dataflow::over(&image, &Ctx::translate(), Engine::Exact).unwrap();
    let output = flow.apply_to_input(&net).unwrap();
    let rates = Rates { macs: 120e9, scratch: 800e6, copies: 6e9 };
    let limits = |memory: u64| Limits { memory: memory << 20, scratch: u64::MAX, frees: true, output: 48 << 20 };
    let plan = flow.plan(output, &limits(720), &rates).unwrap();
    for (sweep, rows) in &plan.sweeps {
        let named = |wanted: fn(&Part) -> bool| -> Vec<String> {
            let parts = sweep.parts.iter().filter(|part| wanted(part));
            parts.map(|part| format!("{} ({} resident)", part.value, plan.resident[part.value])).collect()
        };
        let reads = named(|part| part.in_file && part.stored);
        let writes = named(|part| part.in_file && part.stores);
        println!("bands of {rows} rows: {:?}, reads {reads:?}, writes {writes:?}", sweep.parts.last().unwrap().value);
    }
    println!(
        "{:.1} GiB moved, {:.1} GiB of files, {:.2} times the work, {:.0} s",
        plan.moved as f64 / 2f64.powi(30),
        plan.scratch as f64 / 2f64.powi(30),
        plan.macs as f64 / flow.macs() as f64,
        plan.seconds
    );
    assert!(plan.memory <= 720 << 20 && plan.macs * 10 <= flow.macs() * 11);
    // Of each block two convolutions and their input are written once and read once, each 1 GiB.
    assert!(plan.moved < 54 << 30, "{} bytes are moved", plan.moved);
    // Work and files at the same time: not much longer than the longer of the two.
    let work = plan.macs as f64 / rates.macs;
    assert!(plan.seconds < 1.25 * work, "{} s, work {work} s", plan.seconds);
}

/// Rows of the bands of all sweeps.
fn rows(plan: &Plan) -> Vec<usize> {
    plan.sweeps.iter().map(|(_, rows)| *rows).collect()
}

#[test]
fn bands_have_as_many_rows_as_gain_speed() {
    let net = resnet(1);
    let limits = Limits { memory: u64::MAX, scratch: 0, frees: true, output: 0 };
    let rates = Rates { macs: 120e9, scratch: 800e6, copies: 6e9 };
    // 64 channels: rows of 128 KiB, of 4 MiB, of 8 MiB.
    for (side, most) in [(512, 128), (16384, 8), (32768, 8)] {
        let image = Square(side);
        let mut flow = Dataflow::over(&image, &Ctx::translate(), Engine::Exact).unwrap();
        let output = flow.apply_to_input(&net).unwrap();
        let plan = flow.plan(output, &limits, &rates).unwrap();
        let rows = rows(&plan);
        assert_eq!(rows.iter().max(), Some(&most), "{side}: {rows:?}");
        // Without a limit, nothing is computed again, and nothing moves.
        assert_eq!((plan.macs, plan.moved, plan.scratch), (flow.macs(), 0, 0));
        assert_eq!(plan.count(Place::Scratch), 0);
        assert!(plan.resident.iter().all(|&rows| rows == 0));
        // Packed weights are there for a sweep; the largest have one of their own.
        let largest = flow.nodes.iter().map(|node| node.packed).max();
        assert!(Some(plan.packed) >= largest && plan.packed < flow.nodes.iter().map(|node| node.packed).sum());
        // Nothing is faster, though it is not the least memory.
        let work = flow.macs() as f64 / rates.macs;
        assert!((plan.seconds / work - 1.0).abs() < 1e-9, "{} s, work {work} s", plan.seconds);
    }
}

#[test]
fn a_forward_pass_holds_a_value_until_its_last_use() {
    let image = Square(10);
    let net = SequenceBuilder::new(Builder::shapes_only()).act(Act::Relu).act(Act::Tanh).act(Act::Relu).finish();
    let mut flow = Dataflow::over(&image, &Ctx::translate(), Engine::Exact).unwrap();
    let output = flow.apply_to_input(&net).unwrap();
    let bytes = 3 * 10 * 10 * 4;
    assert_eq!((flow.memory_of_forward(output), flow.macs(), flow.packed_kept()), (2 * bytes, 0, 0));
    // The input once more, at the end.
    let input = flow.input().unwrap();
    let sum = flow.add(output, input).unwrap();
    assert_eq!(flow.memory_of_forward(sum), 3 * bytes);
}

/// Label maps that no plan looks at.
struct Maps;

impl RowSource for Maps {
    fn content(&self) -> Content {
        Content::Labels { classes: 4, instances: true }
    }

    fn size(&self) -> (usize, usize) {
        (300, 200)
    }

    fn rows(&self, _: &Range<usize>) -> Result<Tensor> {
        bail!("nothing is computed")
    }
}

#[test]
fn what_is_made_of_an_input_is_made_again() {
    let mut flow = Dataflow::over(&Maps, &Ctx::translate(), Engine::Exact).unwrap();
    let input = flow.input().unwrap();
    assert_eq!(flow.dims(input), [5, 300, 200]);
    // Label and halves of the id, label and edge, and planes.
    let channels: Vec<usize> = flow.nodes.iter().map(|node| node.size.channels).collect();
    assert_eq!(channels, [3, 2, 5]);
    assert!(flow.nodes.iter().all(|node| node.cheap));
}

/// A network of four values that can be stored, two of which are normalised.
fn small() -> Sequence {
    let conv = |in_nc, out_nc, stride| ConvSpec { in_nc, out_nc, kernel: 3, stride, padding: 1, bias: true };
    let norm = NormKind::Instance;
    let s = SequenceBuilder::new(Builder::shapes_only()).conv(conv(3, 16, 1)).unwrap().norm(norm, 16).unwrap();
    let s = s.act(Act::Relu).conv(conv(16, 32, 2)).unwrap().norm(norm, 32).unwrap().act(Act::Relu);
    let s = s.residual("block", |s| s.conv(conv(32, 32, 1))).unwrap();
    s.conv(conv(32, 3, 1)).unwrap().finish()
}

/// Every way to store the values of a small network, next to the one that is chosen.
#[test]
fn no_other_plan_is_much_faster() {
    let (net, image) = (small(), Square(512));
    let mut flow = Dataflow::over(&image, &Ctx::translate(), Engine::Exact).unwrap();
    let output = flow.apply_to_input(&net).unwrap();
    let storable: Vec<usize> = (0..flow.nodes.len()).filter(|&v| !flow.nodes[v].cheap).collect();
    let endless = Limits { memory: u64::MAX, scratch: u64::MAX, frees: true, output: 0 };
    let mut all = (0.0, 0.0);
    let rates = Rates { macs: 120e9, scratch: 800e6, copies: 6e9 };
    let most = flow.plan(output, &endless, &rates).unwrap().memory;
    let least = flow.plan(output, &Limits { memory: 0, ..endless }, &rates).unwrap_err().memory;
    for part in [0, 1, 2, 4, 6, 8, 9, 10] {
        let limits = Limits { memory: least + (most - least) / 10 * part, ..endless };
        let chosen = flow.plan(output, &limits, &rates).unwrap();
        let mut planner =
            Planner { flow: &flow, output: output.0, limits: &limits, rates: &rates, peaks: HashMap::new() };
        let mut best = f64::INFINITY;
        for number in 0..3_usize.pow(storable.len() as u32) {
            let mut places = vec![Place::Recomputed; flow.nodes.len()];
            for (i, &value) in storable.iter().enumerate() {
                places[value] = [Place::Recomputed, Place::Memory, Place::Scratch][number / 3_usize.pow(i as u32) % 3];
            }
            let candidate = planner.candidate(places);
            if candidate.excess == 0 {
                best = best.min(candidate.plan.seconds);
            }
        }
        println!("{part} tenths: {:.4} s, at best {best:.4} s", chosen.seconds);
        assert!(chosen.memory <= limits.memory && chosen.seconds <= 1.6 * best, "{part} tenths");
        all = (all.0 + chosen.seconds / best, all.1 + 1.0);
    }
    println!("{} values, on average {:.3} of the best", storable.len(), all.0 / all.1);
    assert!(all.0 <= 1.2 * all.1);
}

/// A convolution in bands of eight rows: each needs ten rows of the input, eight of which are new.
#[test]
fn the_memory_of_a_sweep_is_that_of_its_windows() {
    let image = Square(64);
    let conv = ConvSpec { in_nc: 3, out_nc: 8, kernel: 3, stride: 1, padding: 1, bias: true };
    let net = SequenceBuilder::new(Builder::shapes_only()).conv(conv).unwrap().finish();
    for engine in [Engine::Exact, Engine::Device(candle_core::Device::Cpu)] {
        let mut flow = Dataflow::over(&image, &Ctx::translate(), engine.clone()).unwrap();
        let output = flow.apply_to_input(&net).unwrap();
        let part = |value: usize| Part { value, stored: false, stores: false, gathers: false, in_file: false };
        let sweep = Sweep { parts: vec![part(0), part(output.0)] };
        let (read, written) = (3 * 64 * 4, 8 * 64 * 4);
        let node = &flow.nodes[output.0];
        // A device's operators copy what they read.
        let copied = if engine.is_exact() { 0 } else { 10 * read };
        // New rows of the input are joined with those that stay; those of the output are all that there is of it.
        let (joins, computes) = (2 * 8 * read + 10 * read, node.working + copied + 2 * 8 * written);
        let peak = node.packed + 10 * read + joins.max(computes);
        assert_eq!(Progress::new(&flow, &sweep).peak(8), peak, "{engine:?}");
        // In a file, what is on its way to it.
        let mut stored = sweep.clone();
        stored.parts[0].stores = true;
        stored.parts[0].in_file = true;
        assert_eq!(Progress::new(&flow, &stored).peak(8), peak + 8 * read, "{engine:?}");
    }
}
