//! Text of an expression to its tree, by precedence climbing.
//!
//! Every recursive step goes through [`Parser::nested`], which bounds the depth.

use super::{Fault, Node, Operator};
use crate::value::Value;

const LENGTH_MAX: usize = 4096;
const DEPTH_MAX: usize = 64;
const OPERATORS_MAX: usize = 512;

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Literal(Value),
    Name(String),
    Operator(Operator),
    Not,
    /// The exponent of `²` or `³`.
    Raise(f64),
    Root,
    Open,
    Close,
    OpenBrace,
    CloseBrace,
    Comma,
}

pub(super) fn parse(text: &str) -> Result<Node, Fault> {
    if text.len() > LENGTH_MAX {
        return Err(Fault::Syntax(format!("longer than {LENGTH_MAX} bytes")));
    }
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0, operators: 0 };
    let root = parser.binary(0)?;
    match parser.peek() {
        None => Ok(root),
        Some(token) => Err(unexpected(Some(token))),
    }
}

fn unexpected(token: Option<&Token>) -> Fault {
    Fault::Syntax(match token {
        None => "it ends too early".to_owned(),
        Some(Token::Name(name)) => format!("'{name}' is out of place"),
        Some(Token::Literal(value)) => format!("'{}' is out of place", value.to_text()),
        Some(Token::Operator(_) | Token::Not | Token::Raise(_) | Token::Root) => {
            "an operator is out of place".to_owned()
        }
        Some(Token::Open | Token::Close | Token::OpenBrace | Token::CloseBrace) => "unbalanced brackets".to_owned(),
        Some(Token::Comma) => "a comma is out of place".to_owned(),
    })
}

fn tokens(text: &str) -> Result<Vec<Token>, Fault> {
    let characters: Vec<char> = text.chars().collect();
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(&character) = characters.get(at) {
        let next = characters.get(at + 1).copied();
        let number = character.is_ascii_digit() || (character == '.' && next.is_some_and(|c| c.is_ascii_digit()));
        if character.is_whitespace() {
            at += 1;
        } else if number {
            let end = number_end(&characters, at);
            let spelled: String = characters[at..end].iter().collect();
            out.push(Token::Literal(number_of(&spelled)?));
            at = end;
        } else if character.is_alphabetic() || character == '_' {
            let end = (at..characters.len()).find(|i| !is_name(characters[*i])).unwrap_or(characters.len());
            let name: String = characters[at..end].iter().collect();
            out.push(word(&name.to_lowercase()));
            at = end;
        } else if character == '"' {
            let close = (at + 1..characters.len()).find(|i| characters[*i] == '"');
            let close = close.ok_or_else(|| Fault::Syntax("a text has no closing quote".to_owned()))?;
            out.push(Token::Literal(Value::Text(characters[at + 1..close].iter().collect())));
            at = close + 1;
        } else {
            let (token, width) = symbol(character, next)?;
            out.push(token);
            at += width;
        }
    }
    Ok(out)
}

fn is_name(character: char) -> bool {
    character.is_alphanumeric() && !matches!(character, '²' | '³') || character == '_'
}

fn number_end(characters: &[char], start: usize) -> usize {
    let digits = |mut at: usize| {
        while characters.get(at).is_some_and(char::is_ascii_digit) {
            at += 1;
        }
        at
    };
    let mut end = digits(start);
    if characters.get(end) == Some(&'.') {
        end = digits(end + 1);
    }
    if characters.get(end).is_some_and(|c| matches!(c, 'e' | 'E')) {
        let sign = usize::from(characters.get(end + 1).is_some_and(|c| matches!(c, '+' | '-')));
        let exponent = digits(end + 1 + sign);
        if exponent > end + 1 + sign {
            end = exponent;
        }
    }
    end
}

/// Digits alone make an integer while they fit one.
fn number_of(spelled: &str) -> Result<Value, Fault> {
    if let Ok(integer) = spelled.parse::<i32>() {
        return Ok(Value::Integer(integer));
    }
    spelled.parse().map(Value::Number).map_err(|_error| Fault::Syntax(format!("'{spelled}' is no number")))
}

fn word(lower: &str) -> Token {
    match lower {
        "or" => Token::Operator(Operator::Or),
        "xor" => Token::Operator(Operator::Xor),
        "and" => Token::Operator(Operator::And),
        "mod" => Token::Operator(Operator::Modulus),
        "not" => Token::Not,
        "true" => Token::Literal(Value::Boolean(true)),
        "false" => Token::Literal(Value::Boolean(false)),
        _ => Token::Name(lower.to_owned()),
    }
}

