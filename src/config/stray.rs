//! Variables that look like settings of ours and set nothing.
//!
//! Invariant: names only. A value may be a secret.

use super::{Config, Environment};

/// Variables that other parts and commands read.
const OTHERS: [&str; 4] = ["APPSERVER_CONFIG", "APPSERVER_URL", "APPSERVER_ADMIN_URL", "APPSERVER_ADMIN_KEY"];
/// What the test suite is told by.
const TESTS: &str = "APPSERVER_TEST_";

/// Each variable that begins with `APPSERVER_` and sets nothing, with the one that was probably meant.
pub fn stray_variables(environment: &dyn Environment) -> Vec<(String, Option<String>)> {
    let known = super::load::variables(&Config::default());
    let known: Vec<&str> = known.iter().map(String::as_str).chain(OTHERS).collect();
    let stray = environment
        .names()
        .into_iter()
        .filter(|name| name.starts_with("APPSERVER_") && !name.starts_with(TESTS) && !known.contains(&name.as_str()));
    let meant = |name: String| {
        let meant = contract::fault::closest(&name, known.iter().copied()).map(str::to_owned);
        (name, meant)
    };
    stray.map(meant).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Named(&'static [&'static str]);

    impl Environment for Named {
        fn var(&self, _: &str) -> Option<String> {
            None
        }

        fn names(&self) -> Vec<String> {
            self.0.iter().map(ToString::to_string).collect()
        }
    }

    #[test]
    fn a_misspelt_variable_is_found_and_the_right_one_named() {
        let named = Named(&["PATH", "APPSERVER_URL", "APPSERVER_SERVER_DRAIN_SEC", "APPSERVER_SERVER_DRAIN_SECS"]);
        let meant = Some("APPSERVER_SERVER_DRAIN_SEC".to_owned());
        assert_eq!(stray_variables(&named), [("APPSERVER_SERVER_DRAIN_SECS".to_owned(), meant)]);
    }
}
