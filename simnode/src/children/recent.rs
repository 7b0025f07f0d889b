//! A small store that forgets what was used longest ago.
//!
//! Look-ups are linear, which is right for the few dozen entries that it is bounded to.

use std::collections::VecDeque;

/// At most `max` values by name, the most recently used at the back.
#[derive(Debug)]
pub(crate) struct Recent<V> {
    max: usize,
    entries: VecDeque<(String, V)>,
}

// === impl Recent ===

impl<V: Clone> Recent<V> {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, entries: VecDeque::new() }
    }

    /// The value of this name, which is now the most recently used.
    pub(crate) fn get(&mut self, name: &str) -> Option<V> {
        let position = self.entries.iter().position(|(known, _)| known == name)?;
        let entry = self.entries.remove(position)?;
        let value = entry.1.clone();
        self.entries.push_back(entry);
        Some(value)
    }

    /// Sets a value; the one used longest ago goes if there are too many.
    pub(crate) fn put(&mut self, name: String, value: V) {
        self.entries.retain(|(known, _)| *known != name);
        self.entries.push_back((name, value));
        while self.entries.len() > self.max {
            self.entries.pop_front();
        }
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_used_longest_ago_goes_first() {
        let mut recent = Recent::new(2);
        recent.put("a".into(), 1);
        recent.put("b".into(), 2);
        assert_eq!(recent.get("a"), Some(1));
        recent.put("c".into(), 3);
        assert_eq!((recent.get("a"), recent.get("b"), recent.get("c")), (Some(1), None, Some(3)));
        recent.put("c".into(), 4);
        assert_eq!((recent.len(), recent.get("c")), (2, Some(4)));
    }
}
