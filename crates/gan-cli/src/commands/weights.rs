//! Bare weight files: a network without a run.

use anyhow::bail;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use gan_nets::Arch;
use gan_translate::WeightOptions;

#[derive(clap::Args, Clone)]
pub(crate) struct WeightArgs {
    /// Architecture of a bare weight file. It is read off the tensors; where they leave a choice (a ResNet with instance
    /// norm and two halvings is a global generator, too), this decides, and otherwise it is checked
    #[arg(long, value_parser = PossibleValuesParser::new(Arch::ALL.map(|(name, _)| name)).try_map(|name| arch(&name)))]
    pub(crate) arch: Option<Arch>,
    /// Which state dict of a .pth file that holds several: `netG`, or `models.generator` for a dict in a dict
    #[arg(long, value_name = "NAME")]
    pub(crate) entry: Option<String>,
}

impl WeightArgs {
    /// What the arguments say about a weight file.
    pub(crate) fn options(&self) -> WeightOptions {
        WeightOptions { arch: self.arch, entry: self.entry.clone(), ..WeightOptions::default() }
    }

    /// Refuses what only bare weight files need.
    pub(crate) fn refuse_for_runs(&self) -> anyhow::Result<()> {
        if self.arch.is_some() || self.entry.is_some() {
            bail!(crate::exit::Coded(
                2,
                "--arch and --entry are for bare weight files: a run knows its networks".into()
            ));
        }
        Ok(())
    }
}

fn arch(name: &str) -> Result<Arch, String> {
    Arch::ALL.iter().find(|(n, _)| *n == name).map(|(_, arch)| *arch).ok_or_else(|| format!("no architecture {name}"))
}
