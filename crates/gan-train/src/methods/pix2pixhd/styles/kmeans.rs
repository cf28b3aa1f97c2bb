//! k-means: k-means++ starts (Arthur & Vassilvitskii, 2007), Lloyd's iteration, the best of several attempts.

use gan_rng::{Key, Stream};

/// Attempts from different starts; the one with the smallest sum of squared distances counts.
const ATTEMPTS: u64 = 10;
/// Lloyd iterations an attempt makes at most.
const ITERATIONS: usize = 300;

/// A partition of points.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Clustering {
    /// Means of the clusters.
    pub(super) centres: Vec<Vec<f64>>,
    /// Points of each cluster; never 0.
    pub(super) counts: Vec<usize>,
    /// Sum of the squared distances of the points to their centres.
    pub(super) inertia: f64,
}

/// Partitions points of equal dimension into `k` clusters, or as many as there are distinct points if those are fewer.
///
/// The result depends on the points, their order and the key alone.
pub(super) fn cluster(points: &[Vec<f64>], k: usize, key: Key) -> Clustering {
    let nothing = Clustering { centres: Vec::new(), counts: Vec::new(), inertia: 0.0 };
    if points.is_empty() || k == 0 {
        return nothing;
    }
    let attempts = (0..ATTEMPTS).map(|attempt| {
        let starts = starts(points, k, &mut key.at(attempt).stream());
        lloyd(points, starts)
    });
    // Of equals the first: `min_by` keeps it.
    let best = attempts.min_by(|a, b| a.inertia.total_cmp(&b.inertia));
    best.unwrap_or(nothing)
}

/// k-means++: each further centre is a point, drawn with the square of its distance to the nearest centre as weight.
/// Ends early when every point is a centre. There is at least one point.
fn starts(points: &[Vec<f64>], k: usize, stream: &mut Stream) -> Vec<Vec<f64>> {
    let mut centres = vec![points[stream.below(points.len() as u64) as usize].clone()];
    let mut weights: Vec<f64> = points.iter().map(|p| distance(p, &centres[0])).collect();
    while centres.len() < k {
        let total: f64 = weights.iter().sum();
        if total <= 0.0 {
            break;
        }
        let mut left = stream.uniform() * total;
        let drawn = weights.iter().position(|w| {
            left -= w;
            *w > 0.0 && left < 0.0
        });
        // Rounding can leave a rest behind the last point: then the last one that has a weight is it.
        let Some(drawn) = drawn.or_else(|| weights.iter().rposition(|w| *w > 0.0)) else { break };
        let centre = points[drawn].clone();
        weights.iter_mut().zip(points).for_each(|(w, p)| *w = w.min(distance(p, &centre)));
        centres.push(centre);
    }
    centres
}

/// Moves centres to the means of their points until no point changes its cluster.
fn lloyd(points: &[Vec<f64>], mut centres: Vec<Vec<f64>>) -> Clustering {
    let mut assigned = vec![usize::MAX; points.len()];
    for _ in 0..ITERATIONS {
        let mut nearest: Vec<usize> = points.iter().map(|p| nearest(p, &centres)).collect();
        reseed_empty(points, &mut nearest, &mut centres);
        if nearest == assigned {
            break;
        }
        assigned = nearest;
        centres = means(points, &assigned, centres.len());
    }
    let mut counts = vec![0; centres.len()];
    assigned.iter().for_each(|&c| counts[c] += 1);
    let inertia = points.iter().zip(&assigned).map(|(p, &c)| distance(p, &centres[c])).sum();
    Clustering { centres, counts, inertia }
}

/// Gives every cluster that lost its points the point that lies farthest from its own centre, out of a cluster that
/// has others.
fn reseed_empty(points: &[Vec<f64>], assigned: &mut [usize], centres: &mut [Vec<f64>]) {
    let mut counts = vec![0usize; centres.len()];
    assigned.iter().for_each(|&c| counts[c] += 1);
    for empty in 0..centres.len() {
        if counts[empty] > 0 {
            continue;
        }
        let mut farthest: Option<(usize, f64)> = None;
        for (i, point) in points.iter().enumerate().filter(|&(i, _)| counts[assigned[i]] > 1) {
            let d = distance(point, &centres[assigned[i]]);
            if farthest.is_none_or(|(_, most)| d > most) {
                farthest = Some((i, d));
            }
        }
        let Some((moved, _)) = farthest else { continue };
        counts[assigned[moved]] -= 1;
        counts[empty] += 1;
        assigned[moved] = empty;
        centres[empty].clone_from(&points[moved]);
    }
}

