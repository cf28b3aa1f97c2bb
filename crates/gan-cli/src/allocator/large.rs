//! Large blocks from one range of addresses, where freed neighbours become one again and a request takes the block that fits
//! best (two-level segregated fit, Masmano et al., 2004).
#![allow(unsafe_code)] // an allocator

use rlsf::Tlsf;
use std::alloc::{GlobalAlloc, Layout};
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// Bytes from which on a block is large.
const LARGE: usize = 1 << 17;

/// Whether a block is served here, if there is room. (What asks for a page of its own is rare.)
fn is_large(layout: Layout) -> bool {
    layout.size() >= LARGE && layout.align() <= 64
}

/// Free blocks by size: powers of two, each in 32 steps.
type Blocks = Tlsf<'static, usize, u32, { usize::BITS as usize }, 32>;

/// Bytes behind a block in which the pool's notes about the next one lie, at most: what alignment leaves free, and a header.
const NOTES: usize = 256;

/// Serves large blocks itself, as long as there is room, and leaves all others to `A`.
pub(crate) struct LargeApart<A> {
    others: A,
    large: OnceLock<Large>,
}

struct Pool {
    blocks: Blocks,
    /// The address from which on nothing was ever written: the system's memory is zeros there, and takes no room yet.
    untouched: usize,
}

struct Large {
    pool: Mutex<Pool>,
    /// The addresses; none if the system gave none.
    range: Range<usize>,
}

impl<A> LargeApart<A> {
    pub(crate) const fn new(others: A) -> Self {
        LargeApart { others, large: OnceLock::new() }
    }

    fn large(&self) -> &Large {
        self.large.get_or_init(|| {
            let mut blocks = Blocks::new();
            let range = reserve().map_or(0..0, |block| {
                // SAFETY: the range was mapped for this pool alone and is never unmapped.
                unsafe { blocks.insert_free_block_ptr(block) };
                let from = block.as_ptr().cast::<u8>().addr();
                from..from + block.len()
            });
            let untouched = range.start + NOTES;
            Large { pool: Mutex::new(Pool { blocks, untouched }), range }
        })
    }
}

impl Large {
    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A block, and how many of its bytes may have been written to before.
    fn allocate(&self, layout: Layout) -> Option<(NonNull<u8>, usize)> {
        let mut pool = self.pool();
        let block = pool.blocks.allocate(layout)?;
        let from = block.as_ptr().addr();
        let used = pool.untouched.saturating_sub(from).min(layout.size());
        pool.untouched = pool.untouched.max(from + layout.size() + NOTES);
        Some((block, used))
    }

    fn has(&self, block: *mut u8) -> bool {
        self.range.contains(&block.addr())
    }
}

/// Addresses for as many bytes as the machine has memory. The system gives memory to those that are touched, in large pages if
/// it can.
fn reserve() -> Option<NonNull<[u8]>> {
    // SAFETY: asks for two numbers.
    let (pages, size) = unsafe { (libc::sysconf(libc::_SC_PHYS_PAGES), libc::sysconf(libc::_SC_PAGESIZE)) };
    let len = usize::try_from(pages).ok()?.checked_mul(usize::try_from(size).ok()?)?;
    let (access, kind) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE);
    // SAFETY: a new mapping, wherever the system likes.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), len, access, kind, -1, 0) };
    if start == libc::MAP_FAILED {
        return None;
    }
    // SAFETY: of the mapping just made; a refusal changes nothing.
    unsafe { libc::madvise(start, len, libc::MADV_HUGEPAGE) };
    Some(NonNull::slice_from_raw_parts(NonNull::new(start.cast())?, len))
}

// SAFETY: the pool and the other allocator keep the contract, and a block goes back to the one it is from: the pool's lie in its
// range.
unsafe impl<A: GlobalAlloc> GlobalAlloc for LargeApart<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let own = if is_large(layout) { self.large().allocate(layout) } else { None };
        // SAFETY: as the caller promises.
        own.map_or_else(|| unsafe { self.others.alloc(layout) }, |(block, _)| block.as_ptr())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match if is_large(layout) { self.large().allocate(layout) } else { None } {
            Some((block, used)) => {
                // SAFETY: within the block just allocated.
                unsafe { block.as_ptr().write_bytes(0, used) };
                block.as_ptr()
            }
            // SAFETY: as the caller promises.
            None => unsafe { self.others.alloc_zeroed(layout) },
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match NonNull::new(block) {
            Some(own) if is_large(layout) && self.large().has(block) => {
                // SAFETY: the pool's own, with the layout's alignment.
                unsafe { self.large().pool().blocks.deallocate(own, layout.align()) };
            }
            // SAFETY: as the caller promises.
            _ => unsafe { self.others.dealloc(block, layout) },
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if layout.size() < LARGE && new_size < LARGE {
            // SAFETY: as the caller promises.
            return unsafe { self.others.realloc(block, layout, new_size) };
        }
        // SAFETY: the caller promises a size that makes a layout; both blocks have what is copied.
        unsafe {
            let new = self.alloc(Layout::from_size_align_unchecked(new_size, layout.align()));
            if !new.is_null() {
                new.copy_from_nonoverlapping(block, layout.size().min(new_size));
                self.dealloc(block, layout);
            }
            new
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::alloc::System;

    #[test]
    fn blocks_keep_their_values_and_are_used_again() {
        let allocator = LargeApart::new(System);
        let layout = |size| Layout::from_size_align(size, 64).unwrap();
        // SAFETY: every block is used within its layout and freed once.
        unsafe {
            let first = allocator.alloc_zeroed(layout(3 * LARGE));
            let second = allocator.alloc_zeroed(layout(LARGE));
            assert!((0..LARGE).all(|i| *second.add(i) == 0));
            assert!(first.addr() % 64 == 0 && (0..3 * LARGE).all(|i| *first.add(i) == 0));
            second.write_bytes(7, LARGE);
            allocator.dealloc(first, layout(3 * LARGE));
            assert_eq!(allocator.alloc(layout(2 * LARGE)), first, "the block that fits best");
            let grown = allocator.realloc(second, layout(LARGE), 5 * LARGE);
            assert!((0..LARGE).all(|i| *grown.add(i) == 7));
            let small = allocator.realloc(grown, layout(5 * LARGE), 100);
            assert!((0..100).all(|i| *small.add(i) == 7));
            let again = allocator.realloc(small, layout(100), LARGE);
            assert!((0..100).all(|i| *again.add(i) == 7));
            allocator.dealloc(again, layout(LARGE));
            allocator.dealloc(first, layout(2 * LARGE));
            // All of it is one block again.
            let whole = allocator.large().range.len() / 4 * 3;
            let all = allocator.alloc(layout(whole));
            assert!(allocator.large().has(all));
            allocator.dealloc(all, layout(whole));
            // Zeros, whether the memory is new or was written to.
            let untouched = allocator.large().pool().untouched;
            assert!(untouched > first.addr() + whole);
            let zeros = allocator.alloc_zeroed(layout(9 * LARGE));
            assert!(zeros == first && (0..9 * LARGE).all(|i| *zeros.add(i) == 0));
            allocator.dealloc(zeros, layout(9 * LARGE));
        }
    }
}
