//! What we emit and what we published stay together: `schemas/` equals the types, every example event ever
//! released stays readable and valid, and the examples cover every kind.
//!
//! `TANDEM_BLESS=1 cargo test --test schema` writes the schemas anew. It never touches `tests/events/`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tandem::event::{Body, Class, Event, schema};

#[test]
fn schemas_on_disk_equal_the_types() {
    let folder = root().join("schemas");
    let bless = std::env::var_os("TANDEM_BLESS").is_some();
    let mut expected = BTreeSet::new();
    for (name, schema) in schema::files() {
        let text = format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
        if bless {
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(&name), &text).unwrap();
        }
        let on_disk = fs::read_to_string(folder.join(&name)).unwrap_or_default();
        assert!(on_disk == text, "schemas/{name} is not what the types say; see the head of this file");
        expected.insert(name);
    }
    let events = names(&folder).into_iter().filter(|name| name.starts_with("io.tandem."));
    assert_eq!(events.collect::<BTreeSet<_>>(), expected, "schemas/ holds a kind that no longer exists");
}

#[test]
fn every_example_is_valid_by_its_schema() {
    let schemas: BTreeMap<String, Value> = schema::files().into_iter().collect();
    for (name, text) in examples() {
        let value: Value = serde_json::from_str(&text).unwrap();
        let kind = value["type"].as_str().unwrap();
        let Some(schema) = schemas.get(&format!("{kind}.json")) else {
            assert!(name.starts_with("unknown"), "{name} is of a type that no schema describes");
            continue;
        };
        let validator = jsonschema::draft202012::new(schema).unwrap();
        let faults: Vec<String> =
            validator.iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(faults.is_empty(), "{name}: {}", faults.join("\n"));
    }
}

#[test]
fn every_example_reads_and_writes_back_to_the_same_value() {
    for (name, text) in examples() {
        let event = Event::from_json(text.as_bytes()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let before: Value = serde_json::from_str(&text).unwrap();
        let after: Value = serde_json::from_slice(&event.to_json()).unwrap();
        assert_eq!(sorted(&before), sorted(&after), "{name}");
    }
}

#[test]
fn the_examples_cover_every_kind() {
    let seen: BTreeSet<String> = examples()
        .iter()
        .map(|(_, text)| Event::from_json(text.as_bytes()).unwrap().body.kind().to_owned())
        .collect();
    let missing: Vec<_> = Body::KINDS.iter().filter(|(kind, _)| !seen.contains(*kind)).collect();
    assert!(missing.is_empty(), "tests/events/ has no example of {missing:?}");
}

#[test]
fn a_schema_refuses_what_the_types_refuse() {
    let schemas: BTreeMap<String, Value> = schema::files().into_iter().collect();
    for (name, text) in examples() {
        let mut value: Value = serde_json::from_str(&text).unwrap();
        let kind = value["type"].as_str().unwrap().to_owned();
        let Some(schema) = schemas.get(&format!("{kind}.json")) else { continue };
        let validator = jsonschema::draft202012::new(schema).unwrap();
        value["data"].as_object_mut().unwrap().remove("boot_id");
        assert!(!validator.is_valid(&value), "{name} without boot_id");
        assert!(Event::from_json(value.to_string().as_bytes()).is_err(), "{name} without boot_id");
    }
}

#[test]
fn an_unknown_kind_counts_as_status() {
    assert_eq!(Body::class_of("io.tandem.tower.climbed.v7"), Class::Status);
}

/// Numbers as they are compared: `9` and `9.0` are one value.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), sorted(value))).collect(),
        Value::Array(items) => items.iter().map(sorted).collect(),
        Value::Number(number) => serde_json::json!(number.as_f64()),
        other => other.clone(),
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn examples() -> Vec<(String, String)> {
    let folder = root().join("tests/events");
    let examples: Vec<_> = names(&folder)
        .into_iter()
        .map(|name| (name.clone(), fs::read_to_string(folder.join(&name)).unwrap()))
        .collect();
    assert!(examples.len() >= Body::KINDS.len());
    examples
}
