//! Grasshopper's expression language, as the Expression and Evaluate components, parameters, sliders and value lists use it.
//!
//! Parsing is bounded in length and depth, so no text can exhaust the stack; evaluation does no more work than the
//! expression has nodes. Names of functions and variables ignore case.
//!
//! Loosest first: `or xor`, `and`, `not`, comparisons, `&`, `+ -`, `* / \ mod %`, sign, `^`, `² ³`. Powers group from
//! the left and bind closer than a sign, so `-2^2` is -4.

mod evaluate;
mod parse;

pub(crate) use evaluate::format_text;

use crate::value::Value;

/// Why an expression gives no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("Syntax error in expression: {0}")]
    Syntax(String),
    #[error("Undefined variable: {0}")]
    Undefined(String),
    #[error("Unknown function: {0}")]
    UnknownFunction(String),
    #[error("{0} takes {1} arguments")]
    Arguments(String, &'static str),
    #[error("{operation} does not work on {operand}")]
    Operand { operation: String, operand: String },
}

/// A parsed expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression {
    root: Node,
}

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Literal(Value),
    Name(String),
    Call(String, Vec<Node>),
    Point(Box<[Node; 3]>),
    Negate(Box<Node>),
    Not(Box<Node>),
    Binary(Operator, Box<Node>, Box<Node>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Or,
    Xor,
    And,
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Join,
    Add,
    Subtract,
    Multiply,
    Divide,
    IntegerDivide,
    Modulus,
    Power,
}

impl Expression {
    /// Reads an expression of at most 4096 bytes and 64 levels.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        parse::parse(text).map(|root| Self { root })
    }

    /// The value of the expression; `variable` gives the value of a name, in lower case.
    pub fn evaluate(&self, variable: &dyn Fn(&str) -> Option<Value>) -> Result<Value, Fault> {
        evaluate::evaluate(&self.root, variable)
    }
}

#[cfg(test)]
mod tests;
