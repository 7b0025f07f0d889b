//! The components that discovery knows by their GUID. Grasshopper components are told apart by GUID, never by name:
//! several exist in more than one version, and a name can be changed.

use uuid::{Uuid, uuid};

pub(super) const GROUP: Uuid = uuid!("c552a431-af5b-46a9-a8a4-0fcbc27ef596");
pub(super) const CLUSTER: Uuid = uuid!("f31d8d7a-7536-4ac8-9c96-fde6ecda4d0a");
pub(super) const CONTEXT_BAKE: Uuid = uuid!("ae2531b4-bab2-4bb1-b5bf-f2143d10c132");
pub(super) const CONTEXT_PRINT: Uuid = uuid!("73215ec5-0eb5-4f85-9e07-b09c4590ce2b");
pub(super) const SLIDER: Uuid = uuid!("57da07bd-ecab-415d-9d86-af36d7073abc");
pub(super) const PANEL: Uuid = uuid!("59e0b89a-e487-49f8-bab8-b5bab16be14c");
pub(super) const TOGGLE: Uuid = uuid!("2e78987b-9dfb-42a2-8b76-3923ac8bd91a");
pub(super) const BUTTON: Uuid = uuid!("a8b97322-2d53-47cd-905e-b932c3ccd74e");
pub(super) const VALUE_LIST: Uuid = uuid!("00027467-0d24-4fa7-b178-8dc0ac5f42ec");
pub(super) const RELAY: Uuid = uuid!("b6236720-8d88-4289-93c3-ac4c99f9b97b");
pub(super) const GH_PYTHON: Uuid = uuid!("410755b1-224a-4c1e-a407-bf32fb45ea7e");
pub(super) const CSHARP_SCRIPT: Uuid = uuid!("a9a8ebd2-fff5-4c44-a8f5-739736d129ba");
pub(super) const VB_SCRIPT: Uuid = uuid!("079bd9bd-54a0-41d4-98af-db999015f63d");
/// The library id of Grasshopper itself, and of every plug-in that names none.
pub(super) const NO_LIBRARY: Uuid = Uuid::nil();

/// Whether people set the value of such a parameter on the canvas.
pub(super) fn is_control(component: Uuid) -> bool {
    [SLIDER, PANEL, TOGGLE, BUTTON, VALUE_LIST].contains(&component)
}

/// Contextual parameters of Rhino and their `TypeName`, which is the `ParamType` of `/io`.
const GETTERS: [(Uuid, &str); 9] = [
    (uuid!("7b36b876-9451-46f5-8220-a200d969cc66"), "Number"),
    (uuid!("b228887e-0852-4d9f-bd46-2591646e0d7c"), "Integer"),
    (uuid!("51ef601d-f86e-4ee4-bcf2-3d459d3e95e9"), "Boolean"),
    (uuid!("fed87bdd-8327-49cd-949c-09d70f3c345c"), "Text"),
    (uuid!("997704ba-c1d3-4262-9090-927c81347ce6"), "Point"),
    (uuid!("41dd7ba9-1f53-49d9-af42-a9270b0e9454"), "Geometry"),
    (uuid!("88bd0e1d-363a-469f-9104-57d3aac5d6b8"), "Plane"),
    (uuid!("af519c71-7dc1-4524-b8cc-add5544e2ef6"), "Line"),
    (uuid!("e83dd8b2-42aa-41e6-9254-882cddec0a2e"), "Text"),
];

/// Parameters, their `TypeName`, and whether compute fills one that stands first in an `RH_IN` group.
const PARAMETERS: [(Uuid, &str, bool); 29] = [
    (SLIDER, "Number", true),
    (PANEL, "Text", true),
    (TOGGLE, "Boolean", true),
    (uuid!("cb95db89-6165-43b6-9c41-5702bc5bf137"), "Boolean", true),
    (uuid!("3e8ca6be-fda8-4aaf-b5c0-3c54c8bb7312"), "Number", true),
    (uuid!("2e3ab970-8545-46bb-836c-1c11e5610bce"), "Integer", true),
    (uuid!("3ede854e-c753-40eb-84cb-b48008f14fd4"), "Text", true),
    (uuid!("fbac3e32-f100-4292-8692-77240a42fd1a"), "Point", true),
    (uuid!("16ef3e75-e315-4899-b531-d3166b42dac9"), "Vector", true),
    (uuid!("4f8984c4-7c7a-4d69-b0a2-183cbb330d20"), "Plane", true),
    (uuid!("8529dbdf-9b6f-42e9-8e1f-c7a2bde56a70"), "Line", true),
    (uuid!("d1028c72-ff86-4057-9eb0-36c687a4d98c"), "Circle", true),
    (uuid!("d5967b9f-e8ee-436b-a8ad-29fdcecf32d5"), "Curve", true),
    (uuid!("abf9c670-5462-4cd8-acb3-f1ab0256dbf3"), "Rectangle", true),
    (uuid!("c9482db6-bea9-448d-98ff-fed6d69a8efc"), "Box", true),
    (uuid!("deaf8653-5528-4286-807c-3de8b8dad781"), "Surface", true),
    (uuid!("919e146f-30ae-4aae-be34-4d72f555e7da"), "Brep", true),
    (uuid!("1e936df3-0eea-4246-8549-514cb8862b7a"), "Mesh", true),
    (BUTTON, "Boolean", false),
    (VALUE_LIST, "Generic Data", false),
    (RELAY, "Generic Data", false),
    (uuid!("9c53bac0-ba66-40bd-8154-ce9829b9db1a"), "Colour", false),
    (uuid!("203a91c3-287a-43b6-a9c5-ebb96240a650"), "Colour", false),
    (uuid!("8ec86459-bf01-4409-baee-174d0d2b13d0"), "Generic Data", false),
    (uuid!("ac2bc2cb-70fb-4dd5-9c78-7e1ea97fe278"), "Geometry", false),
    (uuid!("89cd1a12-0007-4581-99ba-66578665e610"), "SubD", false),
    (uuid!("faf6e3bb-4c84-4cbf-bd88-6d6a0db5667a"), "Guid", false),
    (uuid!("06953bda-1d37-4d58-9b38-4b3c74e54c8f"), "Text", false),
    (uuid!("850b6368-ff26-48ce-9773-ac554ffbaeef"), "Point Cloud", false),
];

/// The types for which compute fills a contextual parameter; it ignores every other one.
const CONTEXTUAL_TYPES: [&str; 8] = ["Boolean", "Number", "Integer", "Point", "Plane", "Line", "Text", "Geometry"];

/// The `TypeName` of one of Rhino's own contextual parameters.
pub(super) fn getter_type(component: Uuid) -> Option<&'static str> {
    GETTERS.iter().find(|(guid, _)| *guid == component).map(|(_, name)| *name)
}

/// The `TypeName` of a parameter, contextual or not, that is known.
pub(super) fn type_name(component: Uuid) -> Option<&'static str> {
    let plain = || PARAMETERS.iter().find(|(guid, ..)| *guid == component).map(|(_, name, _)| *name);
    getter_type(component).or_else(plain)
}

/// Whether compute fills this class of parameter where it stands first in an `RH_IN` group.
pub(super) fn group_takes(component: Uuid) -> bool {
    PARAMETERS.iter().any(|(guid, _, taken)| *guid == component && *taken)
}

/// Whether compute fills a contextual parameter of this type.
pub(super) fn contextual_takes(type_name: &str) -> bool {
    CONTEXTUAL_TYPES.contains(&type_name)
}
