//! The schema's steps, shipped in the binary: which there are, and whether what a database has is what this binary knows.
//!
//! Invariant: a step that was applied is never edited. Its checksum is kept, and a database that disagrees is not touched.

use contract::Digest;

use crate::Error;

/// One step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Migration {
    /// 1, 2, 3 …
    pub(crate) version: i64,
    pub(crate) name: &'static str,
    pub(crate) sql: &'static str,
}

/// A step that a database says it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) version: i64,
    pub(crate) checksum: String,
}

impl Migration {
    pub(crate) fn checksum(&self) -> String {
        Digest::of(self.sql).to_string()
    }
}

/// The steps that are missing. Refuses a database that is newer than this binary, or was made by other steps.
pub(crate) fn missing<'a>(known: &'a [Migration], applied: &[Applied]) -> Result<&'a [Migration], Error> {
    if applied.len() > known.len() {
        let newest = known.len();
        return Err(Error::Unfit(format!("its schema has {} steps and this binary knows {newest}", applied.len())));
    }
    for (step, has) in known.iter().zip(applied) {
        if has.version != step.version || has.checksum != step.checksum() {
            let Migration { version, name, .. } = step;
            return Err(Error::Unfit(format!("its step {version} is not this binary's `{name}`")));
        }
    }
    Ok(&known[applied.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [Migration; 2] = [
        Migration { version: 1, name: "one", sql: "create table one (a int)" },
        Migration { version: 2, name: "two", sql: "create table two (a int)" },
    ];

    fn applied(steps: &[Migration]) -> Vec<Applied> {
        steps.iter().map(|step| Applied { version: step.version, checksum: step.checksum() }).collect()
    }

    #[test]
    fn what_is_missing_is_the_rest_and_what_disagrees_is_refused() {
        assert_eq!(missing(&KNOWN, &[]).unwrap().len(), 2);
        assert_eq!(missing(&KNOWN, &applied(&KNOWN[..1])).unwrap()[0].name, "two");
        assert!(missing(&KNOWN, &applied(&KNOWN)).unwrap().is_empty());
        assert!(matches!(missing(&KNOWN[..1], &applied(&KNOWN)), Err(Error::Unfit(_))), "newer than the binary");
        let edited = [Migration { sql: "create table one (a bigint)", ..KNOWN[0] }];
        assert!(matches!(missing(&KNOWN, &applied(&edited)), Err(Error::Unfit(_))), "edited after it was applied");
    }
}
