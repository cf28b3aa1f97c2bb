//! A Python wheel that carries the program: `pip install` puts it beside Python, and `python -m gan_cli` runs it.
//!
//! Sources: PEP 427 (wheels), PEP 600 (`manylinux_X_Y`), PEP 656 (`musllinux`), the core metadata 2.4.

use std::io::{Cursor, Write};

use anyhow::{Context, Result, bail};
use gan_fetch::digest::sha256;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, System, ZipWriter};

use super::elf::Elf;
use super::release::Release;
use super::source_date;
use super::tree::File;

/// The package that finds the program and runs it.
const PYTHON: &[(&str, &str)] = &[
    ("gan_cli/__init__.py", include_str!("../../../packaging/wheel/gan_cli/__init__.py")),
    ("gan_cli/__main__.py", include_str!("../../../packaging/wheel/gan_cli/__main__.py")),
];

/// Name and contents. `files` is what is installed below a prefix; the program is the file that can be run.
pub(super) fn pack(release: &Release, elf: &Elf, files: &[File]) -> Result<(String, Vec<u8>)> {
    let version = python_version(&release.version)?;
    let tag = format!("py3-none-{}", platform(elf)?);
    let (info, data) = (format!("gan_cli-{version}.dist-info"), format!("gan_cli-{version}.data"));
    let mut packed: Vec<_> = PYTHON.iter().map(|(path, text)| File::plain(*path, *text)).collect();
    let mut licences = Vec::new();
    for file in files {
        let doc = file.path.strip_prefix("share/doc/gan-cli/");
        match (file.path.strip_prefix("bin/"), doc) {
            (Some(name), _) => packed.push(file.at(format!("{data}/scripts/{name}"))),
            // The core metadata hold README; licences have a place of their own.
            (None, Some("README.md" | "CHANGELOG.md")) => {}
            (None, Some(name)) => {
                licences.push(name);
                packed.push(file.at(format!("{info}/licenses/{name}")));
            }
            (None, None) => packed.push(file.at(format!("{data}/data/{}", file.path))),
        }
    }
    // A wheel of two platforms names each in a line of its own.
    let tags: String = platform(elf)?.split('.').map(|platform| format!("Tag: py3-none-{platform}\n")).collect();
    let wheel = format!("Wheel-Version: 1.0\nGenerator: cargo-xtask-dist\nRoot-Is-Purelib: false\n{tags}");
    packed.push(File::plain(format!("{info}/WHEEL"), wheel));
    packed.push(File::plain(format!("{info}/METADATA"), metadata(release, &version, &licences)));
    packed.sort_by(|a, b| a.path.cmp(&b.path));
    packed.push(File::plain(format!("{info}/RECORD"), record(&packed, &info)?));
    Ok((format!("gan_cli-{version}-{tag}.whl"), zip(&packed, release.date)?))
}

/// The tag of the systems on which the program runs.
fn platform(elf: &Elf) -> Result<String> {
    let machine = elf.machine.name();
    match elf.glibc() {
        Some((major, minor)) => Ok(format!("manylinux_{major}_{minor}_{machine}")),
        // It runs with any C library. The first glibc with these tags for all processors, and the first musl.
        None if elf.is_static() => Ok(format!("manylinux_2_17_{machine}.musllinux_1_1_{machine}")),
        None => bail!("the program uses libraries of the system and no glibc: no platform tag says so"),
    }
}

/// The version as PEP 440 writes it: `1.0.0-rc.1` is `1.0.0rc1`.
fn python_version(version: &str) -> Result<String> {
    let Some((release, pre)) = version.split_once('-') else { return Ok(version.to_owned()) };
    let known = [("alpha.", "a"), ("beta.", "b"), ("rc.", "rc")];
    let found = known.iter().find_map(|(ours, theirs)| Some(format!("{theirs}{}", pre.strip_prefix(ours)?)));
    let pre = found.filter(|pre| pre.ends_with(|last: char| last.is_ascii_digit()));
    let pre = pre.with_context(|| format!("Python has no version like {version}; use -alpha.N, -beta.N or -rc.N"))?;
    Ok(format!("{release}{pre}"))
}

fn metadata(release: &Release, version: &str, licences: &[&str]) -> String {
    let licences: String = licences.iter().map(|name| format!("License-File: {name}\n")).collect();
    format!(
        "Metadata-Version: 2.4\nName: gan-cli\nVersion: {version}\nSummary: {}\nAuthor: {}\nLicense-Expression: {}\n{licences}\
         Requires-Python: >=3.8\nDescription-Content-Type: text/markdown\n\n{}",
        release.description, release.authors, release.licence, release.readme
    )
}

/// A line for each file: path, hash and size.
fn record(files: &[File], info: &str) -> Result<String> {
    let mut out = String::new();
    for file in files {
        let hash = base64url(&sha256(&file.content))?;
        out += &format!("{},sha256={hash},{}\n", file.path, file.content.len());
    }
    // The record itself has neither.
    Ok(out + &format!("{info}/RECORD,,\n"))
}

