//! What stands on a terminal while a run trains: the lines that are drawn anew, at several widths, resized, interrupted.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, unsafe_code)]

use crate::support;

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use support::{Bench, signal, tiny_in, wait, wait_until};

const ROWS: u16 = 40;

/// A terminal with a program on it.
struct Terminal {
    master: OwnedFd,
    screen: Arc<Mutex<Screen>>,
    reader: Option<JoinHandle<()>>,
    child: Child,
}

impl Terminal {
    fn start(bench: &Bench, columns: u16, args: &[String]) -> Self {
        let (master, slave) = open_terminal(columns);
        let mut command = bench.command(args);
        command.env("TERM", "xterm").stdin(slave.try_clone().unwrap()).stdout(slave.try_clone().unwrap()).stderr(slave);
        let child = command.spawn().unwrap();
        drop(command); // with its copies of the terminal
        let screen = Arc::new(Mutex::new(Screen::new(usize::from(columns))));
        let (shared, mut output) = (screen.clone(), File::from(master.try_clone().unwrap()));
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // Reading fails when the program has closed its end.
            while let Ok(n @ 1..) = output.read(&mut bytes) {
                shared.lock().unwrap().take(&bytes[..n]);
            }
        });
        Terminal { master, screen, reader: Some(reader), child }
    }

    fn lines(&self) -> Vec<String> {
        self.screen.lock().unwrap().lines()
    }

    /// Waits until a line that satisfies `wanted` is on the screen.
    fn wait_for(&self, what: &str, wanted: impl Fn(&str) -> bool) {
        wait_until(what, || self.lines().iter().any(|line| wanted(line)));
    }

    /// Interrupts the program, and returns what is left on the screen.
    fn interrupt(mut self) -> Vec<String> {
        signal(&self.child, "INT");
        assert_eq!(wait(&mut self.child).code(), Some(130));
        self.reader.take().unwrap().join().unwrap();
        self.lines()
    }
}

/// Both ends of a terminal: what a program is seen through, and what it has.
pub(crate) fn open_terminal(columns: u16) -> (OwnedFd, OwnedFd) {
    let (mut master, mut slave) = (-1, -1);
    let (name, settings, size) = (std::ptr::null_mut(), std::ptr::null(), std::ptr::null());
    // SAFETY: both descriptors are written; a name, settings and a size are not asked for.
    let opened = unsafe { libc::openpty(&raw mut master, &raw mut slave, name, settings, size) };
    assert_eq!(opened, 0);
    // SAFETY: the descriptors are open and belong to nobody else.
    let (master, slave) = unsafe { (OwnedFd::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) };
    resize(&master, columns);
    (master, slave)
}

fn resize(master: &OwnedFd, columns: u16) {
    let size = libc::winsize { ws_row: ROWS, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the descriptor is open, and the call reads a size.
    assert_eq!(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) }, 0);
}

/// As much of a terminal as the program makes use of. It breaks lines anew when it is resized, as terminals do.
struct Screen {
    columns: usize,
    /// Lines as they were written, however many rows they take.
    lines: Vec<Vec<char>>,
    /// Where the cursor is: line, and place in it.
    cursor: (usize, usize),
    /// What has come of a sequence or of a character of several bytes.
    pending: Vec<u8>,
}

impl Screen {
    fn new(columns: usize) -> Self {
        Screen { columns, lines: vec![Vec::new()], cursor: (0, 0), pending: Vec::new() }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.pending.extend(bytes);
        let bytes = std::mem::take(&mut self.pending);
        let mut rest = &bytes[..];
        while let Some(&first) = rest.first() {
            let length = match first {
                0x1b => match rest.iter().position(u8::is_ascii_alphabetic) {
                    Some(end) => end + 1,
                    None => break,
                },
                0xf0.. => 4,
                0xe0.. => 3,
                0xc0.. => 2,
                _ => 1,
            };
            if rest.len() < length {
                break;
            }
            let (item, after) = rest.split_at(length);
            self.one(std::str::from_utf8(item).unwrap());
            rest = after;
        }
        self.pending = rest.to_vec();
    }

    fn one(&mut self, item: &str) {
        let (line, at) = self.cursor;
        match item {
            "\r" => self.cursor.1 = 0,
            "\n" => {
                self.cursor = (line + 1, at);
                if self.lines.len() == line + 1 {
                    self.lines.push(Vec::new());
                }
            }
            "\x1b[K" => self.lines[line].truncate(at),
            "\x1b[J" => {
                self.lines[line].truncate(at);
                self.lines.truncate(line + 1);
            }
            up if up.starts_with("\x1b[") && up.ends_with('A') => {
                self.cursor.0 = line - up[2..up.len() - 1].parse::<usize>().unwrap();
            }
            text => {
                let text = text.chars().next().unwrap();
                assert!(text >= ' ', "{item:?}");
                let row = &mut self.lines[line];
                row.resize(row.len().max(at + 1), ' ');
                row[at] = text;
                self.cursor.1 += 1;
            }
        }
    }

