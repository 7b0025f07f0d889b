//! TypeScript: `fetch`, so that it runs in browsers, Node, Deno and workers.

use std::fmt::Write as _;

use contract::bindings::{Access, Type};

use super::{Field, RHINO, STRUCTURED, Shape};

pub(super) fn write(shape: &Shape) -> String {
    let (definition, version, title) = (&shape.definition, &shape.version, &shape.title);
    let mut text = format!(
        "// {title}: the client of {definition} {version}. Written by `appserver client ts --app {definition}:{version}`; do not edit.\n\n"
    );
    text += "export type Triple = [number, number, number]\n";
    if shape.has(&STRUCTURED) {
        text += STRUCTURES;
    }
    if shape.has(&RHINO) {
        text += "/** Rhino's own JSON, as rhino3dm reads and writes it. */\nexport interface RhinoObject { version: number; archive3dm: number; opennurbs: number; data: string }\n";
    }
    interface(&mut text, "Inputs", &shape.inputs);
    interface(&mut text, "Outputs", &shape.outputs);
    let _ = write!(text, "\nconst PATH = '{}'\n", shape.path());
    text + REST
}

fn interface(text: &mut String, name: &str, fields: &[Field]) {
    let _ = write!(text, "\nexport interface {name} {{\n");
    for field in fields {
        let optional = if field.required { "" } else { "?" };
        let _ = writeln!(text, "  /** {} */\n  {}{optional}: {}", field.docs, quoted(&field.name), typed(field));
    }
    text.push_str("}\n");
}

/// A member's name; one that is no identifier stands in quotes.
fn quoted(name: &str) -> String {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if plain && !name.starts_with(|first: char| first.is_ascii_digit()) {
        name.to_owned()
    } else {
        serde_json::json!(name).to_string()
    }
}

fn typed(field: &Field) -> String {
    if !field.choices.is_empty() {
        return field
            .choices
            .iter()
            .map(|choice| serde_json::json!(choice).to_string())
            .collect::<Vec<_>>()
            .join(" | ");
    }
    let one = match field.kind {
        Type::Number | Type::Integer => "number",
        Type::Boolean => "boolean",
        Type::Text => "string",
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
        Access::List => format!("{one}[]"),
        Access::Tree => format!("Record<string, {one}[]>"),
    }
}

const STRUCTURES: &str = "export type Interval = [number, number]
export interface Plane { origin: Triple; x_axis: Triple; y_axis: Triple }
export interface Line { from: Triple; to: Triple }
export interface Circle { plane: Plane; radius: number }
export interface Rectangle { plane: Plane; x: Interval; y: Interval }
export interface Box { plane: Plane; x: Interval; y: Interval; z: Interval }
";

const REST: &str = r"
export interface Options {
  /** The gateway's address, such as `https://gw.example`. */
  base: string
  /** A service key. */
  key?: string
  lane?: 'preview' | 'batch'
  /** How long you will wait, in seconds. */
  timeoutSec?: number
  signal?: AbortSignal
}

export interface Answer {
  outputs: Outputs
  warnings: string[]
  receipt: { digest: string; plugins_hash: string; node: string; rhino: string | null; cache: string }
}

export interface Violation { pointer: string; rule: string; message: string; help?: string }

/** Why there is no answer. `code` is a stable word. */
export class Problem extends Error {
  status: number
  code: string
  retryable: boolean
  requestId: string
  violations: Violation[]
  /** When to try again, in seconds, where the gateway knows. */
  retryAfter: number | undefined

  constructor(response: Response, body: any) {
    super(body?.detail ?? `status ${response.status}`)
    this.name = 'Problem'
    this.status = response.status
    this.code = body?.code ?? 'not_a_problem'
    this.retryable = body?.retryable ?? false
    this.requestId = body?.request_id ?? response.headers.get('x-request-id') ?? ''
    this.violations = body?.violations ?? []
    const after = Number(response.headers.get('retry-after') ?? NaN)
    this.retryAfter = Number.isNaN(after) ? undefined : after
  }
}

/** Solves, or throws a `Problem`. */
export async function solve(inputs: Inputs, options: Options): Promise<Answer> {
  const headers: Record<string, string> = { 'Content-Type': 'application/json' }
  if (options.key) headers['Authorization'] = `Bearer ${options.key}`
  if (options.timeoutSec) headers['X-Timeout-Sec'] = String(options.timeoutSec)
  const query = options.lane ? `?lane=${options.lane}` : ''
  const address = options.base.replace(/\/+$/, '') + PATH + query
  const response = await fetch(address, { method: 'POST', headers, body: JSON.stringify({ inputs }), signal: options.signal ?? null })
  const body = await response.json().catch(() => undefined)
  if (!response.ok || body === undefined) throw new Problem(response, body)
  return body as Answer
}
";
