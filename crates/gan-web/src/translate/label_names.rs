//! Names of labels, where they are known.

use crate::translate::facts::LabelColour;
use gan_data::{FACADE_CLASSES, STREET_CLASSES, label_colour};

/// Cityscapes' names of its ids from 0 on.
const CITYSCAPES: [&str; 35] = [
    "unlabeled",
    "ego vehicle",
    "rectification border",
    "out of roi",
    "static",
    "dynamic",
    "ground",
    "road",
    "sidewalk",
    "parking",
    "rail track",
    "building",
    "wall",
    "fence",
    "guard rail",
    "bridge",
    "tunnel",
    "pole",
    "polegroup",
    "traffic light",
    "traffic sign",
    "vegetation",
    "terrain",
    "sky",
    "person",
    "rider",
    "car",
    "truck",
    "bus",
    "caravan",
    "trailer",
    "train",
    "motorcycle",
    "bicycle",
    "license plate",
];

/// What the labels of a model are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// Those of the procedural streets.
    Streets,
    /// Nobody has said; 35 labels are those of Cityscapes.
    Unknown,
}

/// The labels of a model, in the colours in which label maps are shown. Pixels without a label are the last.
pub(super) fn palette(count: usize, dont_care: Option<u32>, names: Names) -> Vec<LabelColour> {
    let classes = count + usize::from(dont_care.is_some());
    let name = |id: usize| match names {
        Names::Streets => STREET_CLASSES.get(id).copied(),
        Names::Unknown => CITYSCAPES.get(id).copied().filter(|_| count == CITYSCAPES.len()),
    };
    let label = |id: usize| LabelColour {
        id: id as u32,
        name: name(id).map_or_else(|| format!("label {id}"), str::to_owned),
        colour: label_colour(id as u32, classes),
    };
    let unlabelled = dont_care.map(|id| LabelColour {
        id,
        name: "no label".to_owned(),
        colour: label_colour(count as u32, classes),
    });
    (0..count).map(label).chain(unlabelled).collect()
}

/// The colours of the procedural facades.
pub(super) fn facades() -> Vec<LabelColour> {
    let label = |(id, (name, colour)): (usize, &(&str, [u8; 3]))| LabelColour {
        id: id as u32,
        name: (*name).to_owned(),
        colour: *colour,
    };
    FACADE_CLASSES.iter().enumerate().map(label).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_have_names_where_they_are_known() {
        let cityscapes = palette(35, None, Names::Unknown);
        assert_eq!((cityscapes.len(), &*cityscapes[7].name, cityscapes[7].colour), (35, "road", [128, 64, 128]));
        let streets = palette(16, Some(255), Names::Streets);
        assert_eq!((streets.len(), &*streets[12].name), (17, "car"));
        assert_eq!((streets[16].id, &*streets[16].name), (255, "no label"));
        assert_eq!(palette(3, None, Names::Unknown)[2].name, "label 2");
        assert_eq!(facades()[8].name, "door");
    }
}
