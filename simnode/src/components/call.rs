//! One call of a component function: its arguments, its results, its messages, and the budget it spends.
//!
//! Arguments come already cast to the kind of their input. A function that meets a null it needs stops with
//! [`Stop::Null`], which gives nulls; one that cannot go on stops with an error, which gives nulls and a message.

use std::collections::BTreeSet;

use crate::solve::Settings;
use crate::tree::{Branch, Path, Tree};
use crate::value::{Domain, Plane, Value, Xyz};

/// Why a component function ends without results.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Stop {
    /// A needed argument is null or missing; the results are null.
    Null,
    /// The component reports an error.
    Error(String),
    /// The budget of the whole solve is spent.
    Budget,
}

pub(crate) type Outcome<T = ()> = Result<T, Stop>;

/// An argument as the input's access hands it over.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Arg<'a> {
    Item(Option<&'a Value>),
    List(&'a [Option<Value>]),
    Tree(&'a Tree),
}

/// A result.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Slot {
    Unset,
    Item(Option<Value>),
    List(Branch),
    Tree(Tree),
}

/// What is left to a solve: values it may make and steps it may take, both counted in the weight of values.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    left: u64,
    list_max: usize,
    text_max: usize,
}

/// Texts that a component puts on itself; equal ones count once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notes {
    pub(crate) errors: BTreeSet<String>,
    pub(crate) warnings: BTreeSet<String>,
}

pub(crate) struct Call<'a> {
    pub(crate) args: Vec<Arg<'a>>,
    pub(crate) slots: Vec<Slot>,
    /// Where the results of this call go.
    pub(crate) path: &'a Path,
    /// The nicknames of the inputs, which expressions use as variables.
    pub(crate) nicks: &'a [String],
    /// The expression that the component itself stores.
    pub(crate) expression: Option<&'a str>,
    pub(crate) settings: &'a Settings,
    pub(crate) budget: &'a mut Budget,
    pub(crate) notes: &'a mut Notes,
}

// === impl Stop ===

impl Stop {
    pub(crate) fn error<T>(message: impl Into<String>) -> Outcome<T> {
        Err(Self::Error(message.into()))
    }
}

// === impl Budget ===

impl Budget {
    pub(crate) fn new(settings: &Settings) -> Self {
        let limits = &settings.limits;
        Self { left: limits.steps, list_max: limits.list_items, text_max: limits.text_bytes }
    }

    pub(crate) fn spend(&mut self, weight: u64) -> Outcome {
        let left = self.left.checked_sub(weight);
        self.left = left.unwrap_or(0);
        left.map(|_left| ()).ok_or(Stop::Budget)
    }

    /// Pays for a tree that is about to be copied or kept.
    pub(crate) fn spend_tree(&mut self, tree: &Tree) -> Outcome {
        let items: u64 = tree.items().map(|item| item.map_or(1, Value::weight)).sum();
        self.spend(items + tree.path_count() as u64)
    }
}

// === impl Call ===

