//! Tokens of an expression, and where it is wrong.

use crate::c_double::{self, is_space};
use crate::filter::{Dialect, FilterError};
use crate::limits::NUMBER_BYTES_MAX;
use crate::path::{self, Path};
use crate::value::{Literal, unescaped};

#[derive(Debug)]
pub(crate) enum Token {
    Value(Literal),
    Field(Path),
    /// A lone dot: it names no field, so it is always missing.
    Nowhere,
    Open,
    Close,
    Operator(Operator),
    /// `exists`, whose field stands behind it.
    Exists(Path),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Not,
    Power,
    Times,
    Divided,
    Modulo,
    Plus,
    Minus,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Equal,
    NotEqual,
    In,
    Starts,
    And,
    Or,
}

impl Operator {
    /// The higher, the tighter.
    pub(crate) fn precedence(self) -> u8 {
        match self {
            Operator::Not => 6,
            Operator::Power => 5,
            Operator::Times | Operator::Divided | Operator::Modulo => 4,
            Operator::Plus | Operator::Minus => 3,
            Operator::And => 1,
            Operator::Or => 0,
            _ => 2,
        }
    }

    pub(crate) fn operands(self) -> usize {
        if self == Operator::Not { 1 } else { 2 }
    }
}

/// The tokens of an expression.
pub(crate) fn tokens(text: &[u8], dialect: Dialect) -> Result<Vec<Token>, FilterError> {
    let mut lexer = Lexer { text, at: 0, dialect };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_spaces();
        let Some(first) = lexer.peek(0) else {
            return Ok(tokens);
        };
        // A minus belongs to the number behind it, unless what stands before it may be subtracted from.
        let after_operator = matches!(tokens.last(), None | Some(Token::Operator(_) | Token::Open));
        let is_negative = after_operator && first == b'-' && lexer.peek(1).is_some_and(|byte| byte.is_ascii_digit());
        let token = match first {
            b'0'..=b'9' => lexer.number_or_range(),
            b'-' if is_negative => lexer.number_or_range(),
            b'"' | b'\'' => lexer.text().map(|text| Token::Value(Literal::Text(text))),
            b'.' => lexer.field(),
            b'[' => lexer.list().map(|list| Token::Value(Literal::List(list))),
            byte if is_of_operator(byte) => lexer.word(),
            _ => None,
        };
        tokens.push(token.ok_or(FilterError::at(lexer.at))?);
    }
}

