//! The compiler that a release is built with, and the libraries of its own that it puts into every program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::licences::Further;

/// Where distributions put the licence of musl. Its package comes with the C compiler for it.
const MUSL: &[&str] = &["/usr/share/doc/musl/copyright", "/usr/share/licenses/musl/COPYRIGHT"];

/// What `rustc` says of itself.
pub(super) struct Toolchain {
    /// Such as `1.95.0`.
    pub(super) version: String,
    /// The target that it builds for by default.
    pub(super) host: String,
    sysroot: PathBuf,
}

impl Toolchain {
    pub(super) fn read(root: &Path) -> Result<Self> {
        let verbose = rustc(root, &["--version", "--verbose"])?;
        let field = |name: &str| verbose.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        Ok(Toolchain {
            version: field("release").context("rustc tells no version")?.to_owned(),
            host: field("host").context("rustc tells no host")?.to_owned(),
            sysroot: rustc(root, &["--print", "sysroot"])?.trim().into(),
        })
    }

    /// Licences of the standard library, and of the C library where it is compiled in.
    ///
    /// # Errors
    /// When one is not where it is installed.
    pub(super) fn licences(&self, target: &str) -> Result<Vec<Further>> {
        let path = self.sysroot.join("share/doc/rust/COPYRIGHT-library.html");
        let mut further = vec![Further {
            title: format!("The standard library of Rust {}, with what it contains", self.version),
            text: plain(&read(&path)?),
        }];
        if target.ends_with("-musl") {
            let path = MUSL.iter().map(Path::new).find(|path| path.is_file());
            let path = path.with_context(|| {
                format!("no licence of musl at {}; install Debian's package musl", MUSL.join(" or "))
            })?;
            further.push(Further { title: "The C library musl".into(), text: read(path)? });
        }
        Ok(further)
    }
}

fn rustc(root: &Path, args: &[&str]) -> Result<String> {
    let program = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(program).args(args).current_dir(root).output().context("cannot start rustc")?;
    if !output.status.success() {
        bail!("rustc {} ended with {}", args.join(" "), output.status);
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The words of a page of HTML: tags left out, entities as the signs that they stand for.
fn plain(html: &str) -> String {
    let body = html.split_once("<body>").map_or(html, |(_, body)| body);
    let mut text = String::new();
    for (at, part) in body.split('<').enumerate() {
        text += if at == 0 { part } else { part.split_once('>').map_or("", |(_, words)| words) };
    }
    for (entity, sign) in [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&nbsp;", " "),
        ("&amp;", "&"),
    ] {
        text = text.replace(entity, sign);
    }
    let mut lines = text.lines().map(str::trim_end).collect::<Vec<_>>();
    lines.dedup_by(|a, b| a.is_empty() && b.is_empty());
    lines.join("\n").trim().to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn words_of_a_page() {
        let page = "<html><head><title>no</title></head><body><h1>A &amp; B</h1>\n\n\n<pre>\n  &lt;x@y&gt;\n</pre></body></html>";
        assert_eq!(plain(page), "A & B\n\n  <x@y>");
    }

    #[test]
    fn this_toolchain_knows_itself() {
        let toolchain = Toolchain::read(Path::new(".")).unwrap();
        assert!(toolchain.version.starts_with("1.") && toolchain.host.contains('-'));
        let licences = toolchain.licences(&toolchain.host).unwrap();
        assert!(licences[0].text.contains("MIT") && !licences[0].text.contains("</"), "{}", licences[0].text);
    }
}
