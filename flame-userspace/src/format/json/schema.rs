//! A check of JSON against the part of JSON Schema (2020-12) that the schemas here use. A keyword
//! that it does not know is an error, so that no schema says more than is checked.

use serde_json::Value;

/// Panics unless `value` is what `schema` says.
pub(super) fn assert_valid(schema: &str, value: &Value) {
    let errors = errors(schema, value);
    assert!(errors.is_empty(), "{errors:#?}");
}

/// Where `value` is not what `schema` says.
pub(super) fn errors(schema: &str, value: &Value) -> Vec<String> {
    let schema: Value = serde_json::from_str(schema).expect("a schema is JSON");
    let mut errors = Vec::new();
    check(&schema, &schema, value, "", &mut errors);
    errors
}

fn check(root: &Value, schema: &Value, value: &Value, at: &str, errors: &mut Vec<String>) {
    for (keyword, wanted) in schema.as_object().expect("a schema is an object") {
        let mut wrong = |what: String| errors.push(format!("{at}: {what}"));
        match keyword.as_str() {
            "$schema" | "$id" | "$defs" | "title" | "description" => {}
            "$ref" => {
                let pointer = wanted.as_str().and_then(|r| r.strip_prefix('#'));
                let target = pointer.and_then(|pointer| root.pointer(pointer));
                check(root, target.expect("a reference leads somewhere"), value, at, errors);
            }
            "const" => {
                if value != wanted {
                    wrong(format!("{value} is not {wanted}"));
                }
            }
            "enum" => {
                if !wanted.as_array().expect("a list").contains(value) {
                    wrong(format!("{value} is none of {wanted}"));
                }
            }
            "type" => {
                let names = wanted.as_array().cloned().unwrap_or_else(|| vec![wanted.clone()]);
                if !names.iter().any(|name| is(name.as_str().expect("a name"), value)) {
                    wrong(format!("{value} is no {wanted}"));
                }
            }
            "minimum" => {
                if value.as_f64() < wanted.as_f64() {
                    wrong(format!("{value} is less than {wanted}"));
                }
            }
            "required" => {
                let names = wanted.as_array().expect("a list");
                for name in names.iter().filter(|_| value.is_object()) {
                    if value.get(name.as_str().expect("a name")).is_none() {
                        wrong(format!("no {name}"));
                    }
                }
            }
            "properties" => {
                for (name, part) in value.as_object().into_iter().flatten() {
                    if let Some(schema) = wanted.get(name) {
                        check(root, schema, part, &format!("{at}/{name}"), errors);
                    }
                }
            }
            "additionalProperties" => {
                assert_eq!(wanted, &Value::Bool(false), "else it is not checked");
                let known = &schema["properties"];
                for name in value.as_object().into_iter().flatten().map(|(name, _)| name) {
                    if known.get(name).is_none() {
                        wrong(format!("{name} is not known"));
                    }
                }
            }
            "items" => {
                for (row, part) in value.as_array().into_iter().flatten().enumerate() {
                    check(root, wanted, part, &format!("{at}/{row}"), errors);
                }
            }
            other => panic!("{at}: the keyword {other} is not checked here"),
        }
    }
}

fn is(name: &str, value: &Value) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("no such type: {other}"),
    }
}
