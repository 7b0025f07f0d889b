//! The body of `/grasshopper` and `/io`.
//!
//! Members are matched without regard to case; a scalar given twice keeps its last value, while trees given twice add
//! up, because Newtonsoft fills the list that is already there. Unknown members are ignored.

use super::Thrown;
use super::json::{self, Json};

/// A solve request with compute's defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Request {
    pub(crate) pointer: Option<String>,
    pub(crate) algo: Option<String>,
    pub(crate) absolute_tolerance: f64,
    pub(crate) angle_tolerance_degrees: f64,
    /// Millimeters unless given; null only if it was sent as null.
    pub(crate) model_units: Option<String>,
    pub(crate) cache_solve: bool,
    pub(crate) recursion_level: i32,
    /// Nothing if it was sent as null, which a solve does not survive.
    pub(crate) values: Option<Vec<Option<InputTree>>>,
}

/// The data for one input, branches in the order in which they were sent.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct InputTree {
    pub(crate) name: Option<String>,
    /// Path text to items. A null branch or item throws once it is read.
    pub(crate) branches: Vec<(String, Option<Vec<Option<Item>>>)>,
}

/// One datum: a text, usually JSON, and the type that the caller wrote beside it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Item {
    /// Never looked at, except that another type makes another input.
    pub(crate) type_name: Option<String>,
    pub(crate) data: Option<String>,
}

/// Reads a body. A list around it is taken off first, as compute does.
pub(crate) fn parse(body: &str) -> Result<Json, Thrown> {
    let inner = body.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(body);
    Ok(json::parse(inner)?)
}

// === impl Request ===

impl Request {
    pub(crate) fn of(body: &Json) -> Result<Self, Thrown> {
        let Json::Object(members) = body else {
            return Err(Thrown::Request("Object reference not set to an instance of an object.".into()));
        };
        let mut request = Self {
            pointer: None,
            algo: None,
            absolute_tolerance: 0.0,
            angle_tolerance_degrees: 0.0,
            model_units: Some("Millimeters".to_owned()),
            cache_solve: false,
            recursion_level: 0,
            values: Some(Vec::new()),
        };
        for (name, value) in members {
            match name.to_ascii_lowercase().as_str() {
                "pointer" => request.pointer = value.text()?,
                "algo" => request.algo = value.text()?,
                "absolutetolerance" => request.absolute_tolerance = value.double()?,
                "angletolerance" => request.angle_tolerance_degrees = value.double()?,
                "modelunits" => request.model_units = value.text()?,
                "cachesolve" => request.cache_solve = value.boolean()?,
                "recursionlevel" => request.recursion_level = value.int32()?,
                "dataversion" => drop(value.int32()?),
                "values" => match value {
                    Json::Null => request.values = None,
                    Json::Array(trees) => {
                        let list = request.values.get_or_insert_default();
                        for tree in trees {
                            list.push(InputTree::of(tree)?);
                        }
                    }
                    Json::Bool(_) | Json::Number(_) | Json::Text(_) | Json::Object(_) => {
                        return Err(Thrown::Request(
                            "Cannot deserialize the current JSON into a list of trees.".into(),
                        ));
                    }
                },
                _ => {}
            }
        }
        Ok(request)
    }
}

// === impl InputTree ===

impl InputTree {
    fn of(json: &Json) -> Result<Option<Self>, Thrown> {
        let members = match json {
            Json::Null => return Ok(None),
            Json::Object(members) => members,
            Json::Bool(_) | Json::Number(_) | Json::Text(_) | Json::Array(_) => {
                return Err(Thrown::Request("Error converting value to a tree.".into()));
            }
        };
        let mut tree = Self::default();
        for (name, value) in members {
            if name.eq_ignore_ascii_case("ParamName") {
                tree.name = value.text()?;
            } else if name.eq_ignore_ascii_case("InnerTree") {
                let Json::Object(branches) = value else {
                    return Err(Thrown::Request("Cannot deserialize the current JSON into a tree.".into()));
                };
                for (path, items) in branches {
                    let items = branch(items)?;
                    match tree.branches.iter_mut().find(|(known, _)| known == path) {
                        Some((_, known)) => *known = items,
                        None => tree.branches.push((path.clone(), items)),
                    }
                }
            }
        }
        Ok(Some(tree))
    }
}

fn branch(json: &Json) -> Result<Option<Vec<Option<Item>>>, Thrown> {
    match json {
        Json::Null => Ok(None),
        Json::Array(items) => Ok(Some(items.iter().map(Item::of).collect::<Result<_, _>>()?)),
        Json::Bool(_) | Json::Number(_) | Json::Text(_) | Json::Object(_) => {
            Err(Thrown::Request("Cannot deserialize the current JSON into a branch.".into()))
        }
    }
}

// === impl Item ===

impl Item {
    fn of(json: &Json) -> Result<Option<Self>, Thrown> {
        match json {
            Json::Null => Ok(None),
            Json::Object(_) => {
                let text = |name| json.member(name).map_or(Ok(None), Json::text);
                Ok(Some(Self { type_name: text("type")?, data: text("data")? }))
            }
            Json::Bool(_) | Json::Number(_) | Json::Text(_) | Json::Array(_) => {
                Err(Thrown::Request("Error converting value to an item.".into()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(body: &str) -> Result<Request, Thrown> {
        Request::of(&parse(body)?)
    }

    #[test]
    fn names_are_matched_in_any_case_and_the_last_scalar_wins() {
        let read =
            request(r#"{"ALGO":"a","Pointer":"x","pointer":"y","RecursionLevel":"2","cacheSolve":true}"#).unwrap();
        assert_eq!((read.algo.as_deref(), read.pointer.as_deref()), (Some("a"), Some("y")));
        assert_eq!((read.recursion_level, read.cache_solve), (2, true));
    }

    #[test]
    fn trees_given_twice_add_up() {
        let body = r#"{"values":[{"ParamName":"a","InnerTree":{}}],"Values":[{"paramname":"b","innertree":{"0":[{"data":5.0}]}}]}"#;
        let values = request(body).unwrap().values.unwrap();
        assert_eq!(values.len(), 2);
        let branches = &values[1].as_ref().unwrap().branches;
        let item = Item { type_name: None, data: Some("5.0".into()) };
        assert_eq!(branches, &[("0".to_owned(), Some(vec![Some(item)]))]);
    }

    #[test]
    fn a_bare_object_as_data_throws_and_bare_scalars_do_not() {
        let with = |data: &str| {
            request(&format!(r#"{{"values":[{{"ParamName":"a","InnerTree":{{"{{0}}":[{{"data":{data}}}]}}}}]}}"#))
        };
        assert!(with(r#"{"X":1}"#).is_err());
        assert!(with("[1]").is_err());
        for data in ["1", "true", "null", "\"text\""] {
            assert!(with(data).is_ok(), "{data}");
        }
    }

    #[test]
    fn a_list_around_the_body_is_taken_off() {
        assert_eq!(request(r#"[{"algo":"a"}]"#).unwrap().algo.as_deref(), Some("a"));
        assert!(request("[]").is_err());
        assert!(request("null").is_err());
        assert!(request("").is_err());
        assert!(request("\"text\"").is_err());
    }

    #[test]
    fn defaults_are_those_of_compute() {
        let read = request("{}").unwrap();
        assert_eq!(read.model_units.as_deref(), Some("Millimeters"));
        assert_eq!(read.values, Some(Vec::new()));
        assert_eq!(request(r#"{"modelunits":null,"values":null}"#).unwrap().values, None);
    }
}
