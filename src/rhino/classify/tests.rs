//! Every row of the node's error table, for both generations of the node.

use super::*;

const GUID: &str = "11111111-2222-3333-4444-555555555555";
const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";

struct Row {
    says: &'static str,
    status: u16,
    content_type: &'static str,
    body: String,
    /// What it means to a request with the key, and to one with the definition.
    pointer: Outcome,
    algo: Outcome,
}

fn both(says: &'static str, status: u16, content_type: &'static str, body: impl Into<String>, meaning: Outcome) -> Row {
    Row { says, status, content_type, body: body.into(), pointer: meaning.clone(), algo: meaning }
}

fn component_error(message: &str) -> Outcome {
    let error =
        ComponentError { message: message.to_owned(), component: Some("Div".to_owned()), guid: Some(GUID.to_owned()) };
    Outcome::DefinitionError { errors: vec![error], warnings: Vec::new() }
}

fn nonsense(what: Nonsense) -> Outcome {
    Outcome::Nonsense(what)
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn rows() -> Vec<Row> {
    let errors = format!(r#"["Division by zero: component \"Div\" ({GUID})"]"#);
    let twins = Outcome::DefinitionError {
        errors: vec![ComponentError { message: "Multiple inputs named x".into(), component: None, guid: None }],
        warnings: vec!["w".into()],
    };
    let refused = |message: &str| Outcome::Refused { message: message.to_owned() };
    vec![
        both(
            "a component error",
            500,
            JSON,
            format!(r#"{{"values":[],"errors":{errors}}}"#),
            component_error("Division by zero"),
        ),
        both(
            "a component error with no values",
            500,
            JSON,
            format!(r#"{{"errors":{errors}}}"#),
            component_error("Division by zero"),
        ),
        both(
            "two parameters with one name",
            200,
            JSON,
            r#"{"values":[],"errors":["Multiple inputs named x"],"warnings":["w"]}"#,
            twins,
        ),
        Row {
            says: "0.16: bad input, unknown key, no outputs",
            status: 500,
            content_type: "",
            body: String::new(),
            pointer: Outcome::StalePointer,
            algo: nonsense(Nonsense::Empty500),
        },
        Row {
            says: "0.17: the same, with 500",
            status: 500,
            content_type: JSON,
            body: r#"{"error":"Internal","message":"Unable to load the definition"}"#.into(),
            pointer: Outcome::StalePointer,
            algo: refused("Internal: Unable to load the definition"),
        },
        Row {
            says: "0.17: the same, with 400",
            status: 400,
            content_type: JSON,
            body: r#"{"error":"Bad Request","message":"No outputs"}"#.into(),
            pointer: Outcome::StalePointer,
            algo: refused("Bad Request: No outputs"),
        },
        both("a wrong key", 401, "text/plain", "Unauthorized", Outcome::Unauthorised),
        both("the proxy's own timeout, 0.17", 504, JSON, r#"{"error":"timeout","message":"…"}"#, Outcome::Timeout),
        both("a request beyond the proxy's limit", 413, "", "", Outcome::TooLarge),
        both("a request beyond IIS's limit", 404, HTML, "<h2>HTTP Error 404.13 - Not Found</h2>", Outcome::TooLarge),
        both("IIS gave up", 502, HTML, "<html><h1>502 Bad Gateway</h1></html>", nonsense(Nonsense::Html(502))),
        both("a page with status 200", 200, HTML, "<html></html>", nonsense(Nonsense::Html(200))),
        both("a page with status 500", 500, HTML, "\n<!DOCTYPE html>", nonsense(Nonsense::Html(500))),
        both("a page that calls itself JSON", 200, JSON, "<html>", nonsense(Nonsense::Html(200))),
        both("0.16: a failure with status 200", 200, "text/plain", "Error: boom", nonsense(Nonsense::Text(200))),
        both("200 and nothing", 200, JSON, "", nonsense(Nonsense::Text(200))),
        both("a text with 500", 500, "text/plain", "System.Exception", nonsense(Nonsense::Text(500))),
        both("an answer cut short", 200, JSON, r#"{"values":[{"ParamName":"a","Inn"#, nonsense(Nonsense::Truncated)),
        both("an error cut short", 500, JSON, r#"{"values":[],"errors":["a"#, nonsense(Nonsense::Truncated)),
        both("another service", 200, JSON, r#"{"status":"ok"}"#, nonsense(Nonsense::Shape(200))),
        both("a list", 200, JSON, "[]", nonsense(Nonsense::Shape(200))),
        both("values of another shape", 200, JSON, r#"{"values":[{"name":"a"}]}"#, nonsense(Nonsense::Shape(200))),
        both("500 with values and no errors", 500, JSON, r#"{"values":[]}"#, nonsense(Nonsense::Shape(500))),
        both("two members of one name", 200, JSON, r#"{"values":[],"values":[]}"#, nonsense(Nonsense::Bounds)),
        both("nested without end", 200, JSON, format!("{{\"values\":{}", "[".repeat(5000)), nonsense(Nonsense::Bounds)),
        both("another route", 404, "text/plain", "", nonsense(Nonsense::Status(404))),
        both("a redirect", 302, "", "", nonsense(Nonsense::Status(302))),
        both("503", 503, "", "", nonsense(Nonsense::Status(503))),
        both("400 and nothing", 400, "", "", nonsense(Nonsense::Status(400))),
        both("a result", 200, JSON, r#"{"values":[],"pointer":"md5_A"}"#, Outcome::Solved(Answer::default())),
        both(
            "a result with warnings",
            200,
            JSON,
            r#"{"values":[],"errors":[],"warnings":["thin"]}"#,
            Outcome::Solved(Answer { warnings: vec!["thin".into()], ..Answer::default() }),
        ),
    ]
}

#[test]
fn every_row_of_the_table_has_its_meaning() {
    for row in rows() {
        let reply = Reply {
            status: row.status,
            content_type: Some(row.content_type).filter(|kind| !kind.is_empty()),
            body: row.body.as_bytes(),
        };
        for (source, expected) in [(Source::Pointer, &row.pointer), (Source::Algo, &row.algo)] {
            let sent = Sent { source, elapsed: Duration::from_millis(40), proxy_timeout: Duration::from_secs(100) };
            assert_eq!(&classify(reply, sent), expected, "{} ({source:?})", row.says);
        }
    }
}

#[test]
fn an_empty_500_as_late_as_the_proxy_s_timeout_is_that_timeout() {
    for source in [Source::Pointer, Source::Algo] {
        let reply = Reply { status: 500, content_type: None, body: b"" };
        let late = Sent { source, elapsed: Duration::from_secs(100), proxy_timeout: Duration::from_secs(100) };
        assert_eq!(classify(reply, late), Outcome::Timeout);
        assert!(!classify(reply, late).resend_with_algo(), "the solve still runs");
    }
}

#[test]
fn only_the_node_s_own_failures_count_against_it() {
    for row in rows() {
        for outcome in [row.pointer, row.algo] {
            let by_node = outcome.fault() == Some(Fault::Node) || outcome == Outcome::Unauthorised;
            assert_eq!(outcome.counts_against_node(), by_node, "{}: {outcome:?}", row.says);
            assert_eq!(outcome.resend_with_algo(), outcome == Outcome::StalePointer, "{}", row.says);
        }
    }
}

#[test]
fn a_component_error_is_taken_apart_from_its_end() {
    let tricky = format!(r#"x: component "a" (b): component "N ("q")" ({GUID})"#);
    let read = ComponentError::read(&tricky);
    assert_eq!(read.message, r#"x: component "a" (b)"#);
    assert_eq!(read.component.as_deref(), Some(r#"N ("q")"#));
    let plain = ComponentError::read("Solution exception: (not a guid)");
    assert_eq!((plain.message.as_str(), plain.component), ("Solution exception: (not a guid)", None));
}
