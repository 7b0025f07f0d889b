//! The OpenAPI 3.1 documents: one of the API as a whole, and one of each app with the schemas of its own versions.
//!
//! Invariant: documents and router are made from the same list of routes, and every answer of a route is in its row.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use contract::Described;
use http::HeaderMap;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::extract::{Asked, At};
use crate::{Api, Error, auth, read};

/// One operation.
#[derive(Debug)]
pub struct Route {
    pub method: &'static str,
    pub path: &'static str,
    id: &'static str,
    summary: &'static str,
    /// What it answers when all is well: status, and the schema below `components`.
    good: &'static [(u16, &'static str)],
    /// The statuses of problems beside those of every route that asks for a token.
    bad: &'static [u16],
    token: bool,
}

const fn route(method: &'static str, path: &'static str, id: &'static str, summary: &'static str) -> Route {
    Route { method, path, id, summary, good: &[], bad: &[], token: true }
}

/// Every route of the router.
pub const ROUTES: [Route; 12] = [
    Route {
        good: &[(200, "Result"), (202, "Job")],
        bad: &[400, 404, 408, 410, 413, 422, 429, 502],
        ..route("post", "/{app_id}/jobs/run", "run", "Queue a solve; with `Prefer: wait=10`, wait for its result")
    },
    Route {
        good: &[(200, "Listing")],
        bad: &[400],
        ..route("get", "/{app_id}/jobs", "list", "List jobs, newest first")
    },
    Route {
        good: &[(200, "Job")],
        bad: &[404],
        ..route("get", "/{app_id}/jobs/status/{job_id}", "status", "How a job stands")
    },
    Route {
        good: &[(200, "Result"), (202, "Job")],
        bad: &[404, 410, 422, 502],
        ..route("get", "/{app_id}/jobs/result/{job_id}", "result", "What a job gave; 202 while it has not ended")
    },
    Route {
        good: &[(200, "Job"), (202, "Job")],
        bad: &[404, 409],
        ..route("delete", "/{app_id}/jobs/{job_id}", "cancel", "Cancel a job; 202 where a worker has to be told yet")
    },
    Route {
        good: &[(200, "Events")],
        bad: &[400, 404],
        ..route("get", "/{app_id}/jobs/{job_id}/events", "events", "Follow a job as server-sent events")
    },
    Route {
        good: &[(200, "Document")],
        bad: &[400, 404],
        ..route(
            "get",
            "/{app_id}/openapi.json",
            "app_document",
            "This document, with the schemas of one app's definitions",
        )
    },
    Route {
        good: &[(200, "Blob")],
        bad: &[400, 403, 410],
        token: false,
        ..route("get", "/artifacts/{path}", "artifact", "An artifact, by a link from a result")
    },
    Route {
        good: &[(200, "Document")],
        token: false,
        ..route("get", "/openapi.json", "document", "The document of the API")
    },
    Route { good: &[(200, "Text")], token: false, ..route("get", "/livez", "livez", "Whether the process answers") },
    Route {
        good: &[(200, "Text"), (503, "Text")],
        token: false,
        ..route("get", "/readyz", "readyz", "Whether jobs can be taken")
    },
    Route { good: &[(200, "Text")], token: false, ..route("get", "/metrics", "metrics", "Figures for Prometheus") },
];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    definition: Option<String>,
    version: Option<String>,
}

pub(crate) async fn of_api(State(api): State<Arc<Api>>) -> Response {
    read::json(&document("AppServer jobs", None, &api.parts.public_url, &[]))
}

/// The document of an app: of one version where it is named, else of each definition's `stable`.
pub(crate) async fn of_app(
    State(api): State<Arc<Api>>,
    At(app_id): At<String>,
    Asked(which): Asked<Which>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let caller = auth::scope(&api, &headers, &app_id).await?;
    let contracts = &api.parts.contracts;
    let definitions = match which.definition {
        Some(definition) => vec![definition],
        None => contracts.definitions(&app_id).await?,
    };
    let version = which.version.as_deref().unwrap_or("stable");
    let mut described = Vec::new();
    for definition in &definitions {
        described.push(contracts.describe(&caller.scope, definition, version).await?);
    }
    if described.is_empty() {
        return Err(Error::UnknownDefinition { detail: format!("the app `{app_id}` has no definition") });
    }
    Ok(read::json(&document(&format!("AppServer jobs of {app_id}"), Some(&app_id), &api.parts.public_url, &described)))
}

