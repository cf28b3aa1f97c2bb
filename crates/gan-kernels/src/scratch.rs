//! Working memory that is kept between calls.
//!
//! A buffer is taken from its thread's shelf and returns there when dropped, so a task that is interrupted by another
//! one on the same thread never shares a buffer with it. A shelf is bounded in number and size; what does not fit is freed.
#![allow(unsafe_code)]
use crate::dispatch::poisons;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// Alignment of every buffer: a cache line, which is also the widest vector.
const ALIGN: usize = 64;
/// Buffers that a thread keeps.
const KEPT: usize = 8;
/// Elements that a thread keeps (32 MiB); what is larger is seldom needed twice.
const KEPT_ELEMENTS: usize = 8 << 20;

/// Owned, aligned memory of F32, every bit pattern of which is a number.
struct Memory {
    start: *mut f32,
    capacity: usize,
}

impl Memory {
    fn new(capacity: usize) -> Self {
        let layout = Self::layout(capacity);
        // SAFETY: the layout is not empty.
        let start = unsafe { alloc(layout) }.cast::<f32>();
        if start.is_null() {
            handle_alloc_error(layout);
        }
        // Zeroing it would cost a pass over the memory, on one thread while the others wait. As with a buffer's former contents, nothing that
        // was not written counts; behind this call the compiler knows no more of it than that it is memory.
        Memory { start: std::hint::black_box(start), capacity }
    }

    fn layout(capacity: usize) -> Layout {
        match Layout::from_size_align(capacity.max(1) * size_of::<f32>(), ALIGN) {
            Ok(layout) => layout,
            Err(_) => panic!("a working buffer of {capacity} elements is larger than the address space"),
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout.
        unsafe { dealloc(self.start.cast(), Self::layout(self.capacity)) }
    }
}

thread_local! {
    static SHELF: RefCell<Vec<Memory>> = const { RefCell::new(Vec::new()) };
}

/// A buffer of F32 whose contents are left over from its last use.
pub(crate) struct Scratch {
    memory: Option<Memory>,
    len: usize,
}

// SAFETY: the memory is owned and F32 may go anywhere.
unsafe impl Send for Scratch {}
// SAFETY: shared access only reads.
unsafe impl Sync for Scratch {}

impl Scratch {
    /// A buffer of `len` elements with arbitrary contents, aligned to 64 bytes.
    pub(crate) fn take(len: usize) -> Self {
        let found = SHELF.with_borrow_mut(|shelf| {
            let fits = |m: &Memory| m.capacity >= len && m.capacity <= 4 * len.max(1024);
            let best = (0..shelf.len()).filter(|&i| fits(&shelf[i])).min_by_key(|&i| shelf[i].capacity);
            best.map(|i| shelf.remove(i))
        });
        let memory = found.unwrap_or_else(|| Memory::new(len.max(1024).next_multiple_of(1024)));
        let mut buffer = Scratch { memory: Some(memory), len };
        if poisons() {
            buffer.fill(f32::NAN);
        }
        buffer
    }
}

impl Deref for Scratch {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        match &self.memory {
            // SAFETY: `len` is at most the capacity.
            Some(m) => unsafe { std::slice::from_raw_parts(m.start, self.len) },
            None => &[],
        }
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        match &self.memory {
            // SAFETY: as above, and `self` is borrowed for writing.
            Some(m) => unsafe { std::slice::from_raw_parts_mut(m.start, self.len) },
            None => &mut [],
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let Some(memory) = self.memory.take() else { return };
        // At thread exit the shelf may be gone; the memory is freed then.
        let _ = SHELF.try_with(|shelf| {
            let mut shelf = shelf.borrow_mut();
            shelf.push(memory);
            // The first in the list was returned longest ago.
            while shelf.len() > KEPT || shelf.iter().map(|m| m.capacity).sum::<usize>() > KEPT_ELEMENTS {
                shelf.remove(0);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_apart_and_reused() {
        let mut a = Scratch::take(5000);
        let b = Scratch::take(5000);
        assert_eq!(a.as_ptr().addr() % ALIGN, 0);
        assert_ne!(a.as_ptr(), b.as_ptr());
        a.fill(7.0);
        let address = a.as_ptr();
        drop(a);
        let again = Scratch::take(4000);
        assert_eq!(again.as_ptr(), address);
        assert!(again.iter().all(|&v| v == 7.0));
        assert_eq!(again.len(), 4000);
    }
}
