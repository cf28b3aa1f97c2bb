//! An evaluation in bands of rows has the bits of the forward pass, whatever is stored where.

use candle_core::{DType, Device, Tensor};
use candle_nn::{VarBuilder, VarMap};
use gan_kernels::labels::instance_edges;
use gan_layers::bands::{Content, Dataflow, Engine, Limits, Place, Rates, RowSource, Scratch, ScratchFile};
use gan_layers::{Act, Builder, ConvSpec, Ctx, Input, NormKind, OneHot, PadMode, Pool2d, Sequence, SequenceBuilder};
use gan_rng::{Key, Purpose};
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Files in memory.
#[derive(Default)]
struct Files(Arc<Room>);

/// Bytes that files have, and the most that they had.
#[derive(Default)]
struct Room {
    taken: AtomicUsize,
    most: AtomicUsize,
}

struct File {
    bytes: Vec<u8>,
    freed: usize,
    room: Arc<Room>,
}

impl Scratch for Files {
    fn file(&self) -> io::Result<Box<dyn ScratchFile>> {
        Ok(Box::new(File { bytes: Vec::new(), freed: 0, room: self.0.clone() }))
    }
}

impl ScratchFile for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes.extend_from_slice(bytes);
        let taken = self.room.taken.fetch_add(bytes.len(), Ordering::Relaxed) + bytes.len();
        self.room.most.fetch_max(taken, Ordering::Relaxed);
        Ok(())
    }

    fn read_at(&mut self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        assert!(offset as usize >= self.freed, "what was given back is read");
        bytes.copy_from_slice(&self.bytes[offset as usize..][..bytes.len()]);
        Ok(())
    }

    fn free_before(&mut self, offset: u64) {
        self.room.taken.fetch_sub(offset as usize - self.freed, Ordering::Relaxed);
        self.freed = offset as usize;
    }
}

impl Drop for File {
    fn drop(&mut self) {
        self.room.taken.fetch_sub(self.bytes.len() - self.freed, Ordering::Relaxed);
    }
}

fn noise(shape: (usize, usize, usize, usize), seed: u64) -> Tensor {
    let (n, c, h, w) = shape;
    let mut stream = Key::new(seed, Purpose::Test).stream();
    let values: Vec<f32> = (0..n * c * h * w).map(|_| stream.range(-1.0, 1.0) as f32).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// A network with drawn weights, for translation.
fn drawn(build: impl Fn(&Builder<'_>) -> candle_core::Result<Sequence>) -> Sequence {
    let variables = VarMap::new();
    build(&Builder::from(VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu))).unwrap();
    let data = variables.data().lock().unwrap();
    // In the order of names, for that of a hash map is another in each run.
    for (i, (name, var)) in data.iter().collect::<BTreeMap<_, _>>().into_iter().enumerate() {
        let dims = var.dims();
        let values = noise((1, 1, 1, var.elem_count()), 100 + i as u64 + name.len() as u64).reshape(dims).unwrap();
        let scale = if dims.len() == 4 { (dims[1] * dims[2] * dims[3]) as f64 } else { 1.0 };
        // A variance near zero would magnify rounding.
        let running_var = name.ends_with("running_var");
        let values =
            if running_var { (values.abs().unwrap() + 0.5).unwrap() } else { (values * (2.0 / scale.sqrt())).unwrap() };
        if !name.ends_with("num_batches_tracked") && !name.ends_with("filt") {
            var.set(&values).unwrap();
        }
    }
    drop(data);
    build(&Builder::from(VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu))).unwrap()
}

fn bits(t: &Tensor) -> Vec<u32> {
    t.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
}

const RATES: Rates = Rates { macs: 1e10, scratch: 1e9, copies: 1e10 };
const ENDLESS: Limits = Limits { memory: u64::MAX, scratch: u64::MAX, frees: true, output: 3 << 16 };