fn document(title: &str, app_id: Option<&str>, public_url: &str, described: &[Arc<Described>]) -> Value {
    let mut paths = Map::new();
    for route in &ROUTES {
        let path = match app_id {
            Some(app_id) => route.path.replace("{app_id}", app_id),
            None => route.path.to_owned(),
        };
        let entry = paths.entry(path).or_insert_with(|| json!({}));
        entry[route.method] = operation(route, app_id.is_some());
    }
    let mut document = json!({
        "openapi": "3.1.0",
        "info": { "title": title, "version": env!("CARGO_PKG_VERSION") },
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" } },
            "schemas": schemas(described),
        },
    });
    if !public_url.is_empty() {
        document["servers"] = json!([{ "url": public_url }]);
    }
    document
}

fn operation(route: &Route, of_app: bool) -> Value {
    let mut parameters = Vec::new();
    for name in ["app_id", "job_id", "path"] {
        if route.path.contains(&format!("{{{name}}}")) && !(of_app && name == "app_id") {
            parameters.push(json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }));
        }
    }
    parameters.extend(own_parameters(route.id));
    let mut responses = Map::new();
    for (status, schema) in route.good {
        responses.insert(status.to_string(), good(schema));
    }
    let usual: &[u16] = if route.token { &[401, 403, 500, 503] } else { &[500] };
    for status in usual.iter().chain(route.bad) {
        let content = json!({ problem::CONTENT_TYPE: { "schema": { "$ref": "#/components/schemas/Problem" } } });
        let problem = json!({ "description": "Refused, with the reason", "content": content });
        responses.entry(status.to_string()).or_insert(problem);
    }
    let mut operation = json!({
        "operationId": route.id, "summary": route.summary, "parameters": parameters, "responses": responses,
    });
    if route.token {
        operation["security"] = json!([{ "token": [] }]);
    }
    if route.id == "run" {
        let content = json!({ "application/json": { "schema": { "$ref": "#/components/schemas/Run" } } });
        operation["requestBody"] = json!({ "required": true, "content": content });
    }
    operation
}

fn own_parameters(id: &str) -> Vec<Value> {
    let header = |name: &str, schema: Value| json!({ "name": name, "in": "header", "schema": schema });
    let query = |name: &str, required: bool, schema: Value| json!({ "name": name, "in": "query", "required": required, "schema": schema });
    match id {
        "run" => vec![
            header("Idempotency-Key", json!({ "type": "string", "minLength": 1, "maxLength": 255 })),
            header("Prefer", json!({ "type": "string", "examples": ["wait=10"] })),
        ],
        "list" => vec![
            query("status", false, status()),
            query("limit", false, json!({ "type": "integer", "minimum": 1, "maximum": 200, "default": 50 })),
            query("cursor", false, json!({ "type": "string" })),
        ],
        "events" => vec![header("Last-Event-ID", json!({ "type": "string", "pattern": "^[0-9]{1,18}$" }))],
        "app_document" => {
            vec![
                query("definition", false, json!({ "type": "string" })),
                query("version", false, json!({ "type": "string" })),
            ]
        }
        "artifact" => vec![
            query("until", true, json!({ "type": "integer" })),
            query("type", true, json!({ "type": "string" })),
            query("sig", true, json!({ "type": "string" })),
        ],
        _ => Vec::new(),
    }
}

fn good(schema: &str) -> Value {
    let content = match schema {
        // The schema is that of one event.
        "Events" => json!({ "text/event-stream": { "schema": {
            "type": "object", "required": ["data"],
            "properties": {
                "id": { "type": "string" }, "event": { "type": "string" },
                "data": { "type": "string", "contentMediaType": "application/json" },
            },
        } } }),
        "Blob" => json!({ "*/*": {} }),
        "Text" => json!({ "text/plain": { "schema": { "type": "string" } } }),
        "Document" => json!({ "application/json": { "schema": { "type": "object" } } }),
        named => json!({ "application/json": { "schema": { "$ref": format!("#/components/schemas/{named}") } } }),
    };
    json!({ "description": "As asked", "content": content })
}

fn status() -> Value {
    json!({ "enum": jobs::State::ALL.map(jobs::State::as_str) })
}

