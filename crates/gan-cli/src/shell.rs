//! Command lines that can be copied into a shell.

use std::path::Path;

/// A path as an argument.
///
/// Plain names stay as they are. Anything else is quoted for a POSIX shell, or with `$'…'` (bash, zsh, ksh) where it
/// holds control characters or bytes that are not Unicode. A leading dash becomes `./-`.
pub(crate) fn quoted(path: &Path) -> String {
    let bytes = path.as_os_str().as_encoded_bytes();
    let dash: &[u8] = if bytes.starts_with(b"-") { b"./" } else { b"" };
    let bytes = [dash, bytes].concat();
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"_-./+=:,@%".contains(b);
    if !bytes.is_empty() && bytes.iter().all(plain) {
        return String::from_utf8_lossy(&bytes).into_owned();
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) if cfg!(windows) => format!("\"{text}\""),
        Ok(text) if !text.contains(char::is_control) => format!("'{}'", text.replace('\'', r"'\''")),
        _ => {
            let escaped: String = bytes.iter().map(|b| format!("\\x{b:02x}")).collect();
            format!("$'{escaped}'")
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::quoted;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    #[test]
    fn plain_names_stay() {
        for name in ["runs/photos", "/a/b-c_d.e", "run=1,2@x"] {
            assert_eq!(quoted(Path::new(name)), name);
        }
        assert_eq!(quoted(Path::new("my photos")), "'my photos'");
        assert_eq!(quoted(Path::new("-run")), "./-run");
        assert_eq!(quoted(Path::new("~x")), "'~x'");
    }

    /// The shell gives back the very bytes.
    #[test]
    fn a_shell_understands_it() {
        for bytes in [&b"it's $HOME `x` \"y\" \\ *"[..], "Ångström é".as_bytes(), b"#;&|<>()"] {
            let line = format!("printf %s {}", quoted(Path::new(OsStr::from_bytes(bytes))));
            let out = std::process::Command::new("sh").args(["-c", &line]).output().unwrap();
            assert_eq!(out.stdout, bytes, "{line}");
        }
        for bytes in [&b"two\nlines"[..], b"not\xffunicode"] {
            let line = format!("printf %s {}", quoted(Path::new(OsStr::from_bytes(bytes))));
            let Ok(out) = std::process::Command::new("bash").args(["-c", &line]).output() else { continue };
            assert_eq!(out.stdout, bytes, "{line}");
        }
    }
}
