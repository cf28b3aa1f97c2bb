//! Device memory: pieces of the host's, each of which is registered, so that every access can be checked. New memory and
//! freed memory hold bytes of all ones: NaN in every floating-point type.

use std::{
    alloc::Layout,
    collections::{BTreeMap, VecDeque},
    ops::Range,
    sync::{Arc, Mutex, MutexGuard},
};

/// The byte that memory nobody wrote holds.
pub const POISON: u8 = 0xFF;

/// The alignment of allocations, as CUDA promises.
const ALIGN: usize = 256;

/// Freed memory is kept this long before it is used again, so that late accesses are noticed.
const QUARANTINE: usize = 64 << 20;

#[derive(Debug)]
struct Piece {
    size: usize,
    /// Memory of a graph is only there while the graph runs.
    live: bool,
    /// Allocated while a stream was captured.
    graph: bool,
}

#[derive(Debug, Default)]
struct Registry {
    pieces: BTreeMap<u64, Piece>,
    quarantine: VecDeque<(u64, usize)>,
    quarantined: usize,
    /// The live ranges as last asked for.
    ranges: Option<Arc<Vec<Range<u64>>>>,
    used: usize,
    peak: usize,
}

static REGISTRY: Mutex<Registry> = Mutex::new(Registry {
    pieces: BTreeMap::new(),
    quarantine: VecDeque::new(),
    quarantined: 0,
    ranges: None,
    used: 0,
    peak: 0,
});

fn registry() -> MutexGuard<'static, Registry> {
    REGISTRY.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size.max(1), ALIGN).unwrap_or(Layout::new::<u64>())
}

/// Allocates `size` bytes; `graph`: for a graph, not usable before it runs. `None` if there is no memory.
pub fn allocate(size: usize, graph: bool) -> Option<u64> {
    // SAFETY: the layout's size is not zero.
    let at = unsafe { std::alloc::alloc(layout(size)) };
    if at.is_null() {
        return None;
    }
    // SAFETY: `at` points to `size` new bytes.
    unsafe { at.write_bytes(POISON, size) };
    let mut registry = registry();
    registry.pieces.insert(at as u64, Piece { size, live: !graph, graph });
    registry.ranges = None;
    registry.used += size;
    registry.peak = registry.peak.max(registry.used);
    Some(at as u64)
}

/// Whether `at` is the start of an allocation, and if so, whether of a graph's.
pub fn is_graph(at: u64) -> Option<bool> {
    registry().pieces.get(&at).map(|piece| piece.graph)
}

/// Frees the allocation at `at`; `false` if there is none.
pub fn free(at: u64) -> bool {
    let mut registry = registry();
    let Some(piece) = registry.pieces.remove(&at) else { return false };
    // SAFETY: the piece was allocated with this size and is not freed yet.
    unsafe { (at as *mut u8).write_bytes(POISON, piece.size) };
    registry.ranges = None;
    registry.used -= piece.size;
    registry.quarantine.push_back((at, piece.size));
    registry.quarantined += piece.size;
    while registry.quarantined > QUARANTINE {
        let Some((at, size)) = registry.quarantine.pop_front() else { break };
        registry.quarantined -= size;
        // SAFETY: allocated with this layout, and in no list any more.
        unsafe { std::alloc::dealloc(at as *mut u8, layout(size)) };
    }
    true
}

/// A graph's memory comes to life (poisoned) or ends. `false` if it already was so.
pub fn set_live(at: u64, live: bool) -> bool {
    let mut registry = registry();
    registry.ranges = None;
    let Some(piece) = registry.pieces.get_mut(&at) else { return false };
    if piece.live == live {
        return false;
    }
    piece.live = live;
    // SAFETY: the piece is allocated with this size.
    unsafe { (at as *mut u8).write_bytes(POISON, piece.size) };
    true
}

/// All live allocations, in order of their addresses.
pub fn ranges() -> Arc<Vec<Range<u64>>> {
    let mut registry = registry();
    if let Some(ranges) = &registry.ranges {
        return Arc::clone(ranges);
    }
    let live = registry.pieces.iter().filter(|(_, piece)| piece.live);
    let ranges = Arc::new(live.map(|(at, piece)| *at..at + piece.size as u64).collect::<Vec<_>>());
    registry.ranges = Some(Arc::clone(&ranges));
    ranges
}

/// The range among `ranges` that holds address `at`.
pub fn containing(ranges: &[Range<u64>], at: u64) -> Option<Range<u64>> {
    let after = ranges.partition_point(|range| range.start <= at);
    ranges[..after].last().filter(|range| at < range.end).cloned()
}

/// Whether `bytes` bytes from `at` lie in one live allocation.
///
/// # Errors
/// Says what is wrong.
pub fn check(at: u64, bytes: usize) -> Result<(), String> {
    if bytes == 0 {
        return Ok(());
    }
    match containing(&ranges(), at) {
        Some(range) if at + bytes as u64 <= range.end => Ok(()),
        Some(range) => {
            let size = range.end - range.start;
            Err(format!("{bytes} bytes at offset {} of an allocation of {size} bytes", at - range.start))
        }
        None => Err(format!("{bytes} bytes at {at:#x}, which is not allocated (never, or freed already)")),
    }
}

/// Says of an address what lies next to it.
pub fn describe(at: u64) -> String {
    let registry = registry();
    match registry.pieces.range(..=at).next_back() {
        Some((start, piece)) if !piece.live && at < start + piece.size as u64 => {
            "memory of a graph that does not run".to_owned()
        }
        Some((start, piece)) if at < start + piece.size as u64 + (1 << 20) => {
            let size = piece.size as u64;
            if at >= start + size {
                format!("{} bytes behind the end of an allocation of {size} bytes", at - start - size)
            } else {
                format!("offset {} of an allocation of {size} bytes", at - start)
            }
        }
        _ => match registry.pieces.range(at..).next() {
            Some((start, piece)) if start - at <= 1 << 20 => {
                format!("{} bytes before an allocation of {} bytes", start - at, piece.size)
            }
            _ => "not near any allocation".to_owned(),
        },
    }
}

/// Bytes allocated now, and the most there ever were.
pub fn usage() -> (usize, usize) {
    let registry = registry();
    (registry.used, registry.peak)
}
