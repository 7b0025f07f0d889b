//! Which lines are written: a level, or `target=level` for what a module and those below it write, with commas between them.
//!
//! Invariant: a word that is no level is an error that says so, and never taken for the name of a module.

use std::fmt;
use std::str::FromStr;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

/// What anybody writes by hand is far below these.
const BYTES_MAX: usize = 1024;
const DIRECTIVES_MAX: usize = 32;

/// A filter and its spelling.
#[derive(Debug, Clone)]
pub struct Filter {
    text: String,
    pub(crate) targets: Targets,
}

/// Why a text is no filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error(
        "a filter says something: a level (off, error, warn, info, debug, trace), or target=level, with commas between them"
    )]
    Empty,
    #[error("a filter has at most {BYTES_MAX} bytes and {DIRECTIVES_MAX} directives")]
    TooLong,
    #[error("`{0}` is no level: off, error, warn, info, debug or trace; for one module write target=level")]
    Level(String),
    #[error("`{0}` is no target: the path of a module such as appserver::registry")]
    Target(String),
    #[error("`{0}` is said twice")]
    Twice(String),
}

// === impl Filter ===

impl Filter {
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Filter {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.len() > BYTES_MAX {
            return Err(Error::TooLong);
        }
        let directives: Vec<&str> = text.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
        match directives.len() {
            0 => return Err(Error::Empty),
            1..=DIRECTIVES_MAX => {}
            _ => return Err(Error::TooLong),
        }
        let mut seen = Vec::new();
        let mut targets = Targets::new();
        for directive in &directives {
            let (target, word) =
                directive.split_once('=').map_or((None, *directive), |(t, word)| (Some(t.trim()), word.trim()));
            if seen.contains(&target) {
                return Err(Error::Twice(target.unwrap_or(directive).to_owned()));
            }
            seen.push(target);
            let level = level(word)?;
            targets = match target {
                Some(target) if is_target(target) => targets.with_target(target, level),
                Some(target) => return Err(Error::Target(target.to_owned())),
                None => targets.with_default(level),
            };
        }
        Ok(Self { text: directives.join(","), targets })
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.targets == other.targets
    }
}

fn level(word: &str) -> Result<LevelFilter, Error> {
    let levels = [
        ("off", LevelFilter::OFF),
        ("error", LevelFilter::ERROR),
        ("warn", LevelFilter::WARN),
        ("info", LevelFilter::INFO),
        ("debug", LevelFilter::DEBUG),
        ("trace", LevelFilter::TRACE),
    ];
    let found = levels.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
    found.map(|(_, level)| level).ok_or_else(|| Error::Level(word.to_owned()))
}

fn is_target(target: &str) -> bool {
    !target.is_empty() && target.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:-.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn levels_and_targets_are_read_as_they_are_meant() {
        let filter: Filter = " warn , appserver=info,appserver::registry=DEBUG".parse().unwrap();
        assert_eq!(filter.as_str(), "warn,appserver=info,appserver::registry=DEBUG");
        let writes = |target: &str, level: &Level| filter.targets.would_enable(target, level);
        assert!(writes("hyper::proto", &Level::WARN) && !writes("hyper::proto", &Level::INFO));
        assert!(writes("appserver::access", &Level::INFO) && !writes("appserver::access", &Level::DEBUG));
        assert!(writes("appserver::registry", &Level::DEBUG));
        assert!(!"off".parse::<Filter>().unwrap().targets.would_enable("x", &Level::ERROR));
    }

    #[test]
    fn what_is_no_filter_says_why() {
        let bad = [
            ("", Error::Empty),
            (" , ", Error::Empty),
            ("inof", Error::Level("inof".into())),
            ("appserver=loud", Error::Level("loud".into())),
            ("appserver", Error::Level("appserver".into())),
            ("=info", Error::Target(String::new())),
            ("a[span]=info", Error::Target("a[span]".into())),
            ("info,debug", Error::Twice("debug".into())),
            ("a=info,a=warn", Error::Twice("a".into())),
        ];
        for (text, error) in bad {
            assert_eq!(text.parse::<Filter>().unwrap_err(), error, "{text}");
        }
        assert_eq!("x".repeat(1025).parse::<Filter>().unwrap_err(), Error::TooLong);
        let many: Vec<String> = (0..33).map(|number| format!("a{number}=info")).collect();
        assert_eq!(many.join(",").parse::<Filter>().unwrap_err(), Error::TooLong);
    }
}