fn schemas(described: &[Arc<Described>]) -> Value {
    let text = json!({ "type": "string" });
    let maybe = |kind: &str| json!({ "type": [kind, "null"] });
    let moment = json!({ "type": "string", "format": "date-time" });
    let mut schemas = json!({
        "Status": status(),
        "Job": {
            "type": "object",
            "required": ["job_id", "app_id", "definition", "version", "status", "status_url", "result_url", "events_url"],
            "properties": {
                "job_id": { "type": "string", "format": "uuid" }, "app_id": text, "definition": text, "version": text,
                "status": { "$ref": "#/components/schemas/Status" },
                "attempts": { "type": "integer" }, "attempts_max": { "type": "integer" },
                "cancel_requested": { "type": "boolean" },
                "created_at": moment, "due_at": moment, "started_at": maybe("string"), "finished_at": maybe("string"),
                "failure": maybe("object"), "status_url": text, "result_url": text, "events_url": text,
            },
        },
        "Listing": {
            "type": "object", "required": ["jobs", "next"],
            "properties": {
                "jobs": { "type": "array", "items": { "$ref": "#/components/schemas/Job" } }, "next": maybe("string"),
            },
        },
        "Artifact": {
            "type": "object", "required": ["name", "digest", "bytes", "media_type", "url", "expires_at"],
            "properties": {
                "name": text, "digest": text, "bytes": { "type": "integer" }, "media_type": text, "url": text,
                "expires_at": moment,
            },
        },
        "Problem": {
            "type": "object",
            "required": ["type", "title", "status", "code", "detail", "origin", "retryable", "request_id"],
            "properties": {
                "type": text, "title": text, "status": { "type": "integer" }, "code": text, "detail": text,
                "origin": { "enum": ["client", "gateway", "node"] }, "retryable": { "type": "boolean" },
                "request_id": text, "trace_id": text, "violations": { "type": "array", "items": { "type": "object" } },
            },
        },
    });
    let place = |index: usize| match described.len() {
        1 => "#/components/schemas/Run".to_owned(),
        _ => format!("#/components/schemas/Run/oneOf/{index}"),
    };
    let run = |(index, described): (usize, &Arc<Described>)| run_schema(Some((described, place(index))));
    let runs: Vec<Value> = described.iter().enumerate().map(run).collect();
    schemas["Run"] = match runs.len() {
        0 => run_schema(None),
        1 => runs[0].clone(),
        _ => json!({ "oneOf": runs }),
    };
    let outputs = match described {
        [one] => local(&one.outputs_schema, "#/components/schemas/Outputs"),
        _ => json!({ "type": "object" }),
    };
    schemas["Outputs"] = outputs;
    schemas["Result"] = json!({
        "type": "object", "required": ["job_id", "app_id", "definition", "version", "status", "outputs", "artifacts"],
        "properties": {
            "job_id": { "type": "string", "format": "uuid" }, "app_id": text, "definition": text, "version": text,
            "status": { "const": "succeeded" },
            "outputs": { "anyOf": [{ "$ref": "#/components/schemas/Outputs" }, { "type": "null" }] },
            "warnings": { "type": ["array", "null"], "items": { "type": "string" } }, "receipt": maybe("object"),
            "artifacts": { "type": "array", "items": { "$ref": "#/components/schemas/Artifact" } },
        },
    });
    schemas
}

/// The body of `run`, with a definition's own inputs where it is known.
fn run_schema(described: Option<(&Arc<Described>, String)>) -> Value {
    let text = json!({ "type": "string" });
    let (definition, version, inputs, examples) = match described {
        None => (text.clone(), text, json!({ "type": "object" }), Vec::new()),
        Some((described, place)) => {
            let pointer = &format!("{place}/properties/inputs");
            let body = |inputs: &Value| json!({ "definition": described.definition, "version": described.version, "inputs": inputs });
            let examples = described.examples.iter().take(3).map(|example| body(&example.inputs)).collect();
            let (definition, version) = (
                json!({ "const": described.definition }),
                json!({ "type": "string", "examples": [described.version] }),
            );
            (definition, version, local(&described.inputs_schema, pointer), examples)
        }
    };
    let mut schema = json!({
        "type": "object", "required": ["definition"], "additionalProperties": false,
        "properties": { "app_id": { "type": "string" }, "definition": definition, "version": version, "inputs": inputs },
    });
    if !examples.is_empty() {
        schema["examples"] = Value::Array(examples);
    }
    schema
}

/// A contract's schema within a document: its references lead to where it stands now.
fn local(schema: &Value, pointer: &str) -> Value {
    let mut schema = schema.clone();
    if let Some(object) = schema.as_object_mut() {
        object.remove("$schema");
        object.remove("$id");
    }
    relocate(&mut schema, pointer);
    schema
}

fn relocate(value: &mut Value, pointer: &str) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(target)) = object.get_mut("$ref")
                && let Some(rest) = target.strip_prefix('#')
            {
                *target = format!("{pointer}{rest}");
            }
            object.values_mut().for_each(|value| relocate(value, pointer));
        }
        Value::Array(values) => values.iter_mut().for_each(|value| relocate(value, pointer)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