/// Holds evaluations within ever smaller limits against the forward pass. Returns in how many of them something was computed again, and in how many
/// something was in files.
fn assert_same<'a>(what: &str, seq: &'a Sequence, x: impl Into<Input<'a>>, ctx: &Ctx) -> [usize; 2] {
    let x = x.into();
    assert_limits(what, seq, Dataflow::new(x, ctx).unwrap(), &seq.forward(x, ctx).unwrap())
}

/// The same of a flow that has no layers yet.
fn assert_limits<'a>(what: &str, seq: &'a Sequence, mut flow: Dataflow<'a>, whole: &Tensor) -> [usize; 2] {
    let output = flow.apply_to_input(seq).unwrap();
    let most = flow.plan(output, &ENDLESS, &RATES).unwrap();
    let least = flow.plan(output, &Limits { memory: 0, ..ENDLESS }, &RATES).unwrap_err();
    assert!(least.memory <= most.memory, "{what}");
    let (mut again, mut spilled) = (0, 0);
    for part in [1.0, 0.6, 0.3, 0.0] {
        // Files that pay, files that do not, and none.
        for (scratch, speed) in [(u64::MAX, RATES.scratch), (u64::MAX, 1e4), (0, RATES.scratch)] {
            let rates = Rates { scratch: speed, ..RATES };
            let room = (most.memory - least.memory) as f64 * part;
            let limits = Limits { memory: least.memory + room as u64, scratch, ..ENDLESS };
            // Without files, the least may be more.
            let Ok(plan) = flow.plan(output, &limits, &rates) else {
                assert_eq!(scratch, 0, "{what}: {limits:?}");
                continue;
            };
            assert!(plan.memory <= limits.memory && plan.scratch <= scratch, "{what}: {limits:?} {plan:?}");
            let files = Files::default();
            let y = flow.run(&plan, &files).unwrap();
            assert_eq!(y.dims(), whole.dims(), "{what}");
            assert!(bits(&y) == bits(whole), "{what}: {limits:?} differs");
            let most = files.0.most.load(Ordering::Relaxed) as u64;
            assert!(most <= plan.scratch && (most > 0) == (plan.moved > 0), "{what}: {most} bytes in files, {plan:?}");
            again += usize::from(plan.macs > flow.macs());
            spilled += usize::from(plan.count(Place::Scratch) > 0);
        }
    }
    [again, spilled]
}

/// Holds evaluations by the operators of devices against the forward pass.
fn assert_near<'a>(what: &str, seq: &'a Sequence, x: impl Into<Input<'a>>, ctx: &Ctx) {
    let x = x.into();
    let whole = seq.forward(x, ctx).unwrap();
    let mut flow = Dataflow::new(x, ctx).unwrap().with_engine(Engine::Device(Device::Cpu)).unwrap();
    let output = flow.apply_to_input(seq).unwrap();
    let least = flow.plan(output, &Limits { memory: 0, ..ENDLESS }, &RATES).unwrap_err();
    for memory in [least.memory, 2 * least.memory, u64::MAX] {
        let plan = flow.plan(output, &Limits { memory, ..ENDLESS }, &RATES).unwrap();
        let y = flow.run(&plan, &Files::default()).unwrap();
        let far = (y - &whole).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap();
        let far = far.to_scalar::<f32>().unwrap();
        let values = whole.flatten_all().unwrap();
        let range = (values.max(0).unwrap() - values.min(0).unwrap()).unwrap().to_scalar::<f32>().unwrap();
        assert!(far <= 2e-5 * range, "{what} in {memory} bytes: {far} of {range}");
    }
}

fn conv(in_nc: usize, out_nc: usize, kernel: usize, stride: usize, padding: usize) -> ConvSpec {
    ConvSpec { in_nc, out_nc, kernel, stride, padding, bias: true }
}

