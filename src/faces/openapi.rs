//! `OpenAPI` 3.1: one document for each contract and one for the gateway, made of the contracts' own schemas.
//!
//! Invariant: what a document promises is what the path checks, because both are the same schema.

use std::sync::Arc;

use contract::Contract;
use serde_json::{Map, Value, json};

use super::{Call, reply};
use crate::gateway::dialect::Dialect;
use crate::gateway::stage::Reply;
use crate::gateway::{Answer, Error};

/// Asks for a contract's document in place of its description.
#[derive(Debug)]
pub(super) struct Described;

impl Dialect for Described {
    fn inputs(&mut self, _: &Contract) -> Result<Value, Error> {
        Ok(Value::Object(Map::new()))
    }

    fn inputs_bytes(&self) -> u64 {
        0
    }

    fn answer(&self, _: &Contract, _: &Answer) -> Vec<u8> {
        Vec::new()
    }

    fn describe(&self, contract: &Contract) -> Option<Vec<u8>> {
        serde_json::to_vec(&document(&contract.manifest.definition, [contract])).ok()
    }

    fn tag(&self) -> &'static str {
        ".o"
    }
}

// === impl Call ===

impl Call {
    /// Of all that the caller may use.
    pub(super) async fn openapi(self) -> Result<Reply, Error> {
        self.only_read()?;
        let identity = self.identify().await?;
        let apps = self.snapshot.apps.values().filter(|app| app.policy.is_some());
        let apps = apps.filter(|app| identity.may_use(&self.snapshot, &app.app_id));
        let contracts: Vec<&Arc<Contract>> =
            apps.flat_map(|app| app.releases.values()).filter_map(|release| release.contract()).collect();
        let document = document("AppServer", contracts.into_iter().map(|contract| &**contract));
        Ok(reply("application/json", document.to_string()))
    }
}

/// The document of these contracts.
pub fn document<'c>(title: &str, contracts: impl IntoIterator<Item = &'c Contract>) -> Value {
    let (mut paths, mut schemas) = (Map::new(), Map::new());
    schemas.insert("Problem".to_owned(), problem());
    let mut versions = Vec::new();
    for contract in contracts {
        let (definition, version) = (&contract.manifest.definition, &contract.version);
        let name = |part: &str| format!("{definition}-{version}-{part}").replace('+', "_");
        for (part, schema) in [("inputs", &contract.inputs_schema), ("outputs", &contract.outputs_schema)] {
            schemas.insert(name(part), placed(schema, &format!("#/components/schemas/{}", name(part))));
        }
        let reference = |part: &str| json!({ "$ref": format!("#/components/schemas/{}", name(part)) });
        paths.insert(
            format!("/gh/{definition}:{version}/solve"),
            solve(contract, &reference("inputs"), &reference("outputs")),
        );
        versions.push(version.to_string());
    }
    let version = if versions.len() == 1 { versions.remove(0) } else { env!("CARGO_PKG_VERSION").to_owned() };
    json!({
        "openapi": "3.1.0",
        "info": { "title": title, "version": version },
        "servers": [{ "url": "/" }],
        "security": [{ "bearer": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "description": "A service key; `RhinoComputeKey` takes it as well." },
            },
        },
    })
}

fn solve(contract: &Contract, inputs: &Value, outputs: &Value) -> Value {
    let manifest = &contract.manifest;
    let examples: Map<String, Value> = contract
        .examples
        .valid
        .iter()
        .map(|example| (example.name.clone(), json!({ "value": { "inputs": example.inputs } })))
        .collect();
    let body = json!({
        "type": "object",
        "properties": { "app_id": { "type": "string" }, "inputs": inputs },
        "required": ["inputs"],
    });
    let answer = json!({
        "type": "object",
        "properties": {
            "app_id": { "type": "string" }, "definition": { "const": manifest.definition },
            "version": { "const": contract.version.to_string() }, "outputs": outputs,
            "warnings": { "type": "array", "items": { "type": "string" } }, "receipt": { "type": "object" },
        },
        "required": ["app_id", "definition", "version", "outputs", "warnings", "receipt"],
    });
    let problem = json!({ "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } });
    json!({ "post": {
        "operationId": format!("solve_{}_{}", manifest.definition, contract.version).replace(|c: char| !c.is_ascii_alphanumeric(), "_"),
        "summary": manifest.title,
        "description": manifest.description,
        "parameters": [{ "name": "lane", "in": "query", "schema": { "enum": ["preview", "batch"] } }],
        "requestBody": { "required": true, "content": { "application/json": { "schema": body, "examples": examples } } },
        "responses": {
            "200": { "description": "Solved", "content": { "application/json": { "schema": answer } } },
            "422": { "description": "The inputs do not fit, or the definition cannot solve them", "content": problem.clone() },
            "429": { "description": "Too many requests; `Retry-After` says when", "content": problem.clone() },
            "default": { "description": "What went wrong", "content": problem },
        },
    } })
}

fn problem() -> Value {
    let text = json!({ "type": "string" });
    json!({
        "type": "object",
        "properties": {
            "type": text, "title": text, "status": { "type": "integer" }, "code": text, "detail": text,
            "origin": { "enum": ["client", "gateway", "node"] }, "retryable": { "type": "boolean" }, "request_id": text, "trace_id": text,
            "violations": { "type": "array", "items": { "type": "object", "properties": {
                "pointer": text, "rule": text, "message": text, "help": text,
            }, "required": ["pointer", "rule", "message"] } },
        },
        "required": ["type", "title", "status", "code", "detail", "origin", "retryable", "request_id"],
    })
}

/// A schema whose references into itself hold at its new place; the dialect is that of the document.
fn placed(schema: &Value, place: &str) -> Value {
    match schema {
        Value::Object(object) => {
            let members = object.iter().filter(|(key, _)| *key != "$schema").map(|(key, value)| {
                let inside = value.as_str().filter(|_| key == "$ref").and_then(|text| text.strip_prefix('#'));
                let value = inside.map_or_else(|| placed(value, place), |inside| format!("{place}{inside}").into());
                (key.clone(), value)
            });
            Value::Object(members.collect())
        }
        Value::Array(items) => items.iter().map(|item| placed(item, place)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => schema.clone(),
    }
}
