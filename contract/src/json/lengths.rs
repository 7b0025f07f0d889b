//! How many items each list of a JSON text has, so that it is allocated once and no larger than it gets.
//!
//! Invariant: takes four bytes for each list that may be read, and on a text that is no JSON, still no more than that.

/// The lengths of all lists, in the order in which they begin.
#[derive(Debug)]
pub(super) struct Lengths {
    lengths: std::vec::IntoIter<u32>,
}

// === impl Lengths ===

impl Lengths {
    /// Lists within more than `depth` containers are not counted, nor those after the first `most`.
    pub(super) fn of(text: &[u8], depth: usize, most: usize) -> Self {
        let mut lengths = Vec::new();
        // The containers that are open; a list by its place among the lengths.
        let mut open: Vec<Option<usize>> = Vec::new();
        let (mut at, mut before) = (0, b' ');
        while let Some(&byte) = text.get(at) {
            at += 1;
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => continue,
                b'"' => at = string_end(text, at),
                b'[' | b'{' if open.len() == depth => break,
                b'[' if lengths.len() == most => break,
                b'[' => {
                    open.push(Some(lengths.len()));
                    lengths.push(0);
                }
                b'{' => open.push(None),
                b',' => add(&mut lengths, open.last()),
                b']' | b'}' => {
                    if before != b'[' {
                        add(&mut lengths, open.last());
                    }
                    open.pop();
                }
                _ => {}
            }
            before = byte;
        }
        Self { lengths: lengths.into_iter() }
    }

    /// Of the list that begins now.
    pub(super) fn next(&mut self) -> usize {
        self.lengths.next().map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX))
    }
}

fn add(lengths: &mut [u32], list: Option<&Option<usize>>) {
    if let Some(length) = list.copied().flatten().and_then(|list| lengths.get_mut(list)) {
        *length = length.saturating_add(1);
    }
}

/// Behind the quote that ends the string of which `at` is the first byte.
fn string_end(text: &[u8], mut at: usize) -> usize {
    while let Some(&byte) = text.get(at) {
        at += match byte {
            b'"' => return at + 1,
            b'\\' => 2,
            _ => 1,
        };
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(text: &str) -> Vec<u32> {
        Lengths::of(text.as_bytes(), 4, 7).lengths.collect()
    }

    #[test]
    fn each_list_has_its_length_whatever_is_in_it() {
        for (text, expected) in [
            ("7", vec![]),
            ("[]", vec![0]),
            ("[ \n ]", vec![0]),
            ("[1]", vec![1]),
            ("[[],[1,2],[ [3] ]]", vec![3, 0, 2, 1, 1]),
            (r#"{"a":[1,{"b":2,"c":[]}],"d":[{},{}]}"#, vec![2, 0, 2]),
            (r#"["],[","\"],[",[""]]"#, vec![3, 1]),
            ("[[],[],[],[],[],[],[],[]]", vec![6, 0, 0, 0, 0, 0, 0]),
        ] {
            assert_eq!(lengths(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_json_is_counted_without_panic_or_growth() {
        for text in ["]]]", "[,,,", "{]", "[}", "[\"\\", "[1 2", "}{", "[[[[[[[[[["] {
            assert!(lengths(text).len() <= 4, "{text}");
        }
    }
}
