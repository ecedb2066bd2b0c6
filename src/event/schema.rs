//! JSON Schemas of every kind of event, for `schemas/`. Generated from the types; `tests/schema.rs` fails
//! when the files and the types part.

use serde_json::{Map, Value, json};

use super::{Body, Class, Epoch, Origin, Sequence};

/// One JSON Schema (draft 2020-12) per kind: file name in `schemas/` and content.
#[must_use]
pub fn files() -> Vec<(String, Value)> {
    Body::KINDS
        .iter()
        .zip(Body::schemas())
        .map(|((kind, class), (_, fields))| {
            (format!("{kind}.json"), event_schema(kind, *class, fields.to_value()))
        })
        .collect()
}

fn event_schema(kind: &str, class: Class, mut fields: Value) -> Value {
    let mut definitions = take_object(&mut fields, "$defs");
    for (name, schema) in
        [("Epoch", schemars::schema_for!(Epoch)), ("Sequence", schemars::schema_for!(Sequence))]
    {
        let mut schema = schema.to_value();
        take(&mut schema, "$schema");
        definitions.insert(name.into(), schema);
    }
    let topic = if class == Class::Status { "tandem.status" } else { "tandem.samples" };
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": kind,
        "description": format!("CloudEvents 1.0 event of type {kind}, kept in the topic {topic}."),
        "type": "object",
        "required": ["specversion", "id", "source", "time", "epoch", "sequence", "partitionkey", "type", "data"],
        "properties": {
            "specversion": { "const": "1.0" },
            "id": { "type": "string", "pattern": "^[0-9a-f]{16}-[0-9]{20}$" },
            "source": { "type": "string", "pattern": "^/routers/[A-Za-z0-9][A-Za-z0-9._-]{0,62}$" },
            "subject": { "type": "string" },
            "time": { "type": "string", "format": "date-time" },
            "epoch": { "$ref": "#/$defs/Epoch" },
            "sequence": { "$ref": "#/$defs/Sequence" },
            "partitionkey": { "type": "string" },
            "type": { "const": kind },
            "data": data_schema(fields),
        },
        "$defs": definitions,
    })
}

/// The origin's fields and the body's, in one object.
fn data_schema(mut fields: Value) -> Value {
    let mut origin = schemars::schema_for!(Origin).to_value();
    let mut properties = take_object(&mut origin, "properties");
    let clock = take_object(&mut origin, "$defs").remove("ClockState");
    if let (Some(property), Some(clock)) = (properties.get_mut("clock"), clock) {
        *property = clock;
    }
    properties.extend(take_object(&mut fields, "properties"));
    let mut required = take_array(&mut origin, "required");
    required.extend(take_array(&mut fields, "required"));
    json!({ "type": "object", "required": required, "properties": properties })
}

fn take(schema: &mut Value, key: &str) -> Value {
    schema.as_object_mut().and_then(|object| object.remove(key)).unwrap_or_default()
}

fn take_object(schema: &mut Value, key: &str) -> Map<String, Value> {
    match take(schema, key) {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

fn take_array(schema: &mut Value, key: &str) -> Vec<Value> {
    match take(schema, key) {
        Value::Array(array) => array,
        _ => Vec::new(),
    }
}