impl<'a> Call<'a> {
    /// The argument of an item input, null where it has none.
    pub(crate) fn maybe(&self, input: usize) -> Option<&'a Value> {
        match self.args.get(input) {
            Some(Arg::Item(item)) => *item,
            Some(Arg::List(_) | Arg::Tree(_)) | None => None,
        }
    }

    /// The argument of an item input that the function cannot do without.
    pub(crate) fn value(&self, input: usize) -> Outcome<&'a Value> {
        self.maybe(input).ok_or(Stop::Null)
    }

    pub(crate) fn number(&self, input: usize) -> Outcome<f64> {
        self.value(input)?.as_number().ok_or(Stop::Null)
    }

    pub(crate) fn integer(&self, input: usize) -> Outcome<i32> {
        self.value(input)?.as_integer().ok_or(Stop::Null)
    }

    pub(crate) fn boolean(&self, input: usize) -> Outcome<bool> {
        self.value(input)?.as_boolean().ok_or(Stop::Null)
    }

    pub(crate) fn text(&self, input: usize) -> Outcome<String> {
        self.value(input).map(Value::to_text)
    }

    pub(crate) fn point(&self, input: usize) -> Outcome<Xyz> {
        self.value(input)?.as_point().ok_or(Stop::Null)
    }

    pub(crate) fn vector(&self, input: usize) -> Outcome<Xyz> {
        self.value(input)?.as_vector().ok_or(Stop::Null)
    }

    pub(crate) fn plane(&self, input: usize) -> Outcome<Plane> {
        self.value(input)?.as_plane().ok_or(Stop::Null)
    }

    pub(crate) fn domain(&self, input: usize) -> Outcome<Domain> {
        self.value(input)?.as_domain().ok_or(Stop::Null)
    }

    /// The argument of a list input; empty where it has none.
    pub(crate) fn list(&self, input: usize) -> &'a [Option<Value>] {
        match self.args.get(input) {
            Some(Arg::List(list)) => list,
            Some(Arg::Item(_) | Arg::Tree(_)) | None => &[],
        }
    }

    /// The numbers of a list input; nulls and what is no number are left out.
    pub(crate) fn numbers(&self, input: usize) -> Vec<f64> {
        self.list(input).iter().flatten().filter_map(Value::as_number).collect()
    }

    /// The points of a list input; nulls are left out.
    pub(crate) fn points(&self, input: usize) -> Vec<Xyz> {
        self.list(input).iter().flatten().filter_map(Value::as_point).collect()
    }

    /// The argument of a tree input, nothing where it has none.
    pub(crate) fn tree(&self, input: usize) -> Outcome<&'a Tree> {
        match self.args.get(input) {
            Some(Arg::Tree(tree)) => Ok(tree),
            Some(Arg::Item(_) | Arg::List(_)) | None => Err(Stop::Null),
        }
    }

    /// A count of items to make, checked before anything is made.
    pub(crate) fn count(&mut self, input: usize) -> Outcome<usize> {
        let count = self.integer(input)?;
        self.room(i64::from(count.max(0)))
    }

    /// Pays for so many items and says how many they are; refuses more than one list may hold.
    pub(crate) fn room(&mut self, count: i64) -> Outcome<usize> {
        let count = usize::try_from(count.max(0)).map_err(|_too_many| Stop::Budget)?;
        if count > self.budget.list_max {
            return Stop::error(format!(
                "A list of {count} items is longer than this node allows ({})",
                self.budget.list_max
            ));
        }
        self.budget.spend(count as u64)?;
        Ok(count)
    }

    /// Pays for so many copies of a list, before they are made.
    pub(crate) fn copies(&mut self, list: &[Option<Value>], times: usize) -> Outcome {
        let weight: u64 = list.iter().map(|item| item.as_ref().map_or(1, Value::weight)).sum();
        self.budget.spend(weight.saturating_mul(times as u64))
    }

    /// Text to be kept, refused when it is longer than the node allows.
    pub(crate) fn bounded(&self, text: String) -> Outcome<Value> {
        if text.len() > self.budget.text_max {
            return Stop::error(format!(
                "A text of {} bytes is longer than this node allows ({})",
                text.len(),
                self.budget.text_max
            ));
        }
        Ok(Value::Text(text))
    }

    /// Pays for `weight` steps of work.
    pub(crate) fn work(&mut self, weight: usize) -> Outcome {
        self.budget.spend(weight as u64)
    }

    fn set(&mut self, output: usize, slot: Slot) {
        if let Some(place) = self.slots.get_mut(output) {
            *place = slot;
        }
    }

    pub(crate) fn put(&mut self, output: usize, value: Value) {
        self.set(output, Slot::Item(Some(value)));
    }

    pub(crate) fn put_maybe(&mut self, output: usize, value: Option<Value>) {
        self.set(output, Slot::Item(value));
    }

    pub(crate) fn put_list(&mut self, output: usize, list: impl IntoIterator<Item = Value>) {
        self.set(output, Slot::List(list.into_iter().map(Some).collect()));
    }

    pub(crate) fn put_branch(&mut self, output: usize, branch: Branch) {
        self.set(output, Slot::List(branch));
    }

    pub(crate) fn put_tree(&mut self, output: usize, tree: Tree) {
        self.set(output, Slot::Tree(tree));
    }

    pub(crate) fn warn(&mut self, message: impl Into<String>) {
        self.notes.warnings.insert(message.into());
    }
}
