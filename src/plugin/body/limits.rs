//! What a body may cost: depth, fields and the memory of the values made of it. Counted before the memory is taken.

use crate::error::Code;

/// The deepest nesting that is read.
pub const MAX_DEPTH: usize = 64;
/// The most fields of one form.
pub const MAX_PAIRS: usize = 2_000;
/// The most memory that one body's values may take, as estimated here.
const MAX_MEMORY: usize = 5 << 20;

/// An object with its first members: its table and its first three places are made together.
const OBJECT: usize = 540;
/// One more member, with what growing leaves unused.
const MEMBER: usize = 200;
/// One more element of a list.
const ELEMENT: usize = 110;

/// A body that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct ParseError {
    pub code: Code,
    pub detail: String,
}

/// A refusal with its reason.
pub fn unreadable(code: Code, detail: impl Into<String>) -> ParseError {
    ParseError { code, detail: detail.into() }
}

pub(super) fn too_deep() -> ParseError {
    unreadable(Code::TooDeep, format!("more than {MAX_DEPTH} levels"))
}

/// What is left of the memory that one body may take.
#[derive(Debug)]
pub(super) struct Budget {
    left: usize,
}

impl Budget {
    pub fn new() -> Budget {
        Budget { left: MAX_MEMORY }
    }

    pub fn object(&mut self) -> Result<(), ParseError> {
        self.take(OBJECT)
    }

    pub fn member(&mut self, text: usize) -> Result<(), ParseError> {
        self.take(MEMBER + text)
    }

    pub fn element(&mut self) -> Result<(), ParseError> {
        self.take(ELEMENT)
    }

    fn take(&mut self, bytes: usize) -> Result<(), ParseError> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(unreadable(Code::TooManyValues, format!("its values would take more than {} MiB", MAX_MEMORY >> 20))),
        }
    }
}