/// Down, a residual block, up, as a ResNet with these norms.
fn resnet(b: &Builder<'_>, norm: NormKind) -> candle_core::Result<Sequence> {
    let s = SequenceBuilder::new(b.pp("model")).pad(PadMode::Reflect, 3).conv(conv(3, 8, 7, 1, 0))?;
    let s = s.norm(norm, 8)?.act(Act::Relu).conv(conv(8, 32, 3, 2, 1))?.norm(norm, 32)?.act(Act::Relu);
    let s = s.residual("conv_block", |s| {
        let s = s.pad(PadMode::Reflect, 1).conv(conv(32, 32, 3, 1, 0))?.norm(norm, 32)?.act(Act::Relu).dropout(0.5);
        s.pad(PadMode::Replicate, 1).conv(conv(32, 32, 3, 1, 0))?.norm(norm, 32)
    })?;
    let s = s.conv_transpose(conv(32, 8, 3, 2, 1), 1)?.norm(norm, 8)?.act(Act::Relu);
    Ok(s.pad(PadMode::Reflect, 3).conv(conv(8, 3, 7, 1, 0))?.act(Act::Tanh).finish())
}

#[test]
fn residual_networks_with_all_norms() {
    let mut seen = [0; 2];
    for norm in [NormKind::Instance, NormKind::InstanceAffine, NormKind::Batch, NormKind::None] {
        let net = drawn(|b| resnet(b, norm));
        for (h, w) in [(61, 35), (1200, 24)] {
            let x = noise((1, 3, h, w), 1);
            for ctx in [Ctx::translate(), Ctx::eval()] {
                let [again, spilled] = assert_same(&format!("{norm:?} {h}x{w}"), &net, &x, &ctx);
                assert_near(&format!("{norm:?} {h}x{w}"), &net, &x, &ctx);
                seen = [seen[0] + again, seen[1] + spilled];
            }
        }
    }
    assert!(seen[0] > 2 && seen[1] > 5, "{seen:?}: the limits test nothing");
}

#[test]
fn skips_and_branches() {
    let net = drawn(|b| {
        let norm = NormKind::Batch;
        let s = SequenceBuilder::new(b.pp("model")).conv(conv(3, 6, 4, 2, 1))?.skip("model", |s| {
            let s = s.act(Act::LeakyRelu).conv(conv(6, 12, 4, 2, 1))?.norm(norm, 12)?.skip("model", |s| {
                let s = s.act(Act::LeakyRelu).conv(conv(12, 12, 4, 2, 1))?;
                s.act(Act::Relu).conv_transpose(conv(12, 12, 4, 2, 1), 0)?.norm(norm, 12)
            })?;
            s.act(Act::Relu).conv_transpose(conv(24, 6, 4, 2, 1), 0)?.norm(norm, 6)
        })?;
        let s = s
            .act(Act::Relu)
            .branches([&|s| s.named("left").conv(conv(12, 4, 3, 1, 1))?.norm(NormKind::Instance, 4), &|s| {
                Ok(s.named("right").conv(conv(12, 5, 1, 1, 0))?.act(Act::Relu))
            }])?;
        Ok(s.upsample_nearest(2).conv(conv(9, 2, 3, 1, 1))?.act(Act::Tanh).finish())
    });
    assert_same("skips", &net, &noise((1, 3, 96, 40), 1), &Ctx::translate());
    assert_same("skips", &net, &noise((1, 3, 96, 40), 1), &Ctx::eval());
    assert_near("skips", &net, &noise((1, 3, 96, 40), 1), &Ctx::translate());
}

#[test]
fn blurs_and_pools() {
    let net = drawn(|b| {
        let s = SequenceBuilder::new(b.pp("model")).conv(conv(3, 6, 3, 1, 1))?.norm(NormKind::Instance, 6)?;
        let s = s.act(Act::Relu).blur_pool(6)?.avg_pool(Pool2d { padding: 1, ..Pool2d::new(3, 2) });
        let s = s.conv(conv(6, 6, 3, 1, 1))?.norm(NormKind::Instance, 6)?.act(Act::Relu).max_pool(Pool2d::new(2, 2));
        Ok(s.blur_upsample(6)?.pad(PadMode::Reflect, 1).avg_pool(Pool2d::new(3, 1)).conv(conv(6, 2, 3, 1, 1))?.finish())
    });
    for (h, w) in [(70, 21), (83, 34)] {
        assert_same(&format!("{h}x{w}"), &net, &noise((1, 3, h, w), 1), &Ctx::translate());
        assert_near(&format!("{h}x{w}"), &net, &noise((1, 3, h, w), 1), &Ctx::translate());
    }
}

