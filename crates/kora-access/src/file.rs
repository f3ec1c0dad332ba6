//! Users as text: a line for each.

use crate::rules::{RuleError, joined, shown};
use crate::user::User;
use crate::users::{NewUsers, Users};

impl Users {
    /// All users, a line for each.
    pub fn text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for user in self.iter() {
            text.extend_from_slice(&user.describe());
            text.push(b'\n');
        }
        text
    }

    /// The users that a file's text names, in the place of these. Those with the same name are the same users. `path` stands
    /// in errors.
    ///
    /// # Errors
    /// A text that says what is wrong with each line, as Redis has it.
    pub fn read(&self, text: &[u8], path: &str, new_users: NewUsers) -> Result<Users, String> {
        let mut users = self.none();
        let mut errors = String::new();
        for (line, number) in text.split(|byte| *byte == b'\n').zip(1..) {
            if let Err(error) = users.read_line(self, line, new_users, &|text| format!("{path}:{number}{text}")) {
                errors.push_str(&error);
            }
        }
        if !errors.is_empty() {
            errors.push_str("WARNING: ACL errors detected, no change to the previously active ACL rules was performed");
            return Err(errors);
        }
        users.complete(self);
        Ok(users)
    }

    fn read_line(
        &mut self,
        before: &Users,
        line: &[u8],
        new_users: NewUsers,
        located: &dyn Fn(&str) -> String,
    ) -> Result<(), String> {
        let line = line.trim_ascii();
        if line.is_empty() {
            return Ok(());
        }
        let mut words = line.split(|byte| *byte == b' ');
        let (keyword, name) = (words.next(), words.next());
        let (Some(b"user"), Some(name)) = (keyword, name) else {
            return Err(located(" should start with user keyword followed by the username. "));
        };
        if !self.may_be_named(name) {
            return Err(located(&format!(": username '{}' contains spaces. ", shown(name))));
        }
        if self.get(name).is_some() {
            let line = located("");
            let number = line.rsplit(':').next().unwrap_or_default();
            let name = shown(name);
            return Err(format!("WARNING: Duplicate user '{name}' found on line {number}. "));
        }
        let mut user = self.new_user(before, name, new_users);
        let rules = joined(words).map_err(|_| located(": Unmatched parenthesis in selector definition."))?;
        apply_all(&mut user, &rules, new_users, located)?;
        self.put(user).map_err(|text| located(&format!(": {text}. ")))
    }
}

/// Applies all rules, and says what is wrong: each unknown command, and the first of all other errors.
fn apply_all(
    user: &mut User,
    rules: &[Vec<u8>],
    new_users: NewUsers,
    located: &dyn Fn(&str) -> String,
) -> Result<(), String> {
    let mut errors = String::new();
    let mut has_other_error = false;
    for rule in rules {
        let rule = rule.trim_ascii();
        match user.apply(rule, new_users.have_all_channels) {
            Ok(()) => {}
            Err(error @ RuleError::Unknown) => {
                let text = format!(": Error in applying operation '{}': {error}. ", shown(rule));
                errors.push_str(&located(&text));
            }
            Err(error) if !has_other_error => {
                has_other_error = true;
                errors.push_str(&located(&format!(": {error}. ")));
            }
            Err(_) => {}
        }
    }
    match errors.is_empty() {
        true => Ok(()),
        false => Err(errors),
    }
}

/// Splits a line into words as Redis's `sdssplitargs` does: words may stand in quotes, with escapes in double ones.
/// `None` if a quote is not closed, or a word follows it without a space.
pub(crate) fn split_quoted(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line.trim_ascii_start();
    while !rest.is_empty() {
        let (word, behind) = next_word(rest)?;
        words.push(word);
        rest = behind.trim_ascii_start();
    }
    Some(words)
}

fn next_word(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    while let [first, behind @ ..] = rest {
        match first {
            b' ' | b'\n' | b'\r' | b'\t' | 0 => break,
            b'"' | b'\'' => {
                rest = quoted(*first, behind, &mut word)?;
                let is_end = rest.first().is_none_or(u8::is_ascii_whitespace);
                return is_end.then_some((word, rest));
            }
            byte => {
                word.push(*byte);
                rest = behind;
            }
        }
    }
    // A zero byte ends the line, as in C.
    let rest = if rest.first() == Some(&0) { &[] } else { rest };
    Some((word, rest))
}

/// Reads up to the closing quote; what stands behind it.
fn quoted<'a>(quote: u8, mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] => return None,
            [first, behind @ ..] if *first == quote => return Some(behind),
            [b'\\', b'x', high, low, behind @ ..]
                if quote == b'"' && high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                let digit = |byte: &u8| char::from(*byte).to_digit(16).unwrap_or_default() as u8;
                word.push(digit(high) << 4 | digit(low));
                rest = behind;
            }
            [b'\\', escaped, behind @ ..] if quote == b'"' => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    byte => *byte,
                });
                rest = behind;
            }
            [b'\\', b'\'', behind @ ..] if quote == b'\'' => {
                word.push(b'\'');
                rest = behind;
            }
            [byte, behind @ ..] => {
                word.push(*byte);
                rest = behind;
            }
        }
    }
}
