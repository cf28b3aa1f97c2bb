//! Ends the program with a sentence when the system gives no more memory.
#![allow(unsafe_code)] // an allocator

use crate::memory;
use std::alloc::{GlobalAlloc, Layout};
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};

/// Exit code for a device or memory that cannot be had.
const EXIT_CODE: i32 = 5;

/// Allocates through `A`. Where `A` has no memory, the program says so and exits with code 5.
///
/// Rust would abort there (SIGABRT). Nothing needs to be cleaned up: files get their names only once they are complete.
/// Requests whose caller could go on without the memory (`try_reserve`) end the program as well. Such requests come from
/// image codecs and from the standard library when it reads a whole file, and both would report a bad file.
pub(crate) struct OrExit<A>(pub(crate) A);

// SAFETY: every block is `A`'s own, and null is never returned.
unsafe impl<A: GlobalAlloc> GlobalAlloc for OrExit<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        or_exit(unsafe { self.0.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        or_exit(unsafe { self.0.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { self.0.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as the caller promises.
        or_exit(unsafe { self.0.realloc(block, layout, new_size) }, new_size)
    }
}

fn or_exit(block: *mut u8, size: usize) -> *mut u8 {
    if block.is_null() {
        exit(size as u64);
    }
    block
}

/// Says that memory is lacking and ends the program. Allocates nothing.
#[cold]
fn exit(needed: u64) -> ! {
    static ENDING: AtomicBool = AtomicBool::new(false);
    if ENDING.swap(true, Ordering::Relaxed) {
        // Another thread writes the sentence and then ends this one too.
        loop {
            // SAFETY: waits for a signal.
            unsafe { libc::pause() };
        }
    }
    let line = sentence(needed, limit(), memory::remedy());
    let mut rest = line.text();
    // SAFETY: writes from a buffer that is there; asks whether a descriptor is a terminal; ends the process.
    unsafe {
        if libc::isatty(libc::STDERR_FILENO) == 1 {
            // A progress bar may stand there.
            libc::write(libc::STDERR_FILENO, b"\n".as_ptr().cast(), 1);
        }
        while !rest.is_empty() {
            match usize::try_from(libc::write(libc::STDERR_FILENO, rest.as_ptr().cast(), rest.len())) {
                Ok(written) if written > 0 => rest = &rest[written..],
                _ => break,
            }
        }
        libc::_exit(EXIT_CODE)
    }
}

fn sentence(needed: u64, limit: Option<(&str, u64)>, remedy: Option<&str>) -> Line {
    let mut line = Line { bytes: [0; 512], length: 0 };
    // A line that is too long loses its end.
    let _ = write!(line, "error: not enough memory: {} more were needed; ", Size(needed));
    if let Some(remedy) = remedy {
        let _ = write!(line, "{remedy}, or ");
    }
    let _ = match limit {
        Some((flag, bytes)) => writeln!(line, "raise the limit of {} (ulimit {flag})", Size(bytes)),
        None => writeln!(line, "end other programs, or use a machine with more memory"),
    };
    line
}

/// The lower of the limits that the system sets to this process's memory: the flag of `ulimit` for it, and bytes.
fn limit() -> Option<(&'static str, u64)> {
    let limits = [("-v", libc::RLIMIT_AS), ("-d", libc::RLIMIT_DATA)].map(|(flag, resource)| {
        let mut limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
        // SAFETY: fills in a structure that is there.
        let known = unsafe { libc::getrlimit(resource, &raw mut limit) } == 0 && limit.rlim_cur != libc::RLIM_INFINITY;
        known.then_some((flag, limit.rlim_cur))
    });
    limits.into_iter().flatten().min_by_key(|(_, bytes)| *bytes)
}

/// A number of bytes in words: `96 bytes`, `640 MiB`.
struct Size(u64);

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            n if n < 1 << 10 => write!(f, "{n} bytes"),
            n if n < 1 << 20 => write!(f, "{} KiB", n.div_ceil(1 << 10)),
            n if n < 10 << 30 => write!(f, "{} MiB", n.div_ceil(1 << 20)),
            n => write!(f, "{} GiB", n.div_ceil(1 << 30)),
        }
    }
}

/// A line of text on the stack.
struct Line {
    bytes: [u8; 512],
    length: usize,
}

impl Line {
    fn text(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let n = text.len().min(self.bytes.len() - self.length);
        self.bytes[self.length..][..n].copy_from_slice(&text.as_bytes()[..n]);
        self.length += n;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(needed: u64, limit: Option<(&str, u64)>, remedy: Option<&str>) -> String {
        String::from_utf8_lossy(sentence(needed, limit, remedy).text()).into_owned()
    }

    #[test]
    fn the_sentence() {
        assert_eq!(
            said(640 << 20, Some(("-v", 900_000 << 10)), Some("use smaller images")),
            "error: not enough memory: 640 MiB more were needed; use smaller images, or raise the limit of 879 MiB (ulimit -v)\n"
        );
        assert_eq!(
            said(96, None, None),
            "error: not enough memory: 96 bytes more were needed; end other programs, or use a machine with more memory\n"
        );
        assert!(said(1, None, Some(&"x".repeat(1000))).len() == 512, "cut off, not a panic");
        assert!(said(1 << 50, None, None).contains("1048576 GiB"));
        assert!(said(5000, None, None).contains("5 KiB"));
    }
}
