//! U-Nets under other names.

use super::*;

/// The tensors of a U-Net as reimplementations have them: one name a layer, `name(number of the convolution, whether it is its
/// norm)`, and what comes from below in front of what is skipped.
fn one_by_one(state: &StateDict, skip_first: bool, name: impl Fn(usize, bool) -> String) -> StateDict {
    let is_conv = |tensor: &Tensor| tensor.rank() == 4;
    let downs = state.iter().filter(|(_, tensor)| is_conv(tensor)).count() / 2;
    let (mut at, mut theirs) = (0, StateDict::new());
    let mut last = "";
    for (key, tensor) in state.iter() {
        let (path, field) = key.rsplit_once('.').unwrap();
        let norm = !is_conv(state.get(&format!("{path}.weight")).unwrap());
        at += usize::from(!norm && path != last);
        last = path;
        let joined = at > downs + 1 && is_conv(tensor) && !skip_first;
        let swapped = || {
            let half = tensor.dims()[0] / 2;
            let halves = [half, 0].map(|start| tensor.narrow(0, start, half).unwrap());
            Tensor::cat(&halves, 0).unwrap()
        };
        let tensor = if joined { swapped() } else { tensor.clone() };
        theirs.push(format!("{}.{field}", name(at - 1, norm)), tensor);
    }
    theirs
}

#[test]
fn unets_under_other_names_are_told_by_their_structure() {
    let base = GeneratorConfig { arch: Arch::Unet, num_downs: 5, ngf: 2, output_nc: 2, ..Default::default() };
    let half =
        |at: usize, down: &str, up: &str| if at < 5 { format!("{down}{}", at + 1) } else { format!("{up}{}", at - 4) };
    type Name<'a> = &'a dyn Fn(usize, bool) -> String;
    let blocks = |at: usize, norm: bool| format!("{}.model.{}", half(at, "down", "up"), usize::from(norm));
    let named = |at: usize, norm: bool| format!("{}.{}", half(at, "enc.", "dec."), if norm { "bn" } else { "conv" });
    let functions = |at: usize, norm: bool| format!("{}{}", half(at, "conv", "deconv"), if norm { "_bn" } else { "" });
    let in_front = |at: usize, norm: bool| {
        let first = usize::from(at != 0);
        format!("{}.{}", half(at, "encoder.", "decoder."), first + usize::from(norm))
    };
    let bottleneck = |at: usize, norm: bool| if at == 4 { "bottleneck.0".to_owned() } else { blocks(at, norm) };
    let mirrors = |at: usize, norm: bool| match at {
        0 => "initial_down.0".to_owned(),
        4 => "bottleneck.0".to_owned(),
        9 => "final_up.0".to_owned(),
        at => format!("{}.conv.{}", half(at - usize::from(at < 5), "down", "up"), usize::from(norm)),
    };
    let (behind, relu) = (UnetLayout::PostActivation, UnetLayout::PostActivationRelu);
    let (plain, reflects) = (Padding::Zero, Padding::Reflect);
    for norm in [NormKind::Instance, NormKind::InstanceAffine, NormKind::Batch] {
        let biased = if norm.is_instance() { UnetLayout::Reference } else { UnetLayout::Biased };
        let all: [(Name<'_>, UnetLayout, Padding); 6] = [
            (&blocks, behind, plain),
            (&named, behind, plain),
            (&functions, biased, plain),
            (&in_front, biased, plain),
            (&bottleneck, relu, plain),
            (&mirrors, relu, reflects),
        ];
        for (name, unet_layout, down_padding) in all {
            let config = GeneratorConfig { norm, unet_layout, down_padding, ..base.clone() };
            let ours = numbered(&state(&Network::Generator(config.clone())));
            // Numbers by position, so that halves that change places show.
            let ours: StateDict = ours
                .iter()
                .map(|(name, tensor)| {
                    let count = Tensor::arange(0f32, tensor.elem_count() as f32, &Device::Cpu).unwrap();
                    let tensor = tensor.to_dtype(DType::F32).unwrap();
                    (name.to_owned(), (tensor.clone() + count.reshape(tensor.dims()).unwrap()).unwrap())
                })
                .collect();
            for sorted in [false, true] {
                let mut theirs = one_by_one(&ours, false, name).into_iter().collect::<Vec<_>>();
                if sorted {
                    theirs.sort_by(|a, b| a.0.cmp(&b.0));
                }
                let found = identify(&theirs.into_iter().collect(), None).unwrap();
                assert_eq!(found[0].network, Network::Generator(config.clone()), "{sorted} {}", name(1, false));
                assert!(same(&found[0].state, &ours), "{sorted} {}: tensors change places", name(1, false));
            }
            // What the names tell wrongly can be said.
            let first = Assumptions { skip_first: Some(true), ..Assumptions::default() };
            let found = identify_assuming(&one_by_one(&ours, true, name), None, &first).unwrap();
            assert!(same(&found[0].state, &ours), "{}", name(1, false));
        }
    }
}

#[test]
fn the_last_stage_of_a_unet_may_be_a_convolution() {
    let config = GeneratorConfig {
        arch: Arch::Unet,
        num_downs: 5,
        ngf: 2,
        unet_layout: UnetLayout::PostActivationResize,
        ..Default::default()
    };
    let ours = state(&Network::Generator(config.clone()));
    let name = |at: usize, norm: bool| format!("{}.{}", if at < 5 { at } else { at + 10 }, usize::from(norm));
    let mut theirs = one_by_one(&ours, false, name);
    theirs.push("19.0.weight", Tensor::ones((3, 4, 4, 4), DType::F32, &Device::Cpu).unwrap());
    let found = identify(&theirs, None).unwrap();
    assert_eq!(found[0].network, Network::Generator(config));
    let last = found[0].state.iter().find(|(_, tensor)| tensor.dims() == [4, 3, 6, 6]).unwrap().1;
    assert_eq!(
        last.get(0).unwrap().get(0).unwrap().get(3).unwrap().to_vec1::<f32>().unwrap(),
        [0., 2., 4., 4., 4., 2.]
    );
}
