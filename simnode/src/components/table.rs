//! The families of components, and the shorthand that their tables are written in.

use uuid::Uuid;

use super::{Call, Descriptor, Input, Outcome, Output};

/// Every family's table.
pub(super) static FAMILIES: &[&[Descriptor]] = &[
    super::arithmetic::TABLE,
    super::logic::TABLE,
    super::text::TABLE,
    super::domain::TABLE,
    super::list::TABLE,
    super::trees::TABLE,
    super::vectors::TABLE,
    super::curves::TABLE,
    super::boxes::TABLE,
    super::transforms::TABLE,
    super::colour::TABLE,
];

/// A component with a fixed signature.
pub(super) const fn fixed(
    guids: &'static [Uuid],
    name: &'static str,
    inputs: &'static [Input],
    outputs: &'static [Output],
    run: fn(&mut Call<'_>) -> Outcome,
) -> Descriptor {
    Descriptor { guids, name, inputs, outputs, grows: false, run }
}

/// A component that users can add inputs or outputs to.
pub(super) const fn growing(
    guids: &'static [Uuid],
    name: &'static str,
    inputs: &'static [Input],
    outputs: &'static [Output],
    run: fn(&mut Call<'_>) -> Outcome,
) -> Descriptor {
    Descriptor { guids, name, inputs, outputs, grows: true, run }
}

/// One GUID in a table row.
pub(super) const fn guid(text: &'static str) -> Uuid {
    match Uuid::try_parse(text) {
        Ok(guid) => guid,
        Err(_) => panic!("a table row holds no GUID"),
    }
}
