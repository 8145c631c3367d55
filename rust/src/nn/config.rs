//! The configuration of a network: widths and depths, as the flat JSON that the Python package writes.

use super::parameters::wrong;
use crate::{Result, Unsupported};

/// No width or depth is larger.
const LARGEST: usize = 1 << 14;

/// Widths and depths; `lic_native/models/mlcc.py` describes them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Config {
    pub(super) luma_trunk_width: usize,
    pub(super) luma_head_width: usize,
    pub(super) luma_skip_channels: usize,
    pub(super) chroma_trunk_width: usize,
    pub(super) chroma_head_width: usize,
    pub(super) chroma_skip_channels: usize,
    pub(super) chroma_context_width: usize,
    pub(super) conditioning_width: usize,
    pub(super) luma_context_blocks: Vec<usize>,
    pub(super) chroma_context_blocks: Vec<usize>,
    pub(super) luma_pointwise_blocks: usize,
    pub(super) chroma_pointwise_blocks: usize,
    pub(super) further_head_layers: usize,
}

impl Config {
    /// Reads an object whose values are numbers or lists of numbers. Widths must be there; the depths of a network that
    /// lacks them are zero.
    ///
    /// # Errors
    /// [`Error::Corrupt`](crate::Error::Corrupt) if it is not the configuration of this network,
    /// [`Error::Unsupported`](crate::Error::Unsupported) if the network has a hyperprior.
    pub(super) fn from_json(text: &str) -> Result<Self> {
        let mut config = Self::default();
        let mut hyperprior = 0;
        let fields = fields(text).ok_or_else(|| wrong(format!("{text:?} is no flat JSON of sizes")))?;
        for (name, value) in fields {
            let number = |field: &mut usize| match value {
                Value::Number(value) => {
                    *field = value;
                    true
                }
                Value::List(_) => false,
            };
            let list = |field: &mut Vec<usize>| match &value {
                Value::List(values) => {
                    field.clone_from(values);
                    !values.contains(&0)
                }
                Value::Number(_) => false,
            };
            let is_right = match name {
                "luma_context_blocks" => list(&mut config.luma_context_blocks),
                "chroma_context_blocks" => list(&mut config.chroma_context_blocks),
                "luma_trunk_width" => number(&mut config.luma_trunk_width),
                "luma_head_width" => number(&mut config.luma_head_width),
                "luma_skip_channels" => number(&mut config.luma_skip_channels),
                "chroma_trunk_width" => number(&mut config.chroma_trunk_width),
                "chroma_head_width" => number(&mut config.chroma_head_width),
                "chroma_skip_channels" => number(&mut config.chroma_skip_channels),
                "chroma_context_width" => number(&mut config.chroma_context_width),
                "conditioning_width" => number(&mut config.conditioning_width),
                "z_channels" => number(&mut hyperprior),
                "luma_pointwise_blocks" => number(&mut config.luma_pointwise_blocks),
                "chroma_pointwise_blocks" => number(&mut config.chroma_pointwise_blocks),
                "further_head_layers" => number(&mut config.further_head_layers),
                _ => false,
            };
            if !is_right {
                return Err(wrong(format!("{name:?} is no size of this network, or has another form")));
            }
        }
        let widths = [
            config.luma_trunk_width,
            config.luma_head_width,
            config.chroma_trunk_width,
            config.chroma_head_width,
            config.chroma_context_width,
            config.conditioning_width,
        ];
        if widths.contains(&0) {
            return Err(wrong("a width is missing or 0".into()));
        }
        if hyperprior > 0 {
            return Err(Unsupported::from("a network with a hyperprior, which needs torch").into());
        }
        Ok(config)
    }
}

/// The value of a field.
enum Value {
    Number(usize),
    List(Vec<usize>),
}

/// Returns the names and values of a flat JSON object.
fn fields(text: &str) -> Option<Vec<(&str, Value)>> {
    let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
    let mut fields: Vec<(&str, Value)> = Vec::new();
    while !rest.is_empty() {
        let (name, after) = rest.strip_prefix('"')?.split_once('"')?;
        let after = after.trim_start().strip_prefix(':')?.trim_start();
        let (value, after) = match after.strip_prefix('[') {
            Some(list) => {
                let (list, after) = list.split_once(']')?;
                let numbers = if list.trim().is_empty() {
                    Some(Vec::new())
                } else {
                    list.split(',').map(number).collect()
                };
                (Value::List(numbers?), after)
            }
            None => {
                let end = after.find(',').unwrap_or(after.len());
                (Value::Number(number(&after[..end])?), &after[end..])
            }
        };
        if fields.iter().any(|(other, _)| *other == name) {
            return None;
        }
        fields.push((name, value));
        rest = after.trim_start();
        if !rest.is_empty() {
            rest = rest.strip_prefix(',')?.trim_start();
            if rest.is_empty() {
                return None;
            }
        }
    }
    Some(fields)
}

fn number(text: &str) -> Option<usize> {
    let text = text.trim();
    let is_number = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    text.parse().ok().filter(|&number| is_number && number <= LARGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    const WIDTHS: &str = r#""chroma_context_width": 7, "chroma_head_width": 4, "chroma_skip_channels": 0,
        "chroma_trunk_width": 3, "conditioning_width": 8, "luma_head_width": 2, "luma_skip_channels": 3,
        "luma_trunk_width": 1"#;

    #[test]
    fn fields_are_read_and_depths_default_to_none() {
        let config = Config::from_json(&format!("{{{WIDTHS}}}")).unwrap();
        assert_eq!(
            (config.luma_trunk_width, config.chroma_context_width, config.conditioning_width),
            (1, 7, 8)
        );
        assert_eq!((config.luma_context_blocks.len(), config.further_head_layers), (0, 0));
        let text = format!("{{\"luma_context_blocks\": [5, 6], \"further_head_layers\":2, {WIDTHS}}}");
        let config = Config::from_json(&text).unwrap();
        assert_eq!((&config.luma_context_blocks[..], config.further_head_layers), (&[5, 6][..], 2));
    }

    #[test]
    fn anything_else_is_an_error() {
        for more in [
            "\"luma_trunk_width\": 2",
            "\"depth\": 1",
            "\"z_channels\": [1]",
            "\"z_channels\": -1",
            "",
            "\"a\"",
        ] {
            let result = Config::from_json(&format!("{{{WIDTHS}, {more}}}"));
            assert!(matches!(result, Err(Error::Corrupt { .. })), "{more}: {result:?}");
        }
        for text in [
            "",
            "{",
            "{}",
            "[]",
            "{\"",
            "{\"a\": }",
            "{\"luma_context_blocks\": [0]}",
            "{\"luma_context_blocks\": [1",
        ] {
            assert!(matches!(Config::from_json(text), Err(Error::Corrupt { .. })), "{text}");
        }
        let result = Config::from_json(&format!("{{{WIDTHS}, \"z_channels\": 24}}"));
        assert!(matches!(result, Err(Error::Unsupported(_))), "{result:?}");
    }
}
