//! Key names of wrapped and of older networks.
#![allow(clippy::unwrap_used)]

use candle_core::{Device, Tensor};
use gan_weights::{StateDict, drop_instance_norm_statistics, strip_compiled, strip_data_parallel};

fn of(names: &[&str]) -> StateDict {
    names.iter().map(|name| ((*name).to_owned(), Tensor::new(0f32, &Device::Cpu).unwrap())).collect()
}

#[test]
fn a_prefix_that_not_all_keys_have_stays() {
    let mut state = of(&["module.a.weight", "b.weight"]);
    assert!(strip_data_parallel(&mut state).is_empty());
    assert!(state.names().eq(["module.a.weight", "b.weight"]));
    assert!(strip_data_parallel(&mut of(&[])).is_empty());
}

#[test]
fn nested_prefixes_are_stripped() {
    let mut state = of(&["module.module.a.weight", "module.module.a.bias"]);
    assert!(strip_data_parallel(&mut state)[0].contains("2 times from 2 keys"));
    assert!(state.names().eq(["a.weight", "a.bias"]));
}

#[test]
fn compiled_networks_lose_their_wrapper_anywhere_in_the_path() {
    let mut state = of(&["_orig_mod.a.weight", "b._orig_mod.weight", "c.weight"]);
    assert!(strip_compiled(&mut state)[0].contains("from 2 keys"));
    assert!(state.names().eq(["a.weight", "b.weight", "c.weight"]));
}

#[test]
fn other_wrappers_go_as_well() {
    let mut state = of(&[
        "_fsdp_wrapped_module.a._fsdp_wrapped_module.weight",
        "_fsdp_wrapped_module.b._checkpoint_wrapped_module.weight",
    ]);
    let notes = strip_compiled(&mut state);
    assert!(
        notes[0].contains("FSDP removed from 2 keys") && notes[1].contains("checkpointing removed from 1 keys"),
        "{notes:?}"
    );
    assert!(state.names().eq(["a.weight", "b.weight"]));
}

#[test]
fn compiled_names_that_would_collide_stay() {
    let mut state = of(&["_orig_mod.a.weight", "a.weight"]);
    assert!(strip_compiled(&mut state)[0].contains("kept"));
    assert!(state.names().eq(["_orig_mod.a.weight", "a.weight"]));
}

#[test]
fn statistics_go_with_instance_norms_and_stay_with_batch_norms() {
    let batch = ["model.2.weight", "model.2.bias", "model.2.running_mean", "model.2.running_var"];
    let mut state = of(&[
        &["model.1.weight"],
        &batch[..],
        &["model.5.running_mean", "model.5.running_var", "model.5.num_batches_tracked", "model.9.running_mean"],
    ]
    .concat());
    let notes = drop_instance_norm_statistics(&mut state);
    assert!(notes[0].starts_with("4 running statistics of 2 instance norms dropped"), "{notes:?}");
    assert!(state.names().eq(["model.1.weight"].into_iter().chain(batch)));
    assert!(drop_instance_norm_statistics(&mut state).is_empty());
}
