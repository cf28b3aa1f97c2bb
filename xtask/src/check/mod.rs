//! placeholder
use anyhow::Result;
pub(crate) fn command(_: Vec<String>) -> Result<()> {
    Ok(())
}
