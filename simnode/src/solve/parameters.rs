//! The floating parameters and special objects that the stand-in knows, by GUID.
//!
//! Everything that Grasshopper itself ships is of a known type here or unknown; nothing is told from a name.

use uuid::{Uuid, uuid};

use crate::value::Kind;

/// What a floating parameter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Holds what its sources give, else its persistent data.
    Plain,
    Slider,
    Panel,
    Toggle,
    Button,
    ValueList,
    Swatch,
    /// An input of the kind "Get …".
    Getter,
}

/// The role and kind of the floating parameter of this GUID.
pub(super) fn floating(guid: &Uuid) -> Option<(Role, Kind)> {
    SPECIAL.iter().chain(PLAIN).find(|(known, ..)| known == guid).map(|(_, role, kind)| (*role, *kind))
}

/// Objects that hold no data: groups, notes, sketches, timers.
pub(super) fn is_decoration(guid: &Uuid) -> bool {
    *guid == GROUP || [SCRIBBLE, SKETCH, TIMER, GALAPAGOS].contains(guid)
}

/// Components and parameters that only show data. They need no evaluation, and nothing flows out of them.
pub(super) fn is_display(guid: &Uuid) -> bool {
    DISPLAYS.contains(guid)
}

/// Context Bake and Context Print: what reaches their first input is an output of the definition.
pub(super) fn is_context_output(guid: &Uuid) -> bool {
    *guid == CONTEXT_BAKE || *guid == CONTEXT_PRINT
}

pub(super) const GROUP: Uuid = uuid!("c552a431-af5b-46a9-a8a4-0fcbc27ef596");
const SCRIBBLE: Uuid = uuid!("7f5c6c55-f846-4a08-9c9a-cfdc285cc6fe");
const SKETCH: Uuid = uuid!("2844fec5-142d-4381-bd5d-4cbcef6d6fed");
const TIMER: Uuid = uuid!("5a2b0735-ba98-4b7d-a7d3-c1dfc04475ad");
const GALAPAGOS: Uuid = uuid!("e6dd2904-14bc-455b-8376-948bf2e3a7bc");
pub(super) const CONTEXT_BAKE: Uuid = uuid!("ae2531b4-bab2-4bb1-b5bf-f2143d10c132");
pub(super) const CONTEXT_PRINT: Uuid = uuid!("73215ec5-0eb5-4f85-9e07-b09c4590ce2b");

static DISPLAYS: &[Uuid] = &[
    uuid!("537b0419-bbc2-4ff4-bf08-afe526367b2c"), // Custom Preview
    uuid!("cc14daa5-911a-4fcc-8b3b-1149bf7f2eeb"), // Point List
    uuid!("2a3f7078-2e25-4dd4-96f7-0efb491bd61c"), // Vector Display
    uuid!("11e95a7b-1e2c-4b66-bd95-fcad51f8662a"), // Vector Display Ex
    uuid!("5a41528b-12b9-40dc-a3f2-842034d267c4"), // Text Tag 3D
    uuid!("3b220754-4114-4170-b6c3-b286b86ed524"), // Text Tag
    uuid!("059b72b0-9bb3-4542-a805-2dcd27493164"), // Cloud Display
    uuid!("72a29b54-2e48-474b-a400-d2124c4edf79"), // Param Viewer
    uuid!("2b69bf71-4e69-43aa-b7be-4f6ce7e45bef"), // Quick Graph
];

