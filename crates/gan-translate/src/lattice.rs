//! The lattice on which a network with strides computes.

/// Largest period of a lattice that is moved with the scene. Deeper levels of a network see smooth values, and to move theirs would take larger
/// margins.
const LARGEST_PERIOD: usize = 16;
/// By how much the margins may enlarge what is computed.
const LARGEST_GROWTH: f64 = 1.3;

/// Where a generator's samples lie, and room to move them.
pub(crate) struct Lattice {
    /// Period in pixels.
    pub(crate) period: usize,
    /// Height and width of what is computed.
    pub(crate) size: (usize, usize),
}

impl Lattice {
    /// For images of this size, where sides have to be multiples of `multiple` and not below `smallest`. `None` where it would take too much.
    pub(crate) fn new((height, width): (usize, usize), multiple: usize, smallest: usize) -> Option<Self> {
        let period = multiple.min(LARGEST_PERIOD);
        let suits = |side: usize, more: usize| (side + more).max(smallest).div_ceil(multiple) * multiple;
        let size = (suits(height, period - 1), suits(width, period - 1));
        let area = |(height, width): (usize, usize)| (height * width) as f64;
        let growth = area(size) / area((suits(height, 0), suits(width, 0)));
        (period > 1 && growth <= LARGEST_GROWTH).then_some(Lattice { period, size })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lattices_have_room_to_move_or_are_none() {
        let room = |size, multiple| Lattice::new(size, multiple, multiple).map(|l| (l.period, l.size));
        assert_eq!(room((256, 512), 4), Some((4, (260, 516))));
        assert_eq!(room((250, 509), 4), Some((4, (256, 512))));
        assert_eq!(room((512, 1024), 16), Some((16, (528, 1040))));
        assert_eq!(room((256, 256), 256), None);
        assert_eq!(room((900, 1000), 128), Some((16, (1024, 1024))));
    }
}
