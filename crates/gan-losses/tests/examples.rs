//! The example trains.
#![allow(clippy::unwrap_used)]

#[path = "../examples/own_loss.rs"]
mod own_loss;

#[test]
fn a_loss_written_by_hand_falls() {
    let losses = own_loss::train(60).unwrap();
    let mean = |part: &[f32]| part.iter().sum::<f32>() / part.len() as f32;
    let (first, last) = (mean(&losses[..10]), mean(&losses[50..]));
    assert!(last < 0.6 * first, "{first} to {last}");
}