#[test]
fn dropout_and_labels() {
    let net = drawn(|b| resnet(b, NormKind::Instance));
    let keyed = Ctx { dropout: gan_layers::Dropout::Keyed(Key::new(3, Purpose::Test)), ..Ctx::translate() };
    assert_same("dropout", &net, &noise((1, 3, 45, 32), 1), &keyed);

    for classes in [5, 11] {
        let net = drawn(|b| {
            let s = SequenceBuilder::new(b.pp("model")).pad(PadMode::Reflect, 3).conv(conv(classes + 1, 8, 7, 1, 0))?;
            Ok(s.norm(NormKind::Instance, 8)?.act(Act::Relu).conv(conv(8, 2, 3, 1, 1))?.act(Act::Tanh).finish())
        });
        let ids: Vec<u8> = (0..64 * 30).map(|i| (i * 7 % classes) as u8).collect();
        let ids = Tensor::from_vec(ids, (1, 1, 64, 30), &Device::Cpu).unwrap();
        let x = OneHot::new(&ids, classes, Some(&noise((1, 1, 64, 30), 2)), DType::F32).unwrap();
        assert_same(&format!("{classes} classes"), &net, &x, &Ctx::translate());
        assert_near(&format!("{classes} classes"), &net, &x, &Ctx::translate());
    }
}

/// Rows of a tensor, as a file has them.
struct Rows(Tensor, Content);

impl RowSource for Rows {
    fn content(&self) -> Content {
        self.1
    }

    fn size(&self) -> (usize, usize) {
        (self.0.dims()[2], self.0.dims()[3])
    }

    fn rows(&self, rows: &Range<usize>) -> candle_core::Result<Tensor> {
        self.0.narrow(2, rows.start, rows.len())?.contiguous()
    }
}

#[test]
fn inputs_that_are_read_row_by_row() {
    let net = drawn(|b| resnet(b, NormKind::Instance));
    let ctx = Ctx::translate();
    let x = noise((1, 3, 61, 35), 1);
    let source = Rows(x.clone(), Content::Planes { channels: 3 });
    let flow = Dataflow::over(&source, &ctx, Engine::Exact).unwrap();
    assert_limits("planes", &net, flow, &net.forward(&x, &ctx).unwrap());

    let (classes, h, w) = (5, 64, 30);
    let labels: Vec<u32> = (0..h * w).map(|i| (i * 7 % classes) as u32).collect();
    // Neighbors differ in the upper half, in the lower one, and in neither.
    let ids: Vec<u32> =
        (0..h * w).map(|i| [1, 1, 2, 1 << 16, 1 << 16, 1 << 16 | 1][(i % w / 3 + i / w / 4) % 6]).collect();
    let stored = |values: &[u32], f: fn(u32) -> u32| {
        let values: Vec<f32> = values.iter().map(|&value| f(value) as f32).collect();
        Tensor::from_vec(values, (1, 1, h, w), &Device::Cpu).unwrap()
    };
    let (high, low) = (stored(&ids, |id| id >> 16), stored(&ids, |id| id & 0xffff));
    let (numbers, ids) = (stored(&labels, |label| label), Tensor::from_vec(ids, (1, 1, h, w), &Device::Cpu).unwrap());
    let edges = instance_edges(&ids, DType::F32).unwrap();
    let labels = Tensor::from_vec(labels, (1, 1, h, w), &Device::Cpu).unwrap();
    for instances in [false, true] {
        // The first convolution takes labels as they are; layers in front of it see the one-hot tensor.
        for first in [Act::Identity, Act::LeakyRelu] {
            let net = drawn(|b| {
                let nc = classes + usize::from(instances);
                let s = SequenceBuilder::new(b.pp("model"));
                let s = if first == Act::Identity { s } else { s.act(first) };
                let s = s.pad(PadMode::Reflect, 3).conv(conv(nc, 8, 7, 1, 0))?.norm(NormKind::Instance, 8)?;
                Ok(s.act(Act::Relu).conv(conv(8, 2, 3, 1, 1))?.act(Act::Tanh).finish())
            });
            let rest = instances.then_some(&edges);
            let whole = net.forward(&OneHot::new(&labels, classes, rest, DType::F32).unwrap(), &ctx).unwrap();
            let planes = if instances { vec![&numbers, &high, &low] } else { vec![&numbers] };
            let source = Rows(Tensor::cat(&planes, 1).unwrap(), Content::Labels { classes, instances });
            let flow = Dataflow::over(&source, &ctx, Engine::Exact).unwrap();
            assert_limits(&format!("labels, instances {instances}, {first:?}"), &net, flow, &whole);
        }
    }
}

