//! From tokens to a program for a machine with a stack: Dijkstra's shunting yard.
//!
//! Redis's vector sets compile so, and what they accept beside ordinary expressions (`1 2 +`) follows from it, and what they
//! refuse (`!!x`: the first operator is to be computed before its operand is there).

use crate::filter::{Dialect, FilterError};
use crate::limits::FIELDS_MAX;
use crate::path::Path;
use crate::token::{Operator, Token};
use crate::value::Literal;

/// One step of a program.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Puts a value on the stack.
    Value(Literal),
    /// Puts the value of a field there; if it is missing, the whole expression is false.
    Field(Path),
    /// The whole expression is false.
    Nowhere,
    /// Puts there whether a field is there.
    Exists(Path),
    /// Takes its operands from the stack and puts its result there.
    Operator(Operator),
}

/// Programs of which each must be true: what stands between the `and`s that hold the expression together.
///
/// To be false for a missing field and to be false are the same for a part, so that the rest needs not be looked at.
pub(crate) fn compile(tokens: Vec<Token>, dialect: Dialect) -> Result<Vec<Vec<Step>>, FilterError> {
    let is_of_field = |token: &&Token| matches!(token, Token::Field(_) | Token::Exists(_));
    if tokens.iter().filter(is_of_field).count() > FIELDS_MAX {
        return Err(FilterError::too_long());
    }
    let mut yard = Yard {
        program: Vec::new(),
        waiting: Vec::new(),
        depth: 0,
        dialect,
    };
    for token in tokens {
        yard.take(token)?;
    }
    while let Some(waiting) = yard.waiting.pop() {
        match waiting {
            Waiting::Open => return Err(FilterError::at(0)),
            Waiting::Operator(operator) => yard.emit(operator)?,
        }
    }
    match yard.depth {
        1 => Ok(parts(yard.program)),
        _ => Err(FilterError::at(0)),
    }
}

struct Yard {
    program: Vec<Step>,
    waiting: Vec<Waiting>,
    /// How many values the program so far leaves on the stack.
    depth: usize,
    dialect: Dialect,
}

#[derive(Clone, Copy)]
enum Waiting {
    Open,
    Operator(Operator),
}

impl Yard {
    fn take(&mut self, token: Token) -> Result<(), FilterError> {
        let step = match token {
            Token::Open => {
                self.waiting.push(Waiting::Open);
                return Ok(());
            }
            Token::Close => return self.close(),
            Token::Operator(operator) => return self.operator(operator),
            Token::Value(value) => Step::Value(value),
            Token::Field(path) => Step::Field(path),
            Token::Nowhere => Step::Nowhere,
            Token::Exists(path) => Step::Exists(path),
        };
        self.program.push(step);
        self.depth += 1;
        Ok(())
    }

    fn close(&mut self) -> Result<(), FilterError> {
        loop {
            match self.waiting.pop() {
                Some(Waiting::Open) => return Ok(()),
                Some(Waiting::Operator(operator)) => self.emit(operator)?,
                None => return Err(FilterError::at(0)),
            }
        }
    }

    fn operator(&mut self, operator: Operator) -> Result<(), FilterError> {
        // Nothing that waits is complete before the operand of a `not` is there.
        let is_prefix = operator == Operator::Not && self.dialect == Dialect::Kora;
        while let Some(&Waiting::Operator(top)) = self.waiting.last().filter(|_| !is_prefix) {
            let is_tighter = match operator {
                // From right to left.
                Operator::Power => top.precedence() > operator.precedence(),
                _ => top.precedence() >= operator.precedence(),
            };
            if !is_tighter {
                break;
            }
            self.waiting.pop();
            self.emit(top)?;
        }
        self.waiting.push(Waiting::Operator(operator));
        Ok(())
    }

    fn emit(&mut self, operator: Operator) -> Result<(), FilterError> {
        self.depth = match self.depth.checked_sub(operator.operands()) {
            Some(below) => below + 1,
            None => return Err(FilterError::at(0)),
        };
        self.program.push(Step::Operator(operator));
        Ok(())
    }
}

/// Divides a program where `and` is the last that is computed, and its operands likewise.
fn parts(mut program: Vec<Step>) -> Vec<Vec<Step>> {
    let mut parts = Vec::new();
    while matches!(program.last(), Some(Step::Operator(Operator::And))) {
        let without = &program[..program.len() - 1];
        // The right operand begins where, read backwards, as many values are there as are needed.
        let mut needed = 1;
        let mut start = without.len();
        while needed > 0 {
            start -= 1;
            needed -= 1;
            if let Step::Operator(operator) = without[start] {
                needed += operator.operands();
            }
        }
        let right = program.split_off(start);
        // It is divided in its turn only if it is one itself, which `a and (b and c)` makes.
        parts.push(right[..right.len() - 1].to_vec());
    }
    parts.push(program);
    parts.reverse();
    parts
}
