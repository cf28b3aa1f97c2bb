//! YUV in RGB and back: which matrix, which range, and where samples of colour lie.

/// The weights of red and blue in luma.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matrix {
    /// ITU-R BT.601: standard definition.
    Bt601,
    /// ITU-R BT.709: high definition.
    Bt709,
}

impl Matrix {
    /// What players take where a video does not say: BT.709 from 720 rows on.
    pub fn of_size(height: usize) -> Self {
        if height >= 720 { Matrix::Bt709 } else { Matrix::Bt601 }
    }

    /// Weights of red and blue.
    fn weights(self) -> (f32, f32) {
        match self {
            Matrix::Bt601 => (0.299, 0.114),
            Matrix::Bt709 => (0.2126, 0.0722),
        }
    }
}

/// How levels are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coding {
    /// The matrix.
    pub matrix: Matrix,
    /// Whether levels fill 0 to 255, and not 16 to 235 (luma) and 16 to 240 (colour).
    pub full_range: bool,
}

/// Where a sample of colour lies among those of luma, along one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Siting {
    /// One for each.
    Each,
    /// At the first of two.
    First,
    /// In the middle of two.
    Middle,
}

impl Siting {
    /// How many samples of colour there are for so many of luma.
    pub fn count(self, luma: usize) -> usize {
        if self == Siting::Each { luma } else { luma.div_ceil(2) }
    }

    /// The two samples of colour around a sample of luma, and the weight of the second.
    fn around(self, at: usize, count: usize) -> (usize, usize, f32) {
        let place = match self {
            Siting::Each => return (at, at, 0.0),
            Siting::First => at as f32 / 2.0,
            Siting::Middle => (at as f32 - 0.5) / 2.0,
        };
        let first = place.floor();
        let clamp = |i: f32| (i.max(0.0) as usize).min(count - 1);
        (clamp(first), clamp(first + 1.0), place - first)
    }

    /// The samples of luma that a sample of colour is a mean of, with their weights.
    fn under(self, at: usize, count: usize) -> [(usize, f32); 3] {
        let last = count - 1;
        match self {
            Siting::Each => [(at, 1.0), (at, 0.0), (at, 0.0)],
            Siting::First => {
                let middle = 2 * at;
                [(middle.saturating_sub(1), 0.25), (middle.min(last), 0.5), ((middle + 1).min(last), 0.25)]
            }
            Siting::Middle => [(2 * at, 0.5), ((2 * at + 1).min(last), 0.5), (2 * at, 0.0)],
        }
    }
}

/// The planes of a frame: luma, then the two of colour, each of the size that the sitings give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Across and down; `None` for grey, which has luma alone.
    pub colour: Option<(Siting, Siting)>,
}

impl Layout {
    /// Bytes of a frame.
    pub fn bytes(self) -> usize {
        let colour = self.colour.map_or(0, |(across, down)| 2 * across.count(self.width) * down.count(self.height));
        self.width * self.height + colour
    }

    /// The frame as RGB. `planes` has as many bytes as [`Layout::bytes`] says.
    pub fn to_rgb(self, planes: &[u8], coding: Coding) -> Vec<u8> {
        let Layout { width, height, colour } = self;
        let (luma, chroma) = planes.split_at(width * height);
        let (kr, kb) = coding.matrix.weights();
        let kg = 1.0 - kr - kb;
        let (scale, offset, chroma_scale) =
            if coding.full_range { (1.0, 0.0, 255.0) } else { (255.0 / 219.0, 16.0, 224.0) };
        let mut rgb = Vec::with_capacity(3 * width * height);
        let half = chroma.len() / 2;
        for y in 0..height {
            for x in 0..width {
                let level = (f32::from(luma[y * width + x]) - offset) * scale;
                let Some((across, down)) = colour else {
                    rgb.extend([rounded(level); 3]);
                    continue;
                };
                let (columns, rows) = (across.count(width), down.count(height));
                let (x0, x1, fx) = across.around(x, columns);
                let (y0, y1, fy) = down.around(y, rows);
                let sample = |plane: &[u8]| {
                    let at = |x: usize, y: usize| f32::from(plane[y * columns + x]);
                    let above = at(x0, y0) + fx * (at(x1, y0) - at(x0, y0));
                    let below = at(x0, y1) + fx * (at(x1, y1) - at(x0, y1));
                    (above + fy * (below - above) - 128.0) / chroma_scale * 255.0
                };
                let (cb, cr) = (sample(&chroma[..half]), sample(&chroma[half..]));
                let (red, blue) = (level + 2.0 * (1.0 - kr) * cr, level + 2.0 * (1.0 - kb) * cb);
                rgb.extend([rounded(red), rounded((level - kr * red - kb * blue) / kg), rounded(blue)]);
            }
        }
        rgb
    }

