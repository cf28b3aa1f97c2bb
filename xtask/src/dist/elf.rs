//! What a Linux program asks of the system it runs on, read off its ELF file.
//!
//! Source: System V ABI, and "Symbol Versioning" of the Linux Standard Base for `SHT_GNU_verneed`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};

/// The dynamic section; its link is the table of its strings.
const SHT_DYNAMIC: u32 = 6;
/// The versions of symbols that are needed, by library.
const SHT_GNU_VERNEED: u32 = 0x6fff_fffe;
/// Entry of the dynamic section: a library that is needed.
const DT_NEEDED: u64 = 1;

/// A program's processor and libraries.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Elf {
    pub(super) machine: Machine,
    /// Names of the shared libraries, and the versions of their symbols that are used (`GLIBC_2.34`). Empty in a static program.
    pub(super) needed: BTreeMap<String, BTreeSet<String>>,
}

/// Processors for which programs are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Machine {
    X86_64,
    Aarch64,
}

impl Machine {
    /// As Rust's targets and Python's platform tags name it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Machine::X86_64 => "x86_64",
            Machine::Aarch64 => "aarch64",
        }
    }

    /// As Debian names it.
    pub(super) fn debian(self) -> &'static str {
        match self {
            Machine::X86_64 => "amd64",
            Machine::Aarch64 => "arm64",
        }
    }
}

impl Elf {
    /// Whether the program needs no library of the system.
    pub(super) fn is_static(&self) -> bool {
        self.needed.is_empty()
    }

    /// The oldest glibc, as major and minor version, that has every symbol of the program; `None` if it uses none.
    pub(super) fn glibc(&self) -> Option<(u32, u32)> {
        let versions = self.needed.values().flatten().filter_map(|version| version.strip_prefix("GLIBC_"));
        // A third number (2.2.5) is older than any glibc of today.
        let number = |version: &str| {
            let mut parts = version.split('.').map(|part| part.parse().ok());
            Some((parts.next()??, parts.next()??))
        };
        versions.filter_map(number).max()
    }
}

/// Reads a 64-bit little-endian ELF file.
///
/// # Errors
/// When it is none, is of a processor for which nothing is packed, or is damaged.
pub(super) fn read(file: &[u8]) -> Result<Elf> {
    if !file.starts_with(b"\x7fELF\x02\x01") {
        bail!("not a program of 64-bit Linux (ELF, little-endian)");
    }
    let file = Bytes(file);
    let machine = match file.u16(0x12)? {
        62 => Machine::X86_64,
        183 => Machine::Aarch64,
        other => bail!("a program for a processor that is not packed for (ELF machine {other})"),
    };
    let (table, entry, count) = (file.usize(0x28)?, file.u16(0x3a)?, file.u16(0x3c)?);
    let sections = (0..usize::from(count))
        .map(|i| Section::read(file, table + i * usize::from(entry)))
        .collect::<Result<Vec<_>>>()?;
    if sections.is_empty() {
        bail!("the program has no table of sections, so the versions that it needs cannot be read");
    }
    let strings = |section: &Section| sections.get(section.link).context("a section links to none that exists");
    let mut needed = BTreeMap::<String, BTreeSet<String>>::new();
    for section in &sections {
        match section.kind {
            SHT_DYNAMIC => {
                let names = strings(section)?.offset;
                for at in (section.offset..section.offset + section.size).step_by(16) {
                    if file.u64(at)? == DT_NEEDED {
                        needed.entry(file.text(names + file.usize(at + 8)?)?).or_default();
                    }
                }
            }
            SHT_GNU_VERNEED => {
                let names = strings(section)?.offset;
                for (library, version) in versions(file, section.offset, names)? {
                    needed.entry(library).or_default().insert(version);
                }
            }
            _ => {}
        }
    }
    Ok(Elf { machine, needed })
}

/// Walks over the versions that are needed: pairs of a library and a version.
fn versions(file: Bytes<'_>, start: usize, names: usize) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    let mut library = start;
    loop {
        let name = file.text(names + file.u32(library + 4)? as usize)?;
        let mut version = library + file.u32(library + 8)? as usize;
        for _ in 0..file.u16(library + 2)? {
            found.push((name.clone(), file.text(names + file.u32(version + 8)? as usize)?));
            version += file.u32(version + 12)? as usize;
        }
        match file.u32(library + 12)? {
            0 => return Ok(found),
            next => library += next as usize,
        }
    }
}

/// A row of the table of sections.
struct Section {
    kind: u32,
    offset: usize,
    size: usize,
    link: usize,
}

impl Section {
    fn read(file: Bytes<'_>, at: usize) -> Result<Self> {
        file.array::<64>(at)?;
        Ok(Section {
            kind: file.u32(at + 4)?,
            offset: file.usize(at + 0x18)?,
            size: file.usize(at + 0x20)?,
            link: file.u32(at + 0x28)? as usize,
        })
    }
}

