//! `tracestate`: what other tools keep with a trace. It is passed on, and nothing of ours is put in.
//!
//! Invariant: what is passed on keeps the W3C's grammar and bounds, whatever came: at most 32 members and 512 characters.

use std::sync::Arc;

/// The most members of a list (Trace Context, 3.3.1.1).
const MEMBERS_MAX: usize = 32;
/// What everybody has to pass on (3.3.1.5); of more we take the liberty to cut.
const BYTES_MAX: usize = 512;
/// Members that are longer go first.
const LONG: usize = 128;
/// What is looked at of all that came: more is no list of 32 members.
const READ_MAX: usize = 16 << 10;
const KEY_BYTES_MAX: usize = 256;
const VALUE_BYTES_MAX: usize = 256;

/// The list that is passed on of the headers that came, in their order. None where there is nothing to pass on, or where it breaks the grammar.
pub(crate) fn read<'h>(headers: impl Iterator<Item = &'h str>) -> Option<Arc<str>> {
    let mut members: Vec<&str> = Vec::new();
    let mut read = 0;
    for header in headers {
        read += header.len();
        if read > READ_MAX {
            return None;
        }
        for member in
            header.split(',').map(|member| member.trim_matches([' ', '\t'])).filter(|member| !member.is_empty())
        {
            let (key, value) = member.split_once('=')?;
            let known = members.iter().any(|other| other.split_once('=').is_some_and(|(other, _)| other == key));
            if known || members.len() == MEMBERS_MAX || !is_key(key) || !is_value(value) {
                return None;
            }
            members.push(member);
        }
    }
    cut(&mut members);
    (!members.is_empty()).then(|| members.join(",").into())
}

/// Takes members out until the list is short enough: long ones, then those that stand last, which are the oldest.
fn cut(members: &mut Vec<&str>) {
    let bytes = |members: &[&str]| members.iter().map(|member| member.len() + 1).sum::<usize>().saturating_sub(1);
    while bytes(members) > BYTES_MAX {
        match members.iter().rposition(|member| member.len() > LONG) {
            Some(long) => drop(members.remove(long)),
            None => drop(members.pop()),
        }
    }
}

/// `vendor` or `tenant@vendor`, by the grammar of the second level, which takes all of the first.
fn is_key(key: &str) -> bool {
    let starts = key.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit());
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/@".contains(&byte);
    starts && key.len() <= KEY_BYTES_MAX && key.bytes().all(fits)
}

/// Printable characters, none of which ends a member; the last is no blank.
fn is_value(value: &str) -> bool {
    let fits = |byte: u8| (0x20..=0x7e).contains(&byte) && byte != b'=' && byte != b',';
    (1..=VALUE_BYTES_MAX).contains(&value.len()) && value.bytes().all(fits) && !value.ends_with(' ')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(headers: &[&str]) -> Option<String> {
        read(headers.iter().copied()).map(|state| state.to_string())
    }

    #[test]
    fn lists_are_joined_in_order_and_blanks_left_out() {
        assert_eq!(
            of(&["rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"]).unwrap(),
            "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"
        );
        assert_eq!(of(&["a=1, b=2 ,", "\t,c=3"]).unwrap(), "a=1,b=2,c=3");
        assert_eq!(of(&["fw529a3039@dt=FfF/<>!;1 2"]).unwrap(), "fw529a3039@dt=FfF/<>!;1 2");
        assert_eq!(of(&["", " , "]), None);
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn what_breaks_the_grammar_is_dropped_whole() {
        for bad in ["a", "a=", "=1", "A=1", "-a=1", "a=1,a=2", "a=b=c", "a=\u{e9}", "ä=1", "a=\u{1}", "a b=1"] {
            assert_eq!(of(&["good=1", bad]), None, "{bad}");
        }
        let many: Vec<String> = (0..33).map(|number| format!("k{number}=v")).collect();
        assert_eq!(of(&[&many.join(",")]), None);
        assert_eq!(of(&[&many[..32].join(",")]).unwrap().split(',').count(), 32);
        assert_eq!(of(&[&format!("{}=1", "k".repeat(257))]), None);
        assert_eq!(of(&[&format!("k={}", "v".repeat(257))]), None);
    }

    #[test]
    fn a_long_list_loses_its_long_members_and_then_its_oldest() {
        let (long, short) = (format!("long={}", "x".repeat(200)), "y".repeat(100));
        let list = format!("first=1,{long},a={short},b={short},c={short},d={short}");
        assert_eq!(of(&[&list]).unwrap(), format!("first=1,a={short},b={short},c={short},d={short}"));
        let list = format!("{list},e={short},f={short}");
        assert_eq!(of(&[&list]).unwrap(), format!("first=1,a={short},b={short},c={short},d={short}"));
    }

    proptest! {
        #[test]
        fn what_is_passed_on_is_within_bounds_and_reads_back_as_it_is(text in "[ -~\t]{0,700}") {
            if let Some(state) = of(&[&text]) {
                prop_assert!(state.len() <= BYTES_MAX && state.split(',').count() <= MEMBERS_MAX);
                prop_assert_eq!(of(&[&state]), Some(state));
            }
        }
    }
}
