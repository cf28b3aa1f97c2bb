//! The switches of the whole program for arithmetic on CUDA devices, alone in their process.
#![allow(clippy::unwrap_used)]

use gan_kernels::{deterministic, tf32};
use gan_train::config::Layer;
use gan_train::{METHODS, Place, TrainConfig, numerics};

#[test]
fn building_a_method_leaves_the_program_as_it_is() {
    let place = Place::cpu();
    for method in METHODS {
        let settings = method.debug.iter().chain(&["tf32=true", "deterministic=true"]);
        let layers: Vec<_> = settings.map(|s| Layer::Setting(s.to_string())).collect();
        (method.resolve)(&layers).unwrap().build(&place).unwrap();
        assert_eq!((tf32(), deterministic()), (false, false), "{}", method.name);
    }
    for (tf32_wanted, deterministic_wanted) in [(true, false), (false, true)] {
        let train = TrainConfig { tf32: tf32_wanted, deterministic: deterministic_wanted, ..TrainConfig::default() };
        numerics::apply(&train, &place).unwrap();
        assert_eq!((tf32(), deterministic()), (tf32_wanted, deterministic_wanted));
    }
}
