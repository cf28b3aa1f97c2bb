//! Styles of instances: clusters of the features that an encoder finds for each label, and drawing a style from them.
//!
//! ```text
//! RUN/features/clusters.safetensors   `label.<n>` [clusters, feat_num] for each label that has features
//! ```
//!
//! At translation a style is a number: it draws one cluster for every instance.

use crate::{Error, Result};
use candle_core::{DType, Device, Tensor};
use gan_rng::{Key, Purpose};
use gan_weights::checkpoint::read_tensors;
use std::collections::{BTreeMap, HashMap};
use std::io::ErrorKind;
use std::path::Path;

/// Largest file of clusters that is read: some tens of thousands of labels.
const MAX_BYTES: u64 = 64 << 20;

/// Typical instance features of each label: what a style is drawn from.
#[derive(Debug, Clone, PartialEq)]
pub struct StyleClusters {
    feat_num: usize,
    by_label: BTreeMap<u32, Vec<Vec<f32>>>,
}

/// The label of an instance id: ids from 1000 on are `label * 1000 + number`, smaller ones are labels themselves.
pub fn label_of(id: u32) -> u32 {
    if id < 1000 { id } else { id / 1000 }
}

impl StyleClusters {
    /// Name of the file in the folder of the features.
    pub const FILE: &'static str = "clusters.safetensors";

    /// Clusters `[clusters][feat_num]` of each label.
    #[must_use]
    pub fn new(feat_num: usize, by_label: BTreeMap<u32, Vec<Vec<f32>>>) -> Self {
        StyleClusters { feat_num, by_label }
    }

    /// Channels of the features.
    pub fn feat_num(&self) -> usize {
        self.feat_num
    }

    /// Labels that have clusters, ascending.
    pub fn labels(&self) -> impl Iterator<Item = u32> {
        self.by_label.keys().copied()
    }

    /// Features of the clusters of a label.
    pub fn of_label(&self, label: u32) -> &[Vec<f32>] {
        self.by_label.get(&label).map_or(&[], Vec::as_slice)
    }

    /// Feature planes `[N, feat_num, H, W]` (F32, CPU) for instance ids `[N, 1, H, W]` (U8 or U32): each id gets one of
    /// its label's clusters, the same in every image that is drawn with this `style`. Ids without clusters get zeros.
    ///
    /// # Errors
    /// `inst` is not four-dimensional.
    pub fn draw(&self, inst: &Tensor, style: u64) -> candle_core::Result<Tensor> {
        let (n, _, h, w) = inst.dims4()?;
        let ids = inst.to_dtype(DType::U32)?.flatten_all()?.to_vec1::<u32>()?;
        let key = Key::new(style, Purpose::Style).at_name("instance");
        let mut drawn: HashMap<u32, Option<&[f32]>> = HashMap::new();
        let (c, hw) = (self.feat_num, h * w);
        let mut planes = vec![0f32; n * c * hw];
        for (i, &id) in ids.iter().enumerate() {
            let feature = *drawn.entry(id).or_insert_with(|| {
                let clusters = self.of_label(label_of(id));
                let number = key.at(u64::from(id)).stream().below(clusters.len() as u64);
                clusters.get(number as usize).map(Vec::as_slice)
            });
            let (image, pixel) = (i / hw, i % hw);
            for (channel, &x) in feature.unwrap_or_default().iter().enumerate() {
                planes[(image * c + channel) * hw + pixel] = x;
            }
        }
        Tensor::from_vec(planes, (n, c, h, w), &Device::Cpu)
    }

    /// The clusters as named tensors: `label.<n>` `[clusters, feat_num]` (F32, CPU) for each label, ascending.
    ///
    /// # Errors
    /// A cluster has another number of features than `feat_num`.
    pub fn to_tensors(&self) -> candle_core::Result<Vec<(String, Tensor)>> {
        let named = |(label, clusters): (&u32, &Vec<Vec<f32>>)| {
            let shape = (clusters.len(), self.feat_num);
            Ok((format!("label.{label}"), Tensor::from_vec(clusters.concat(), shape, &Device::Cpu)?))
        };
        self.by_label.iter().map(named).collect()
    }

