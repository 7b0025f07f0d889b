//! A fixture for each rule.
