//! What is said when training ends.

use crate::exit::{Coded, DIVERGED, Done};
use crate::shell::quoted;
use gan_train::events::Finish;
use gan_train::validation::Best;
use gan_train::{Error, Outcome, TrainConfig, WayBack};
use serde_json::json;
use std::path::PathBuf;

/// A launch of training: what its end is judged by.
pub(crate) struct Launch {
    /// The command that resumes the run.
    pub(crate) command: String,
    pub(crate) out: PathBuf,
    pub(crate) train: TrainConfig,
    /// Say no more than has to be known.
    pub(crate) quiet: bool,
    /// Print the end as JSON as well.
    pub(crate) json: bool,
}

impl Launch {
    /// Says how `train` ended.
    pub(crate) fn report(&self, ended: gan_train::Result<Outcome>) -> anyhow::Result<Done> {
        let outcome = self.checked(ended)?;
        if self.json {
            let Outcome { finish, step, best } = &outcome;
            let checkpoint = self.out.join("checkpoints").join(step.to_string());
            out!(
                "{}",
                json!({ "finish": finish, "step": step, "best": best, "run": self.out, "checkpoint": checkpoint })
            );
        }
        if outcome.finish == Finish::Interrupted {
            self.interrupted(&outcome);
            return Ok(Done::Interrupted);
        }
        if self.quiet {
            return Ok(Done::Complete);
        }
        if outcome.finish == Finish::NothingLeft {
            note!("{}", nothing_left(&self.train, outcome.step));
        }
        if outcome.finish == Finish::EarlyStopped {
            note!("{}", self.stopped_early(&outcome));
        }
        if let Some(best) = &outcome.best {
            note!("{}", best_checkpoint(best));
        }
        if outcome.finish == Finish::NothingLeft {
            return Ok(Done::Complete);
        }
        let gallery = self.out.join("gallery/index.html");
        note!(
            "done. Look at {}, translate with `gan-cli translate --model {}{} …`",
            gallery.display(),
            quoted(&self.out),
            if outcome.best.is_some() { " --checkpoint best" } else { "" }
        );
        Ok(Done::Complete)
    }

    /// What to say where validation has not improved for too long.
    fn stopped_early(&self, outcome: &Outcome) -> String {
        format!(
            "stopped early at step {}: validation has not improved for as many times as validation.patience allows; to train on, raise it: {} --set validation.patience=…",
            outcome.step, self.command
        )
    }

    /// Says how to go on after an interruption.
    pub(crate) fn interrupted(&self, outcome: &Outcome) {
        let saved = self.out.join("checkpoints").join(outcome.step.to_string());
        note!("interrupted at step {}; saved {}", outcome.step, saved.display());
        note!("resume with: {}", self.command);
    }

    /// The outcome, or for training that diverged a way on that exists.
    pub(crate) fn checked(&self, ended: gan_train::Result<Outcome>) -> anyhow::Result<Outcome> {
        match ended {
            Err(Error::Diverged { what, way_back }) => {
                let advice = self.after_divergence(&way_back);
                Err(Coded(DIVERGED, format!("training diverged: {what} is not finite; {advice}")).into())
            }
            ended => Ok(ended?),
        }
    }

    fn after_divergence(&self, way_back: &WayBack) -> String {
        let TrainConfig { lr, lr_g, lr_d, .. } = self.train;
        let own = [("lr_g", lr_g), ("lr_d", lr_d)].map(|(key, lr)| Some(format!(" --set {key}={}", lower(lr?))));
        let lr = lower(lr) + &own.into_iter().flatten().collect::<String>();
        let anew = format!("start anew with a lower learning rate (--lr {lr}) and another --out");
        let slower = format!("{} --lr {lr}\nIf that diverges as well, {anew}", self.command);
        match way_back {
            WayBack::Step { step, newer } if newer.is_empty() => {
                format!("the checkpoint of step {step} is kept. Resume with a lower learning rate: {slower}")
            }
            WayBack::Step { step, newer } => {
                let newer: Vec<_> = newer.iter().map(|step| format!("checkpoints/{step}")).collect();
                let newer = newer.join(", ");
                format!(
                    "the checkpoint of step {step} is kept, newer ones are beyond repair: delete {newer} and resume: {slower}"
                )
            }
            WayBack::Useless => format!("the checkpoints that are kept hold weights beyond repair: {anew}"),
            _ => format!("there is no checkpoint: {anew}"),
        }
    }
}

