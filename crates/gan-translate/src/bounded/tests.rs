//! Numbers of estimates, one by one.

#![allow(clippy::unwrap_used)]
use super::*;
use candle_core::bail;
use gan_layers::bands::{Content, RowSource};
use gan_layers::{Act, Builder, ConvSpec, Ctx, NormKind, PadMode, Sequence, SequenceBuilder};
use std::ops::Range;

/// An image of this width and height that nobody looks at.
struct Unread(usize, usize);

impl RowSource for Unread {
    fn content(&self) -> Content {
        Content::Planes { channels: 3 }
    }

    fn size(&self) -> (usize, usize) {
        (self.1, self.0)
    }

    fn rows(&self, _: &Range<usize>) -> candle_core::Result<Tensor> {
        bail!("nothing is computed")
    }
}

/// A ResNet of two blocks with these norms.
fn network(norm: NormKind) -> Sequence {
    let conv = |in_nc, out_nc, kernel, stride, padding| ConvSpec { in_nc, out_nc, kernel, stride, padding, bias: true };
    let mut s = SequenceBuilder::new(Builder::shapes_only()).conv(conv(3, 16, 7, 1, 3)).unwrap();
    s = s.norm(norm, 16).unwrap().act(Act::Relu).conv(conv(16, 64, 3, 2, 1)).unwrap().norm(norm, 64).unwrap();
    for _ in 0..2 {
        s = s
            .act(Act::Relu)
            .residual("block", |s| s.pad(PadMode::Reflect, 1).conv(conv(64, 64, 3, 1, 0))?.norm(norm, 64))
            .unwrap();
    }
    s = s.conv_transpose(conv(64, 16, 3, 2, 1), 1).unwrap().norm(norm, 16).unwrap().act(Act::Relu);
    s.conv(conv(16, 3, 7, 1, 3)).unwrap().act(Act::Tanh).finish()
}

