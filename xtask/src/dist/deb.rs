//! A package for Debian and its relatives.
//!
//! Sources: deb(5) and deb-control(5) for the format, Debian Policy 12 for what documentation lies where.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use md5::{Digest, Md5};

use super::archive::{gzip, tar_gz};
use super::elf::Elf;
use super::release::Release;
use super::source_date;
use super::tree::File;

/// Debian's package of each library.
const LIBRARIES: &[(&str, &str)] = &[
    ("ld-linux-x86-64.so.2", "libc6"),
    ("ld-linux-aarch64.so.1", "libc6"),
    ("libc.so.6", "libc6"),
    ("libm.so.6", "libc6"),
    ("libgcc_s.so.1", "libgcc-s1"),
];

/// Name and contents. `files` is what is installed below `/usr`, `maintainer` a name with an address.
///
/// # Errors
/// When the program needs a library of which no package is known.
pub(super) fn pack(release: &Release, elf: &Elf, files: &[File], maintainer: &str) -> Result<(String, Vec<u8>)> {
    let version = debian_version(&release.version);
    let mut data: Vec<_> = files.iter().filter_map(|file| installed(file).transpose()).collect::<Result<_>>()?;
    data.push(File::plain("usr/share/doc/gan-cli/copyright", copyright(release, files)?));
    let changelog = gzip(changelog(release, &version, maintainer).as_bytes())?;
    data.push(File::plain("usr/share/doc/gan-cli/changelog.Debian.gz", changelog));
    data.sort_by(|a, b| a.path.cmp(&b.path));
    let kibibytes: usize = data.iter().map(|file| file.content.len().div_ceil(1024)).sum();
    let architecture = elf.machine.debian();
    let control = format!(
        "Package: gan-cli\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: {maintainer}\nInstalled-Size: {kibibytes}\n\
         Depends: {}\nSuggests: ffmpeg\nSection: graphics\nPriority: optional\nDescription: {}\n{}",
        depends(elf)?,
        SYNOPSIS,
        DESCRIPTION,
    );
    let sums: String = data.iter().map(|file| format!("{}  {}\n", md5(&file.content), file.path)).collect();
    let control = [File::plain("control", control), File::plain("md5sums", sums)];
    let part = |name: &str, files: &[File]| anyhow::Ok((format!("{name}.tar.gz"), tar_gz(files, release.date)?));
    let members = [("debian-binary".into(), b"2.0\n".to_vec()), part("control", &control)?, part("data", &data)?];
    Ok((format!("gan-cli_{version}_{architecture}.deb"), ar(&members, release.date)))
}

const SYNOPSIS: &str = "image-to-image translation with GANs";

/// A long description: lines of at most 80 characters, each after a space.
const DESCRIPTION: &str = " Trains and runs pix2pix, pix2pixHD, CycleGAN and CUT from the command line,
 on the CPU and without Python. It reads and writes PyTorch's weight files,
 inspects datasets, measures results, translates images of any size and videos,
 and exports models to ONNX.
";

/// A file below `/usr` where the policy wants it: manual pages and longer documents compressed. Of the licences, `copyright` takes the place.
fn installed(file: &File) -> Result<Option<File>> {
    if file.path.starts_with("share/doc/gan-cli/LICENSE") {
        return Ok(None);
    }
    let path = format!("usr/{}", file.path);
    let path = path.replace("/CHANGELOG.md", "/changelog").replace("/site-functions/", "/vendor-completions/");
    let page = path.contains("/share/man/");
    if page || path.ends_with("/changelog") || path.contains("/share/doc/") && file.content.len() > 4096 {
        return Ok(Some(File::plain(format!("{path}.gz"), gzip(&file.content)?)));
    }
    Ok(Some(file.at(path)))
}

/// In the format of DEP 5. `files` holds the MIT licence; the other one lies on every system of Debian.
fn copyright(release: &Release, files: &[File]) -> Result<String> {
    let mit = files.iter().find(|file| file.path.ends_with("/LICENSE-MIT"));
    let mit = String::from_utf8_lossy(&mit.context("LICENSE-MIT is missing among the files")?.content).into_owned();
    let holders = mit.lines().find(|line| line.starts_with("Copyright")).context("LICENSE-MIT names no holder")?;
    let holders = holders.trim_start_matches("Copyright").trim_start_matches(" (c)").trim().to_owned();
    let text: String = mit
        .lines()
        .map(|line| if line.trim().is_empty() { " .\n".into() } else { format!(" {}\n", line.trim_end()) })
        .collect();
    Ok(format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n\
         Files: *\nCopyright: {holders}\nLicense: Expat or Apache-2.0\n\
         Comment: {}. The program contains the code of other packages; their\n licences are in THIRD-PARTY.txt.gz in this folder.\n\n\
         License: Expat\n{text}\n\
         License: Apache-2.0\n The text is in /usr/share/common-licenses/Apache-2.0.\n",
        release.licence
    ))
}

/// Debian's own changelog. The project's is beside it.
fn changelog(release: &Release, version: &str, maintainer: &str) -> String {
    let date = source_date::rfc_5322(release.date);
    format!(
        "gan-cli ({version}) unstable; urgency=medium\n\n  * Release {}; changelog.gz in this folder says what is new.\n\n -- {maintainer}  {date}\n",
        release.version
    )
}

/// A pre-release comes before the release: `1.0.0~rc.1-1`. The `1` is the revision of the package.
fn debian_version(version: &str) -> String {
    format!("{}-1", version.replace('-', "~"))
}

