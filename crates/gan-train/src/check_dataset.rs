//! Whether a dataset suits a configuration, before anything is built.

use crate::Result;
use crate::method_config::{MethodConfig, demands};
use gan_data::check_sizes;

/// Opens the dataset of a configuration and refuses it where training would: folders that are missing, names without partners, sizes
/// that do not suit the networks. Labels are not read; of images only headers are, where the configuration leaves their size open.
///
/// # Errors
/// [`Error::Data`](crate::Error::Data) with the first thing that training would refuse; [`Error::Config`](crate::Error::Config) as
/// [`validate`](crate::validate).
pub fn check_dataset(config: &dyn MethodConfig) -> Result<()> {
    let (demands, data) = (demands(config)?, config.data());
    let dataset = gan_data::open(&data)?;
    Ok(check_sizes(&*dataset, &data, &|size| demands.unfit(size))?)
}