/// A learning rate to try instead of one that was too high: a tenth of it, and no more than the default.
fn lower(lr: f64) -> String {
    let lr = (lr / 10.0).min(TrainConfig::default().lr);
    // Two digits are enough.
    let lr: f64 = format!("{lr:.1e}").parse().unwrap_or(lr);
    if (1e-3..1e3).contains(&lr) { format!("{lr}") } else { format!("{lr:e}") }
}

/// What to say of the best checkpoint.
fn best_checkpoint(best: &Best) -> String {
    let Best { metric, value, step, epoch } = best;
    format!("the best checkpoint by validation is that of step {step}, epoch {epoch}: {metric} {value:.4}")
}

/// What to say where no step was left.
fn nothing_left(train: &TrainConfig, step: u64) -> String {
    if train.max_steps > 0 && step >= train.max_steps {
        return format!(
            "nothing left to do: all {} steps are done; raise max_steps (--set max_steps=…) to train on, 0 for all epochs",
            train.max_steps
        );
    }
    let epochs = train.schedule().last_epoch();
    format!("nothing left to do: all {epochs} epochs are done; raise n_epochs (--set n_epochs=…) to train on")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch() -> Launch {
        Launch {
            command: "gan-cli train pix2pix --out r --resume".into(),
            out: "r".into(),
            train: TrainConfig { lr: 0.5, ..TrainConfig::default() },
            quiet: false,
            json: false,
        }
    }

    #[test]
    fn advice_after_divergence_fits_what_is_kept() {
        let kept = launch().after_divergence(&WayBack::Step { step: 9, newer: Vec::new() });
        assert!(kept.contains("step 9") && kept.contains("gan-cli train pix2pix --out r --resume --lr 2e-4"));
        let kept = launch().after_divergence(&WayBack::Step { step: 9, newer: vec![12] });
        assert!(kept.contains("delete checkpoints/12 and resume: gan-cli"), "{kept}");
        let own_rate = TrainConfig { lr: 0.5, lr_d: Some(1e-3), ..TrainConfig::default() };
        let kept = Launch { train: own_rate, ..launch() }.after_divergence(&WayBack::Nothing);
        assert!(kept.contains("(--lr 2e-4 --set lr_d=1e-4)"), "{kept}");
        for way_back in [WayBack::Useless, WayBack::Nothing] {
            let text = launch().after_divergence(&way_back);
            assert!(text.contains("start anew") && !text.contains("--resume"), "{text}");
        }
    }

    #[test]
    fn nothing_left_names_what_to_raise() {
        let train = TrainConfig { n_epochs: 3, n_epochs_decay: 2, ..TrainConfig::default() };
        assert!(nothing_left(&train, 50).contains("all 5 epochs are done; raise n_epochs"));
        let train = TrainConfig { max_steps: 50, ..train };
        assert!(nothing_left(&train, 50).contains("raise max_steps"));
        assert!(nothing_left(&train, 20).contains("raise n_epochs"));
    }

    #[test]
    fn an_early_stop_says_what_was_best_and_how_to_go_on() {
        let best = Best { metric: "l1".into(), value: 12.25, step: 6, epoch: 3 };
        let said = best_checkpoint(&best);
        assert!(said.contains("step 6, epoch 3: l1 12.2500"), "{said}");
        let outcome = Outcome { finish: Finish::EarlyStopped, step: 10, best: Some(best) };
        let said = launch().stopped_early(&outcome);
        assert!(said.contains("at step 10") && said.contains("--resume --set validation.patience=…"), "{said}");
    }
}