/// Calls `f` with a network whose norms take statistics, for an image of this width and height, computed by `engine`.
fn with<R>(size: (usize, usize), engine: Engine, f: impl FnOnce(&Dataflow<'_>, Value) -> R) -> R {
    with_norm(NormKind::Instance, size, engine, f)
}

fn with_norm<R>(
    norm: NormKind,
    (width, height): (usize, usize),
    engine: Engine,
    f: impl FnOnce(&Dataflow<'_>, Value) -> R,
) -> R {
    let (network, image) = (network(norm), Unread(width, height));
    let mut flow = Dataflow::over(&image, &Ctx::translate(), engine).unwrap();
    let output = flow.apply_to_input(&network).unwrap();
    f(&flow, output)
}

fn device() -> Engine {
    Engine::Device(candle_core::Device::Cpu)
}

fn limit(memory: u64) -> MemoryLimit {
    MemoryLimit {
        memory,
        of_device: false,
        scratch: crate::ScratchSpace::HostMemory,
        scratch_bytes: u64::MAX,
        alone: true,
    }
}

const MIB: u64 = 1 << 20;

fn program() -> u64 {
    (128 + 6 * rayon::current_num_threads() as u64) * MIB
}

fn refused(result: Result<impl std::fmt::Debug>) -> Estimate {
    match result {
        Err(Error::TooLittleMemory { least, .. }) => *least,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_whole_takes() {
    let demand = Demand { decoded: 11, rows: true, ..Demand::of_tensors(1000, 500) };
    with((64, 48), Engine::Exact, |flow, output| {
        let forward = flow.memory_of_forward(output);
        assert_eq!(at_once(flow, output), forward * 135 / 100);
        assert_eq!(kept(flow), flow.packed_kept() * 135 / 100);
        let memory = program() + 1000 + 500 + forward * 135 / 100;
        let (macs, packed) = (flow.macs(), flow.packed_kept());
        assert!(macs > 0 && packed > 0 && forward > 3 * 64 * 48 * 4 * 5 / 2);
        let expected = Estimate {
            size: (64, 48),
            whole: true,
            rows: true,
            memory,
            memory_of_whole: memory,
            parameters: 1000,
            packed,
            decoded: 11,
            scratch: 0,
            moved: 0,
            sweeps: 1,
            places: [0; 3],
            macs,
            macs_of_whole: macs,
            seconds: macs as f64 / (60e9 * rayon::current_num_threads() as f64),
        };
        assert_eq!(estimate_of_whole(flow, output, &demand), expected);
        // What is decoded before is there at another time.
        for (before, most) in [(memory - program() - 1000, memory), (memory, program() + 1000 + memory)] {
            let estimate = estimate_of_whole(flow, output, &Demand { before, ..demand });
            assert_eq!((estimate.memory, estimate.memory_of_whole), (most, memory));
        }
        assert!(fits_at_once(flow, output, &limit(memory), &demand));
        assert!(!fits_at_once(flow, output, &limit(memory - 1), &demand));
    });
    with((64, 48), device(), |flow, output| {
        let estimate = estimate_of_whole(flow, output, &demand);
        assert_eq!(estimate.memory, 512 * MIB + 1000 + 500 + at_once(flow, output));
        assert_eq!(estimate.seconds, flow.macs() as f64 / 10e12);
    });
}

#[test]
fn an_output_that_is_gathered_takes_memory_at_the_end() {
    let size = Size { channels: 3, height: 48, width: 64 };
    let (gathered, passed) = (Demand::of_tensors(0, 0), Demand { passing: Some(0), ..Demand::of_tensors(0, 0) });
    assert_eq!(gathered.at_the_end(size, false), 3 * 48 * 64 * 4 * 5 / 2);
    assert_eq!([gathered.at_the_end(size, true), passed.at_the_end(size, false)], [0, 0]);
}

#[test]
fn several_at_once() {
    let demand = Demand::of_tensors(1000, 500);
    with((64, 48), Engine::Exact, |flow, output| {
        let (one, more) = (estimate_of_whole(flow, output, &demand).memory, at_once(flow, output));
        for times in [1, 2, 5] {
            let memory = one + (times - 1) * more;
            check_at_once(flow, output, times, &limit(memory), &demand).unwrap();
            let least = refused(check_at_once(flow, output, times, &limit(memory - 1), &demand));
            assert_eq!((least.memory, least.memory_of_whole, least.whole), (memory, memory, true));
        }
    });
}

#[test]
fn inputs_that_take_too_much_by_themselves() {
    let input = 64 * MIB + 1;
    let memory = program() + 7 + input;
    check_input((5, 4), input, &limit(memory), 7).unwrap();
    let expected = Estimate {
        size: (5, 4),
        whole: true,
        rows: false,
        memory,
        memory_of_whole: memory,
        parameters: 7,
        packed: 0,
        decoded: input,
        scratch: 0,
        moved: 0,
        sweeps: 0,
        places: [0; 3],
        macs: 0,
        macs_of_whole: 0,
        seconds: 0.0,
    };
    assert_eq!(refused(check_input((5, 4), input, &limit(memory - 1), 7)), expected);
    // Of small ones, the network says what they need.
    check_input((5, 4), input - 1, &limit(0), 7).unwrap();
}

#[test]
fn a_batch_takes_its_tensors() {
    let t = |shape: (usize, usize), dtype| Tensor::zeros(shape, dtype, &candle_core::Device::Cpu).unwrap();
    use candle_core::DType::{F32, U8};
    assert_eq!(bytes([&t((3, 5), F32), &t((2, 2), U8)]), 64);
    assert_eq!(tighter(&limit(400)), limit(300));
}

/// The rates and limits of [`plan`], written once more.
fn planned(flow: &Dataflow<'_>, output: Value, memory: u64, scratch: u64, passing: u64) -> Option<Plan> {
    let threads = rayon::current_num_threads() as f64;
    let rates = Rates { macs: 60e9 * threads, scratch: 800e6, copies: 3e9 * threads };
    flow.plan(output, &Limits { memory, scratch, frees: true, output: passing }, &rates).ok()
}

#[test]
fn what_bands_take() {
    let demand = Demand { passing: Some(1 << 12), ..Demand::of_tensors(1000, 500) };
    let taken = program() + 1500;
    with_norm(NormKind::None, (128, 3000), Engine::Exact, |flow, output| {
        let whole = estimate_of_whole(flow, output, &demand).memory;
        // Without a limit, little memory for next to no time.
        let (lean, estimate) = plan(flow, output, None, &demand).unwrap();
        let most = at_once(flow, output) / 100 * 40;
        assert_eq!(Some(&lean), planned(flow, output, most, 0, 1 << 12).as_ref());
        assert!(lean.memory <= most && lean.macs * 100 <= flow.macs() * 103);
        let said = taken + lean.memory / 100 * 128 + 128;
        assert_eq!((estimate.memory, estimate.memory_of_whole), (said, whole));
        assert_eq!((estimate.packed, estimate.macs, estimate.moved), (lean.packed, lean.macs, 0));
        assert_eq!((estimate.whole, estimate.sweeps, estimate.seconds), (false, lean.sweeps(), lean.seconds));
        assert_eq!(estimate.places, [Place::Memory, Place::Scratch, Place::Recomputed].map(|place| lean.count(place)));
    });
    with((128, 3000), Engine::Exact, |flow, output| {
        // With statistics, little memory would cost time: there is no limit, so it is not saved.
        let (fast, estimate) = plan(flow, output, None, &demand).unwrap();
        assert_eq!(Some(&fast), planned(flow, output, u64::MAX / 128 * 100, 0, 1 << 12).as_ref());
        assert!(fast.macs == flow.macs() && fast.memory > at_once(flow, output) / 100 * 40);
        let said = estimate.memory;

        // The least is said, and suffices to the byte; a limit leaves out what the allocator takes.
        let least = refused(plan(flow, output, Some(&limit(0)), &demand));
        assert!(!least.whole && least.memory < said && least.scratch > 0);
        let room = least.memory - taken;
        let (tight, estimate) = plan(flow, output, Some(&limit(least.memory)), &demand).unwrap();
        assert_eq!(Some(&tight), planned(flow, output, room / 128 * 100, u64::MAX, 1 << 12).as_ref());
        assert!(estimate.memory <= least.memory && tight.memory + 200 > room / 128 * 100, "{estimate:?}");
        assert_eq!((estimate.scratch, estimate.moved), (tight.scratch, tight.moved));
        for part in 90..100 {
            let memory = taken + room / 100 * part;
            if let Ok((_, fits)) = plan(flow, output, Some(&limit(memory)), &demand) {
                assert!(fits.memory <= memory, "{fits:?}");
            }
        }
        let no_files = MemoryLimit { scratch_bytes: 0, ..limit(least.memory) };
        assert!(plan(flow, output, Some(&no_files), &demand).is_err());

        // What is decoded before has to fit as well, beside the program alone.
        let before = least.memory - program() - 1000;
        let early = Demand { before, ..demand };
        let estimate = plan(flow, output, Some(&limit(least.memory)), &early).unwrap().1;
        assert_eq!(estimate.memory, least.memory);
        let early = Demand { before: before + 1, ..demand };
        assert_eq!(refused(plan(flow, output, Some(&limit(least.memory)), &early)).memory, least.memory + 1);
        // And what is gathered, at the end.
        let gathered = Demand { passing: None, ..demand };
        let estimate = plan(flow, output, None, &gathered).unwrap().1;
        assert!(estimate.memory >= taken + 3 * 128 * 3000 * 4 * 5 / 2);
    });
    with((128, 3000), device(), |flow, output| {
        let taken = 512 * MIB + 1500;
        let (fast, estimate) = plan(flow, output, None, &Demand::of_tensors(1000, 500)).unwrap();
        // Nothing is saved where nobody asks for it, and the output is elsewhere.
        let rates = Rates { macs: 10e12, scratch: 6e9, copies: 6e9 };
        let limits = Limits { memory: u64::MAX / 128 * 100, scratch: 0, frees: false, output: 0 };
        assert_eq!(fast, flow.plan(output, &limits, &rates).unwrap());
        assert_eq!(estimate.memory, taken + fast.memory / 100 * 128 + 128);
    });
}

/// Whether all is computed at once, and the bytes that files have.
fn decided(flow: &Dataflow<'_>, output: Value, memory: u64, demand: &Demand) -> (bool, u64) {
    let (strategy, estimate) = decide(flow, output, &limit(memory), demand).unwrap();
    assert_eq!(matches!(strategy, Strategy::Whole), estimate.whole);
    (estimate.whole, estimate.scratch)
}

#[test]
fn what_is_decided() {
    let demand = Demand::of_tensors(1000, 500);
    // Little is computed at once, if it fits to the byte.
    with((128, 1000), Engine::Exact, |flow, output| {
        assert!(at_once(flow, output) < SMALL);
        let whole = estimate_of_whole(flow, output, &demand).memory;
        assert_eq!(decided(flow, output, whole, &demand), (true, 0));
        assert_eq!(decided(flow, output, u64::MAX, &demand), (true, 0));
        assert!(!decided(flow, output, whole - 1, &demand).0);
        let least = refused(decide(flow, output, &limit(0), &demand).map(|_| ()));
        assert!(!least.whole && least.memory < whole);
    });
    // Much is computed in bands even where it fits, as they cost next to nothing; on a device, at once.
    with((256, 6000), Engine::Exact, |flow, output| {
        assert!(at_once(flow, output) > SMALL + kept(flow));
        let whole = estimate_of_whole(flow, output, &demand).memory;
        assert_eq!(decided(flow, output, whole, &demand), (false, 0));
        assert_eq!(decided(flow, output, u64::MAX, &demand), (false, 0));
    });
    with((256, 6000), device(), |flow, output| {
        let whole = estimate_of_whole(flow, output, &demand).memory;
        assert_eq!(decided(flow, output, whole, &demand), (true, 0));
        assert!(!decided(flow, output, whole - 1, &demand).0);
    });
}