    /// The planes of a frame of RGB, which has three bytes a pixel.
    pub fn of_rgb(self, rgb: &[u8], coding: Coding) -> Vec<u8> {
        let Layout { width, height, colour } = self;
        let (kr, kb) = coding.matrix.weights();
        let (scale, offset, chroma_scale) =
            if coding.full_range { (1.0, 0.0, 255.0) } else { (219.0 / 255.0, 16.0, 224.0) };
        let pixel = |x: usize, y: usize| {
            let at = 3 * (y * width + x);
            let [red, green, blue] = [rgb[at], rgb[at + 1], rgb[at + 2]].map(f32::from);
            (kr * red + (1.0 - kr - kb) * green + kb * blue, red, blue)
        };
        let mut planes = Vec::with_capacity(self.bytes());
        for y in 0..height {
            planes.extend((0..width).map(|x| rounded(pixel(x, y).0 * scale + offset)));
        }
        let Some((across, down)) = colour else { return planes };
        for of_red in [false, true] {
            for row in 0..down.count(height) {
                for column in 0..across.count(width) {
                    let mut mean = 0.0;
                    for (y, wy) in down.under(row, height) {
                        for (x, wx) in across.under(column, width) {
                            let (luma, red, blue) = pixel(x, y);
                            let difference = if of_red {
                                (red - luma) / (2.0 * (1.0 - kr))
                            } else {
                                (blue - luma) / (2.0 * (1.0 - kb))
                            };
                            mean += wy * wx * difference;
                        }
                    }
                    planes.push(rounded(mean / 255.0 * chroma_scale + 128.0));
                }
            }
        }
        planes
    }
}

/// The nearest level; `as` saturates.
fn rounded(level: f32) -> u8 {
    (level + 0.5) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODINGS: [Coding; 4] = [
        Coding { matrix: Matrix::Bt601, full_range: false },
        Coding { matrix: Matrix::Bt601, full_range: true },
        Coding { matrix: Matrix::Bt709, full_range: false },
        Coding { matrix: Matrix::Bt709, full_range: true },
    ];

    #[test]
    fn known_colours_have_known_levels() {
        let layout = Layout { width: 1, height: 1, colour: Some((Siting::Each, Siting::Each)) };
        // ITU-R BT.601 and BT.709, 8 bits.
        let limited = |matrix| Coding { matrix, full_range: false };
        assert_eq!(layout.of_rgb(&[255, 255, 255], limited(Matrix::Bt601)), [235, 128, 128]);
        assert_eq!(layout.of_rgb(&[0, 0, 0], limited(Matrix::Bt709)), [16, 128, 128]);
        assert_eq!(layout.of_rgb(&[255, 0, 0], limited(Matrix::Bt601)), [81, 90, 240]);
        assert_eq!(layout.of_rgb(&[255, 0, 0], limited(Matrix::Bt709)), [63, 102, 240]);
        assert_eq!(layout.of_rgb(&[0, 0, 255], Coding { matrix: Matrix::Bt601, full_range: true })[1], 255);
    }

    /// One colour in all layouts and codings; all pixels where each has its own colour.
    #[test]
    fn there_and_back() {
        use Siting::{Each, First, Middle};
        let layouts = [(Each, Each), (First, Each), (Middle, Middle), (First, Middle), (First, First)];
        for (colour, (width, height)) in layouts.into_iter().flat_map(|c| [(c, (4, 4)), (c, (5, 3)), (c, (1, 1))]) {
            let layout = Layout { width, height, colour: Some(colour) };
            for coding in CODINGS {
                let uniform = [200, 90, 30].repeat(width * height);
                let planes = layout.of_rgb(&uniform, coding);
                assert_eq!(planes.len(), layout.bytes());
                let back = layout.to_rgb(&planes, coding);
                let worst = back.iter().zip(&uniform).map(|(a, b)| a.abs_diff(*b)).max();
                assert!(worst <= Some(2), "{worst:?} {colour:?} {coding:?}");
            }
        }
        let layout = Layout { width: 16, height: 16, colour: Some((Each, Each)) };
        let all: Vec<u8> = (0..16 * 16 * 3).map(|i| (i * 67 % 256) as u8).collect();
        for coding in CODINGS {
            let back = layout.to_rgb(&layout.of_rgb(&all, coding), coding);
            let worst = back.iter().zip(&all).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(worst <= Some(if coding.full_range { 2 } else { 3 }), "{worst:?} {coding:?}");
        }
    }

    #[test]
    fn colour_lies_where_its_siting_says() {
        // A step of colour between the first and second column of four.
        let rgb = [[0u8, 0, 255], [255, 255, 0], [255, 255, 0], [255, 255, 0]].concat();
        let coding = Coding { matrix: Matrix::Bt601, full_range: true };
        let blue = |across| {
            let layout = Layout { width: 4, height: 1, colour: Some((across, Siting::Each)) };
            layout.of_rgb(&rgb, coding)[4..6].to_vec()
        };
        assert_eq!(blue(Siting::Middle), [128, 1]);
        // A quarter of the sample before (the border again), half of the first, a quarter of the second.
        assert_eq!(blue(Siting::First), [192, 1]);
    }
}