struct Lexer<'a> {
    text: &'a [u8],
    /// Where it is; after a failure, where the expression is wrong.
    at: usize,
    dialect: Dialect,
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.at + ahead).copied()
    }

    fn skip_spaces(&mut self) {
        while self.peek(0).is_some_and(is_space) {
            self.at += 1;
        }
    }

    fn number_or_range(&mut self) -> Option<Token> {
        let low = self.number()?;
        if self.dialect == Dialect::Redis || !self.text[self.at..].starts_with(b"..") {
            return Some(Token::Value(Literal::Number(low)));
        }
        self.at += 2;
        let high = self.number()?;
        Some(Token::Value(Literal::Range(low, high)))
    }

    /// Digits, points and exponents, as many as there are. A sign belongs to it at the beginning only.
    fn number(&mut self) -> Option<f64> {
        let start = self.at;
        while let Some(byte) = self.peek(0) {
            let is_range = self.dialect == Dialect::Kora && byte == b'.' && self.peek(1) == Some(b'.');
            let is_sign = byte == b'-' && self.at == start;
            if is_range || !(is_sign || matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E')) {
                break;
            }
            if self.at - start == NUMBER_BYTES_MAX {
                return None;
            }
            self.at += 1;
        }
        let text = &self.text[start..self.at];
        // A minus alone is none for C, and nothing at all would be 0 for it.
        c_double::parse_without_space(text)
    }

    /// A text in its quotes. Redis leaves backslashes where they stand; they only keep a quote from ending it.
    fn text(&mut self) -> Option<Box<[u8]>> {
        let quote = self.peek(0)?;
        self.at += 1;
        let start = self.at;
        let mut decoded = Vec::new();
        loop {
            match (self.peek(0)?, self.peek(1)) {
                (b'\\', Some(escaped)) => {
                    decoded.push(unescaped(escaped));
                    self.at += 2;
                }
                (byte, _) => {
                    self.at += 1;
                    if byte == quote {
                        break;
                    }
                    decoded.push(byte);
                }
            }
        }
        Some(match self.dialect {
            Dialect::Redis => self.text[start..self.at - 1].into(),
            Dialect::Kora => decoded.into(),
        })
    }

    fn field(&mut self) -> Option<Token> {
        if self.at + 1 == self.text.len() {
            self.at += 1;
            return Some(Token::Nowhere);
        }
        Some(Token::Field(self.path()?))
    }

    /// A dot and what stands behind it.
    fn path(&mut self) -> Option<Path> {
        let start = self.at + 1;
        if self.dialect == Dialect::Kora {
            return match Path::read(self.text, start) {
                Ok((path, end)) => {
                    self.at = end;
                    Some(path)
                }
                Err(error) => {
                    self.at = error.position;
                    None
                }
            };
        }
        let length = path::name_length(&self.text[start..]);
        if length == 0 {
            return None;
        }
        self.at = start + length;
        Some(Path::of_name(&self.text[start..self.at]))
    }

    fn list(&mut self) -> Option<Box<[Literal]>> {
        self.at += 1;
        let mut list = Vec::new();
        loop {
            self.skip_spaces();
            match self.peek(0)? {
                b']' => break,
                b'0'..=b'9' | b'-' => list.push(Literal::Number(self.number()?)),
                b'"' | b'\'' => list.push(Literal::Text(self.text()?)),
                _ if self.dialect == Dialect::Kora => list.push(self.literal_word()?),
                _ => return None,
            }
            self.skip_spaces();
            match self.peek(0)? {
                b']' => break,
                b',' => self.at += 1,
                _ => return None,
            }
        }
        self.at += 1;
        Some(list.into())
    }

    /// `null`, `true` or `false` in a list.
    fn literal_word(&mut self) -> Option<Literal> {
        let rest = &self.text[self.at..];
        let length = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        let literal = named_literal(&rest[..length], self.dialect)?;
        self.at += length;
        Some(literal)
    }

    /// A literal, or the longest operator that stands here.
    fn word(&mut self) -> Option<Token> {
        let rest = &self.text[self.at..];
        let length = rest.iter().take_while(|byte| is_of_operator(**byte)).count();
        let word = &rest[..length];
        if let Some(literal) = named_literal(word, self.dialect) {
            self.at += length;
            return Some(Token::Value(literal));
        }
        if self.dialect == Dialect::Kora && word == b"exists" {
            self.at += length;
            self.skip_spaces();
            return match self.peek(0) {
                Some(b'.') => self.path().map(Token::Exists),
                _ => None,
            };
        }
        let fits = |known: &&(&str, Spelled)| word.starts_with(known.0.as_bytes());
        let words = OPERATORS.iter().chain(match self.dialect {
            Dialect::Redis => &[],
            Dialect::Kora => MORE_OPERATORS,
        });
        let longest = words.filter(fits).max_by_key(|(name, _)| name.len());
        // What is no operator is passed by before it is refused: the rest is what the error shows.
        let Some((name, token)) = longest else {
            self.at += length;
            return None;
        };
        self.at += name.len();
        Some(match token {
            Spelled::Open => Token::Open,
            Spelled::Close => Token::Close,
            Spelled::Operator(operator) => Token::Operator(*operator),
        })
    }
}

fn named_literal(word: &[u8], dialect: Dialect) -> Option<Literal> {
    match word {
        b"null" => Some(Literal::Null),
        b"true" if dialect == Dialect::Kora => Some(Literal::Number(1.0)),
        b"false" if dialect == Dialect::Kora => Some(Literal::Number(0.0)),
        _ => None,
    }
}

fn is_of_operator(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || b"+-*%/!()<>=|&".contains(&byte)
}

/// What an operator's name stands for.
enum Spelled {
    Open,
    Close,
    Operator(Operator),
}

const OPERATORS: &[(&str, Spelled)] = &[
    ("(", Spelled::Open),
    (")", Spelled::Close),
    ("!", Spelled::Operator(Operator::Not)),
    ("not", Spelled::Operator(Operator::Not)),
    ("**", Spelled::Operator(Operator::Power)),
    ("*", Spelled::Operator(Operator::Times)),
    ("/", Spelled::Operator(Operator::Divided)),
    ("%", Spelled::Operator(Operator::Modulo)),
    ("+", Spelled::Operator(Operator::Plus)),
    ("-", Spelled::Operator(Operator::Minus)),
    (">", Spelled::Operator(Operator::Greater)),
    (">=", Spelled::Operator(Operator::GreaterOrEqual)),
    ("<", Spelled::Operator(Operator::Less)),
    ("<=", Spelled::Operator(Operator::LessOrEqual)),
    ("==", Spelled::Operator(Operator::Equal)),
    ("!=", Spelled::Operator(Operator::NotEqual)),
    ("in", Spelled::Operator(Operator::In)),
    ("and", Spelled::Operator(Operator::And)),
    ("&&", Spelled::Operator(Operator::And)),
    ("or", Spelled::Operator(Operator::Or)),
    ("||", Spelled::Operator(Operator::Or)),
];

/// Those of our own.
const MORE_OPERATORS: &[(&str, Spelled)] = &[("starts", Spelled::Operator(Operator::Starts))];
