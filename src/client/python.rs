//! Python 3.11 or later: the standard library's `urllib`.

use std::fmt::Write as _;

use contract::bindings::{Access, Type};

use super::{Field, RHINO, STRUCTURED, Shape};

pub(super) fn write(shape: &Shape) -> String {
    let (definition, version, title) = (&shape.definition, &shape.version, &shape.title);
    let mut text = format!(
        "\"\"\"{title}: the client of {definition} {version}. Written by `appserver client python --app {definition}:{version}`; do not edit.\"\"\"\n"
    );
    text += IMPORTS;
    if shape.has(&STRUCTURED) {
        text += STRUCTURES;
    }
    if shape.has(&RHINO) {
        text += "\n\nclass RhinoObject(TypedDict):\n    \"\"\"Rhino's own JSON, as rhino3dm reads and writes it.\"\"\"\n    version: int\n    archive3dm: int\n    opennurbs: int\n    data: str\n";
    }
    typed_dict(&mut text, "Inputs", &shape.inputs);
    typed_dict(&mut text, "Outputs", &shape.outputs);
    let _ = write!(text, "\n\n_PATH = \"{}\"\n", shape.path());
    text + REST
}

/// In the functional form, because an input may be called as a word of the language.
fn typed_dict(text: &mut String, name: &str, fields: &[Field]) {
    let _ = write!(text, "\n\n{name} = TypedDict(\"{name}\", {{\n");
    for field in fields {
        let one = typed(field);
        let one = if field.required { one } else { format!("NotRequired[{one}]") };
        let _ = writeln!(text, "    # {}\n    {}: {one},", field.docs, serde_json::json!(field.name));
    }
    text.push_str("})\n");
}

fn typed(field: &Field) -> String {
    if !field.choices.is_empty() {
        let choices: Vec<_> = field.choices.iter().map(|choice| serde_json::json!(choice).to_string()).collect();
        return format!("Literal[{}]", choices.join(", "));
    }
    let one = match field.kind {
        Type::Number => "float",
        Type::Integer => "int",
        Type::Boolean => "bool",
        Type::Text => "str",
        Type::Point | Type::Vector => "Triple",
        Type::Plane => "Plane",
        Type::Line => "Line",
        Type::Circle => "Circle",
        Type::Rectangle => "Rectangle",
        Type::Box => "Box",
        Type::Curve | Type::Surface | Type::Brep | Type::Mesh | Type::Subd | Type::Geometry => "RhinoObject",
    };
    match field.access {
        Access::Item => one.to_owned(),
        Access::List => format!("list[{one}]"),
        Access::Tree => format!("dict[str, list[{one}]]"),
    }
}

const IMPORTS: &str = r"
from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any, Literal, NotRequired, Sequence, TypedDict

Triple = Sequence[float]
";

const STRUCTURES: &str = r#"Interval = Sequence[float]

Plane = TypedDict("Plane", {"origin": Triple, "x_axis": Triple, "y_axis": Triple})
Line = TypedDict("Line", {"from": Triple, "to": Triple})
Circle = TypedDict("Circle", {"plane": Plane, "radius": float})
Rectangle = TypedDict("Rectangle", {"plane": Plane, "x": Interval, "y": Interval})
Box = TypedDict("Box", {"plane": Plane, "x": Interval, "y": Interval, "z": Interval})
"#;

const REST: &str = r#"

@dataclass(frozen=True)
class Answer:
    outputs: Outputs
    warnings: list[str]
    receipt: dict[str, Any]


class Problem(Exception):
    """Why there is no answer. `code` is a stable word."""

    def __init__(self, status: int, body: dict[str, Any], retry_after: float | None) -> None:
        super().__init__(body.get("detail", f"status {status}"))
        self.status = status
        self.code: str = body.get("code", "not_a_problem")
        self.retryable: bool = body.get("retryable", False)
        self.request_id: str = body.get("request_id", "")
        self.violations: list[dict[str, str]] = body.get("violations", [])
        self.retry_after = retry_after
        """When to try again, in seconds, where the gateway knows."""


def solve(
    inputs: Inputs,
    *,
    base: str,
    key: str | None = None,
    lane: Literal["preview", "batch"] | None = None,
    timeout_sec: float = 100,
) -> Answer:
    """Solves, or raises a `Problem`. `base` is the gateway's address, such as `https://gw.example`."""
    headers = {"Content-Type": "application/json", "X-Timeout-Sec": str(timeout_sec)}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    address = base.rstrip("/") + _PATH + (f"?lane={lane}" if lane else "")
    request = urllib.request.Request(address, json.dumps({"inputs": inputs}).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=timeout_sec + 5) as response:
            body = json.load(response)
    except urllib.error.HTTPError as error:
        try:
            problem = json.load(error)
        except ValueError:
            problem = {}
        after = error.headers.get("Retry-After")
        raise Problem(error.code, problem, float(after) if after else None) from None
    return Answer(body["outputs"], body["warnings"], body["receipt"])
"#;
