//! The JSON Schema of the config file, for editors.

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{Schema, SchemaGenerator};
use serde_json::Value;

use super::Document;

/// The schema of a config file as JSON text: stable, so that it can be compared with the shipped
/// `config/schema.json` byte by byte.
pub(crate) fn schema_json() -> String {
    let settings = SchemaSettings::draft07().with_transform(ForEditors);
    let schema = SchemaGenerator::new(settings).into_root_schema_for::<Document>();
    // Alternate form of a JSON value: pretty-printed.
    let mut text = format!("{:#}", schema.as_value());
    text.push('\n');
    text
}

/// Plain descriptions, and no `null`: a field that may be left out may not therefore be written as `null`: an editor should notice an
/// empty `split:`.
#[derive(Clone, Debug)]
struct ForEditors;

impl Transform for ForEditors {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(object) = schema.as_object_mut() {
            // Doc comments break lines where source code does; editors break them by themselves.
            if let Some(Value::String(text)) = object.get_mut("description") {
                *text = text.replace('\n', " ");
            }
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|one| one != "null");
                if let [one] = types.as_slice() {
                    let one = one.clone();
                    object.insert("type".to_owned(), one);
                }
            }
            if let Some(Value::Array(options)) = object.get_mut("anyOf") {
                options.retain(|one| one.get("type").is_none_or(|kind| kind != "null"));
                if let [one] = options.as_slice() {
                    let all = Value::Array(vec![one.clone()]);
                    object.remove("anyOf");
                    object.insert("allOf".to_owned(), all);
                }
            }
        }
        transform_subschemas(self, schema);
    }
}
