//! Parallel writing of disjoint planes.
#![allow(unsafe_code)]

/// A slice that several tasks write to, each in its own places.
#[derive(Clone, Copy)]
pub(crate) struct Shared<T> {
    start: *mut T,
    len: usize,
}

// SAFETY: access goes through `part`, whose callers promise that no two tasks use overlapping parts.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    pub(crate) fn new(slice: &mut [T]) -> Self {
        Shared { start: slice.as_mut_ptr(), len: slice.len() }
    }

    /// The elements `from .. from + len`.
    ///
    /// # Safety
    /// The slice that this was made of is still borrowed for writing by the caller, and no other task uses an
    /// overlapping part at the same time.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn part<'a>(&self, from: usize, len: usize) -> &'a mut [T] {
        assert!(from + len <= self.len, "part {from}+{len} of {}", self.len);
        // SAFETY: inside the slice by the check above; exclusive by this function's contract.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(from), len) }
    }

    /// Number of elements.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The first element's address, for vector stores under the contract of [`Shared::part`].
    pub(crate) fn start(&self) -> *mut T {
        self.start
    }

    /// Writes one element.
    ///
    /// # Safety
    /// As for [`Shared::part`], for this element.
    #[inline(always)]
    pub(crate) unsafe fn set(&self, at: usize, value: T)
    where
        T: Copy,
    {
        assert!(at < self.len, "element {at} of {}", self.len);
        // SAFETY: inside the slice by the check above; exclusive by this function's contract.
        unsafe { self.start.add(at).write(value) }
    }
}
