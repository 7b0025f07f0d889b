//! A fixture for each rule: two versions of the bridge that differ in one thing, and the change that must be found.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use contract::compat::{Bump, Comparison, RULES, Side, compare};
use contract::{Contract, Folder};

use crate::{good, report};

/// A text in a file, and what it becomes.
type Edit = (&'static str, &'static str, &'static str);

const IN: &str = "inputs.schema.json";
const OUT: &str = "outputs.schema.json";
const BIND: &str = "bindings.json";
const MANIFEST: &str = "manifest.json";
const PLUGINS: &str = "plugins.json";
const GHX: &str = "bridge.ghx";
const SHORT: &str = "examples/valid/short.json";

const LENGTH: &str = r#""length": { "type": "number", "minimum": 0, "x-unit": "m" }"#;
const LOADS: &str = r#""loads": { "type": "array", "items": { "type": "number" }, "default": [] }"#;
const NAME: &str = r#""name": { "type": "string", "maxLength": 40, "default": "bridge" }"#;
const NUMBER_BINDING: &str = r#""gh": "RH_OUT:length", "type": "number", "access": "item""#;
const GOLDEN: &str = r#""outputs": { "length": 12 },"#;

/// The version without the input `name`: compute does not see the parameter, and nothing speaks of it.
const NAMELESS: &[Edit] = &[
    (GHX, "RH_IN:name", "Notes"),
    (BIND, r#"    "name": { "gh": "RH_IN:name", "type": "text", "access": "item" },"#, ""),
    (IN, r#"    "name": { "type": "string", "maxLength": 40, "default": "bridge" },"#, ""),
];

/// What an output of another kind needs beside its schema: the last Number parameter is the output's.
fn output(kind: &'static str, guid: &'static str, schema: &'static str) -> Vec<Edit> {
    vec![
        (GHX, "last 3e8ca6be-fda8-4aaf-b5c0-3c54c8bb7312", guid),
        (BIND, NUMBER_BINDING, kind),
        (OUT, LENGTH, schema),
        (SHORT, GOLDEN, ""),
    ]
}
const TEXT: &str = "3ede854e-c753-40eb-84cb-b48008f14fd4";
const GEOMETRY: &str = "ac2bc2cb-70fb-4dd5-9c78-7e1ea97fe278";
const NUMBER: &str = "3e8ca6be-fda8-4aaf-b5c0-3c54c8bb7312";
const TEXT_BINDING: &str = r#""gh": "RH_OUT:length", "type": "text", "access": "item""#;
const TREE_BINDING: &str = r#""gh": "RH_OUT:length", "type": "number", "access": "tree""#;
const LIST_BINDING: &str = r#""gh": "RH_OUT:length", "type": "number", "access": "list""#;

fn version(number: &str, edits: &[Edit]) -> (Folder, Contract) {
    let mut files: BTreeMap<String, Arc<[u8]>> = good().files;
    let numbered = format!(r#""version": "{number}""#);
    let mut change = |file: &str, from: &str, to: &str| {
        let text = String::from_utf8_lossy(&files[file]).into_owned();
        let from_last = from.strip_prefix("last ");
        let at = from_last.map_or_else(|| text.find(from), |from| text.rfind(from));
        let at = at.unwrap_or_else(|| panic!("{file} has no {from}"));
        let length = from_last.unwrap_or(from).len();
        let text = format!("{}{to}{}", &text[..at], &text[at + length..]);
        files.insert(file.to_owned(), text.into_bytes().into());
    };
    change(MANIFEST, r#""version": "1.0.0""#, &numbered);
    for (file, from, to) in edits {
        change(file, from, to);
    }
    let folder = Folder::of(files);
    let contract = Contract::of(&folder).unwrap_or_else(|faults| panic!("{edits:?}: {}", report(&faults)));
    (folder, contract)
}

fn compared(old: (&str, &[Edit]), new: (&str, &[Edit])) -> Comparison {
    let (old, new) = (version(old.0, old.1), version(new.0, new.1));
    compare(&Side::new(&old.0, &old.1), &Side::new(&new.0, &new.1))
}

/// Rule, what makes the old version, what makes the new one.
fn fixtures() -> Vec<(&'static str, Vec<Edit>, Vec<Edit>)> {
    let mut fixtures = inputs();
    fixtures.extend(values_of_inputs());
    fixtures.extend(outputs());
    fixtures.extend(terms());
    fixtures
}

fn inputs() -> Vec<(&'static str, Vec<Edit>, Vec<Edit>)> {
    let nothing = Vec::new;
    let mut required = vec![(IN, r#""required": ["span"]"#, r#""required": ["span", "bays"]"#)];
    required.push((SHORT, r#"{ "span": 12 }"#, r#"{ "span": 12, "bays": 3 }"#));
    vec![
        ("input_removed", nothing(), NAMELESS.to_vec()),
        ("input_added", NAMELESS.to_vec(), nothing()),
        (
            "input_required_added",
            NAMELESS.to_vec(),
            vec![
                (IN, r#""required": ["span"]"#, r#""required": ["span", "name"]"#),
                (SHORT, r#"{ "span": 12 }"#, r#"{ "span": 12, "name": "a" }"#),
            ],
        ),
        ("input_now_required", nothing(), required.clone()),
        ("input_optional", required, nothing()),
        (
            "input_type_changed",
            nothing(),
            vec![
                (GHX, "d1028c72-ff86-4057-9eb0-36c687a4d98c", "4f8984c4-7c7a-4d69-b0a2-183cbb330d20"),
                (BIND, r#""type": "circle""#, r#""type": "plane""#),
                (IN, r#""required": ["radius"],"#, r#""required": [],"#),
                (
                    IN,
                    r#""default": { "radius": 0.5 }"#,
                    r#""default": { "origin": [0, 0, 0], "x_axis": [1, 0, 0], "y_axis": [0, 1, 0] }"#,
                ),
                (
                    IN,
                    "\"plane\": {\n          \"type\": \"object\",\n          \"default\"",
                    "\"plane\": {\n          \"x-was\"",
                ),
            ],
        ),
        (
            "input_access_changed",
            nothing(),
            vec![
                (
                    BIND,
                    r#""gh": "RH_IN:loads", "type": "number", "access": "list""#,
                    r#""gh": "RH_IN:loads", "type": "number", "access": "item""#,
                ),
                (IN, LOADS, r#""loads": { "type": "number", "default": 0 }"#),
            ],
        ),
    ]
}

fn values_of_inputs() -> Vec<(&'static str, Vec<Edit>, Vec<Edit>)> {
    let nothing = Vec::new;
    let name = |schema| vec![(IN, NAME, schema)];
    let loads = |schema| vec![(IN, LOADS, schema)];
    let tree = |schema| {
        vec![
            (
                BIND,
                r#""gh": "RH_IN:loads", "type": "number", "access": "list""#,
                r#""gh": "RH_IN:loads", "type": "number", "access": "tree""#,
            ),
            (IN, LOADS, schema),
        ]
    };
    let plane = r#"{ "plane": { "origin": [0, 0, 0], "x_axis": [1, 0, 0], "y_axis": [0, 1, 0] }, "radius": 0.5 }"#;
    vec![
        (
            "input_type_narrowed",
            nothing(),
            vec![(BIND, r#""RH_IN:span", "type": "number""#, r#""RH_IN:span", "type": "integer""#)],
        ),
        ("input_range_narrowed", nothing(), vec![(IN, r#""maximum": 40"#, r#""maximum": 30"#)]),
        ("input_widened", nothing(), vec![(IN, r#""maximum": 40"#, r#""maximum": 50"#)]),
        (
            "input_choice_removed",
            name(r#""name": { "enum": ["bridge", "viaduct"], "default": "bridge" }"#),
            name(r#""name": { "enum": ["bridge"], "default": "bridge" }"#),
        ),
        ("input_text_narrowed", nothing(), vec![(IN, r#""maxLength": 40"#, r#""maxLength": 20"#)]),
        (
            "input_list_narrowed",
            nothing(),
            loads(r#""loads": { "type": "array", "items": { "type": "number" }, "maxItems": 3, "default": [] }"#),
        ),
        (
            "input_member_required",
            nothing(),
            vec![
                (IN, r#""required": ["radius"],"#, r#""required": ["radius", "plane"],"#),
                (IN, r#"{ "radius": 0.5 }"#, plane),
            ],
        ),
        (
            "input_closed",
            tree(r#""loads": { "type": "object", "default": {} }"#),
            tree(r#""loads": { "type": "object", "propertyNames": { "enum": ["{0}"] }, "default": {} }"#),
        ),
        ("input_narrowed", nothing(), vec![(IN, r#""maximum": 40"#, r#""maximum": 40, "not": { "const": 7 }"#)]),
        (
            "input_unproven",
            name(r#""name": { "type": "string", "pattern": "^[ab]$", "default": "a" }"#),
            name(r#""name": { "type": "string", "pattern": "^(a|b)$", "default": "a" }"#),
        ),
        ("input_default_changed", nothing(), vec![(IN, r#""default": 3"#, r#""default": 4"#)]),
        (
            "input_unit_changed",
            nothing(),
            vec![(IN, r#""x-unit": "m", "x-order": 1"#, r#""x-unit": "ft", "x-order": 1"#)],
        ),
        ("input_unit_stated", vec![(IN, r#""x-unit": "m", "x-order": 1"#, r#""x-order": 1"#)], nothing()),
        ("input_order_changed", nothing(), vec![(IN, r#""x-order": 1"#, r#""x-order": 3"#)]),
        ("input_step_changed", nothing(), vec![(BIND, r#""step": 0.5"#, r#""step": 0.25"#)]),
    ]
}

fn outputs() -> Vec<(&'static str, Vec<Edit>, Vec<Edit>)> {
    let nothing = Vec::new;
    let length = |schema| vec![(OUT, LENGTH, schema)];
    let renamed = vec![
        (OUT, r#""length": {"#, r#""size": {"#),
        (OUT, r#"["length"]"#, r#"["size"]"#),
        (BIND, r#""length": {"#, r#""size": {"#),
        (SHORT, r#""length": 12"#, r#""size": 12"#),
    ];
    let text = |schema| output(TEXT_BINDING, TEXT, schema);
    let tree = |schema| output(TREE_BINDING, NUMBER, schema);
    let list = |schema| output(LIST_BINDING, NUMBER, schema);
    let geometry = |binding| output(binding, GEOMETRY, r#""length": { "type": "object" }"#);
    vec![
        ("output_removed", nothing(), renamed),
        ("output_optional", nothing(), vec![(OUT, r#""required": ["length"],"#, "")]),
        ("output_required", vec![(OUT, r#""required": ["length"],"#, "")], nothing()),
        (
            "output_type_changed",
            geometry(r#""gh": "RH_OUT:length", "type": "curve", "access": "item""#),
            geometry(r#""gh": "RH_OUT:length", "type": "mesh", "access": "item""#),
        ),
        ("output_access_changed", nothing(), list(r#""length": { "type": "array" }"#)),
        ("output_type_widened", length(r#""length": { "type": "integer", "minimum": 0, "x-unit": "m" }"#), nothing()),
        ("output_range_widened", nothing(), vec![(OUT, r#""minimum": 0"#, r#""minimum": -1"#)]),
        ("output_narrowed", nothing(), vec![(OUT, r#""minimum": 0"#, r#""minimum": 1"#)]),
        (
            "output_choice_added",
            length(r#""length": { "enum": [12, 13] }"#),
            length(r#""length": { "enum": [12, 13, 14] }"#),
        ),
        (
            "output_text_widened",
            text(r#""length": { "type": "string", "maxLength": 5 }"#),
            text(r#""length": { "type": "string", "maxLength": 9 }"#),
        ),
        (
            "output_list_widened",
            list(r#""length": { "type": "array", "maxItems": 3 }"#),
            list(r#""length": { "type": "array", "maxItems": 4 }"#),
        ),
        (
            "output_member_optional",
            tree(r#""length": { "type": "object", "required": ["{0}"] }"#),
            tree(r#""length": { "type": "object" }"#),
        ),
        (
            "output_opened",
            tree(r#""length": { "type": "object", "propertyNames": { "enum": ["{0}"] } }"#),
            tree(r#""length": { "type": "object", "propertyNames": { "enum": ["{0}", "{1}"] } }"#),
        ),
        (
            "output_widened",
            length(r#""length": { "type": "number", "not": { "const": 7 } }"#),
            length(r#""length": { "type": "number" }"#),
        ),
        (
            "output_unproven",
            text(r#""length": { "type": "string", "pattern": "^[ab]$" }"#),
            text(r#""length": { "type": "string", "pattern": "^(a|b)$" }"#),
        ),
        ("output_unit_changed", nothing(), vec![(OUT, r#""x-unit": "m""#, r#""x-unit": "ft""#)]),
        ("output_unit_stated", vec![(OUT, r#", "x-unit": "m""#, "")], nothing()),
    ]
}

fn terms() -> Vec<(&'static str, Vec<Edit>, Vec<Edit>)> {
    let nothing = Vec::new;
    let manifest = |from, to| vec![(MANIFEST, from, to)];
    let request = || manifest(r#""timeout_sec": 30,"#, r#""timeout_sec": 30, "limits": { "request_bytes": 9000 },"#);
    let response = || manifest(r#""timeout_sec": 30,"#, r#""timeout_sec": 30, "limits": { "response_bytes": 9000 },"#);
    let more = || vec![(PLUGINS, r#""plugins": ["#, r#""plugins": [ { "name": "Arches", "version": "1.0.0.0" },"#)];
    vec![
        ("golden_drift", nothing(), vec![(SHORT, r#""length": 12"#, r#""length": 12.5"#)]),
        ("golden_lost", nothing(), vec![(SHORT, r#""span": 12"#, r#""span": 13"#)]),
        ("app_changed", nothing(), manifest(r#""app_id": "bridge""#, r#""app_id": "viaduct""#)),
        ("definition_renamed", nothing(), manifest(r#""definition": "bridge""#, r#""definition": "viaduct""#)),
        ("definition_changed", nothing(), vec![(GHX, "<X>30</X><Y>50</Y>", "<X>31</X><Y>50</Y>")]),
        ("model_units_changed", nothing(), manifest(r#""Meters""#, r#""Feet""#)),
        ("rhino_changed", nothing(), vec![(PLUGINS, r#""rhino": "8""#, r#""rhino": "7""#)]),
        ("rhino_updated", nothing(), vec![(PLUGINS, r#""rhino": "8""#, r#""rhino": "8.11""#)]),
        ("timeout_lowered", nothing(), manifest(r#""timeout_sec": 30"#, r#""timeout_sec": 20"#)),
        ("timeout_raised", nothing(), manifest(r#""timeout_sec": 30"#, r#""timeout_sec": 40"#)),
        ("request_limit_lowered", nothing(), request()),
        ("response_limit_lowered", nothing(), response()),
        ("limit_raised", request(), nothing()),
        ("not_deterministic", nothing(), manifest(r#""deterministic": true"#, r#""deterministic": false"#)),
        ("deterministic", manifest(r#""deterministic": true"#, r#""deterministic": false"#), nothing()),
        ("tolerance_changed", nothing(), manifest(r#""absolute_tolerance": 0.001"#, r#""absolute_tolerance": 0.01"#)),
        ("plugin_added", nothing(), more()),
        ("plugin_changed", nothing(), vec![(PLUGINS, "2.1.0.0", "2.2.0.0")]),
        ("plugin_removed", more(), nothing()),
    ]
}

#[test]
fn each_rule_finds_its_fixture_and_nothing_worse() {
    let mut wrong = Vec::new();
    for (rule, old, new) in fixtures() {
        let comparison = compared(("1.0.0", &old), ("1.0.1", &new));
        let found: Vec<_> = comparison.changes.iter().map(|change| change.rule.word).collect();
        let Some(change) = comparison.changes.iter().find(|change| change.rule.word == rule) else {
            wrong.push(format!("{rule}: {found:?}"));
            continue;
        };
        let worse = comparison.changes.iter().filter(|other| other.rule.needs > change.rule.needs).count();
        if worse > 0 || comparison.needed != Some(change.rule.needs) || change.new.at.line == 0 {
            wrong.push(format!("{rule}: {:#?}", comparison.changes));
        }
        assert_eq!(comparison.announces_all(), change.rule.needs == Bump::Patch, "{rule}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_rule_is_without_a_fixture() {
    let covered: BTreeSet<_> = fixtures().into_iter().map(|(rule, ..)| rule).collect();
    // Of the command, of the same version, of sitefit's outputs (below), and the net below all other rules, which `compat/whole.rs` tests
    // without them.
    let elsewhere =
        ["bump_too_small", "version_changed", "output_added", "output_order_changed", "old_example_refused"];
    let without: Vec<_> = RULES
        .iter()
        .map(|rule| rule.word)
        .filter(|word| !covered.contains(word) && !elsewhere.contains(word))
        .collect();
    assert!(without.is_empty(), "{without:?}");
}

/// The bridge has one output, so outputs that change their places are sitefit's.
#[test]
fn outputs_in_another_order_are_found_and_nothing_worse() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../registry/contracts/sitefit/1.1.0");
    let old = Folder::read(&root).unwrap();
    let mut files = old.files.clone();
    let mut change = |file: &str, from: &str, to: &str| {
        let text = String::from_utf8_lossy(&files[file]).into_owned();
        assert!(text.contains(from), "{file} has no {from}");
        files.insert(file.to_owned(), text.replacen(from, to, 1).into_bytes().into());
    };
    change(MANIFEST, r#""version": "1.1.0""#, r#""version": "1.1.1""#);
    change(OUT, r#""x-order": 1"#, r#""x-order": 99"#);
    let new = Folder::of(files);
    let sides = [&old, &new].map(|folder| Contract::of(folder).unwrap_or_else(|faults| panic!("{}", report(&faults))));
    let comparison = compare(&Side::new(&old, &sides[0]), &Side::new(&new, &sides[1]));
    let words: Vec<_> = comparison.changes.iter().map(|change| change.rule.word).collect();
    assert_eq!((words, comparison.needed), (vec!["output_order_changed"], Some(Bump::Patch)));
    assert!(comparison.changes[0].new.at.line > 1 && comparison.announces_all());
}

#[test]
fn a_published_version_that_was_changed_is_found() {
    let comparison = compared(("1.0.0", &[]), ("1.0.0", &[(MANIFEST, "A bridge", "The bridge")]));
    assert!(comparison.changes.iter().any(|change| change.rule.word == "version_changed"));
    assert!(!comparison.announces_all());
    let same = compared(("1.0.0", &[]), ("1.0.0", &[]));
    assert!(same.changes.is_empty() && same.announces_all());
}

#[test]
fn a_change_points_at_both_places_and_shows_a_value() {
    let comparison = compared(("1.0.0", &[]), ("1.1.0", &[(IN, r#""maximum": 40"#, r#""maximum": 30"#)]));
    let [change] = &comparison.changes[..] else { panic!("{:#?}", comparison.changes) };
    assert_eq!(change.rule.word, "input_range_narrowed");
    for place in [&change.old, &change.new] {
        assert_eq!((place.file.to_str(), place.at.line), (Some(IN), 8));
        assert_eq!(place.pointer, "/properties/span/maximum");
    }
    let span = change.witness.as_ref().and_then(serde_json::Value::as_f64).expect("a number shows it");
    assert!(span > 30.0 && span <= 40.0, "{span}");
    assert!(!comparison.announces_all());
    assert_eq!(comparison.least_version().to_string(), "2.0.0");
}

#[test]
fn the_second_version_of_sitefit_is_compatible_and_a_minor_step() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../registry/contracts/sitefit");
    let [old, new] = ["1.0.0", "1.1.0"].map(|version| {
        let folder = Folder::read(&root.join(version)).unwrap();
        let contract = Contract::of(&folder).unwrap();
        (folder, contract)
    });
    let sides = [Side::new(&old.0, &old.1), Side::new(&new.0, &new.1)];
    let comparison = compare(&sides[0], &sides[1]);
    assert_eq!((comparison.needed, comparison.announced), (Some(Bump::Minor), Some(Bump::Minor)));
    let words: BTreeSet<_> = comparison.changes.iter().map(|change| change.rule.word).collect();
    assert!(words.is_superset(&BTreeSet::from(["input_added", "output_added"])), "{words:?}");
    // Backwards it takes something away, in both directions.
    let back = compare(&sides[1], &sides[0]);
    assert_eq!((back.needed, back.announced), (Some(Bump::Major), None));
}