fn depends(elf: &Elf) -> Result<String> {
    let mut packages = BTreeSet::new();
    for library in elf.needed.keys() {
        let Some((_, package)) = LIBRARIES.iter().find(|(name, _)| name == library) else {
            bail!(
                "the program uses {library}, and no package of Debian is known for it; add it to xtask/src/dist/deb.rs"
            );
        };
        packages.insert(match (*package, elf.glibc()) {
            ("libc6", Some((major, minor))) => format!("libc6 (>= {major}.{minor})"),
            (package, _) => package.to_owned(),
        });
    }
    if packages.is_empty() {
        bail!("a static program asks for no package of Debian: make a .deb of one that is linked with glibc");
    }
    Ok(packages.into_iter().collect::<Vec<_>>().join(", "))
}

fn md5(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The archive that holds the members: a line of text and padding to an even length for each.
fn ar(members: &[(String, Vec<u8>)], date: u64) -> Vec<u8> {
    let mut out = b"!<arch>\n".to_vec();
    for (name, content) in members {
        out.extend(format!("{name:<16}{date:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 100_644, content.len()).bytes());
        out.extend(content);
        out.extend(&b"\n"[..content.len() % 2]);
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::dist::elf::Machine;
    use std::collections::BTreeMap;
    use std::io::Read;

    fn elf(libraries: &[(&str, &str)]) -> Elf {
        let needed = libraries.iter().map(|(name, version)| ((*name).into(), BTreeSet::from([(*version).into()])));
        Elf { machine: Machine::X86_64, needed: needed.collect() }
    }

    fn files() -> Vec<File> {
        vec![
            File::program("bin/gan-cli", "a program"),
            File::plain("share/man/man1/gan-cli.1", ".TH"),
            File::plain("share/zsh/site-functions/_gan-cli", "#compdef"),
            File::plain("share/doc/gan-cli/CHANGELOG.md", "# Changelog"),
            File::plain("share/doc/gan-cli/LICENSE-MIT", "MIT License\n\nCopyright (c) 2026 Authors\n\nPermission"),
        ]
    }

    /// The members of an `ar` archive.
    fn members(mut bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
        bytes = bytes.strip_prefix(b"!<arch>\n").unwrap();
        let mut members = Vec::new();
        while !bytes.is_empty() {
            let header = std::str::from_utf8(&bytes[..60]).unwrap();
            let size: usize = header[48..58].trim().parse().unwrap();
            members.push((header[..16].trim().to_owned(), bytes[60..60 + size].to_vec()));
            bytes = &bytes[60 + size + size % 2..];
        }
        members
    }

    fn unpack(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(archive));
        let read = |entry: std::io::Result<tar::Entry<'_, _>>| {
            let mut entry: tar::Entry<'_, flate2::read::GzDecoder<&[u8]>> = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            (String::from_utf8(entry.path_bytes().into_owned()).unwrap(), content)
        };
        archive.entries().unwrap().map(read).collect()
    }

    #[test]
    fn a_package_has_the_three_members_in_order() {
        let elf = elf(&[("libc.so.6", "GLIBC_2.34"), ("libgcc_s.so.1", "GCC_4.2.0"), ("libm.so.6", "GLIBC_2.29")]);
        let (name, bytes) = pack(&Release::example(), &elf, &files(), "The authors <a@b.example>").unwrap();
        assert_eq!(name, "gan-cli_0.1.0-1_amd64.deb");
        assert_eq!(bytes, pack(&Release::example(), &elf, &files(), "The authors <a@b.example>").unwrap().1);
        let members = members(&bytes);
        let names: Vec<_> = members.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["debian-binary", "control.tar.gz", "data.tar.gz"]);
        assert_eq!(members[0].1, b"2.0\n");
        let (control, data) = (unpack(&members[1].1), unpack(&members[2].1));
        let text = String::from_utf8(control["control"].clone()).unwrap();
        assert!(text.contains("\nDepends: libc6 (>= 2.34), libgcc-s1\n") && text.ends_with(".\n"), "{text}");
        assert!(text.lines().all(|line| line.len() <= 80 && !line.trim().is_empty()), "{text}");
        let sums = String::from_utf8(control["md5sums"].clone()).unwrap();
        for line in sums.lines() {
            let (sum, path) = line.split_once("  ").unwrap();
            assert_eq!(md5(&data[path]), sum, "{path}");
        }
        let paths: Vec<_> = data.keys().filter(|path| !path.ends_with('/')).map(String::as_str).collect();
        assert_eq!(
            paths,
            [
                "usr/bin/gan-cli",
                "usr/share/doc/gan-cli/changelog.Debian.gz",
                "usr/share/doc/gan-cli/changelog.gz",
                "usr/share/doc/gan-cli/copyright",
                "usr/share/man/man1/gan-cli.1.gz",
                "usr/share/zsh/vendor-completions/_gan-cli",
            ]
        );
        assert_eq!(sums.lines().count(), paths.len());
        let copyright = String::from_utf8(data["usr/share/doc/gan-cli/copyright"].clone()).unwrap();
        assert!(
            copyright.contains("Copyright: 2026 Authors\n") && copyright.contains("\n .\n Permission\n"),
            "{copyright}"
        );
    }

    #[test]
    fn an_unknown_library_is_no_surprise_of_the_user() {
        for (libraries, said) in [(&[("libfoo.so.1", "F")][..], "uses libfoo.so.1"), (&[], "a static program")] {
            let error = pack(&Release::example(), &elf(libraries), &files(), "m").unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn a_pre_release_sorts_before_its_release() {
        assert_eq!(debian_version("1.0.0-rc.1"), "1.0.0~rc.1-1");
    }
}
