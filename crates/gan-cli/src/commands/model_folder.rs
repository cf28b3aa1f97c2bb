//! Folders that are named as models: runs, checkpoints, and what people take for them.

use gan_translate::Elsewhere;
use gan_weights::checkpoint::TRAINING_STATE;
use std::path::Path;

/// Whether a file of a checkpoint holds tensors of the training rather than a network.
pub(crate) fn is_training_state(stem: &str) -> bool {
    TRAINING_STATE.contains(&stem)
}

/// Names in a list: `a, b and c`.
pub(crate) fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// What to name instead of a path that is neither a run nor a checkpoint.
pub(crate) fn instead(path: &Path, elsewhere: &Elsewhere) -> String {
    let shown = path.display();
    let inside = |names: &[String]| {
        let first = path.join(&names[0]);
        let some = &names[..names.len().min(6)];
        let all = if names.len() > some.len() { format!("{}, …", some.join(", ")) } else { listed(some) };
        (all, first.display().to_string())
    };
    match elsewhere {
        Elsewhere::OtherCheckpoints { run, name, found } => {
            let be = if found.len() == 1 { "is" } else { "are" };
            format!("there is no checkpoint {name} in {}; there {be} {}", run.display(), listed(found))
        }
        Elsewhere::WeightFiles(names) => {
            let (all, first) = inside(names);
            format!("{shown} is no run; it holds {all}: name one of them, for example --model {first}")
        }
        Elsewhere::Checkpoints(names) => {
            let (all, first) = inside(names);
            format!(
                "{shown} is no run; it holds the checkpoints {all}: name its parent, or one of them: --model {first}"
            )
        }
        Elsewhere::Runs(names) => {
            let (all, first) = inside(names);
            format!("{shown} is no run; it holds the runs {all}: name one of them, for example --model {first}")
        }
        _ => format!("{shown} does not exist; name a run, a checkpoint or a weight file"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_instead_is_named() {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let said = |elsewhere| instead(Path::new("x"), &elsewhere);
        let other = |found: &[&str]| {
            said(Elsewhere::OtherCheckpoints { run: "run".into(), name: "9".into(), found: names(found) })
        };
        assert_eq!(other(&["5", "30", "100"]), "there is no checkpoint 9 in run; there are 5, 30 and 100");
        assert_eq!(other(&["5"]), "there is no checkpoint 9 in run; there is 5");
        assert!(said(Elsewhere::WeightFiles(names(&["a.pth", "b.pth"]))).contains("it holds a.pth and b.pth: name"));
        assert!(said(Elsewhere::Runs(names(&["one"]))).contains("it holds the runs one:"));
        assert!(said(Elsewhere::Checkpoints(names(&["5", "30"]))).contains("checkpoints 5 and 30: name its parent"));
        assert!(said(Elsewhere::Nothing).contains("does not exist"));
        let many = names(&["a", "b", "c", "d", "e", "f", "g"]);
        assert!(said(Elsewhere::Runs(many)).contains("the runs a, b, c, d, e, f, …: name"));
    }
}
