//! Doc comments of a configuration's keys as data.

/// What a key of a configuration is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyDoc {
    /// The key, without its table.
    pub key: &'static str,
    lines: &'static [&'static str],
}

impl KeyDoc {
    /// A key with the lines of its doc comment. In a constant, a key without any does not compile.
    ///
    /// # Panics
    /// If all lines are empty.
    #[must_use]
    pub const fn new(key: &'static str, lines: &'static [&'static str]) -> Self {
        let (mut line, mut documented) = (0, false);
        while line < lines.len() {
            documented |= !lines[line].is_empty();
            line += 1;
        }
        assert!(documented, "a key of a configuration has no doc comment");
        KeyDoc { key, lines }
    }

    /// The doc comment as one line.
    #[must_use]
    pub fn text(&self) -> String {
        let lines: Vec<_> = self.lines.iter().map(|line| line.trim()).filter(|line| !line.is_empty()).collect();
        lines.join(" ")
    }
}

/// Declares a struct of a configuration, as it stands, and its constant `DOCS`: a [`KeyDoc`] for each field, made of the
/// field's doc comment.
///
/// ```
/// gan_range::documented! {
///     /// The `[loss]` table.
///     #[derive(Debug, Default)]
///     pub struct LossConfig {
///         /// Weight of the L1 term.
///         /// 0 turns it off.
///         pub lambda_l1: f64,
///     }
/// }
/// assert_eq!(LossConfig::DOCS[0].key, "lambda_l1");
/// assert_eq!(LossConfig::DOCS[0].text(), "Weight of the L1 term. 0 turns it off.");
/// ```
///
/// A field without a doc comment is refused where `DOCS` is used:
///
/// ```compile_fail
/// gan_range::documented! { struct Silent { lambda_l1: f64, } }
/// println!("{:?}", Silent::DOCS);
/// ```
#[macro_export]
macro_rules! documented {
    (@line doc = $line:expr) => { $line };
    (@line $($other:tt)*) => { "" };
    ($(#[$($about:tt)*])* $vis:vis struct $name:ident {
        $($(#[$($meta:tt)*])* $field_vis:vis $field:ident: $type:ty,)*
    }) => {
        $(#[$($about)*])*
        $vis struct $name {
            $($(#[$($meta)*])* $field_vis $field: $type,)*
        }

        impl $name {
            /// What the keys are for.
            $vis const DOCS: &'static [$crate::KeyDoc] = &[
                $($crate::KeyDoc::new(stringify!($field), &[$($crate::documented!(@line $($meta)*)),*]),)*
            ];
        }
    };
}