/// Bytes in hexadecimal digits, in base64 for addresses, without padding.
fn base64url(hex: &str) -> Result<String> {
    const SYMBOLS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bytes: Vec<_> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16)).collect::<Result<_, _>>()?;
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().chain([0, 0].iter()).take(3).fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
        // Three bytes are four symbols, one byte two of them, two bytes three.
        out.extend((0..=chunk.len()).map(|i| char::from(SYMBOLS[bits >> (18 - 6 * i) & 63])));
    }
    Ok(out)
}

fn zip(files: &[File], date: u64) -> Result<Vec<u8>> {
    let [year, month, day, hour, minute, second] = source_date::civil(date);
    // The format begins in 1980, and counts in steps of two seconds.
    let date = DateTime::from_date_and_time(
        u16::try_from(year)?,
        month as u8,
        day as u8,
        hour as u8,
        minute as u8,
        second as u8 & !1,
    )
    .unwrap_or_default();
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for file in files {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(9))
            .last_modified_time(date)
            .system(System::Unix)
            .unix_permissions(file.mode());
        zip.start_file(&file.path, options).with_context(|| format!("cannot pack {}", file.path))?;
        zip.write_all(&file.content)?;
    }
    Ok(zip.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::dist::elf::Machine;
    use std::collections::{BTreeMap, BTreeSet};
    use std::io::Read;

    fn elf(needed: &[(&str, &str)]) -> Elf {
        let needed = needed.iter().map(|(library, version)| ((*library).into(), BTreeSet::from([(*version).into()])));
        Elf { machine: Machine::X86_64, needed: needed.collect::<BTreeMap<_, _>>() }
    }

    #[test]
    fn a_wheel_is_what_its_record_says() {
        let release = Release::example();
        let files = [
            File::program("bin/gan-cli", "a program"),
            File::plain("share/man/man1/gan-cli.1", ".TH"),
            File::plain("share/doc/gan-cli/LICENSE-MIT", "MIT"),
            File::plain("share/doc/gan-cli/README.md", "Read me"),
        ];
        let (name, bytes) = pack(&release, &elf(&[("libc.so.6", "GLIBC_2.34")]), &files).unwrap();
        assert_eq!(name, "gan_cli-0.1.0-py3-none-manylinux_2_34_x86_64.whl");
        assert_eq!(bytes, pack(&release, &elf(&[("libc.so.6", "GLIBC_2.34")]), &files).unwrap().1);
        let mut wheel = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
        let mut recorded = String::new();
        wheel.by_name("gan_cli-0.1.0.dist-info/RECORD").unwrap().read_to_string(&mut recorded).unwrap();
        let mut seen = 0;
        for at in 0..wheel.len() {
            let mut file = wheel.by_index(at).unwrap();
            let mut content = Vec::new();
            file.read_to_end(&mut content).unwrap();
            let name = file.name().unwrap().into_owned();
            let line = recorded.lines().find(|line| line.starts_with(&format!("{name},"))).unwrap();
            if !name.ends_with("RECORD") {
                let hash = base64url(&sha256(&content)).unwrap();
                assert_eq!(line, format!("{name},sha256={hash},{}", content.len()));
            }
            let program = name == "gan_cli-0.1.0.data/scripts/gan-cli";
            assert_eq!(file.unix_mode().unwrap() & 0o777, if program { 0o755 } else { 0o644 }, "{name}");
            seen += 1;
        }
        assert_eq!(seen, recorded.lines().count());
        for (file, said) in
            [("WHEEL", "Tag: py3-none-manylinux_2_34_x86_64\n"), ("METADATA", "License-File: LICENSE-MIT\n")]
        {
            let mut text = String::new();
            wheel.by_name(&format!("gan_cli-0.1.0.dist-info/{file}")).unwrap().read_to_string(&mut text).unwrap();
            assert!(text.contains(said), "{text}");
        }
        assert!(wheel.by_name("gan_cli-0.1.0.data/data/share/man/man1/gan-cli.1").is_ok());
    }

    #[test]
    fn the_tag_says_where_it_runs() {
        assert_eq!(platform(&elf(&[])).unwrap(), "manylinux_2_17_x86_64.musllinux_1_1_x86_64");
        assert!(platform(&elf(&[("libc.musl-x86_64.so.1", "")])).is_err());
    }

    #[test]
    fn versions_are_python_s() {
        for (ours, theirs) in [("0.1.0", "0.1.0"), ("1.0.0-rc.1", "1.0.0rc1"), ("1.0.0-alpha.12", "1.0.0a12")] {
            assert_eq!(python_version(ours).unwrap(), theirs);
        }
        assert!(python_version("1.0.0-nightly").is_err());
    }

    /// RFC 4648, section 10.
    #[test]
    fn base64() {
        for (hex, text) in [("", ""), ("66", "Zg"), ("666f", "Zm8"), ("666f6f", "Zm9v"), ("fbff", "-_8")] {
            assert_eq!(base64url(hex).unwrap(), text);
        }
    }
}
