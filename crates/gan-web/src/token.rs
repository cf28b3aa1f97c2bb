//! Secrets that a server makes for itself.

use std::hash::{BuildHasher, RandomState};

/// A secret of 128 bits, as 32 hexadecimal digits.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A new one.
    ///
    /// The standard library takes the keys of its hash maps from the system's source of randomness; under such a key SipHash is a
    /// pseudorandom function.
    #[must_use]
    pub fn random() -> Self {
        let state = RandomState::new();
        Token((0..2u64).map(|half| format!("{:016x}", state.hash_one(half))).collect())
    }

    /// The digits.
    #[must_use]
    pub fn digits(&self) -> &str {
        &self.0
    }

    /// Whether `other` is this token. How long this takes tells nothing but the length.
    #[must_use]
    pub fn is(&self, other: &str) -> bool {
        let (a, b) = (self.0.as_bytes(), other.as_bytes());
        let differing = a.iter().zip(b).fold(0, |differing, (a, b)| std::hint::black_box(differing | (a ^ b)));
        a.len() == b.len() && differing == 0
    }
}

/// It is a secret.
impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::Token;

    #[test]
    fn tokens_differ_and_know_themselves() {
        let (a, b) = (Token::random(), Token::random());
        assert_ne!(a, b);
        assert!(a.digits().len() == 32 && a.digits().bytes().all(|digit| digit.is_ascii_hexdigit()));
        assert!(a.is(a.digits()) && !a.is(b.digits()) && !a.is("") && !a.is(&a.digits()[1..]));
        assert!(!a.is(&format!("{}0", a.digits())));
        assert!(!format!("{a:?}").contains(a.digits()));
    }
}
