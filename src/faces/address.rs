//! Which contract a client means: by the many ways in which its pointer or address may be spelled, or by the file itself.
//!
//! Invariant: a pointer is only ever a name. No spelling of it makes the gateway read a file or fetch an address.

use http::Uri;

use super::published::Index;
use super::question::{Names, decoded};
use crate::gateway::Error;
use crate::gateway::route::is_name;

/// The contract that is meant. Whether it is there, and for this caller, the path decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) definition: String,
    pub(super) version: String,
    /// It was found by its file and not by its name.
    pub(super) by_content: bool,
}

/// Finds the contract: the pointer first, then the file, as a node does.
pub(super) fn find(names: &Names, host: Option<&str>, index: &Index) -> Result<Target, Error> {
    match (&names.pointer, &names.algo) {
        (Some(pointer), algo) => match (by_pointer(pointer, host, index), algo) {
            (Err(_), Some(algo)) => by_algo(algo, index),
            (found, _) => found,
        },
        (None, Some(algo)) => by_algo(algo, index),
        (None, None) => Err(Error::BadJson { message: "the body names no definition: `pointer` does".to_owned() }),
    }
}

/// What a caller is told whose file or key is nothing that was published.
pub(super) fn unmatched(names: &Names) -> Error {
    let key = names.pointer.as_deref().is_some_and(|pointer| pointer.starts_with("md5_"));
    if key && names.algo.is_none() { Error::StalePointer } else { adhoc() }
}

fn adhoc() -> Error {
    Error::PolicyDenied {
        what: "a definition that was not published",
        policy: "adhoc: deny",
        help: "; publish it as a version, and name it as `gh/<definition>:<version>`",
    }
}

fn by_algo(algo: &str, index: &Index) -> Result<Target, Error> {
    index.by_algo(algo).ok_or_else(adhoc)
}

fn by_pointer(pointer: &str, host: Option<&str>, index: &Index) -> Result<Target, Error> {
    if pointer.starts_with("md5_") {
        return index.by_pointer(pointer).ok_or(Error::StalePointer);
    }
    let path = if pointer.contains("://") { path_on(pointer, host).ok_or_else(adhoc)? } else { pointer.to_owned() };
    name(&path).ok_or_else(adhoc)
}

/// The path of an address of ours; none where it names another server.
fn path_on(pointer: &str, host: Option<&str>) -> Option<String> {
    let uri: Uri = pointer.parse().ok()?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return None;
    }
    let ours = host.is_some_and(|host| uri.authority().is_some_and(|found| found.as_str().eq_ignore_ascii_case(host)));
    ours.then(|| uri.path().to_owned())
}

/// The contract that a path or a bare name stands for: `gh/sitefit:1.0.0`, `gh/sitefit/1.0.0`, `sitefit:stable`, `sitefit.gh`.
pub(super) fn name(path: &str) -> Option<Target> {
    let path = decoded(&path.replace('+', "%2B"))?;
    let path = path.trim_matches('/');
    let path = path.strip_prefix("gh/").unwrap_or(path);
    let (definition, version) = match path.split_once([':', '/']) {
        Some((definition, version)) => (definition, version),
        None => (without_extension(path), "stable"),
    };
    (is_name(definition) && is_name(version)).then(|| Target {
        definition: definition.to_owned(),
        version: version.to_owned(),
        by_content: false,
    })
}

fn without_extension(name: &str) -> &str {
    name.strip_suffix(".ghx").or_else(|| name.strip_suffix(".gh")).unwrap_or(name)
}

/// The definition of an address such as `/sitefit.gh`.
pub(super) fn file(path: &str) -> Option<&str> {
    let name = path.strip_prefix('/')?;
    let bare = without_extension(name);
    (bare != name && is_name(bare)).then_some(bare)
}

/// `/gh/sitefit/1.0.0`, as a tree of sources nests it.
pub(super) fn nested(path: &str) -> Option<(String, String)> {
    let (definition, version) = path.strip_prefix("/gh/")?.split_once('/')?;
    (is_name(definition) && is_name(version)).then(|| (definition.to_owned(), version.to_owned()))
}

/// `/gh/sitefit:1.0.0`, our own.
pub(super) fn own(path: &str) -> Option<(String, String)> {
    let (definition, version) = path.strip_prefix("/gh/")?.split_once(':')?;
    (is_name(definition) && is_name(version)).then(|| (definition.to_owned(), version.to_owned()))
}

pub(super) fn direct(path: &str) -> bool {
    own(path).is_some()
}

/// `/gh/sitefit/solve`: the address of `/gh/sitefit/1.0.0` with its last part replaced.
pub(super) fn is_solve_of_a_folder(path: &str) -> bool {
    path.strip_prefix("/gh/").and_then(|rest| rest.strip_suffix("/solve")).is_some_and(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pointer: &str) -> Result<(String, String), &'static str> {
        let found = by_pointer(pointer, Some("gw.example:3000"), &Index::default());
        found.map(|target| (target.definition, target.version)).map_err(|error| error.meaning().code)
    }

    #[test]
    fn a_pointer_names_a_contract_in_many_spellings() {
        for pointer in [
            "gh/sitefit:1.0.0",
            "/gh/sitefit:1.0.0/",
            "gh/sitefit/1.0.0",
            "sitefit:1.0.0",
            "gh/sitefit%3A1.0.0",
            "http://gw.example:3000/gh/sitefit:1.0.0",
            "https://GW.example:3000/gh/sitefit/1.0.0?x=1",
        ] {
            assert_eq!(found(pointer), Ok(("sitefit".into(), "1.0.0".into())), "{pointer}");
        }
        for pointer in ["sitefit.gh", "sitefit.ghx", "sitefit", "http://gw.example:3000/sitefit.gh"] {
            assert_eq!(found(pointer), Ok(("sitefit".into(), "stable".into())), "{pointer}");
        }
    }

    #[test]
    fn what_a_node_would_read_or_fetch_is_denied() {
        for pointer in [
            "http://other.example/gh/sitefit:1.0.0",
            "http://gw.example/gh/sitefit:1.0.0",
            "file:///etc/passwd",
            "C:\\files\\sitefit.gh",
            "../../etc/passwd",
            "gh/../sitefit:1.0.0",
            "a b",
            "gh/a/b/c",
        ] {
            assert_eq!(found(pointer), Err("policy_denied"), "{pointer}");
        }
        assert_eq!(found("md5_00"), Err("stale_pointer"));
    }
}
