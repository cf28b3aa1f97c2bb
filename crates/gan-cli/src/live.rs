//! Lines at the bottom of the terminal that are drawn again and again.
//!
//! At rest the cursor stands where the first of them begins. Terminals keep it there when they are resized and break the lines anew, so
//! that clearing from the cursor on removes all of them, whatever they have become.

use std::io::Write;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

/// Lines are drawn at most so often.
const PAUSE: Duration = Duration::from_millis(100);

/// Columns of a terminal that does not tell.
const COLUMNS: usize = 80;

/// Makes the lines for a number of columns; none is longer.
type Render = Box<dyn Fn(usize) -> Vec<String> + Send>;

struct Block {
    render: Render,
    /// When and for how many columns it was drawn last.
    drawn: Option<(Instant, usize)>,
    /// Whether it has changed since.
    stale: bool,
}

static BLOCK: Mutex<Option<Block>> = Mutex::new(None);

fn block() -> MutexGuard<'static, Option<Block>> {
    BLOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on these are the lines. Standard error has to be a terminal.
pub(crate) fn show(render: impl Fn(usize) -> Vec<String> + Send + 'static) {
    let mut block = block();
    let drawn = block.as_ref().and_then(|block| block.drawn);
    let shown = block.insert(Block { render: Box::new(render), drawn, stale: true });
    if drawn.is_none_or(|(at, _)| at.elapsed() >= PAUSE) {
        shown.draw();
    }
    drop(block);
    follow();
}

/// Writes `text`, whole lines, above the lines. False if there are none; then nothing is written.
pub(crate) fn above(text: &str) -> bool {
    let mut block = block();
    let Some(shown) = block.as_mut() else { return false };
    let columns = columns();
    write(&format!("\r\x1b[J{text}{}", placed(&(shown.render)(columns))));
    shown.drawn = Some((Instant::now(), columns));
    shown.stale = false;
    true
}

/// Leaves the lines where they are: what is written next comes below them.
pub(crate) fn end() {
    let Some(shown) = block().take() else { return };
    write(&left(&(shown.render)(columns())));
}

impl Block {
    fn draw(&mut self) {
        let columns = columns();
        write(&placed(&(self.render)(columns)));
        (self.drawn, self.stale) = (Some((Instant::now(), columns)), false);
    }
}

/// Draws what was held back, and draws anew when the terminal is resized. Without a thread to be had, the next lines do.
fn follow() {
    static FOLLOWER: Once = Once::new();
    FOLLOWER.call_once(|| {
        let follow = || {
            loop {
                std::thread::sleep(PAUSE);
                if let Some(shown) = block().as_mut()
                    && (shown.stale || shown.drawn.is_some_and(|(_, drawn)| drawn != columns()))
                {
                    shown.draw();
                }
            }
        };
        drop(std::thread::Builder::new().name("terminal".into()).stack_size(1 << 18).spawn(follow));
    });
}

/// The lines over what is there, with the cursor back at their start.
fn placed(lines: &[String]) -> String {
    let up = match lines.len() {
        0 | 1 => String::new(),
        n => format!("\x1b[{}A", n - 1),
    };
    format!("\r{}\x1b[J\r{up}", lines.join("\x1b[K\n"))
}

/// The lines over what is there, with the cursor below them.
fn left(lines: &[String]) -> String {
    format!("\r{}\x1b[J\n", lines.join("\x1b[K\n"))
}

/// Columns to draw in: a terminal may break a line that fills its last one.
fn columns() -> usize {
    let told = terminal_size::terminal_size_of(std::io::stderr()).map(|(width, _)| usize::from(width.0));
    told.filter(|columns| *columns > 0).unwrap_or(COLUMNS).saturating_sub(1).max(1)
}

fn write(text: &str) {
    // Nobody may be listening any more.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_stays_at_the_start() {
        let lines = ["one".to_owned(), "two".to_owned()];
        assert_eq!(placed(&lines), "\rone\x1b[K\ntwo\x1b[J\r\x1b[1A");
        assert_eq!(placed(&lines[..1]), "\rone\x1b[J\r");
        assert_eq!(left(&lines), "\rone\x1b[K\ntwo\x1b[J\n");
    }

    #[test]
    fn without_lines_nothing_is_written_above_them() {
        assert!(!above("a note\n"));
        end();
    }
}
