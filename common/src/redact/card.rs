//! Card numbers in text: 13 to 19 digits in the forms that cards are printed in, of a known issuer and with
//! a sound check digit.
//!
//! One number in ten has the check digit by chance, so each other condition counts: the issuer's digits and
//! lengths, nothing that is a word, a decimal or a telephone's `+` around it, and a name that is no id's. A
//! time in milliseconds begins with 1 and is no issuer's.

use super::MASK;
use std::ops::Range;

/// How digits without anything between them are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Solid {
    /// As a card number where they can be one.
    Masked,
    /// As an id. Digits in groups of four are a card's all the same.
    Kept,
    /// As a telephone number, however it is grouped.
    Phone,
}

/// Digits without anything between them.
struct Group {
    at: Range<usize>,
    /// Whether a number can begin or end with it, by what stands around it.
    begins: bool,
    ends: bool,
    /// Whether one character that can stand within a number leads on to the next group.
    leads_on: bool,
}

/// Masks card numbers but for their last four digits, and says how many there were.
pub(super) fn mask(text: &str, solid: Solid) -> (String, usize) {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    if digits < 13 || solid == Solid::Phone {
        return (text.to_owned(), 0);
    }
    let groups = groups(text);
    let (mut masked, mut kept, mut count, mut next) = (String::new(), 0, 0, 0);
    while next < groups.len() {
        let Some(length) = longest(text, &groups[next..], solid) else {
            next += 1;
            continue;
        };
        let at = groups[next].at.start..groups[next + length - 1].at.end;
        let last: Vec<char> = text[at.clone()].chars().rev().filter(char::is_ascii_digit).take(4).collect();
        masked.push_str(&text[kept..at.start]);
        masked.push_str(MASK);
        masked.extend(last.into_iter().rev());
        kept = at.end;
        next += length;
        count += 1;
    }
    masked.push_str(&text[kept..]);
    (masked, count)
}

/// How many of these groups, from the first, are a card number.
fn longest(text: &str, groups: &[Group], solid: Solid) -> Option<usize> {
    groups.first().filter(|first| first.begins)?;
    (1..=groups.len().min(5)).rev().find(|length| {
        let window = &groups[..*length];
        let lengths: Vec<usize> = window.iter().map(|group| group.at.len()).collect();
        let joined = window[..length - 1].iter().all(|group| group.leads_on);
        let shaped = match lengths[..] {
            [_] => solid == Solid::Masked,
            [4, 6, 4 | 5] => true,
            [ref fours @ .., last] => fours.iter().all(|four| *four == 4) && last <= 4,
            [] => false,
        };
        joined && shaped && window.last().is_some_and(|last| last.ends) && {
            let digits: String = window.iter().map(|group| &text[group.at.clone()]).collect();
            is_card(digits.as_bytes())
        }
    })
}

fn groups(text: &str) -> Vec<Group> {
    let bytes = text.as_bytes();
    let mut groups: Vec<Group> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        // An encoded character ends in what may be digits and is none of them.
        if bytes[at] == b'%' && hex(bytes, at).is_some() {
            at += 3;
            continue;
        }
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let start = at;
        at += bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if let Some(last) = groups.last_mut() {
            let between = &bytes[last.at.end..start];
            last.leads_on = matches!(between, b" " | b"-" | b"+")
                || ["%20", "%2D", "%2d", "%2B", "%2b"].iter().any(|given| given.as_bytes() == between);
        }
        let encoded = start >= 3 && bytes[start - 3] == b'%' && hex(bytes, start - 3).is_some();
        let before = text[..start].chars().next_back();
        let glued = before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '+' | '…'));
        let after = text[at..].chars().next();
        let decimal = after == Some('.') && bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
        let ends = !decimal && after.is_none_or(|c| !c.is_alphanumeric() && c != '_');
        groups.push(Group { at: start..at, begins: encoded || !glued, ends, leads_on: false });
    }
    groups
}

fn hex(bytes: &[u8], at: usize) -> Option<()> {
    bytes.get(at + 1..at + 3)?.iter().all(u8::is_ascii_hexdigit).then_some(())
}

/// Whether these digits are a card's: the issuers' beginnings and lengths, and the check digit.
fn is_card(digits: &[u8]) -> bool {
    let head = |count: usize| {
        digits.iter().take(count).fold(0, |head: u32, digit| head * 10 + u32::from(digit - b'0'))
    };
    let issued = match (digits.len(), head(1), head(2), head(3), head(4)) {
        // Visa.
        (13 | 16 | 19, 4, ..) => true,
        // Mastercard.
        (16, _, 51..=55, ..) | (16, _, _, _, 2221..=2720) => true,
        // American Express.
        (15, _, 34 | 37, ..) => true,
        // Diners Club.
        (14..=19, _, _, 300..=305, _) | (14..=19, _, 36 | 38 | 39, ..) => true,
        // JCB.
        (16..=19, _, _, _, 3528..=3589) => true,
        // Discover, UnionPay, Maestro.
        (16..=19, _, 50 | 56..=69, ..) => true,
        _ => false,
    };
    issued && checks(digits)
}

/// The check digit by Luhn.
fn checks(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let digit = u32::from(digit - b'0') << (place % 2);
            if digit > 9 { digit - 9 } else { digit }
        })
        .sum();
    sum.is_multiple_of(10)
}
