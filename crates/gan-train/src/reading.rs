//! What a method asks of the files of a dataset.

/// A way in which a method reads the files of a dataset. Who inspects a dataset tries those of each method, and advises the first that
/// suits the files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// What it needs, as the end of a sentence: `pairs of images of the same scene`.
    pub needs: String,
    /// Settings `key=value` over the method's defaults that choose it.
    pub settings: Vec<String>,
    /// What someone should know who takes it.
    pub note: Option<String>,
}

impl Reading {
    /// A reading that needs nothing said.
    pub fn new(needs: impl Into<String>, settings: &[&str]) -> Self {
        let settings = settings.iter().map(ToString::to_string).collect();
        Reading { needs: needs.into(), settings, note: None }
    }
}