fn symbol(character: char, next: Option<char>) -> Result<(Token, usize), Fault> {
    let one = |operator| Ok((Token::Operator(operator), 1));
    let two = |operator| Ok((Token::Operator(operator), 2));
    match (character, next) {
        ('<', Some('>')) | ('!', Some('=')) => two(Operator::Unequal),
        ('<', Some('=')) => two(Operator::LessOrEqual),
        ('>', Some('=')) => two(Operator::GreaterOrEqual),
        ('=', Some('=')) => two(Operator::Equal),
        ('&', Some('&')) => two(Operator::And),
        ('|', Some('|')) => two(Operator::Or),
        ('=', _) => one(Operator::Equal),
        ('<', _) => one(Operator::Less),
        ('>', _) => one(Operator::Greater),
        ('≠', _) => one(Operator::Unequal),
        ('≤', _) => one(Operator::LessOrEqual),
        ('≥', _) => one(Operator::GreaterOrEqual),
        ('&', _) => one(Operator::Join),
        ('+', _) => one(Operator::Add),
        ('-' | '−', _) => one(Operator::Subtract),
        ('*' | '×' | '·', _) => one(Operator::Multiply),
        ('/' | '÷', _) => one(Operator::Divide),
        ('\\', _) => one(Operator::IntegerDivide),
        ('%', _) => one(Operator::Modulus),
        ('^', _) => one(Operator::Power),
        ('!', _) => Ok((Token::Not, 1)),
        ('²', _) => Ok((Token::Raise(2.0), 1)),
        ('³', _) => Ok((Token::Raise(3.0), 1)),
        ('√', _) => Ok((Token::Root, 1)),
        ('(', _) => Ok((Token::Open, 1)),
        (')', _) => Ok((Token::Close, 1)),
        ('{', _) => Ok((Token::OpenBrace, 1)),
        ('}', _) => Ok((Token::CloseBrace, 1)),
        (',' | ';', _) => Ok((Token::Comma, 1)),
        _ => Err(Fault::Syntax(format!("'{character}' means nothing here"))),
    }
}

/// How close an operator binds; sign and power come above these.
fn level(operator: Operator) -> usize {
    match operator {
        Operator::Or | Operator::Xor => 1,
        Operator::And => 2,
        Operator::Equal
        | Operator::Unequal
        | Operator::Less
        | Operator::LessOrEqual
        | Operator::Greater
        | Operator::GreaterOrEqual => 4,
        Operator::Join => 5,
        Operator::Add | Operator::Subtract => 6,
        Operator::Multiply | Operator::Divide | Operator::IntegerDivide | Operator::Modulus => 7,
        Operator::Power => 9,
    }
}

const NOT_LEVEL: usize = 3;
const SIGN_LEVEL: usize = 8;

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    operators: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn take(&mut self, wanted: &Token) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        if self.depth == DEPTH_MAX {
            return Err(Fault::Syntax(format!("nested deeper than {DEPTH_MAX} levels")));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// A run of operators that bind at least as close as `least`, grouped from the left.
    fn binary(&mut self, least: usize) -> Result<Node, Fault> {
        let mut left = self.nested(Self::prefix)?;
        while let Some(&Token::Operator(operator)) = self.peek() {
            if level(operator) < least {
                break;
            }
            // A run nests to the left, and evaluation descends into it.
            self.operators += 1;
            if self.operators > OPERATORS_MAX {
                return Err(Fault::Syntax(format!("more than {OPERATORS_MAX} operators")));
            }
            self.at += 1;
            let right = self.nested(|parser| parser.binary(level(operator) + 1))?;
            left = Node::Binary(operator, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn prefix(&mut self) -> Result<Node, Fault> {
        if self.take(&Token::Operator(Operator::Subtract)) {
            return Ok(Node::Negate(Box::new(self.nested(|parser| parser.binary(SIGN_LEVEL))?)));
        }
        if self.take(&Token::Operator(Operator::Add)) {
            return self.nested(|parser| parser.binary(SIGN_LEVEL));
        }
        if self.take(&Token::Not) {
            return Ok(Node::Not(Box::new(self.nested(|parser| parser.binary(NOT_LEVEL))?)));
        }
        if self.take(&Token::Root) {
            let radicand = self.nested(Self::prefix)?;
            return Ok(Node::Call("sqrt".to_owned(), vec![radicand]));
        }
        let mut node = self.primary()?;
        let mut raised = 0;
        while let Some(&Token::Raise(exponent)) = self.peek() {
            raised += 1;
            if raised > 8 {
                return Err(Fault::Syntax("too many superscripts".to_owned()));
            }
            self.at += 1;
            let exponent = Node::Literal(Value::Number(exponent));
            node = Node::Binary(Operator::Power, Box::new(node), Box::new(exponent));
        }
        Ok(node)
    }

    fn primary(&mut self) -> Result<Node, Fault> {
        let token = self.peek().cloned();
        self.at += 1;
        match token {
            Some(Token::Literal(value)) => Ok(Node::Literal(value)),
            Some(Token::Name(name)) if self.take(&Token::Open) => Ok(Node::Call(name, self.arguments(&Token::Close)?)),
            Some(Token::Name(name)) => Ok(Node::Name(name)),
            Some(Token::Open) => {
                let inner = self.nested(|parser| parser.binary(0))?;
                if self.take(&Token::Close) { Ok(inner) } else { Err(unexpected(self.peek())) }
            }
            Some(Token::OpenBrace) => {
                let coordinates = self.arguments(&Token::CloseBrace)?;
                let coordinates = <[Node; 3]>::try_from(coordinates);
                let coordinates =
                    coordinates.map_err(|_others| Fault::Syntax("a point has three coordinates".to_owned()))?;
                Ok(Node::Point(Box::new(coordinates)))
            }
            other => Err(unexpected(other.as_ref())),
        }
    }

    fn arguments(&mut self, close: &Token) -> Result<Vec<Node>, Fault> {
        let mut out = Vec::new();
        if self.take(close) {
            return Ok(out);
        }
        loop {
            out.push(self.nested(|parser| parser.binary(0))?);
            if self.take(close) {
                return Ok(out);
            }
            if !self.take(&Token::Comma) {
                return Err(unexpected(self.peek()));
            }
        }
    }
}
