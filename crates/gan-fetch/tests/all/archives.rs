//! Fetching with archives that mean harm: nothing is written outside the staging folder, nothing is left in place.

use crate::support;

use std::collections::BTreeMap;

use support::archives::{TarEntry, gzip, noise, patch, record, tar, zip};
use support::bench::{Bench, Ended, tree};
use support::server::Server;

/// Central directory record of a zip, local file header, end record.
const CENTRAL: [u8; 4] = [b'P', b'K', 1, 2];
const LOCAL: [u8; 4] = [b'P', b'K', 3, 4];
const END: [u8; 4] = [b'P', b'K', 5, 6];

/// Serves the archive and fetches it.
fn fetch(format: &str, archive: Vec<u8>, more: &str) -> (Bench, Ended) {
    let (bench, server) = (Bench::new(), Server::of(archive));
    bench.dataset(format, &[server.url(&format!("/set.{format}"))], more);
    let ended = bench.run(&["set"]);
    (bench, ended)
}

#[track_caller]
fn assert_refused(format: &str, archive: Vec<u8>, said: &str) {
    let (bench, ended) = fetch(format, archive, "");
    ended.badly(said).said("is refused").said("by hand:");
    assert_eq!(bench.part("set"), None, "the next fetch would find it again");
    bench.assert_nothing_came();
}

#[track_caller]
fn assert_both_tars_refused(entries: &[TarEntry], said: &str) {
    let tar = tar(entries);
    assert_refused("tar.gz", gzip(&tar), said);
    assert_refused("tar", tar, said);
}

#[test]
fn honest_archives() {
    let (a, b) = (noise(3000, 1), noise(10, 2));
    let zipped = zip(&[("set/trainA/a.png", &a), ("set/trainB/b.png", &b)]);
    let tarred = tar(&[
        TarEntry::of_kind("set/", b'5', ""),
        TarEntry::file("./set/trainA/a.png", &a),
        TarEntry::file("set/trainB/b.png", &b),
    ]);
    let expected: BTreeMap<_, _> = [("trainA/a.png".to_owned(), a), ("trainB/b.png".to_owned(), b)].into();
    for (format, archive) in [("zip", zipped), ("tar.gz", gzip(&tarred)), ("tar", tarred)] {
        let (bench, ended) = fetch(format, archive, "folders = ['trainA', 'trainB']\nfiles = 2\nunpacked_bytes = 3010");
        ended.well().said("2 files");
        assert_eq!(tree(&bench.data("datasets/set")), expected, "{format}");
        assert_eq!(tree(&bench.data(".fetch/staging")), BTreeMap::new());
        bench.assert_canary();
    }
}

#[test]
fn layouts() {
    let data = noise(10, 1);
    let folders = "folders = ['trainA']";
    let names = |name| zip(&[(name, &data[..])]);
    for (archive, more) in [
        (names("set/trainA/a.png"), folders.to_owned()),
        (names("trainA/a.png"), folders.to_owned()),
        (names("other/trainA/a.png"), folders.to_owned()),
        (names("deep/trainA/a.png"), format!("root = 'deep'\n{folders}")),
        (names("afhq/train/cat/a.png"), format!("root = 'afhq'\nmoves = [['train/cat', 'trainA']]\n{folders}")),
    ] {
        let (bench, ended) = fetch("zip", archive, &more);
        ended.well();
        assert_eq!(tree(&bench.data("datasets/set")).into_keys().collect::<Vec<_>>(), ["trainA/a.png"], "{more}");
    }
    let (bench, ended) = fetch("zip", names("set/trainX/a.png"), folders);
    ended.badly("no folder `trainA`; it holds trainX");
    bench.assert_nothing_came();
}

#[test]
fn names_that_leave_the_folder() {
    // The zip writer normalises some of these: they are patched in afterwards.
    for (name, said) in [
        ("../../../canary", "climbs out"),
        ("set/../../../canary", "climbs out"),
        ("/tmp/canary", "is absolute"),
        ("C:/canary", "colon"),
        ("C:canary", "colon"),
        ("..\\..\\canary", "backslash"),
        ("set\\canary", "backslash"),
        ("set/ca\0nary", "NUL"),
        ("set/AUX", "device"),
    ] {
        let stand_in = "x".repeat(name.len());
        let zipped = patch(zip(&[(&stand_in, b"boo")]), stand_in.as_bytes(), name.as_bytes());
        assert_refused("zip", zipped, said);
        if !name.contains('\0') {
            assert_both_tars_refused(&[TarEntry::file(name, b"boo")], said);
        }
    }
}

