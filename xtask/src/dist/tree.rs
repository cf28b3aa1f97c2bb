//! The files that are installed, by where they lie below a prefix such as `/usr`.

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File {
    /// Path below the prefix, with `/`.
    pub(super) path: String,
    pub(super) content: Vec<u8>,
    pub(super) executable: bool,
}

impl File {
    /// A file to read.
    pub(super) fn plain(path: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        File { path: path.into(), content: content.into(), executable: false }
    }

    /// A file to run.
    pub(super) fn program(path: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        File { executable: true, ..File::plain(path, content) }
    }

    /// Permissions: all may read, the owner may write.
    pub(super) fn mode(&self) -> u32 {
        if self.executable { 0o755 } else { 0o644 }
    }

    /// The same file under another path.
    pub(super) fn at(&self, path: impl Into<String>) -> Self {
        File { path: path.into(), ..self.clone() }
    }
}
