//! Discriminators.

use crate::fill::{Row, check, filled, plain_input};
use gan_layers::Ctx;
use gan_nets::{DiscriminatorConfig, NetD, NormKind};

fn scores(name: &str, config: DiscriminatorConfig, input: [usize; 4], shape: [usize; 4], row: Row) {
    let net = filled(|b| config.build(input[1], b));
    let stages = net.forward(&plain_input(&input), &Ctx::translate()).unwrap();
    check(name, stages[0].last().unwrap(), shape, row);
}

fn config(arch: NetD, norm: NormKind) -> DiscriminatorConfig {
    DiscriminatorConfig { arch, norm, ndf: 8, ..DiscriminatorConfig::default() }
}

#[test]
fn basic() {
    let rows = [
        (NormKind::Instance, [-0.078709, 0.344109, -0.164798, -0.257518, -0.357737]),
        (NormKind::Batch, [0.017098, 0.344104, -0.495553, -0.512168, -0.019506]),
        (NormKind::None, [0.099732, 0.099732, 0.113342, 0.123130, 0.099751]),
    ];
    for (norm, row) in rows {
        scores(&format!("basic {norm:?}"), config(NetD::Basic, norm), [2, 3, 64, 64], [2, 1, 6, 6], row);
    }
}

#[test]
fn five_layers() {
    let row = [-0.079234, 0.463955, 0.138788, -0.388201, -0.951671];
    let config = DiscriminatorConfig { n_layers_d: 5, ..config(NetD::NLayers, NormKind::Instance) };
    scores("n_layers 5", config, [2, 3, 256, 256], [2, 1, 6, 6], row);
}

#[test]
fn pixel() {
    let row = [0.013728, 0.212798, 0.513386, -0.113691, -0.043968];
    scores("pixel", config(NetD::Pixel, NormKind::Batch), [2, 3, 16, 16], [2, 1, 16, 16], row);
}

#[test]
fn multiscale_stages() {
    let config = DiscriminatorConfig { num_d: 2, ..config(NetD::Multiscale, NormKind::Instance) };
    let net = filled(|b| config.build(4, b));
    let have = net.forward(&plain_input(&[1, 4, 64, 96]), &Ctx::translate()).unwrap();
    let want: [[([usize; 4], Row); 5]; 2] = [
        [
            ([1, 8, 33, 49], [0.070997, 0.111767, 0.126047, 0.330921, 0.017127]),
            ([1, 16, 17, 25], [0.341578, 0.512367, -0.174628, 0.066354, 1.959875]),
            ([1, 32, 9, 13], [0.313078, 0.469618, 0.265850, -0.074317, -0.261169]),
            ([1, 64, 10, 14], [0.318467, 0.477701, -0.176542, 0.123498, -0.016084]),
            ([1, 1, 11, 15], [-0.051074, 0.240936, 0.260476, -0.163349, -0.024124]),
        ],
        [
            ([1, 8, 17, 25], [0.066356, 0.103027, 0.085458, 0.162997, -0.018162]),
            ([1, 16, 9, 13], [0.327850, 0.491775, -0.053014, 1.226971, 1.774641]),
            ([1, 32, 5, 7], [0.318687, 0.478030, -0.266698, -0.022017, -0.221300]),
            ([1, 64, 6, 8], [0.299805, 0.449707, -0.004350, 0.853130, -0.055321]),
            ([1, 1, 7, 9], [-0.071617, 0.226658, -0.276105, -0.290709, -0.126268]),
        ],
    ];
    assert_eq!(have.len(), want.len());
    for (scale, (have, want)) in have.iter().zip(want).enumerate() {
        assert_eq!(have.len(), want.len());
        for (stage, (y, (shape, row))) in have.iter().zip(want).enumerate() {
            check(&format!("scale {scale} stage {stage}"), y, shape, row);
        }
    }
}
