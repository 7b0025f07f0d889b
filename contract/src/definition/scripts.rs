//! Components that carry code: their language, a digest of the code, and the packages that it needs.
//!
//! A node must have these packages, and a registry may forbid scripts. Code is only looked at, never run.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;

use super::archive::Chunk;
use super::canvas::{Canvas, Object};
use super::clusters::Cluster;
use super::guids;
use super::model::Script;

/// Modules that come with Python 2 or 3, or with Rhino.
const BUILT_IN: &[&str] = &[
    "__builtin__",
    "__future__",
    "abc",
    "argparse",
    "array",
    "ast",
    "asyncio",
    "base64",
    "binascii",
    "bisect",
    "builtins",
    "calendar",
    "cmath",
    "codecs",
    "collections",
    "colorsys",
    "concurrent",
    "configparser",
    "contextlib",
    "copy",
    "csv",
    "ctypes",
    "dataclasses",
    "datetime",
    "decimal",
    "difflib",
    "email",
    "enum",
    "errno",
    "fnmatch",
    "fractions",
    "ftplib",
    "functools",
    "gc",
    "getpass",
    "glob",
    "gzip",
    "hashlib",
    "heapq",
    "hmac",
    "html",
    "http",
    "imp",
    "importlib",
    "inspect",
    "io",
    "itertools",
    "json",
    "linecache",
    "locale",
    "logging",
    "math",
    "mimetypes",
    "multiprocessing",
    "numbers",
    "operator",
    "os",
    "pathlib",
    "pickle",
    "pkgutil",
    "platform",
    "pprint",
    "queue",
    "random",
    "re",
    "secrets",
    "select",
    "shutil",
    "signal",
    "site",
    "socket",
    "sqlite3",
    "ssl",
    "statistics",
    "string",
    "struct",
    "subprocess",
    "sys",
    "tempfile",
    "textwrap",
    "threading",
    "time",
    "timeit",
    "token",
    "tokenize",
    "traceback",
    "types",
    "typing",
    "unittest",
    "urllib",
    "urllib2",
    "urlparse",
    "uuid",
    "warnings",
    "weakref",
    "webbrowser",
    "xml",
    "zipfile",
    "zlib", //
    "Eto",
    "GH_IO",
    "Grasshopper",
    "Microsoft",
    "Rhino",
    "RhinoInside",
    "RhinoPython",
    "System",
    "clr",
    "ghpythonlib",
    "rhinoscriptsyntax",
    "scriptcontext",
    "rhinoscript",
];

/// The scripts of a document and its clusters.
pub(super) fn list(canvas: &Canvas<'_>, clusters: &[Cluster]) -> Vec<Script> {
    let mut scripts: Vec<Script> = canvas.objects.iter().filter_map(|object| script(object, false)).collect();
    for document in clusters.iter().filter_map(|cluster| cluster.archive.document()) {
        scripts.extend(Canvas::new(document).objects.iter().filter_map(|object| script(object, true)));
    }
    scripts
}

fn script(object: &Object<'_>, in_cluster: bool) -> Option<Script> {
    let container = object.container;
    let (language, code) = match object.component {
        guids::GH_PYTHON => ("ironpython 2".to_owned(), container.text("CodeInput").map(str::to_owned)),
        guids::CSHARP_SCRIPT => ("csharp".to_owned(), classic_code(container)),
        guids::VB_SCRIPT => ("vb".to_owned(), classic_code(container)),
        _ => {
            let script = container.chunk("Script")?;
            let language = language(script.chunk("LanguageSpec")?);
            (language, script.text("Text").and_then(decode))
        }
    };
    let code = code.filter(|code| !code.trim().is_empty()).map(|code| code.replace("\r\n", "\n"));
    let text = code.as_deref().unwrap_or_default();
    let is_python = language.contains("python");
    Some(Script {
        spot: object.spot(),
        sha256: code.as_ref().map(|code| hex(&Sha256::digest(code.as_bytes()))),
        lines: text.lines().count(),
        packages: if is_python { packages(text) } else { Vec::new() },
        requires: text.lines().filter_map(|line| requirement(line, is_python)).collect(),
        language,
        in_cluster,
    })
}

/// The code of a script component of Rhino 7 and earlier: usings, body, other members, each where it is not empty.
fn classic_code(container: &Chunk) -> Option<String> {
    let parts = ["UsingSource", "ScriptSource", "AdditionalSource"];
    let parts: Vec<&str> =
        parts.iter().filter_map(|part| container.text(part)).filter(|part| !part.is_empty()).collect();
    (!parts.is_empty()).then(|| parts.join("\n"))
}

/// The language of a script component of Rhino 8: `*.*.python` with version `3.*` is "python 3".
fn language(spec: &Chunk) -> String {
    let taxon = spec.text("Taxon").unwrap_or_default().to_ascii_lowercase();
    let name = taxon.rsplit('.').find(|part| !matches!(*part, "" | "*")).unwrap_or("unknown");
    let major = spec.text("Version").and_then(|version| version.split('.').next()).unwrap_or_default();
    match (name, major) {
        ("python", "2") => "ironpython 2".to_owned(),
        ("python" | "ironpython", "") | (_, "" | "*") => name.to_owned(),
        ("python" | "ironpython", major) => format!("{name} {major}"),
        _ => name.to_owned(),
    }
}

fn decode(base64: &str) -> Option<String> {
    let compact: String = base64.split_ascii_whitespace().collect();
    String::from_utf8(STANDARD.decode(compact).ok()?).ok()
}

fn hex(digest: &[u8]) -> String {
    digest.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// The top-level packages of the import lines of Python code.
fn packages(code: &str) -> Vec<String> {
    let mut found = BTreeSet::new();
    for line in code.lines().map(str::trim_start) {
        if let Some(modules) = line.strip_prefix("import ") {
            found.extend(modules.split(',').filter_map(package));
        } else if let Some((module, _)) = line.strip_prefix("from ").and_then(|rest| rest.split_once(" import")) {
            found.extend(package(module));
        }
    }
    found.into_iter().map(str::to_owned).collect()
}

/// `compas` of `compas.geometry as cg`; nothing for what is built in, relative or no identifier.
fn package(module: &str) -> Option<&str> {
    let path = module.split_whitespace().next()?;
    let package = path.split('.').next().unwrap_or(path).trim_end_matches(';');
    let is_identifier = package.chars().all(|letter| letter.is_alphanumeric() || letter == '_')
        && package.chars().next().is_some_and(|first| !first.is_numeric());
    (is_identifier && !BUILT_IN.contains(&package)).then_some(package)
}

/// A requirement in a comment: `# r: numpy==1.24` or `# requirements: …` in Python, `#r "nuget: …"` in C#.
fn requirement(line: &str, is_python: bool) -> Option<String> {
    let rest = line.trim_start().strip_prefix('#')?;
    let stated = if is_python {
        let rest = rest.trim_start().trim_start_matches('!').trim_start();
        rest.strip_prefix("requirements:").or_else(|| rest.strip_prefix("r:"))?
    } else {
        rest.strip_prefix("r ")?
    };
    let stated = stated.trim().trim_matches('"').trim();
    (!stated.is_empty()).then(|| stated.to_owned())
}