    /// Reads `clusters.safetensors` of `folder`; `None` if there is no such file.
    ///
    /// # Errors
    /// [`Error::BadStyles`] if it cannot be read or does not hold clusters of `feat_num` channels.
    pub fn load(folder: &Path, feat_num: usize) -> Result<Option<Self>> {
        let path = folder.join(Self::FILE);
        let refuse = |reason: String| Error::BadStyles { path: path.clone(), reason };
        let bytes = match gan_fs::read_regular(&path, MAX_BYTES) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(refuse(format!("it cannot be read ({e})"))),
        };
        let mut by_label = BTreeMap::new();
        for (name, tensor) in read_tensors(&path, &bytes)? {
            let Some(label) = name.strip_prefix("label.").and_then(|n| n.parse().ok()) else {
                return Err(refuse(format!("it holds `{name}`, which is not the clusters of a label")));
            };
            let clusters = match tensor.dims() {
                &[k, c] if k > 0 && c == feat_num => tensor.to_vec2::<f32>(),
                other => return Err(refuse(format!("`{name}` has shape {other:?}, not [clusters, {feat_num}]"))),
            };
            if by_label.insert(label, clusters.map_err(|e| refuse(e.to_string()))?).is_some() {
                return Err(refuse(format!("it holds the clusters of label {label} twice")));
            }
        }
        Ok(Some(StyleClusters { feat_num, by_label }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use gan_weights::{StateDict, safetensors};

    fn clusters() -> StyleClusters {
        let many = (0..10).map(|i| vec![i as f32, -1.0]).collect();
        StyleClusters::new(2, BTreeMap::from([(7, vec![vec![0.25, 0.5]]), (26, many)]))
    }

    #[test]
    fn each_instance_has_one_cluster_of_its_label_and_others_zeros() {
        let ids = vec![7u32, 26_001, 26_001, 26_002, 23, 23_004, 26_002, 7];
        let inst = Tensor::from_vec(ids.clone(), (2, 1, 2, 2), &Device::Cpu).unwrap();
        let mut seen = [false; 10];
        for style in 0..64 {
            let planes = clusters().draw(&inst, style).unwrap();
            assert_eq!(planes.dims(), [2, 2, 2, 2]);
            let at = planes.permute((0, 2, 3, 1)).unwrap().reshape((8, 2)).unwrap().to_vec2::<f32>().unwrap();
            assert_eq!((&at[0][..], &at[7][..]), (&[0.25, 0.5][..], &[0.25, 0.5][..]));
            assert_eq!((&at[4], &at[5]), (&vec![0.0; 2], &vec![0.0; 2]));
            assert_eq!((&at[1], &at[3]), (&at[2], &at[6]), "one cluster an instance, in both images");
            assert_eq!((at[1][1], at[3][1]), (-1.0, -1.0));
            seen[at[1][0] as usize] = true;
        }
        assert_eq!(seen, [true; 10], "every cluster is drawn by some style");
    }

    #[test]
    fn files_read_back_and_foreign_ones_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(StyleClusters::load(folder.path(), 2).unwrap(), None);
        let file = folder.path().join(StyleClusters::FILE);
        let state: StateDict = clusters().to_tensors().unwrap().into_iter().collect();
        safetensors::write(&file, &state).unwrap();
        assert_eq!(StyleClusters::load(folder.path(), 2).unwrap().unwrap(), clusters());
        let error = StyleClusters::load(folder.path(), 3).unwrap_err().to_string();
        assert!(error.contains("label.7") && error.contains("find the styles anew"), "{error}");
        std::fs::write(file, "nonsense").unwrap();
        assert!(StyleClusters::load(folder.path(), 2).is_err());
    }
}
