//! The configurations of networks: widths and depths, as the JSON that the Python package writes.

use super::parameters::wrong;
use crate::Result;

/// No width or depth is larger.
const LARGEST: usize = 1 << 14;

/// The fields of a configuration that nobody has taken yet.
pub(super) struct Config<'a>(Vec<(&'a str, Value)>);

/// A size, or a list of values.
#[derive(Debug, PartialEq, Eq)]
enum Value {
    Size(usize),
    List(Vec<Value>),
}

impl<'a> Config<'a> {
    /// Reads an object.
    ///
    /// # Errors
    /// [`Error::Corrupt`](crate::Error::Corrupt) if it is not one of sizes and lists of sizes, of different names.
    pub(super) fn from_json(text: &'a str) -> Result<Self> {
        let error = || wrong(format!("{text:?} is no JSON of sizes"));
        let mut fields = Vec::new();
        let mut rest = text.trim().strip_prefix('{').ok_or_else(error)?.trim_start();
        if rest != "}" {
            loop {
                let (name, value, after) = field(rest).ok_or_else(error)?;
                if fields.iter().any(|(other, _)| *other == name) {
                    return Err(error());
                }
                fields.push((name, value));
                match after.split_at_checked(1) {
                    Some((",", after)) => rest = after.trim_start(),
                    Some(("}", "")) => break,
                    _ => return Err(error()),
                }
            }
        }
        Ok(Self(fields))
    }

    /// Takes a size; none is 0.
    pub(super) fn size(&mut self, name: &str) -> Result<usize> {
        match self.take(name) {
            None => Ok(0),
            Some(Value::Size(size)) => Ok(size),
            Some(_) => Err(wrong(format!("{name:?} is not a size"))),
        }
    }

    /// Takes a size that must be there, and not 0.
    pub(super) fn width(&mut self, name: &str) -> Result<usize> {
        match self.size(name)? {
            0 => Err(wrong(format!("the width {name:?} is missing or 0"))),
            width => Ok(width),
        }
    }

    /// Takes a list of widths; none is empty.
    pub(super) fn widths(&mut self, name: &str) -> Result<Vec<usize>> {
        let error = || wrong(format!("{name:?} is not a list of widths"));
        let list = self.take(name).unwrap_or(Value::List(Vec::new()));
        list.sizes().filter(|widths| !widths.contains(&0)).ok_or_else(error)
    }

    /// Takes a list of lists of two sizes each; none is empty.
    pub(super) fn pairs(&mut self, name: &str) -> Result<Vec<(usize, usize)>> {
        let pairs = match self.take(name) {
            None => Some(Vec::new()),
            Some(Value::Size(_)) => None,
            Some(Value::List(list)) => {
                let pair = |value: Value| Some(<[usize; 2]>::try_from(value.sizes()?).ok()?.into());
                list.into_iter().map(pair).collect()
            }
        };
        pairs.ok_or_else(|| wrong(format!("{name:?} is not a list of pairs")))
    }

    /// Checks that all fields are taken.
    pub(super) fn finish(self) -> Result<()> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(wrong(format!("{name:?} is no size of this network"))),
        }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        let i = self.0.iter().position(|(other, _)| *other == name)?;
        Some(self.0.swap_remove(i).1)
    }
}

impl Value {
    /// Returns the sizes of a list of sizes.
    fn sizes(self) -> Option<Vec<usize>> {
        let Self::List(list) = self else { return None };
        let size = |value| if let Self::Size(size) = value { Some(size) } else { None };
        list.into_iter().map(size).collect()
    }
}

/// Returns the name and the value of a field, and what follows.
fn field(text: &str) -> Option<(&str, Value, &str)> {
    let (name, rest) = text.strip_prefix('"')?.split_once('"')?;
    let (value, rest) = value(rest.trim_start().strip_prefix(':')?, 2)?;
    Some((name, value, rest))
}

/// Returns a value of lists in lists up to this depth, and what follows.
fn value(text: &str, depth: usize) -> Option<(Value, &str)> {
    let text = text.trim_start();
    let Some(mut rest) = text.strip_prefix('[') else {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let size = text[..end].parse().ok().filter(|&size| size <= LARGEST)?;
        return Some((Value::Size(size), text[end..].trim_start()));
    };
    let depth = depth.checked_sub(1)?;
    let mut list = Vec::new();
    if let Some(rest) = rest.trim_start().strip_prefix(']') {
        return Some((Value::List(list), rest.trim_start()));
    }
    loop {
        let (element, after) = value(rest, depth)?;
        list.push(element);
        match after.split_at_checked(1)? {
            (",", after) => rest = after,
            ("]", after) => return Some((Value::List(list), after.trim_start())),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn fields_are_taken_by_name() {
        let text = r#" {"a": 3, "b":[5 ,6], "c": [[0, 8], [8,24]], "d" : [], "e": 0} "#;
        let mut config = Config::from_json(text).unwrap();
        assert_eq!((config.width("a").unwrap(), config.size("a").unwrap()), (3, 0));
        assert_eq!((config.widths("b").unwrap(), config.widths("b").unwrap()), (vec![5, 6], vec![]));
        assert_eq!((config.pairs("c").unwrap(), config.pairs("d").unwrap()), (vec![(0, 8), (8, 24)], vec![]));
        assert_eq!(config.size("e").unwrap(), 0);
        config.finish().unwrap();
        Config::from_json("{}").unwrap().finish().unwrap();
    }

    #[test]
    fn anything_else_is_an_error() {
        for text in [
            "",
            "{",
            "{ ",
            "[]",
            "{\"",
            "{\"a",
            "{\"a\"}",
            "{\"a\": }",
            "{\"a\": 1",
            "{\"a\": 1,}",
            "{\"a\": 1}}",
            "{\"a\": 1 2}",
            "{\"a\": -1}",
            "{\"a\": 1.5}",
            "{\"a\": +1}",
            "{\"a\": 16385}",
            "{\"a\": 99999999999999999999}",
            "{\"a\": \"1\"}",
            "{\"a\": 1, \"a\": 1}",
            "{\"a\": [1",
            "{\"a\": [1,",
            "{\"a\": [1,]}",
            "{\"a\": [[[1]]]}",
            "{\"\u{e4}\": 1\u{e4}}",
        ] {
            let result = Config::from_json(text);
            assert!(matches!(result.map(|_| ()), Err(Error::Corrupt { .. })), "{text}");
        }
        let taken = |text, take: &dyn Fn(&mut Config) -> bool| take(&mut Config::from_json(text).unwrap());
        assert!(taken("{\"a\": [1]}", &|config| config.size("a").is_err()));
        assert!(taken("{\"a\": 0}", &|config| config.width("a").is_err()));
        assert!(taken("{}", &|config| config.width("a").is_err()));
        for text in ["{\"a\": 1}", "{\"a\": [1, 0]}", "{\"a\": [[1, 2]]}"] {
            assert!(taken(text, &|config| config.widths("a").is_err()), "{text}");
        }
        for text in ["{\"a\": 1}", "{\"a\": [1, 2]}", "{\"a\": [[1]]}", "{\"a\": [[1, 2, 3]]}"] {
            assert!(taken(text, &|config| config.pairs("a").is_err()), "{text}");
        }
        assert!(Config::from_json("{\"a\": 1}").unwrap().finish().is_err());
    }
}
