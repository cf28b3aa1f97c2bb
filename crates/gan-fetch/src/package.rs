//! Files of a package that somebody else fetched: a gzipped tar, as `npm pack` writes it, or a folder in which it was unpacked.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use tar::Archive;

use crate::digest::sha256;
use crate::error::{Error, Result};

/// The most bytes that a package may unpack to.
const MAX_UNPACKED: u64 = 1 << 30;

/// A file that is wanted of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackageFile {
    /// Where it is in the package: `dist/name.js`.
    pub path: &'static str,
    /// Its exact size.
    pub bytes: u64,
    /// Its hash, in lower-case hexadecimal digits.
    pub sha256: &'static str,
}

/// Reads files of a package and checks sizes and hashes; their contents are in the order of `wanted`. `package` is a `.tgz`, whose entries lie
/// in a folder `package`; the folder to which one was unpacked; or the folder in it that holds the files.
///
/// # Errors
/// [`Error::Package`] if a file is missing or is another one, or the archive is damaged; [`Error::Io`] if the package cannot be read.
pub fn package_files(package: &Path, wanted: &[PackageFile]) -> Result<Vec<Vec<u8>>> {
    if package.is_dir() {
        return wanted.iter().map(|file| of_folder(package, file)).collect();
    }
    let mut found = of_archive(package, wanted)?;
    let taken = wanted.iter().map(|file| found.remove(file.path).ok_or_else(|| refused(package, holds_no(file))));
    taken.collect()
}

fn of_folder(folder: &Path, file: &PackageFile) -> Result<Vec<u8>> {
    let name = file.path.rsplit('/').next().unwrap_or(file.path);
    let places = [folder.join(file.path), folder.join("package").join(file.path), folder.join(name)];
    let Some(path) = places.iter().find(|path| path.is_file()) else {
        return Err(refused(folder, holds_no(file)));
    };
    let length = path.metadata().map_err(Error::io("read", path))?.len();
    // Of another size it is another file, however large.
    let bytes = if length == file.bytes { std::fs::read(path).map_err(Error::io("read", path))? } else { Vec::new() };
    checked(path, file, bytes)
}

fn of_archive<'a>(package: &Path, wanted: &'a [PackageFile]) -> Result<HashMap<&'a str, Vec<u8>>> {
    let damaged = |error: std::io::Error| refused(package, format!("is no sound .tgz of a package: {error}"));
    let file = BufReader::with_capacity(1 << 16, File::open(package).map_err(Error::io("read", package))?);
    let mut tar = Archive::new(MultiGzDecoder::new(file).take(MAX_UNPACKED));
    let mut found = HashMap::new();
    for entry in tar.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let file = name.strip_prefix("package/").and_then(|name| wanted.iter().find(|file| file.path == name));
        let Some(file) = file.filter(|_| entry.header().entry_type().is_file()) else { continue };
        let mut bytes = Vec::new();
        if entry.size() == file.bytes {
            entry.read_to_end(&mut bytes).map_err(damaged)?;
        }
        found.insert(file.path, checked(&package.join(file.path), file, bytes)?);
    }
    Ok(found)
}

fn checked(path: &Path, file: &PackageFile, bytes: Vec<u8>) -> Result<Vec<u8>> {
    match bytes.len() as u64 == file.bytes && sha256(&bytes) == file.sha256 {
        true => Ok(bytes),
        false => Err(refused(path, "is not the file that is wanted: its size or SHA-256 is another".to_owned())),
    }
}

fn holds_no(file: &PackageFile) -> String {
    format!("holds no {}", file.path)
}

fn refused(path: &Path, reason: String) -> Error {
    Error::Package { path: path.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::fs;
    use std::path::PathBuf;

    const WANTED: &[PackageFile] = &[
        PackageFile {
            path: "dist/b.js",
            bytes: 5,
            sha256: "486ea46224d1bb4fb680f34f7c9ad96a8f24ec88be73ea8e5a6c65260e9cb8a7",
        },
        PackageFile {
            path: "dist/a.js",
            bytes: 5,
            sha256: "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
        },
    ];
    const SOUND: &[(&str, &[u8])] = &[("dist/a.js", b"hello"), ("dist/b.js", b"world"), ("dist/c.js", b"other")];

    fn archive(folder: &Path, files: &[(&str, &[u8])]) -> PathBuf {
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (name, content) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            tar.append_data(&mut header, format!("package/{name}"), *content).unwrap();
        }
        let path = folder.join("package.tgz");
        fs::write(&path, tar.into_inner().unwrap().finish().unwrap()).unwrap();
        path
    }

    #[test]
    fn files_come_from_an_archive_and_from_folders() {
        let dir = tempfile::tempdir().unwrap();
        let both = vec![b"world".to_vec(), b"hello".to_vec()];
        assert_eq!(package_files(&archive(dir.path(), SOUND), WANTED).unwrap(), both);
        fs::create_dir_all(dir.path().join("package/dist")).unwrap();
        SOUND.iter().for_each(|(name, content)| fs::write(dir.path().join("package").join(name), content).unwrap());
        for place in ["", "package", "package/dist"] {
            assert_eq!(package_files(&dir.path().join(place), WANTED).unwrap(), both, "{place}");
        }
    }

    #[test]
    fn what_is_not_wanted_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let of_archive =
            |files: &[(&str, &[u8])]| package_files(&archive(dir.path(), files), WANTED).unwrap_err().to_string();
        assert!(of_archive(&SOUND[..1]).contains("package.tgz holds no dist/b.js"));
        assert!(of_archive(&[("dist/a.js", b"hellO"), SOUND[1]]).contains("a.js is not the file that is wanted"));
        assert!(of_archive(&[("dist/a.js", b"hello, longer"), SOUND[1]]).contains("another"));
        let cut = archive(dir.path(), SOUND);
        let bytes = fs::read(&cut).unwrap();
        for damaged in [&bytes[..bytes.len() / 2], b"no archive", b""] {
            fs::write(&cut, damaged).unwrap();
            let error = package_files(&cut, WANTED).unwrap_err().to_string();
            assert!(error.contains("no sound .tgz") || error.contains("holds no"), "{error}");
        }
        let folder = dir.path().join("folder");
        fs::create_dir(&folder).unwrap();
        assert!(package_files(&folder, WANTED).unwrap_err().to_string().contains("holds no dist/b.js"));
        fs::write(folder.join("b.js"), "worlds").unwrap();
        assert!(package_files(&folder, WANTED).unwrap_err().to_string().contains("another"));
        assert!(matches!(package_files(&dir.path().join("nowhere.tgz"), WANTED), Err(Error::Io { .. })));
    }
}