#[test]
fn a_nul_in_a_long_tar_name() {
    // An extended header may say what the fixed field cannot.
    let pax = b"23 path=set/ca\0nary.png\n";
    let pax = [format!("{}", pax.len()).as_bytes(), &pax[2..]].concat();
    let extended = TarEntry { kind: b'x', ..TarEntry::file("pax", &pax) };
    assert_both_tars_refused(&[extended, TarEntry::file("set/a", b"boo")], "NUL");
    let climbing = b"27 path=../../../canary.png\n";
    let climbing = [format!("{}", climbing.len()).as_bytes(), &climbing[2..]].concat();
    let extended = TarEntry { kind: b'x', ..TarEntry::file("pax", &climbing) };
    assert_both_tars_refused(&[extended, TarEntry::file("set/a", b"boo")], "climbs out");
}

#[test]
fn names_that_collide() {
    for (first, second, said) in [
        ("set/a.png", "set/A.png", "differ in case only"),
        ("set/trainA/a.png", "set/TrainA/b.png", "differ in case only"),
        ("set/a", "set/a/b", "twice"),
    ] {
        assert_refused("zip", zip(&[(first, b"1"), (second, b"2")]), said);
        assert_both_tars_refused(&[TarEntry::file(first, b"1"), TarEntry::file(second, b"2")], said);
    }
    assert_both_tars_refused(&[TarEntry::file("set/a", b"1"), TarEntry::file("set/a", b"2")], "twice");
}

#[test]
fn links_and_a_file_through_one() {
    let through = |kind| [TarEntry::of_kind("set/out", kind, "../../../.."), TarEntry::file("set/out/canary", b"boo")];
    assert_both_tars_refused(&through(b'2'), "is a link");
    assert_both_tars_refused(&[TarEntry::of_kind("set/hard", b'1', "../../../canary")], "is a link");

    // In a zip the mode in the upper half of the external attributes makes an entry a link.
    let mut zipped = zip(&[("set/out", b"../../../.."), ("set/out2/canary", b"boo")]);
    let attributes = record(&zipped, CENTRAL, 0) + 38;
    zipped[attributes..attributes + 4].copy_from_slice(&(0o120_777_u32 << 16).to_le_bytes());
    assert_refused("zip", zipped, "is a link");
}

#[test]
fn device_nodes() {
    for kind in [b'3', b'4', b'6'] {
        assert_both_tars_refused(&[TarEntry::of_kind("set/node", kind, "")], "device node");
    }
    let mut zipped = zip(&[("set/node", b"")]);
    let attributes = record(&zipped, CENTRAL, 0) + 38;
    zipped[attributes..attributes + 4].copy_from_slice(&(0o020_666_u32 << 16).to_le_bytes());
    assert_refused("zip", zipped, "neither a file nor a folder");
    // Sparse files of GNU tar: holes of any size.
    assert_both_tars_refused(&[TarEntry::of_kind("set/sparse", b'S', "")], "tar");
}

#[test]
fn bombs() {
    let zeros = vec![0; 4 << 20];
    assert_refused("zip", zip(&[("set/zeros", &zeros)]), "more than 200 times");
    assert_refused("tar.gz", gzip(&tar(&[TarEntry::file("set/zeros", &zeros)])), "more than 200 times");
    // Many files that are each too small to be noticed.
    let small = vec![0; 1 << 19];
    let names: Vec<_> = (0..8).map(|i| format!("set/{i}")).collect();
    let many: Vec<_> = names.iter().map(|name| TarEntry::file(name, &small)).collect();
    assert_refused("tar.gz", gzip(&tar(&many)), "more than 200 times");
    let many: Vec<_> = names.iter().map(|name| (name.as_str(), &small[..])).collect();
    let (bench, ended) = fetch("zip", zip(&many), "unpacked_bytes = 1000000");
    ended.badly("more than the 1050000 bytes");
    bench.assert_nothing_came();
}

#[test]
fn a_bomb_inside_an_archive_stays_packed() {
    let inner = zip(&[("zeros", &vec![0; 4 << 20])]);
    let (bench, ended) = fetch("zip", zip(&[("set/inner.zip", &inner)]), "");
    ended.well();
    assert_eq!(tree(&bench.data("datasets/set")), [("inner.zip".to_owned(), inner)].into());
}

