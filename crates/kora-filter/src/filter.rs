//! Filters: expressions over attributes.
//!
//! The language is that of Redis's vector sets: numbers, texts in either quotes, `null`, lists (`[1, "a"]`), fields (`.year`),
//! and from tight to loose `!` `not`, `**`, `*` `/` `%`, `+` `-`, then `<` `<=` `>` `>=` `==` `!=` `in`, then `and` `&&`, then
//! `or` `||`. A field that is missing makes the whole expression false. The words of values and when two are equal:
//! `value.rs`.
//!
//! [`Dialect::Kora`] has more: `true` and `false`, inner fields (`.author.name`, `.tags[0]`), ranges that hold both ends
//! (`.year in 1980..1989`), `.name starts "A"`, `exists .field`, escapes in texts (`"\n"`), and `not not`.

use std::{error, fmt};

use smallvec::SmallVec;

use crate::compile::{self, Step};
use crate::field;
use crate::limits::{EXPRESSION_BYTES_MAX, FIELDS_MAX};
use crate::token::{self, Operator};
use crate::value::Value;

/// Which language an expression is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// That of Redis's vector sets (8.2), to the letter.
    Redis,
    /// The same and more.
    Kora,
}

/// A compiled expression. To test attributes with it allocates nothing, unless more than eight values wait for their
/// operators or a text with escapes is long.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Invariant: at least one; each leaves one value on the stack, and never takes more from it than there are.
    parts: Box<[Box<[Step]>]>,
}

/// A compiled expression beside its text, by which it is recognized.
#[derive(Debug)]
pub struct AskedFilter {
    text: Box<[u8]>,
    dialect: Dialect,
    filter: Filter,
}

/// Why an expression is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterError {
    position: usize,
    is_too_long: bool,
}

impl Filter {
    /// Compiles an expression, which ends at a zero byte if there is one.
    pub fn compile(expression: &[u8], dialect: Dialect) -> Result<Filter, FilterError> {
        if expression.len() > EXPRESSION_BYTES_MAX {
            return Err(FilterError::too_long());
        }
        let text = until_zero(expression);
        let tokens = token::tokens(text, dialect)?;
        let parts = compile::compile(tokens, dialect)?;
        Ok(Filter {
            parts: parts.into_iter().map(Vec::into_boxed_slice).collect(),
        })
    }

    /// Whether these attributes pass. Attributes that are no JSON object never do, unless the expression names no field.
    pub fn matches(&self, attributes: &[u8]) -> bool {
        self.parts.iter().all(|part| is_true(part, attributes))
    }
}

impl AskedFilter {
    /// Compiles an expression and keeps its text.
    pub fn compile(expression: &[u8], dialect: Dialect) -> Result<AskedFilter, FilterError> {
        let filter = Filter::compile(expression, dialect)?;
        Ok(AskedFilter {
            text: expression.into(),
            dialect,
            filter,
        })
    }

    /// Whether these attributes pass: those of a vector that has none never do.
    pub fn matches(&self, attributes: &[u8]) -> bool {
        !attributes.is_empty() && self.filter.matches(attributes)
    }

    /// Bytes that it holds, about: as many as its text, and its program.
    pub fn bytes(&self) -> usize {
        self.text.len() * PROGRAM_BYTES_PER_BYTE
    }
}

/// They are the same if they say the same in the same language.
impl PartialEq for AskedFilter {
    fn eq(&self, other: &AskedFilter) -> bool {
        self.dialect == other.dialect && self.text == other.text
    }
}

impl FilterError {
    pub(crate) fn too_long() -> FilterError {
        FilterError {
            position: 0,
            is_too_long: true,
        }
    }

    pub(crate) fn at(position: usize) -> FilterError {
        FilterError {
            position,
            is_too_long: false,
        }
    }

    /// What stands from there on where the expression is wrong, up to a zero byte; all of it if that shows only at its end.
    pub fn near<'e>(&self, expression: &'e [u8]) -> &'e [u8] {
        match expression.get(self.position..) {
            Some(rest) if !rest.is_empty() => until_zero(rest),
            _ => until_zero(expression),
        }
    }

    /// It is longer than [`EXPRESSION_BYTES_MAX`], or names more than [`FIELDS_MAX`] fields.
    pub fn is_too_long(&self) -> bool {
        self.is_too_long
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_too_long {
            true => write!(
                f,
                "the expression has more than {EXPRESSION_BYTES_MAX} bytes or {FIELDS_MAX} fields"
            ),
            false => write!(f, "syntax error at byte {} of the expression", self.position),
        }
    }
}

impl error::Error for FilterError {}

fn until_zero(expression: &[u8]) -> &[u8] {
    let end = expression.iter().position(|&byte| byte == 0);
    &expression[..end.unwrap_or(expression.len())]
}

fn is_true(program: &[Step], attributes: &[u8]) -> bool {
    let mut stack: SmallVec<[Value<'_>; STACK_INLINE]> = SmallVec::new();
    for step in program {
        let value = match step {
            Step::Value(literal) => literal.value(),
            Step::Field(path) => match field::find(attributes, path) {
                Some(value) => value,
                None => return false,
            },
            Step::Nowhere => return false,
            Step::Exists(path) => truth(field::exists(attributes, path)),
            Step::Operator(Operator::Not) => {
                let operand = stack.pop().unwrap_or(Value::Null);
                truth(!operand.is_true())
            }
            Step::Operator(operator) => {
                let right = stack.pop().unwrap_or(Value::Null);
                let left = stack.pop().unwrap_or(Value::Null);
                compute(*operator, left, right)
            }
        };
        stack.push(value);
    }
    stack.pop().is_some_and(Value::is_true)
}

fn compute<'a>(operator: Operator, left: Value<'a>, right: Value<'a>) -> Value<'a> {
    let number = |of: fn(f64, f64) -> f64| Value::Number(of(left.number(), right.number()));
    let holds = |of: fn(&f64, &f64) -> bool| truth(of(&left.number(), &right.number()));
    match operator {
        Operator::Power => number(f64::powf),
        Operator::Times => number(|one, two| one * two),
        Operator::Divided => number(|one, two| one / two),
        Operator::Modulo => number(|one, two| one % two),
        Operator::Plus => number(|one, two| one + two),
        Operator::Minus => number(|one, two| one - two),
        Operator::Greater => holds(f64::gt),
        Operator::GreaterOrEqual => holds(f64::ge),
        Operator::Less => holds(f64::lt),
        Operator::LessOrEqual => holds(f64::le),
        Operator::Equal => truth(left.equals(right)),
        Operator::NotEqual => truth(!left.equals(right)),
        Operator::In => truth(left.is_in(right)),
        Operator::Starts => truth(left.starts_with(right)),
        Operator::And => truth(left.is_true() && right.is_true()),
        Operator::Or => truth(left.is_true() || right.is_true()),
        Operator::Not => truth(!right.is_true()),
    }
}

fn truth<'a>(holds: bool) -> Value<'a> {
    Value::Number(f64::from(u8::from(holds)))
}

/// A step takes some tens of bytes and is said in two or more.
const PROGRAM_BYTES_PER_BYTE: usize = 24;

/// Values that wait for their operators without an allocation.
const STACK_INLINE: usize = 8;

#[cfg(test)]
mod tests;
