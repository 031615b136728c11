//! The standard errors that flame states of a heap profile's functions.

use std::collections::BTreeMap;

use flame_tests::Outcome;
use flame_tests::heap::{Quantity, is_site};

/// Errors by function and sample type.
pub(crate) struct Stated(BTreeMap<(String, String), f64>);

impl Stated {
    pub(crate) fn of(outcome: &Outcome) -> Self {
        let json = outcome.json();
        let profiles = json["profiles"].as_array().expect("profiles");
        let heap = profiles.iter().find(|profile| profile["profile"] == "heap");
        let functions = heap.expect("a heap profile")["functions"].as_array().expect("functions");
        let mut errors = BTreeMap::new();
        for function in functions {
            let name = function["name"].as_str().expect("a name");
            for (kind, value) in function["values"].as_object().expect("values") {
                let error = value["standard_error"].as_f64().expect("an error");
                errors.insert((name.to_owned(), kind.clone()), error);
            }
        }
        Self(errors)
    }

    /// That of a function, whatever its language; 0 if it is not among those told.
    pub(crate) fn error(&self, function: &str, quantity: Quantity) -> f64 {
        self.of_type(function, quantity.sample_type())
    }

    /// The same of a sample type by its name.
    pub(crate) fn of_type(&self, function: &str, kind: &str) -> f64 {
        let is_it = |(name, of): &(String, String)| of == kind && is_site(name, function);
        self.0.iter().find(|(key, _)| is_it(key)).map_or(0.0, |(_, error)| *error)
    }
}