    fn lines(&self) -> Vec<String> {
        self.lines.iter().map(|line| line.iter().collect::<String>().trim_end().to_owned()).collect()
    }
}

/// A run that does not end by itself.
pub(crate) const LONG: [&str; 6] = [
    "max_dataset_size=8",
    "n_epochs=100000",
    "print_freq=1",
    "save_latest_freq=0",
    "save_epoch_freq=0",
    "save_minutes=0",
];

#[test]
fn it_fits_every_width_and_leaves_nothing_behind() {
    let bench = Bench::new();
    for columns in [40, 50, 80, 120] {
        let run = format!("run{columns}");
        let terminal = Terminal::start(&bench, columns, &tiny_in("pix2pix", &run, &LONG));
        terminal.wait_for("the time left", |line| line.contains(" left"));
        terminal.wait_for("the speed", |line| line.contains("img/s"));
        terminal.wait_for("losses", |line| line.contains("G_GAN "));
        {
            let screen = terminal.screen.lock().unwrap();
            // The start line may be longer; what is drawn over and over may not.
            let drawn = screen.lines().len() - screen.cursor.0;
            assert!(drawn <= 2, "{:?}", screen.lines());
            for line in &screen.lines()[screen.cursor.0..] {
                assert!(line.chars().count() < screen.columns, "{line:?}");
            }
            assert_eq!(screen.cursor.1, 0);
        }
        let lines = terminal.interrupt();
        assert!(!lines.iter().any(|line| line.contains(" left")), "{lines:#?}");
        let at = |words: &str| {
            lines.iter().position(|line| line.contains(words)).unwrap_or_else(|| panic!("{words}: {lines:#?}"))
        };
        let order = [
            at("training pix2pix on cpu: "),
            at("finishing this step and saving a checkpoint"),
            at("  interrupted"),
            at("interrupted at step "),
            at(&format!("resume with: gan-cli train pix2pix --out {run} --resume")),
        ];
        assert!(order.is_sorted_by(|a, b| a < b), "{lines:#?}");
        assert_eq!(
            lines.iter().filter(|line| line.contains("G_GAN ") && !line.contains("done in")).count(),
            1,
            "{lines:#?}"
        );
    }
}

/// Lines that were drawn for a wide terminal take several rows of a narrow one; none of them stays.
#[test]
fn a_terminal_may_be_resized() {
    let bench = Bench::new();
    let terminal = Terminal::start(&bench, 120, &tiny_in("pix2pix", "run", &LONG));
    terminal.wait_for("losses", |line| line.contains("G_GAN ") && line.contains("D_fake "));
    for columns in [40, 100, 45] {
        resize(&terminal.master, columns);
        terminal.screen.lock().unwrap().columns = usize::from(columns);
        wait_until("lines of the new width", || {
            let screen = terminal.screen.lock().unwrap();
            let lines = screen.lines();
            let drawn = &lines[screen.cursor.0..];
            let longest = drawn.iter().map(|line| line.chars().count()).max().unwrap_or(0);
            drawn.len() == 2 && longest < screen.columns && longest + 40 > screen.columns
        });
    }
    let lines = terminal.interrupt();
    assert_eq!(lines.iter().filter(|line| line.contains(" img/s")).count(), 1, "{lines:#?}");
}

#[test]
fn quiet_runs_say_what_has_to_be_known() {
    let bench = Bench::new();
    let mut args = tiny_in("pix2pix", "run", &["max_steps=2"]);
    args.push("--quiet".into());
    let mut terminal = Terminal::start(&bench, 80, &args);
    assert_eq!(wait(&mut terminal.child).code(), Some(0));
    terminal.reader.take().unwrap().join().unwrap();
    assert_eq!(terminal.lines().concat(), "");
    let mut args = tiny_in("pix2pix", "long", &LONG);
    args.push("-q".into());
    let terminal = Terminal::start(&bench, 80, &args);
    wait_until("the first step", || bench.path("long/gallery/index.html").exists());
    let lines = terminal.interrupt();
    assert!(lines.iter().any(|line| line.starts_with("resume with: gan-cli train pix2pix --out long")), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.starts_with("training") || line.contains("step 1/")), "{lines:#?}");
}

#[test]
fn a_full_screen_view_needs_a_terminal_and_the_feature() {
    let bench = Bench::new();
    let mut args = tiny_in("pix2pix", "run", &["max_steps=2"]);
    args.push("--tui".into());
    let why = if cfg!(feature = "tui") { "there is no terminal" } else { "--features tui" };
    bench.run(&args).fails(2, &["--tui: ", why]);
    assert!(!bench.path("run").exists());
    args.push("--quiet".into());
    bench.run(&args).fails(2, &["--quiet", "--tui"]);
}
