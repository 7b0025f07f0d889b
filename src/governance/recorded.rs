//! What callers really sent, replayed through another version's schema.
//!
//! Invariant: inputs are the customers'. A refusal is told by the digest of the inputs, the place and the rule; a value is shown only
//! where the rule's own words have it.

use std::fmt;
use std::path::{Path, PathBuf};

use contract::{Contract, Digest};
use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::admin::inputs::Recorded;

/// Files of a folder that are read, and the bytes of each: a file may hold a whole sample.
const FILES: usize = 10_000;
const FILE_BYTES: u64 = 256 << 20;

/// Recorded inputs of one version.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub inputs: Vec<Value>,
    /// How many distinct ones there were in all, as far as is known.
    pub distinct: u64,
    /// Whether these are all that came.
    pub whole: bool,
}

/// What became of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// Distinct inputs that were replayed.
    pub asked: usize,
    pub distinct: u64,
    pub whole: bool,
    /// By digest.
    pub refused: Vec<Replayed>,
    /// Those that the version they are said to be of does not take itself.
    pub unreadable: usize,
}

/// Inputs that the new version refuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// Of their canonical form in the old version, as in `Recorded`.
    pub digest: Digest,
    /// What it is refused for. Pointers are within the inputs.
    pub violations: Vec<Refusal>,
    /// A caller who leaves defaults out would be accepted; the canonical form does not tell who did.
    pub only_if_spelled_out: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    pub pointer: String,
    pub rule: &'static str,
    pub message: String,
}

/// Why recorded inputs cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{}: {message}", path.display())]
    Form { path: PathBuf, message: String },
    #[error("the inputs of {} are of {found}, and the alias points to {wanted}", path.display())]
    OfAnother { path: PathBuf, found: String, wanted: String },
}

/// One solve's body, or an example.
#[derive(Debug, Deserialize)]
struct Single {
    inputs: Map<String, Value>,
}

/// Reads recorded inputs: a file as `/admin/inputs` answers it, a body with `inputs`, or a folder of such files.
///
/// # Errors
/// For the first file that cannot be read, is none of these, or says that it is of another app or version than `app` and `version`.
pub fn read(path: &Path, app: &str, version: &Version) -> Result<Sample, Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    if !std::fs::metadata(path).map_err(failed)?.is_dir() {
        return read_file(path, app, version);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        if file.extension().is_some_and(|end| end == "json") {
            files.push(file);
        }
        if files.len() > FILES {
            return Err(form(path, format!("it has more than {FILES} files")));
        }
    }
    files.sort();
    let mut all = Sample { inputs: Vec::new(), distinct: 0, whole: true };
    for file in files {
        let sample = read_file(&file, app, version)?;
        all.whole &= sample.whole;
        all.distinct += sample.distinct;
        all.inputs.extend(sample.inputs);
    }
    Ok(all)
}

fn read_file(path: &Path, app: &str, version: &Version) -> Result<Sample, Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    if std::fs::metadata(path).map_err(failed)?.len() > FILE_BYTES {
        return Err(form(path, format!("it has more than {FILE_BYTES} bytes")));
    }
    let bytes = std::fs::read(path).map_err(failed)?;
    if let Ok(recorded) = serde_json::from_slice::<Recorded>(&bytes) {
        if (recorded.app_id.as_str(), &recorded.version) != (app, version) {
            let found = format!("{}:{}", recorded.app_id, recorded.version);
            return Err(Error::OfAnother { path: path.to_owned(), found, wanted: format!("{app}:{version}") });
        }
        return Sample::of(&recorded).map_err(|message| form(path, message));
    }
    let Ok(Single { inputs }) = serde_json::from_slice(&bytes) else {
        return Err(form(path, "this is neither what /admin/inputs answers nor an object with `inputs`".to_owned()));
    };
    Ok(Sample { inputs: vec![Value::Object(inputs)], distinct: 1, whole: true })
}

fn form(path: &Path, message: String) -> Error {
    Error::Form { path: path.to_owned(), message }
}

/// Replays inputs that `old` took through `new`.
pub fn replay(sample: &Sample, old: &Contract, new: &Contract) -> Replay {
    let (mut seen, mut refused, mut unreadable) = (std::collections::BTreeSet::new(), Vec::new(), 0);
    for inputs in &sample.inputs {
        let Ok(taken) = old.check_inputs(inputs) else {
            unreadable += 1;
            continue;
        };
        if !seen.insert(taken.key) {
            continue;
        }
        let whole = Value::Object(taken.values);
        let Err(violations) = new.check_inputs(&whole) else { continue };
        let sparse = without_defaults(whole, &taken.key, old);
        refused.push(Replayed {
            digest: taken.key,
            violations: violations.into_iter().map(Refusal::of).collect(),
            only_if_spelled_out: new.check_inputs(&sparse).is_ok(),
        });
    }
    refused.sort_by_key(|replayed| (replayed.only_if_spelled_out, replayed.digest));
    Replay { asked: seen.len(), distinct: sample.distinct, whole: sample.whole, refused, unreadable }
}

/// The least that a caller can have sent for the same solve.
fn without_defaults(inputs: Value, key: &Digest, old: &Contract) -> Value {
    let Value::Object(mut inputs) = inputs else { return inputs };
    let names: Vec<String> = inputs.keys().cloned().collect();
    for name in names {
        let Some(value) = inputs.remove(&name) else { continue };
        let same = old.check_inputs(&Value::Object(inputs.clone())).is_ok_and(|taken| taken.key == *key);
        if !same {
            inputs.insert(name, value);
        }
    }
    Value::Object(inputs)
}

// === impl Sample ===

impl Sample {
    /// What a gateway answered.
    ///
    /// # Errors
    /// Where inputs are no object.
    pub fn of(recorded: &Recorded) -> Result<Self, String> {
        let inputs = recorded.inputs.iter().map(|input| {
            let value = serde_json::from_str::<Map<String, Value>>(input.inputs.get());
            value.map(Value::Object).map_err(|error| format!("the inputs {} are no object: {error}", input.digest))
        });
        Ok(Self { inputs: inputs.collect::<Result<_, _>>()?, distinct: recorded.distinct, whole: recorded.whole })
    }
}

// === impl Refusal ===

impl Refusal {
    fn of(violation: contract::Violation) -> Self {
        Self { pointer: violation.pointer, rule: violation.rule, message: violation.message }
    }
}

impl fmt::Display for Replayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.digest)?;
        for Refusal { pointer, message, rule } in &self.violations {
            write!(f, "  {pointer} {message} ({rule})")?;
        }
        if self.only_if_spelled_out {
            f.write_str("  only where a caller spells out the default")?;
        }
        Ok(())
    }
}
