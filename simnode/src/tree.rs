//! Data trees: ordered paths, each with a list of items that may be null.
//!
//! Branches are kept in the order of their paths: element by element, the shorter first. An empty branch is data too.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::value::Value;

/// The address of a branch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Path(pub Vec<i32>);

/// The items of one branch; `None` is Grasshopper's null.
pub type Branch = Vec<Option<Value>>;

/// Text that is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a path such as {{0;1}}")]
pub struct NotAPath(pub String);

/// A data tree.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tree {
    branches: BTreeMap<Path, Branch>,
}

// === impl Path ===

impl Path {
    /// `{0}`, where lists without any structure live.
    pub fn root() -> Self {
        Self(vec![0])
    }

    /// This path with one more element.
    #[must_use]
    pub fn child(&self, index: usize) -> Self {
        let mut elements = self.0.clone();
        elements.push(i32::try_from(index).unwrap_or(i32::MAX));
        Self(elements)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (position, element) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { ";" };
            write!(f, "{separator}{element}")?;
        }
        f.write_str("}")
    }
}

impl FromStr for Path {
    type Err = NotAPath;

    /// Reads `{0;1}`, `{0}`, `0;1` and `0`, spaces allowed; at most 64 elements.
    fn from_str(text: &str) -> Result<Self, NotAPath> {
        let fault = || NotAPath(text.chars().take(40).collect());
        let bare = text.trim();
        let bare = match bare.strip_prefix('{') {
            Some(rest) => rest.strip_suffix('}').ok_or_else(fault)?,
            None => bare,
        };
        let bare = bare.trim().trim_end_matches(';');
        let elements = bare.split(';').take(65).map(|element| element.trim().parse().ok()).collect::<Option<Vec<_>>>();
        elements.filter(|elements| elements.len() <= 64).map(Self).ok_or_else(fault)
    }
}

// === impl Tree ===

impl Tree {
    pub fn new() -> Self {
        Self::default()
    }

    /// One item at `{0}`.
    pub fn item(value: Value) -> Self {
        Self::list([value])
    }

    /// One list at `{0}`.
    pub fn list(values: impl IntoIterator<Item = Value>) -> Self {
        let mut tree = Self::new();
        tree.branch_mut(Path::root()).extend(values.into_iter().map(Some));
        tree
    }

    /// The branch at `path`, made if it is not there.
    pub fn branch_mut(&mut self, path: Path) -> &mut Branch {
        self.branches.entry(path).or_default()
    }

    pub fn push(&mut self, path: Path, item: Option<Value>) {
        self.branch_mut(path).push(item);
    }

    pub fn get(&self, path: &Path) -> Option<&Branch> {
        self.branches.get(path)
    }

    /// Branches in path order.
    pub fn branches(&self) -> impl ExactSizeIterator<Item = (&Path, &Branch)> {
        self.branches.iter()
    }

    /// The same, owned.
    pub fn into_branches(self) -> impl ExactSizeIterator<Item = (Path, Branch)> {
        self.branches.into_iter()
    }

    /// Items in path order, nulls included.
    pub fn items(&self) -> impl Iterator<Item = Option<&Value>> {
        self.branches.values().flatten().map(Option::as_ref)
    }

    pub fn path_count(&self) -> usize {
        self.branches.len()
    }

    pub fn item_count(&self) -> usize {
        self.branches.values().map(Vec::len).sum()
    }

    /// Whether there is no item; empty branches do not count.
    pub fn is_empty(&self) -> bool {
        self.branches.values().all(Vec::is_empty)
    }

    /// The length of the longest path.
    pub fn depth(&self) -> usize {
        self.branches.keys().map(|path| path.0.len()).max().unwrap_or(0)
    }

    /// Appends the branches of `other`; lists at one path are joined in this order.
    pub fn merge(&mut self, other: &Self) {
        for (path, branch) in &other.branches {
            self.branch_mut(path.clone()).extend(branch.iter().cloned());
        }
    }

    /// Every item through `change`, nulls kept.
    #[must_use]
    pub fn map(self, mut change: impl FnMut(Value) -> Option<Value>) -> Self {
        let branches = self.branches.into_iter();
        let branches = branches
            .map(|(path, branch)| (path, branch.into_iter().map(|item| item.and_then(&mut change)).collect()))
            .collect();
        Self { branches }
    }

    /// All items in one list at `path`, in path order.
    #[must_use]
    pub fn flatten(self, path: Path) -> Self {
        if self.branches.is_empty() {
            return self;
        }
        let items = self.branches.into_values().flatten().collect();
        Self { branches: BTreeMap::from([(path, items)]) }
    }

    /// Every item on a branch of its own: `{p}` item i goes to `{p;i}`. Empty branches stay as they are.
    #[must_use]
    pub fn graft(self) -> Self {
        let mut out = Self::new();
        for (path, branch) in self.branches {
            if branch.is_empty() {
                out.branch_mut(path);
                continue;
            }
            for (index, item) in branch.into_iter().enumerate() {
                out.push(path.child(index), item);
            }
        }
        out
    }

    /// Takes out the path elements that all branches share, from the front only or wherever they stand; a tree of one
    /// branch ends at `{0}`. Each path keeps at least one element, and no two branches become one.
    #[must_use]
    pub fn simplify(self, front_only: bool) -> Self {
        let paths: Vec<&Path> = self.branches.keys().collect();
        let Some((first, rest)) = paths.split_first() else { return self };
        if rest.is_empty() {
            let branches = self.branches.into_values().map(|branch| (Path::root(), branch)).collect();
            return Self { branches };
        }
        let shared = |at: usize| rest.iter().all(|path| path.0.get(at) == first.0.get(at));
        let shortest = paths.iter().map(|path| path.0.len()).min().unwrap_or(0);
        let longest = self.depth();
        let leading = (0..shortest.saturating_sub(1)).take_while(|at| shared(*at)).count();
        let keep: Vec<bool> = if front_only || shortest != longest {
            (0..longest).map(|at| at >= leading).collect()
        } else {
            (0..longest).map(|at| !shared(at)).collect()
        };
        let shorten = |path: Path| {
            let elements = path.0.into_iter().zip(&keep).filter(|(_, keep)| **keep);
            Path(elements.map(|(element, _)| element).collect())
        };
        Self { branches: self.branches.into_iter().map(|(path, branch)| (shorten(path), branch)).collect() }
    }

    /// Every list back to front.
    #[must_use]
    pub fn reverse(mut self) -> Self {
        self.branches.values_mut().for_each(|branch| branch.reverse());
        self
    }

    /// Cuts `depth` elements off the end of every path, joining the lists that meet; each path keeps one element.
    #[must_use]
    pub fn trim(self, depth: usize) -> Self {
        let mut out = Self::new();
        for (mut path, branch) in self.branches {
            let keep = path.0.len().saturating_sub(depth).max(1);
            path.0.truncate(keep);
            out.branch_mut(path).extend(branch);
        }
        out
    }
}

impl FromIterator<(Path, Branch)> for Tree {
    /// Lists at one path are joined in the order of the pairs.
    fn from_iter<I: IntoIterator<Item = (Path, Branch)>>(pairs: I) -> Self {
        let mut tree = Self::new();
        for (path, branch) in pairs {
            tree.branch_mut(path).extend(branch);
        }
        tree
    }
}

#[cfg(test)]
mod tests;