/// Rows that are not those that were asked for.
struct Wrong(fn(Tensor) -> candle_core::Result<Tensor>);

impl RowSource for Wrong {
    fn content(&self) -> Content {
        Content::Planes { channels: 3 }
    }

    fn size(&self) -> (usize, usize) {
        (40, 24)
    }

    fn rows(&self, rows: &Range<usize>) -> candle_core::Result<Tensor> {
        (self.0)(noise((1, 3, rows.len(), 24), 1))
    }
}

#[test]
fn rows_that_are_wrong_are_refused() {
    let net = drawn(|b| resnet(b, NormKind::Batch));
    let run = |source: &Wrong| {
        let mut flow = Dataflow::over(source, &Ctx::translate(), Engine::Exact).unwrap();
        let output = flow.apply_to_input(&net).unwrap();
        let plan = flow.plan(output, &ENDLESS, &RATES).unwrap();
        flow.run(&plan, &Files::default()).map_err(|error| error.to_string())
    };
    assert_eq!(run(&Wrong(Ok)).unwrap().dims(), [1, 3, 40, 24]);
    let wrong: [fn(Tensor) -> candle_core::Result<Tensor>; 4] = [
        |rows| rows.to_dtype(DType::F64),
        |rows| rows.narrow(1, 0, 2),
        |rows| rows.narrow(3, 0, 23),
        |rows| Tensor::cat(&[&rows, &rows], 2),
    ];
    for wrong in wrong {
        let error = run(&Wrong(wrong)).unwrap_err();
        assert!(error.contains("of an input are"), "{error}");
    }
}

/// Counts the calls that read from its files.
#[derive(Default)]
struct Counted(Arc<AtomicUsize>);

struct CountedFile(Vec<u8>, Arc<AtomicUsize>);

impl Scratch for Counted {
    fn file(&self) -> io::Result<Box<dyn ScratchFile>> {
        Ok(Box::new(CountedFile(Vec::new(), self.0.clone())))
    }
}

