//! The adjoint of padding: gradients of padded pixels are added to the pixels they show.
use crate::cpu::real::Real;
use crate::spec::geometry::Geometry;

/// `out[y][x] = start + Σ` of the padded plane's elements that show (y, x).
pub(crate) fn fold<T: Real>(g: &Geometry, padded: &[T], out: &mut [T], start: T) {
    out.fill(start);
    let (ph, pw) = (g.padded_h(), g.padded_w());
    let left = g.padding[1];
    let inner = left..(left + g.w).min(pw);
    for py in 0..ph {
        let Some(y) = g.source_row(py) else { continue };
        let row = &padded[py * pw..(py + 1) * pw];
        let out = &mut out[y * g.w..(y + 1) * g.w];
        for px in (0..left.min(pw)).chain(inner.end..pw) {
            if let Some(x) = g.source_column(px) {
                out[x] += row[px];
            }
        }
        if inner.start < inner.end {
            for (o, &v) in out.iter_mut().zip(&row[inner.clone()]) {
                *o += v;
            }
        }
    }
}
