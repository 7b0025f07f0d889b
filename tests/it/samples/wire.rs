//! Between the JSON of callers and the trees of a definition, and inputs at random from a schema.

use proptest::{prelude::*, strategy::BoxedStrategy};
use serde_json::{Map, Value as Json, json};
use simnode::{
    solve::Solution,
    tree::Tree,
    value::{Plane, Value},
};

type Object = Map<String, Json>;

/// What a caller's value is on the wire of the definition.
pub(super) fn tree(binding: &Json, value: &Json) -> Tree {
    let kind = binding["type"].as_str().unwrap();
    if binding["access"] == "list" {
        Tree::list(value.as_array().unwrap().iter().map(|item| item_of(kind, item)))
    } else {
        Tree::item(item_of(kind, value))
    }
}

/// What a solution is to a caller.
pub(super) fn outputs(bindings: &Json, solution: &Solution) -> Object {
    let answer = |(name, binding): (&String, &Json)| {
        let output = solution.outputs.iter().find(|output| binding["gh"] == output.name.as_str());
        (name.clone(), shaped(binding["access"].as_str().unwrap(), &output.expect("every bound output is there").tree))
    };
    bindings.as_object().unwrap().iter().map(answer).collect()
}

/// Complete inputs at random, within the limits of the schema.
pub(super) fn inputs_of(schema: &Json) -> impl Strategy<Value = Object> {
    let properties = schema["properties"].as_object().unwrap().clone();
    let (names, schemas): (Vec<String>, Vec<Json>) = properties.into_iter().unzip();
    let values: Vec<BoxedStrategy<Json>> = schemas.iter().map(any_of).collect();
    values.prop_map(move |values| names.iter().cloned().zip(values).collect())
}

fn any_of(schema: &Json) -> BoxedStrategy<Json> {
    let limit = |name: &str| schema[name].as_f64().unwrap();
    match schema["type"].as_str().unwrap() {
        "number" => (limit("minimum")..=limit("maximum")).prop_map(|number| json!(number)).boxed(),
        "integer" => {
            let [least, most] = ["minimum", "maximum"].map(|name| schema[name].as_i64().unwrap());
            (least..=most).prop_map(|number| json!(number)).boxed()
        }
        "boolean" => any::<bool>().prop_map(|value| json!(value)).boxed(),
        "string" => "[a-zA-Zäöüß0-9][a-zA-Zäöüß0-9 ,.&-]{0,20}".prop_map(|text| json!(text)).boxed(),
        "array" => {
            let [least, most] =
                ["minItems", "maxItems"].map(|name| usize::try_from(schema[name].as_u64().unwrap()).unwrap());
            proptest::collection::vec(any_of(&schema["items"]), least..=most).prop_map(|items| json!(items)).boxed()
        }
        other => panic!("no random values of type {other}"),
    }
}

fn item_of(kind: &str, value: &Json) -> Value {
    match kind {
        "number" => Value::Number(value.as_f64().unwrap()),
        "integer" => Value::Integer(value.as_i64().unwrap().try_into().unwrap()),
        "boolean" => Value::Boolean(value.as_bool().unwrap()),
        "text" => Value::Text(value.as_str().unwrap().to_owned()),
        "point" => Value::Point([0, 1, 2].map(|axis| value[axis].as_f64().unwrap())),
        other => panic!("no sample has inputs of type {other}"),
    }
}

fn shaped(access: &str, tree: &Tree) -> Json {
    let items =
        |branch: &[Option<Value>]| -> Json { branch.iter().map(|item| json_of(item.as_ref().unwrap())).collect() };
    match access {
        "tree" => tree.branches().map(|(path, branch)| (path.to_string(), items(branch))).collect::<Object>().into(),
        access => {
            assert!(tree.path_count() <= 1, "an {access} has one branch");
            let list = tree.branches().next().map_or(json!([]), |(_, branch)| items(branch));
            if access == "list" {
                return list;
            }
            let [item] = list.as_array().unwrap().as_slice() else { panic!("not one item: {list}") };
            item.clone()
        }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "any type that the samples do not return is a fault")]
fn json_of(value: &Value) -> Json {
    let plane = |plane: &Plane| json!({ "origin": plane.origin, "x_axis": plane.x_axis, "y_axis": plane.y_axis });
    match value {
        Value::Number(number) => json!(number),
        Value::Integer(number) => json!(number),
        Value::Boolean(value) => json!(value),
        Value::Text(text) => json!(text),
        Value::Point(point) => json!(point),
        Value::Line(line) => json!({ "from": line.from, "to": line.to }),
        Value::Rectangle(shape) => {
            json!({ "plane": plane(&shape.plane), "x": [shape.x.a, shape.x.b], "y": [shape.y.a, shape.y.b] })
        }
        Value::Box(shape) => json!({
            "plane": plane(&shape.plane),
            "x": [shape.x.a, shape.x.b], "y": [shape.y.a, shape.y.b], "z": [shape.z.a, shape.z.b],
        }),
        other => panic!("no sample returns a {}", other.type_name()),
    }
}
