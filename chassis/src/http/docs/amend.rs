//! What the document should say and poem-openapi cannot write: that the body of a request has no
//! members but those named, and that an answer has its members also where their value is null.

use std::collections::BTreeSet;

use serde_json::Value;

/// What references to named schemas begin with.
const SCHEMAS: &str = "#/components/schemas/";

/// Adds it to a document.
pub(super) fn amend(document: &mut Value) {
    let requests = requests(document);
    let schemas = document.pointer_mut("/components/schemas");
    for (name, schema) in schemas.and_then(Value::as_object_mut).into_iter().flatten() {
        if requests.contains(name) {
            // `Fields` refuses the others.
            schema["additionalProperties"] = false.into();
        } else {
            require_nullable(schema);
        }
    }
}

/// The names of the schemas that are bodies of requests.
fn requests(document: &Value) -> BTreeSet<String> {
    let items = members(&document["paths"]);
    let operations = items.flat_map(|(_, item)| members(item));
    let bodies =
        operations.flat_map(|(_, operation)| members(&operation["requestBody"]["content"]));
    let references = bodies.filter_map(|(_, body)| body["schema"]["$ref"].as_str());
    references.filter_map(|reference| reference.strip_prefix(SCHEMAS)).map(str::to_owned).collect()
}

/// An `Option` that is written as null is always written; one that is left out is not nullable.
fn require_nullable(schema: &mut Value) {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let always = members(&schema["properties"])
        .filter(|(name, property)| {
            property["nullable"] == true || required.iter().any(|required| required == *name)
        })
        .map(|(name, _)| name.clone().into())
        .collect::<Vec<Value>>();
    if !always.is_empty() {
        schema["required"] = always.into();
    }
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bodies_of_requests_are_closed_and_answers_are_complete() {
        let object = || {
            json!({ "required": ["b"], "properties": {
                "a": { "nullable": true }, "b": {}, "c": {}
            } })
        };
        let reference = |name| json!({ "schema": { "$ref": format!("{SCHEMAS}{name}") } });
        let mut document = json!({
            "paths": { "/x": { "put": {
                "requestBody": { "content": { "application/json": reference("In") } },
                "responses": { "200": { "content": { "application/json": reference("Out") } } }
            } } },
            "components": { "schemas": { "In": object(), "Out": object() } }
        });
        amend(&mut document);
        let schemas = &document["components"]["schemas"];
        assert_eq!(schemas["In"]["additionalProperties"], false);
        assert_eq!(schemas["In"]["required"], json!(["b"]));
        assert_eq!(schemas["Out"].get("additionalProperties"), None);
        assert_eq!(schemas["Out"]["required"], json!(["a", "b"]));
    }
}
