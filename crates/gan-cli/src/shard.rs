//! `--shard`: the part of a call's work that one of several processes does.

use crate::ranks;
use std::fmt;
use std::str::FromStr;

/// Number `number` of `count` parts, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shard {
    number: usize,
    count: usize,
}

impl Shard {
    /// The one that was named; without a name, that of this process among those that were started together.
    pub(crate) fn of_call(named: Option<Shard>) -> Self {
        let launch = ranks::launch();
        named.unwrap_or(Shard { number: launch.rank + 1, count: launch.size })
    }

    /// Its number, from 1.
    pub(crate) fn number(self) -> usize {
        self.number
    }

    /// How many parts there are.
    pub(crate) fn count(self) -> usize {
        self.count
    }

    /// Whether there is no other part.
    pub(crate) fn is_whole(self) -> bool {
        self.count == 1
    }

    /// The items of this part: of each `count` in a row, the one with its number.
    pub(crate) fn of<T>(self, items: Vec<T>) -> Vec<T> {
        items.into_iter().skip(self.number - 1).step_by(self.count).collect()
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.count)
    }
}

impl FromStr for Shard {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let numbers = text.split_once('/').map(|(number, count)| (number.parse(), count.parse()));
        match numbers {
            Some((Ok(number), Ok(count))) if (1..=count).contains(&number) => Ok(Shard { number, count }),
            _ => Err("give a part and how many there are, for example 1/4 to 4/4"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_item_belongs_to_one_part() {
        for count in 1..6 {
            let parts = (1..=count).map(|number| format!("{number}/{count}").parse::<Shard>().unwrap());
            let mut all: Vec<usize> = parts.flat_map(|shard| shard.of((0..7).collect())).collect();
            all.sort_unstable();
            assert_eq!(all, (0..7).collect::<Vec<_>>(), "{count}");
        }
        assert!("1/1".parse::<Shard>().unwrap().is_whole() && !"2/2".parse::<Shard>().unwrap().is_whole());
    }

    #[test]
    fn what_is_no_part_is_refused() {
        for text in ["", "1", "0/4", "5/4", "1/0", "-1/4", "1/4/2", "a/b"] {
            text.parse::<Shard>().unwrap_err();
        }
    }
}
