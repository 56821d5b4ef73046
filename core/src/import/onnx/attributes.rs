//! The attributes of one node, by name and with their types checked.

use super::messages::{AttributeProto, NodeProto, TensorProto, attribute_proto::AttributeType};
use crate::error::{Error, ErrorKind, Result};

/// The attributes of one node.
#[derive(Clone, Copy)]
pub(super) struct Attributes<'m>(&'m [AttributeProto]);

impl<'m> Attributes<'m> {
    /// Those of `node`. Fails with `OPERATOR_UNSUPPORTED` for a name that is not in `known`, and with
    /// `MODEL_INVALID` for one that is there twice.
    pub(super) fn new(node: &'m NodeProto, known: &[&str]) -> Result<Self> {
        for (index, attribute) in node.attribute.iter().enumerate() {
            let name = attribute.name();
            if !known.contains(&name) {
                return Err(Error::new(
                    ErrorKind::OperatorUnsupported,
                    format!("attribute {name:?} is not supported"),
                ));
            }
            if node.attribute[..index].iter().any(|other| other.name() == name) {
                return Err(invalid(format!("attribute {name:?} is there twice")));
            }
        }
        Ok(Self(&node.attribute))
    }

    /// Whether the attribute is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|attribute| attribute.name() == name)
    }

    /// A whole number.
    pub(super) fn int(&self, name: &str, default: i64) -> Result<i64> {
        Ok(self.find(name, AttributeType::Int)?.map_or(default, AttributeProto::i))
    }

    /// A whole number that must be 0 or 1.
    pub(super) fn flag(&self, name: &str, default: bool) -> Result<bool> {
        match self.int(name, i64::from(default))? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(invalid(format!("attribute {name:?}: expected 0 or 1, found {other}"))),
        }
    }

    /// A floating-point number; NaN is an error.
    pub(super) fn float(&self, name: &str, default: f32) -> Result<f32> {
        let value = self.find(name, AttributeType::Float)?.map_or(default, AttributeProto::f);
        match value.is_nan() {
            true => Err(invalid(format!("attribute {name:?}: expected a number, found NaN"))),
            false => Ok(value),
        }
    }

    /// Whole numbers.
    pub(super) fn ints(&self, name: &str) -> Result<Option<&'m [i64]>> {
        Ok(self.find(name, AttributeType::Ints)?.map(|attribute| &attribute.ints[..]))
    }

    /// Floating-point numbers.
    pub(super) fn floats(&self, name: &str) -> Result<Option<&'m [f32]>> {
        Ok(self.find(name, AttributeType::Floats)?.map(|attribute| &attribute.floats[..]))
    }

    /// Text.
    pub(super) fn text(&self, name: &str, default: &'static str) -> Result<&'m str> {
        match self.find(name, AttributeType::String)? {
            None => Ok(default),
            Some(attribute) => std::str::from_utf8(attribute.s.as_deref().unwrap_or_default())
                .map_err(|_| invalid(format!("attribute {name:?} is not UTF-8"))),
        }
    }

    /// A tensor.
    pub(super) fn tensor(&self, name: &str) -> Result<Option<&'m TensorProto>> {
        match self.find(name, AttributeType::Tensor)? {
            None => Ok(None),
            Some(attribute) => match attribute.t.as_deref() {
                Some(tensor) => Ok(Some(tensor)),
                None => Err(invalid(format!("attribute {name:?} has no tensor"))),
            },
        }
    }

    fn find(&self, name: &str, expected: AttributeType) -> Result<Option<&'m AttributeProto>> {
        let Some(attribute) = self.0.iter().find(|attribute| attribute.name() == name) else {
            return Ok(None);
        };
        if attribute.ref_attr_name.is_some() {
            return Err(invalid(format!("attribute {name:?} refers to a function that it is not in")));
        }
        match attribute.r#type.map(AttributeType::try_from) {
            Some(Ok(found)) if found == expected => Ok(Some(attribute)),
            found => {
                let found = match found {
                    Some(Ok(found)) => found.as_str_name().to_string(),
                    Some(Err(unknown)) => format!("type {}", unknown.0),
                    None => "no type".into(),
                };
                let expected = expected.as_str_name();
                Err(invalid(format!("attribute {name:?}: expected {expected}, found {found}")))
            }
        }
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::ModelInvalid, message)
}
