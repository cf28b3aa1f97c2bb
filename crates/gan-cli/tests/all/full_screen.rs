//! The full-screen view on a terminal: it is drawn, keys reach it, and the terminal is given back.
#![cfg(all(target_os = "linux", feature = "tui"))]
#![allow(clippy::unwrap_used)]

use crate::support;
use crate::terminal::{LONG, open_terminal};

use std::fs::File;
use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use support::{Bench, tiny_in, wait, wait_until};

#[test]
fn keys_end_a_run_and_the_terminal_is_given_back() {
    let bench = Bench::new();
    let (master, slave) = open_terminal(80);
    let mut args = tiny_in("pix2pix", "run", &LONG);
    args.push("--tui".into());
    let mut command = bench.command(args);
    command.env("TERM", "xterm").stdin(slave.try_clone().unwrap()).stdout(slave.try_clone().unwrap()).stderr(slave);
    let mut child = command.spawn().unwrap();
    drop(command); // with its copies of the terminal
    let mut keys = File::from(master);
    let mut output = keys.try_clone().unwrap();
    let written = Arc::new(Mutex::new(String::new()));
    let shared = written.clone();
    let reader = std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        // Reading fails when the program has closed its end.
        while let Ok(n @ 1..) = output.read(&mut bytes) {
            shared.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..n]));
        }
    });
    let has = |text: &str| written.lock().unwrap().contains(text);
    // Single words: where a space was empty before, the cursor is moved instead.
    wait_until("a curve", || ["\x1b[?1049h", "G_GAN", "save", "stop"].into_iter().all(has));
    assert!(!has("\x1b[?1049l"));
    keys.write_all(b"q").unwrap();
    assert_eq!(wait(&mut child).code(), Some(130));
    reader.join().unwrap();
    let text = written.lock().unwrap().clone();
    let after = text.split("\x1b[?1049l").nth(1).unwrap();
    for words in
        ["training pix2pix on cpu: ", "interrupted at step ", "resume with: gan-cli train pix2pix --out run --resume"]
    {
        assert!(after.contains(words), "{words}: {after}");
    }
}
