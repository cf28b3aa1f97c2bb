//! Gradient accumulation: one update from several micro-batches.
//!
//! The gradient of a micro-batch is complete before it is added to the running total, and the micro-batches are added in their
//! order: `((g0 + g1) + g2) + …`. So it does not matter where a gradient was computed. The total is divided by the number
//! of images at the end, which makes it the gradient of the mean over all of them.

use crate::method::{Losses, Method, StepContext};
use crate::{Error, Result};
use gan_data::Batch;

/// One step from micro-batches. `upload` brings one to the device whenever it passes. `cx` is that of the first; the others
/// count on, so that no two share a key.
///
/// Returns the losses' means over the images; those of later passes, the generators', come first.
///
/// # Errors
/// Those of `upload`, and as [`Method::step`]; [`Error::Config`] for several batches where [`Method::passes`] is `None`. A step that
/// failed half-way cannot be gone on from.
pub fn accumulated_step(
    method: &mut dyn Method,
    batches: &[Batch],
    mut upload: impl FnMut(Batch) -> Result<Batch>,
    cx: &StepContext,
) -> Result<Losses> {
    let number = cx.update + 1;
    if let [batch] = batches {
        let batch = upload(batch.clone())?;
        return method.step(&batch, cx).map_err(|error| error.in_step(number, &batch));
    }
    for (_, optimizer, _) in method.state().optimizers {
        // A step that failed half-way may have left a total.
        if optimizer.release().is_some() {
            optimizer.store().take_total(0.0)?;
        }
    }
    let images = batches.iter().map(|batch| Ok(batch.a.dim(0)? as f64)).collect::<Result<Vec<_>>>()?;
    let (first, all) = (images.first().copied().unwrap_or(1.0), images.iter().sum::<f64>());
    let mut means = Losses::new();
    for pass in 0..passes(method)? {
        let mut of_pass = Losses::new();
        for ((batch, at), n) in batches.iter().zip(cx.step..).zip(&images) {
            let batch = upload(batch.clone())?;
            // Relative to the first one: 1 for full batches, which spares a multiplication.
            method.state().optimizers.into_iter().for_each(|(_, optimizer, _)| optimizer.gather(n / first));
            let losses = method.pass(pass, &batch, &StepContext { step: at, ..*cx });
            add(&mut of_pass, losses.map_err(|error| error.in_step(number, &batch))?, n / all)?;
        }
        for (_, optimizer, _) in method.state().optimizers {
            optimizer.update_gathered(first / all)?;
        }
        means.splice(0..0, of_pass);
    }
    Ok(means)
}

/// The passes of a step of several batches.
///
/// # Errors
/// [`Error::Config`] if the method takes one.
pub(crate) fn passes(method: &dyn Method) -> Result<usize> {
    let message = "this method makes an update of one batch: set train.accumulate = 1";
    method.passes().ok_or_else(|| Error::Config { origin: "configuration".into(), message: message.into() })
}

/// Adds a share of these losses by name.
pub(crate) fn add(sums: &mut Losses, losses: Losses, share: f64) -> Result<()> {
    for (name, value) in losses {
        let value = (value.detach() * share)?;
        match sums.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum = (&*sum + value)?,
            None => sums.push((name, value)),
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
