//! What a request asks for, in the query or in fields of a form.

use crate::reply::Problem;
use crate::translate::engine::Choice;
use axum::http::StatusCode;
use gan_data::Direction;

/// The parameters of a translation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The model's name in the list of models; the first without it.
    pub(crate) model: Option<String>,
    pub(crate) choice: Choice,
}

impl Asked {
    /// Reads `name=value&…`.
    pub(crate) fn in_query(query: Option<&str>) -> Result<Self, Problem> {
        let mut asked = Asked::default();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            asked.take(&decoded(name)?, &decoded(value)?)?;
        }
        Ok(asked)
    }

    /// Takes in one parameter. An empty value is as good as none, as forms send it.
    pub(crate) fn take(&mut self, name: &str, value: &str) -> Result<(), Problem> {
        if value.is_empty() {
            return Ok(());
        }
        let number = || {
            let wrong = || bad(format!("{name} is a whole number from 0 on, and not {}", shown(value)));
            if value.bytes().all(|byte| byte.is_ascii_digit()) {
                value.parse().map_err(|_| wrong())
            } else {
                Err(wrong())
            }
        };
        match name {
            "model" => self.model = Some(value.to_owned()),
            "direction" => {
                self.choice.direction = Some(match value {
                    "a2b" => Direction::A2b,
                    "b2a" => Direction::B2a,
                    other => return Err(bad(format!("direction is a2b or b2a, and not {}", shown(other)))),
                });
            }
            "step" => self.choice.step = Some(number()?),
            "style" => self.choice.style = Some(number()?),
            "seed" => self.choice.seed = Some(number()?),
            other => {
                let known = "model, direction, step, style and seed";
                return Err(bad(format!("there is no parameter {}: there are {known}", shown(other))));
            }
        }
        Ok(())
    }
}

fn bad(sentence: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, sentence)
}

/// What somebody sent, as part of a sentence.
fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}

/// Percent signs and plus signs of a query.
fn decoded(text: &str) -> Result<String, Problem> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let (high, low) = (digit(), digit());
                let code = high.zip(low).and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
                code.ok_or_else(|| bad("the query has a % without two digits".to_owned()))?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| bad("the query is not UTF-8".to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn parameters_are_read() {
        let asked = Asked::in_query(Some("model=my%20model&direction=b2a&step=30&style=0&seed=&")).unwrap();
        assert_eq!(asked.model.as_deref(), Some("my model"));
        let choice = Choice { direction: Some(Direction::B2a), step: Some(30), style: Some(0), seed: None };
        assert_eq!(asked.choice, choice);
        assert_eq!(Asked::in_query(None).unwrap(), Asked::default());
    }

    #[test]
    fn what_is_no_parameter_is_said() {
        for (query, word) in [
            ("step=-1", "step"),
            ("step=99999999999999999999", "step"),
            ("style=+1", "style"),
            ("direction=up", "a2b"),
            ("path=../../etc", "path"),
            ("step=%zz", "%"),
            ("model=%ff", "UTF-8"),
        ] {
            let problem = Asked::in_query(Some(query)).unwrap_err();
            assert!(problem.status == StatusCode::BAD_REQUEST && problem.sentence.contains(word), "{problem:?}");
        }
        let long = format!("{}=1", "x".repeat(10_000));
        assert!(Asked::in_query(Some(&long)).unwrap_err().sentence.len() < 200);
    }
}