impl ScratchFile for CountedFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn read_at(&mut self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        bytes.copy_from_slice(&self.0[offset as usize..][..bytes.len()]);
        self.1.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

#[test]
fn files_are_read_ahead() {
    // Each band of the last sweep needs rows that none before it needed.
    let net = drawn(|b| {
        let s = SequenceBuilder::new(b.pp("model")).conv(conv(3, 32, 3, 1, 1))?.norm(NormKind::Instance, 32)?;
        Ok(s.act(Act::Relu).conv(conv(32, 2, 1, 1, 0))?.finish())
    });
    let x = noise((1, 3, 400, 24), 1);
    let mut flow = Dataflow::new((&x).into(), &Ctx::translate()).unwrap();
    let output = flow.apply_to_input(&net).unwrap();
    let least = flow.plan(output, &Limits { memory: 0, ..ENDLESS }, &RATES).unwrap_err();
    let plan = flow.plan(output, &Limits { memory: least.memory, ..ENDLESS }, &RATES).unwrap();
    assert_eq!(plan.count(Place::Scratch), 1);
    let run = |sink: &mut dyn FnMut(usize, &Counted)| {
        let files = Counted::default();
        flow.run_into(&plan, &files, &mut |first, _| {
            sink(first, &files);
            Ok(())
        })
        .unwrap();
        files.0.load(Ordering::SeqCst)
    };
    let mut bands = Vec::new();
    let all = run(&mut |first, _| bands.push(first));
    assert!(bands.len() > 2);
    // While the last band but one is on its way, the last one is read.
    let mut read = 0;
    run(&mut |first, files| {
        if first == bands[bands.len() - 2] {
            let begun = Instant::now();
            while files.0.load(Ordering::SeqCst) < all && begun.elapsed() < Duration::from_secs(10) {
                std::thread::sleep(Duration::from_millis(1));
            }
            read = files.0.load(Ordering::SeqCst);
        }
    });
    assert_eq!(read, all);
}

#[test]
fn what_cannot_be_done_is_said() {
    let net = drawn(|b| resnet(b, NormKind::Instance));
    let pair = noise((2, 3, 16, 16), 1);
    assert!(Dataflow::new((&pair).into(), &Ctx::translate()).err().unwrap().to_string().contains("one image"));
    let double = noise((1, 3, 16, 16), 1).to_dtype(DType::F64).unwrap();
    assert!(Dataflow::new((&double).into(), &Ctx::translate()).is_err());
    let image = noise((1, 3, 16, 16), 1);
    assert!(Dataflow::new((&image).into(), &Ctx::train(Key::new(1, Purpose::Test))).is_err());

    let mut flow = Dataflow::new((&image).into(), &Ctx::translate()).unwrap();
    let output = flow.apply_to_input(&net).unwrap();
    let least = flow.plan(output, &Limits { memory: 1, scratch: 0, ..ENDLESS }, &RATES).unwrap_err();
    assert!(least.memory > 1 && least.scratch == 0);
    // What a forward pass takes is more than all that is kept between sweeps.
    assert!(flow.memory_of_forward(output) > 0);
    // What computes it is chosen first.
    assert!(flow.with_engine(Engine::Device(Device::Cpu)).err().unwrap().to_string().contains("before its layers"));
    // A plan of another network.
    let other = drawn(|b| Ok(SequenceBuilder::new(b.pp("model")).conv(conv(3, 8, 1, 1, 0))?.finish()));
    let mut another = Dataflow::new((&image).into(), &Ctx::translate()).unwrap();
    another.apply_to_input(&other).unwrap();
    assert!(another.run(&least, &Files::default()).is_err());
}

/// Files on a disk that is full after so many bytes, or that cannot be read.
struct Full(Option<usize>);

struct FullFile {
    bytes: Vec<u8>,
    room: Option<usize>,
}

impl Scratch for Full {
    fn file(&self) -> io::Result<Box<dyn ScratchFile>> {
        Ok(Box::new(FullFile { bytes: Vec::new(), room: self.0 }))
    }
}

impl ScratchFile for FullFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes.extend_from_slice(bytes);
        match self.room {
            Some(room) if self.bytes.len() > room => Err(io::Error::other("a scratch file in /full: no space is left")),
            _ => Ok(()),
        }
    }

    fn read_at(&mut self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        if self.room.is_none() {
            return Err(io::Error::other("a scratch file in /bad: the disk is bad"));
        }
        bytes.copy_from_slice(&self.bytes[offset as usize..][..bytes.len()]);
        Ok(())
    }
}

#[test]
fn what_is_wrong_with_files_arrives() {
    let net = drawn(|b| resnet(b, NormKind::Instance));
    let x = noise((1, 3, 400, 24), 1);
    let mut flow = Dataflow::new((&x).into(), &Ctx::translate()).unwrap();
    let output = flow.apply_to_input(&net).unwrap();
    let least = flow.plan(output, &Limits { memory: 0, ..ENDLESS }, &RATES).unwrap_err();
    let plan = flow.plan(output, &Limits { memory: least.memory, ..ENDLESS }, &RATES).unwrap();
    assert!(plan.moved > 0);
    for (room, said) in [(Some(0), "no space is left"), (Some(20_000), "no space is left"), (None, "the disk is bad")] {
        let error = flow.run(&plan, &Full(room)).unwrap_err().to_string();
        assert!(error.contains("a scratch file in") && error.contains(said), "{error}");
    }
}