fn means(points: &[Vec<f64>], assigned: &[usize], k: usize) -> Vec<Vec<f64>> {
    let dims = points.first().map_or(0, Vec::len);
    let mut sums = vec![vec![0.0; dims]; k];
    let mut counts = vec![0usize; k];
    for (point, &c) in points.iter().zip(assigned) {
        counts[c] += 1;
        sums[c].iter_mut().zip(point).for_each(|(sum, x)| *sum += x);
    }
    for (sum, count) in sums.iter_mut().zip(counts) {
        sum.iter_mut().for_each(|x| *x /= count as f64);
    }
    sums
}

/// Index of the nearest centre; of equally near ones the first.
fn nearest(point: &[f64], centres: &[Vec<f64>]) -> usize {
    let mut best = (0, f64::INFINITY);
    for (c, centre) in centres.iter().enumerate() {
        let d = distance(point, centre);
        if d < best.1 {
            best = (c, d);
        }
    }
    best.0
}

/// Squared Euclidean distance.
fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use gan_rng::Purpose;

    fn key(i: u64) -> Key {
        Key::new(i, Purpose::Test)
    }

    /// `sizes[i]` points around `(10 i, -5 i, i)`, in mixed order.
    fn blobs(sizes: &[usize]) -> Vec<Vec<f64>> {
        let mut stream = key(99).stream();
        let mut points = Vec::new();
        for (i, &size) in sizes.iter().enumerate() {
            let at = i as f64;
            points.extend((0..size).map(|_| [10.0 * at, -5.0 * at, at].map(|x| x + 0.3 * stream.normal()).to_vec()));
        }
        stream.shuffle(&mut points);
        points
    }

    #[test]
    fn separable_blobs_are_found_with_their_sizes_and_means() {
        let sizes = [40, 7, 90, 23, 1];
        let points = blobs(&sizes);
        for seed in 0..20 {
            let found = cluster(&points, sizes.len(), key(seed));
            let mut order: Vec<usize> = (0..sizes.len()).collect();
            order.sort_by(|&a, &b| found.centres[a][0].total_cmp(&found.centres[b][0]));
            for (i, &c) in order.iter().enumerate() {
                assert_eq!(found.counts[c], sizes[i], "seed {seed}");
                assert!((found.centres[c][0] - 10.0 * i as f64).abs() < 1.5);
            }
            assert_eq!(found, cluster(&points, sizes.len(), key(seed)), "the same key, the same clusters");
        }
    }

    #[test]
    fn fewer_distinct_points_than_clusters_make_a_cluster_each() {
        let points = vec![vec![1.0, 0.0], vec![0.0, 0.5], vec![1.0, 0.0]];
        let mut found = cluster(&points, 10, key(0));
        assert_eq!(found.inertia, 0.0);
        found.centres.sort_by(|a, b| a[0].total_cmp(&b[0]));
        assert_eq!(found.centres, [[0.0, 0.5], [1.0, 0.0]]);
        assert_eq!(found.counts.iter().sum::<usize>(), 3);
        assert!(cluster(&[], 3, key(0)).centres.is_empty());
        assert!(cluster(&points, 0, key(0)).centres.is_empty());
    }

    #[test]
    fn empty_clusters_are_seeded_again() {
        // The third start is so far off that nobody is near it.
        let points: Vec<Vec<f64>> = [0.0, 0.1, 0.2, 5.0, 5.1, 9.0].iter().map(|&x| vec![x]).collect();
        let found = lloyd(&points, vec![vec![0.0], vec![5.0], vec![1e6]]);
        assert_eq!(found.counts, [3, 2, 1]);
        assert!((found.centres[2][0] - 9.0).abs() < 1e-12, "{:?}", found.centres);
        // Two empty ones at once, with as many clusters as points.
        let found = lloyd(&points[..3], vec![vec![0.1], vec![1e6], vec![-1e6]]);
        assert_eq!((found.counts, found.inertia), (vec![1, 1, 1], 0.0));
    }
}