static SPECIAL: &[(Uuid, Role, Kind)] = &[
    (uuid!("57da07bd-ecab-415d-9d86-af36d7073abc"), Role::Slider, Kind::Number),
    (uuid!("59e0b89a-e487-49f8-bab8-b5bab16be14c"), Role::Panel, Kind::Any),
    (uuid!("2e78987b-9dfb-42a2-8b76-3923ac8bd91a"), Role::Toggle, Kind::Boolean),
    (uuid!("a8b97322-2d53-47cd-905e-b932c3ccd74e"), Role::Button, Kind::Any),
    (uuid!("00027467-0d24-4fa7-b178-8dc0ac5f42ec"), Role::ValueList, Kind::Any),
    (uuid!("9c53bac0-ba66-40bd-8154-ce9829b9db1a"), Role::Swatch, Kind::Colour),
    (uuid!("7b36b876-9451-46f5-8220-a200d969cc66"), Role::Getter, Kind::Number),
    (uuid!("b228887e-0852-4d9f-bd46-2591646e0d7c"), Role::Getter, Kind::Integer),
    (uuid!("51ef601d-f86e-4ee4-bcf2-3d459d3e95e9"), Role::Getter, Kind::Boolean),
    (uuid!("fed87bdd-8327-49cd-949c-09d70f3c345c"), Role::Getter, Kind::Text),
    (uuid!("997704ba-c1d3-4262-9090-927c81347ce6"), Role::Getter, Kind::Point),
    (uuid!("41dd7ba9-1f53-49d9-af42-a9270b0e9454"), Role::Getter, Kind::Geometry),
    (uuid!("88bd0e1d-363a-469f-9104-57d3aac5d6b8"), Role::Getter, Kind::Plane),
    (uuid!("af519c71-7dc1-4524-b8cc-add5544e2ef6"), Role::Getter, Kind::Line),
    (uuid!("e83dd8b2-42aa-41e6-9254-882cddec0a2e"), Role::Getter, Kind::Text),
];

static PLAIN: &[(Uuid, Role, Kind)] = &[
    (uuid!("b6236720-8d88-4289-93c3-ac4c99f9b97b"), Role::Plain, Kind::Any), // Relay
    (uuid!("8ec86459-bf01-4409-baee-174d0d2b13d0"), Role::Plain, Kind::Any), // Data
    (uuid!("3e8ca6be-fda8-4aaf-b5c0-3c54c8bb7312"), Role::Plain, Kind::Number),
    (uuid!("2e3ab970-8545-46bb-836c-1c11e5610bce"), Role::Plain, Kind::Integer),
    (uuid!("cb95db89-6165-43b6-9c41-5702bc5bf137"), Role::Plain, Kind::Boolean),
    (uuid!("3ede854e-c753-40eb-84cb-b48008f14fd4"), Role::Plain, Kind::Text),
    (uuid!("06953bda-1d37-4d58-9b38-4b3c74e54c8f"), Role::Plain, Kind::Text), // File Path
    (uuid!("fbac3e32-f100-4292-8692-77240a42fd1a"), Role::Plain, Kind::Point),
    (uuid!("16ef3e75-e315-4899-b531-d3166b42dac9"), Role::Plain, Kind::Vector),
    (uuid!("4f8984c4-7c7a-4d69-b0a2-183cbb330d20"), Role::Plain, Kind::Plane),
    (uuid!("8529dbdf-9b6f-42e9-8e1f-c7a2bde56a70"), Role::Plain, Kind::Line),
    (uuid!("d1028c72-ff86-4057-9eb0-36c687a4d98c"), Role::Plain, Kind::Circle),
    (uuid!("d5967b9f-e8ee-436b-a8ad-29fdcecf32d5"), Role::Plain, Kind::Curve),
    (uuid!("deaf8653-5528-4286-807c-3de8b8dad781"), Role::Plain, Kind::Surface),
    (uuid!("919e146f-30ae-4aae-be34-4d72f555e7da"), Role::Plain, Kind::Brep),
    (uuid!("1e936df3-0eea-4246-8549-514cb8862b7a"), Role::Plain, Kind::Mesh),
    (uuid!("89cd1a12-0007-4581-99ba-66578665e610"), Role::Plain, Kind::SubD),
    (uuid!("ac2bc2cb-70fb-4dd5-9c78-7e1ea97fe278"), Role::Plain, Kind::Geometry),
    (uuid!("c9482db6-bea9-448d-98ff-fed6d69a8efc"), Role::Plain, Kind::Box),
    (uuid!("abf9c670-5462-4cd8-acb3-f1ab0256dbf3"), Role::Plain, Kind::Rectangle),
    (uuid!("203a91c3-287a-43b6-a9c5-ebb96240a650"), Role::Plain, Kind::Colour),
];
