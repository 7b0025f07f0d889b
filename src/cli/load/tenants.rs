//! Who calls: tenants with their keys and their share of the load.
//!
//! Invariant: no message and no `Debug` holds a key.

use anyhow::{Context as _, bail};
use http::HeaderValue;

use crate::config::{Environment, Secret};

/// More tenants than this make no table that anybody reads.
const TENANTS_MAX: usize = 64;

/// One tenant of the load.
#[derive(Debug, Clone)]
pub(super) struct Tenant {
    pub(super) name: String,
    /// The whole `Authorization` header, marked sensitive; none for callers without a key.
    pub(super) authorization: Option<HeaderValue>,
    /// Its share of the requests or callers, relative to the others'.
    pub(super) weight: f64,
}

/// The tenants of the command line, or one without a key where there are none.
pub(super) fn tenants(given: &[Secret], environment: &dyn Environment) -> anyhow::Result<Vec<Tenant>> {
    if given.len() > TENANTS_MAX {
        bail!("{} tenants; there may be {TENANTS_MAX}", given.len());
    }
    if given.is_empty() {
        return Ok(vec![Tenant { name: "anonymous".to_owned(), authorization: None, weight: 1.0 }]);
    }
    let mut tenants: Vec<Tenant> = Vec::new();
    for (index, words) in given.iter().enumerate() {
        let tenant = tenant(words.expose(), environment).with_context(|| format!("--tenant number {}", index + 1))?;
        if tenants.iter().any(|other| other.name == tenant.name) {
            bail!("--tenant {} is there twice", tenant.name);
        }
        tenants.push(tenant);
    }
    Ok(tenants)
}

/// `NAME:KEY[:WEIGHT]` or `NAME:env:VARIABLE[:WEIGHT]`.
fn tenant(words: &str, environment: &dyn Environment) -> anyhow::Result<Tenant> {
    const FORM: &str = "it is NAME:env:VARIABLE[:WEIGHT] or NAME:KEY[:WEIGHT]";
    let words: Vec<&str> = words.split(':').collect();
    let (name, key, weight) = match words[..] {
        [name, "env", variable] => (name, variable_of(environment, variable)?, None),
        [name, "env", variable, weight] => (name, variable_of(environment, variable)?, Some(weight)),
        [name, key] => (name, key.to_owned(), None),
        [name, key, weight] => (name, key.to_owned(), Some(weight)),
        _ => bail!(FORM),
    };
    if name.is_empty() || key.is_empty() {
        bail!(FORM);
    }
    let weight = weight.map_or(Ok(1.0), str::parse::<f64>).ok().filter(|weight| (1e-3..=1e6).contains(weight));
    let Some(weight) = weight else { bail!("its weight is a number from 0.001 to 1000000") };
    let mut authorization = HeaderValue::from_str(&format!("Bearer {key}"))
        .map_err(|_holds_the_key| anyhow::anyhow!("no header can carry its key"))?;
    authorization.set_sensitive(true);
    Ok(Tenant { name: name.to_owned(), authorization: Some(authorization), weight })
}

fn variable_of(environment: &dyn Environment, name: &str) -> anyhow::Result<String> {
    environment.var(name).with_context(|| format!("the variable {name} is not set, or empty"))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct One;

    impl Environment for One {
        fn var(&self, name: &str) -> Option<String> {
            (name == "KEY").then(|| "as_secret".to_owned())
        }
    }

    fn parse(words: &str) -> Result<(String, String, f64), String> {
        let tenants = tenants(&[Secret::new(words)], &One).map_err(|error| format!("{error:#}"))?;
        let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
        let tenant = &tenants[0];
        Ok((tenant.name.clone(), tenant.authorization.as_ref().map(text).unwrap_or_default(), tenant.weight))
    }

    #[test]
    fn keys_come_from_the_environment_or_the_line_with_a_weight_or_without() {
        let of = |name: &str, key: &str, weight| Ok((name.to_owned(), format!("Bearer {key}"), weight));
        assert_eq!(parse("a:env:KEY"), of("a", "as_secret", 1.0));
        assert_eq!(parse("a:env:KEY:2.5"), of("a", "as_secret", 2.5));
        assert_eq!(parse("b:as_x"), of("b", "as_x", 1.0));
        assert_eq!(parse("b:as_x:20"), of("b", "as_x", 20.0));
    }

    #[test]
    fn what_is_wrong_is_said_without_the_key() {
        for (words, said) in [
            ("a", "NAME:env"),
            (":as_key", "NAME:env"),
            ("a:env:NONE", "NONE"),
            ("a:as_key:zero", "weight"),
            ("a:as_key:-1", "weight"),
            ("a:as_key\n", "header"),
        ] {
            let told = parse(words).unwrap_err();
            assert!(told.contains(said) && !told.contains("as_key"), "{told}");
        }
        let debug = format!("{:?}", tenants(&[Secret::new("a:as_key")], &One).unwrap());
        assert!(!debug.contains("as_key"), "{debug}");
        assert!(tenants(&[Secret::new("a:x"), Secret::new("a:y")], &One).is_err());
    }
}