/// Numbers and texts at places of a file; outside of it there are none.
#[derive(Clone, Copy)]
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn array<const N: usize>(self, at: usize) -> Result<[u8; N]> {
        let bytes = at.checked_add(N).and_then(|end| self.0.get(at..end));
        Ok(bytes.context("the program is cut off")?.try_into()?)
    }

    fn u16(self, at: usize) -> Result<u16> {
        self.array(at).map(u16::from_le_bytes)
    }

    fn u32(self, at: usize) -> Result<u32> {
        self.array(at).map(u32::from_le_bytes)
    }

    fn u64(self, at: usize) -> Result<u64> {
        self.array(at).map(u64::from_le_bytes)
    }

    /// A place or length; one beyond 2^48 is damage, and sums of small ones do not overflow.
    fn usize(self, at: usize) -> Result<usize> {
        let value = self.u64(at)?;
        if value >> 48 != 0 {
            bail!("the program is damaged: an offset of {value} bytes");
        }
        Ok(usize::try_from(value)?)
    }

    fn text(self, at: usize) -> Result<String> {
        let rest = self.0.get(at..).context("the program is cut off")?;
        let end = rest.iter().position(|byte| *byte == 0).context("the program is cut off")?;
        Ok(String::from_utf8_lossy(&rest[..end]).into_owned())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A program with these libraries and versions, made of two sections and their strings.
    fn program(machine: u16, libraries: &[(&str, &[&str])]) -> Vec<u8> {
        let mut strings = vec![0];
        let mut text = |text: &str| {
            let at = u32::try_from(strings.len()).unwrap();
            strings.extend(text.bytes().chain([0]));
            at
        };
        let (mut dynamic, mut verneed) = (Vec::new(), Vec::new());
        for (i, (library, versions)) in libraries.iter().enumerate() {
            let name = text(library);
            dynamic.extend(DT_NEEDED.to_le_bytes().into_iter().chain(u64::from(name).to_le_bytes()));
            let size = 16 * (1 + u32::try_from(versions.len()).unwrap());
            let next = if i + 1 == libraries.len() { 0 } else { size };
            verneed.extend(1_u16.to_le_bytes());
            verneed.extend(u16::try_from(versions.len()).unwrap().to_le_bytes());
            [name, 16, next].iter().for_each(|n| verneed.extend(n.to_le_bytes()));
            for version in *versions {
                let name = text(version);
                [0, 0, name, 16].iter().for_each(|n| verneed.extend(n.to_le_bytes()));
            }
        }
        dynamic.extend([0; 16]);
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(0x40, 0);
        file[0x12..0x14].copy_from_slice(&machine.to_le_bytes());
        let mut table = Vec::new();
        for (kind, content) in [(SHT_DYNAMIC, &dynamic), (3, &strings), (SHT_GNU_VERNEED, &verneed)] {
            if libraries.is_empty() && kind != 3 {
                continue;
            }
            let mut row = [0_u8; 64];
            row[4..8].copy_from_slice(&kind.to_le_bytes());
            row[0x18..0x20].copy_from_slice(&(file.len() as u64).to_le_bytes());
            row[0x20..0x28].copy_from_slice(&(content.len() as u64).to_le_bytes());
            row[0x28..0x2c].copy_from_slice(&1_u32.to_le_bytes());
            table.push(row);
            file.extend(content);
        }
        let at = file.len() as u64;
        file[0x28..0x30].copy_from_slice(&at.to_le_bytes());
        file[0x3a..0x3c].copy_from_slice(&64_u16.to_le_bytes());
        file[0x3c..0x3e].copy_from_slice(&u16::try_from(table.len()).unwrap().to_le_bytes());
        file.extend(table.concat());
        file
    }

    #[test]
    fn libraries_and_versions() {
        let file = program(
            62,
            &[("libgcc_s.so.1", &["GCC_4.2.0"]), ("libc.so.6", &["GLIBC_2.2.5", "GLIBC_2.34", "GLIBC_2.9"])],
        );
        let elf = read(&file).unwrap();
        assert_eq!((elf.machine, elf.is_static(), elf.glibc()), (Machine::X86_64, false, Some((2, 34))));
        assert_eq!(elf.needed["libgcc_s.so.1"], BTreeSet::from(["GCC_4.2.0".into()]));
        // No cut of it is read past its end, or taken for a whole one.
        assert!((0..file.len()).all(|end| read(&file[..end]).is_err()));
    }

    #[test]
    fn a_static_program_needs_nothing() {
        let elf = read(&program(183, &[])).unwrap();
        assert_eq!((elf.machine, elf.is_static(), elf.glibc()), (Machine::Aarch64, true, None));
    }

    #[test]
    fn what_is_no_program_is_refused() {
        for (file, said) in [
            (b"#!/bin/sh\n".to_vec(), "not a program"),
            (program(8, &[]), "machine 8"),
            (b"\x7fELF\x02\x01".to_vec(), "cut off"),
        ] {
            let error = read(&file).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    /// This test itself is a program that asks for a C library.
    #[test]
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    fn a_program_as_linkers_make_them() {
        let elf = read(&std::fs::read(std::env::current_exe().unwrap()).unwrap()).unwrap();
        assert!(elf.needed.contains_key("libc.so.6") && elf.glibc() >= Some((2, 17)), "{elf:?}");
    }
}