#[test]
fn a_million_entries() {
    // The end record announces a million; they are refused before the directory is read.
    let mut zipped = zip(&[("set/a", b"1")]);
    let end = record(&zipped, END, 0);
    let mut record64 = vec![b'P', b'K', 6, 6];
    record64.extend_from_slice(&44_u64.to_le_bytes());
    record64.extend_from_slice(&[45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for value in [1_000_000_u64, 1_000_000, 46, 0] {
        record64.extend_from_slice(&value.to_le_bytes());
    }
    let mut locator = vec![b'P', b'K', 6, 7, 0, 0, 0, 0];
    locator.extend_from_slice(&(end as u64).to_le_bytes());
    locator.extend_from_slice(&1_u32.to_le_bytes());
    zipped[end + 8..end + 12].fill(0xff);
    zipped.splice(end..end, [record64, locator].concat());
    assert_refused("zip", zipped, "more than the 400000 entries");

    // In a tar they are counted as they come: the archive is a million headers, compressed a thousand at a time.
    let thousand: Vec<_> = (0..1000).map(|i| TarEntry::file(&format!("set/{i}"), b"")).collect();
    let thousand = tar(&thousand);
    let packed = gzip(&thousand[..thousand.len() - 1024]).repeat(1000);
    let (bench, ended) = fetch("tar.gz", packed, "files = 400");
    ended.badly("more than the 800 entries");
    bench.assert_nothing_came();
    let zipped: Vec<_> = (0..5).map(|i| format!("set/{i}")).collect();
    let zipped: Vec<_> = zipped.iter().map(|name| (name.as_str(), &b"1"[..])).collect();
    let (bench, ended) = fetch("zip", zip(&zipped), "files = 2");
    ended.badly("more than the 4 entries");
    bench.assert_nothing_came();
}

#[test]
fn sizes_that_are_not_what_they_declare() {
    for (declared, said) in [(5_u32, "declare"), (2000, "shorter than the 2000 bytes")] {
        let mut zipped = zip(&[("set/a", &noise(1000, 1))]);
        for (signature, field) in [(LOCAL, 22), (CENTRAL, 24)] {
            let at = record(&zipped, signature, 0) + field;
            zipped[at..at + 4].copy_from_slice(&declared.to_le_bytes());
        }
        assert_refused("zip", zipped, said);
    }
    let mut entry = TarEntry::file("set/a", &noise(1000, 1));
    entry.declared = Some(1 << 20);
    assert_both_tars_refused(&[entry], "set/a");
    // More than any disk has.
    let mut entry = TarEntry::file("set/a", b"1");
    entry.declared = Some(0o77_777_777_777);
    assert_refused("tar", tar(&[entry]), "set/a");
}

#[test]
fn an_encrypted_entry() {
    let mut zipped = zip(&[("set/a", &noise(100, 1))]);
    for (signature, field) in [(LOCAL, 6), (CENTRAL, 8)] {
        let at = record(&zipped, signature, 0) + field;
        zipped[at] |= 1;
    }
    assert_refused("zip", zipped, "is encrypted");
}

#[test]
fn damage_inside() {
    let good = zip(&[("set/a", &noise(5000, 1)), ("set/b", &noise(5000, 2))]);
    let mut flipped = good.clone();
    flipped[3000] ^= 1;
    assert_refused("zip", flipped, "damaged");
    for keep in [good.len() - 1, good.len() - 22, good.len() / 2, 40] {
        let (bench, ended) = fetch("zip", good[..keep].to_vec(), "");
        ended.badly("cut short");
        bench.assert_nothing_came();
    }
    let good = gzip(&tar(&[TarEntry::file("set/a", &noise(5000, 1))]));
    for keep in [good.len() / 2, good.len() - 2000, 30] {
        assert_refused("tar.gz", good[..keep].to_vec(), "");
    }
    let mut flipped = good.clone();
    flipped[2000] ^= 1;
    let (bench, ended) = fetch("tar.gz", flipped, "");
    // Noise is stored as it is, so only the checksum at the end of the stream can tell.
    ended.badly("the tar is damaged");
    bench.assert_nothing_came();
    let good = tar(&[TarEntry::file("set/a", &noise(5000, 1)), TarEntry::file("set/b", &noise(5000, 2))]);
    // In the middle of a file, and between the two: a tar without its end looks like a smaller one.
    for keep in [good.len() / 4, good.len() / 2 - 512] {
        let (bench, ended) = fetch("tar", good[..keep].to_vec(), "");
        ended.badly("cut short");
        bench.assert_nothing_came();
    }
    assert_refused("tar.gz", gzip(&tar(&[])), "empty");
    assert_refused("zip", zip(&[]), "empty");
}
