//! The defaults that a schema states, ready to be filled in.
//!
//! A required member is never filled in: who must send it, must send it.

use serde_json::{Map, Value};

use crate::schema::Schema;

/// The defaults of an object's members, and of the objects in them.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Defaults {
    members: Vec<Member>,
}

#[derive(Debug, Clone, PartialEq)]
struct Member {
    name: String,
    default: Option<Value>,
    inner: Defaults,
}

// === impl Defaults ===

impl Defaults {
    /// Those of a whole schema: of `properties`, through local references, at any depth of objects.
    pub(crate) fn of(schema: &Schema) -> Self {
        Self::within(schema, schema.document())
    }

    // The recursion ends because compiled schemas do not refer back to themselves.
    fn within(schema: &Schema, object: &Value) -> Self {
        let chain = schema.chain(object);
        let required: Vec<&Value> =
            chain.iter().filter_map(|part| part.get("required")?.as_array()).flatten().collect();
        let properties = chain.iter().filter_map(|part| part.get("properties")?.as_object()).flatten();
        let member = |(name, member): (&String, &Value)| {
            let is_required = required.iter().any(|required| required.as_str() == Some(name));
            let default = schema.chain(member).into_iter().find_map(|part| part.get("default")).cloned();
            let inner = Self::within(schema, member);
            Member { name: name.clone(), default: default.filter(|_| !is_required), inner }
        };
        let members =
            properties.map(member).filter(|member| member.default.is_some() || !member.inner.members.is_empty());
        Self { members: members.collect() }
    }

    /// Whether an absent member of this name is filled in.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.members.iter().any(|member| member.name == name && member.default.is_some())
    }

    /// Those of the object that is the member of this name.
    pub(crate) fn below(&self, name: &str) -> Option<&Self> {
        self.members.iter().find(|member| member.name == name).map(|member| &member.inner)
    }

    /// What is filled in for an absent member of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.members.iter().find(|member| member.name == name)?.default.as_ref()
    }

    /// The paths of members that both fill in, each with another value.
    pub(crate) fn changed(old: &Self, new: &Self) -> Vec<String> {
        let mut paths = Vec::new();
        for member in &old.members {
            let Some(now) = new.members.iter().find(|now| now.name == member.name) else { continue };
            if member.default.is_some() && now.default.is_some() && member.default != now.default {
                paths.push(member.name.clone());
            }
            paths.extend(
                Self::changed(&member.inner, &now.inner).into_iter().map(|path| format!("{}/{path}", member.name)),
            );
        }
        paths
    }

    /// Fills in below the member of this name only.
    pub(crate) fn fill_below(&self, name: &str, object: &mut Map<String, Value>) {
        if let (Some(member), Some(Value::Object(below))) =
            (self.members.iter().find(|member| member.name == name), object.get_mut(name))
        {
            member.inner.fill(below);
        }
    }

    /// Puts the default of each absent member in, then those of the members' members.
    pub(crate) fn fill(&self, object: &mut Map<String, Value>) {
        for Member { name, default, inner } in &self.members {
            if let (false, Some(default)) = (object.contains_key(name), default) {
                object.insert(name.clone(), default.clone());
            }
            if let Some(Value::Object(member)) = object.get_mut(name) {
                inner.fill(member);
            }
        }
    }
}
