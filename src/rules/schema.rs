//! The JSON Schema of rules.toml, generated from the tables' doc comments; editors read it, [`super::fit`] checks by it.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::rules::affinity::AffinityTable;
use crate::rules::assistant_table::AssistantTable;
use crate::rules::festival::FestivalTable;
use crate::rules::fit::resolve;
use crate::rules::good::GoodTable;
use crate::rules::grant::GrantTable;
use crate::rules::schedule::ScheduleTable;
use crate::rules::shared_keys::{BucketTable, CampaignTable, SharedKeys};
use crate::rules::testing::TestTable;
use crate::rules::title::TitleTable;
use crate::rules::{KINDS, Kind};

/// The schema of rules.toml, draft-07 (the newest that editors' TOML plugins read).
pub static SCHEMA: LazyLock<Value> = LazyLock::new(root);

/// The keys that every rule shares.
pub static SHARED: LazyLock<Vec<String>> = LazyLock::new(|| {
    let keys = properties(&SCHEMA, &SCHEMA["definitions"]["SharedKeys"]);
    keys.keys().cloned().collect()
});

fn root() -> Value {
    let mut generator = SchemaSettings::draft07().into_generator();
    let kinds: Vec<(&Kind, Value)> = KINDS.iter().map(|kind| (kind, (kind.schema)(&mut generator).to_value())).collect();
    let [shared, bucket, schedule, campaign, affinity, title, assistant, grant, festival, good, test] = [
        subschema::<SharedKeys>(&mut generator),
        subschema::<BucketTable>(&mut generator),
        subschema::<ScheduleTable>(&mut generator),
        subschema::<CampaignTable>(&mut generator),
        subschema::<AffinityTable>(&mut generator),
        subschema::<TitleTable>(&mut generator),
        subschema::<AssistantTable>(&mut generator),
        subschema::<GrantTable>(&mut generator),
        subschema::<FestivalTable>(&mut generator),
        subschema::<GoodTable>(&mut generator),
        subschema::<TestTable>(&mut generator),
    ];
    let mut whole = json!({ "definitions": generator.take_definitions(true) });
    let mut rules = Map::new();
    for (kind, own) in kinds {
        let rule = rule(&whole, kind, &own, &shared);
        whole["definitions"][kind.name] = rule;
        rules.insert(kind.name.to_owned(), named(kind.title, &format!("#/definitions/{}", kind.name)));
    }
    rules.insert(
        "bucket".to_owned(),
        json!({ "type": "object", "description": "几条规则共用的上限", "propertyNames": NAME.clone(), "additionalProperties": bucket }),
    );
    rules.insert(
        "festival".to_owned(),
        json!({ "type": "object", "description": "节日、周末、新品的倍数", "propertyNames": NAME.clone(), "additionalProperties": festival }),
    );
    rules.insert("good".to_owned(), json!({ "type": "object", "description": "积分能换的东西", "propertyNames": NAME.clone(), "additionalProperties": good }));
    rules
        .insert("schedule".to_owned(), json!({ "type": "object", "description": "定时发言", "propertyNames": NAME.clone(), "additionalProperties": schedule }));
    let campaign = campaign_with(&whole, &campaign, &rules);
    whole["definitions"]["CampaignTable"] = campaign;
    let mut tables = rules;
    tables.insert("title".to_owned(), json!({ "type": "object", "description": "称号", "propertyNames": NAME.clone(), "additionalProperties": title }));
    tables.insert("affinity".to_owned(), affinity);
    tables.insert("assistant".to_owned(), assistant);
    tables.insert("campaign".to_owned(), named("积分活动", "#/definitions/CampaignTable"));
    tables.insert("grant".to_owned(), grant);
    tables.insert("test".to_owned(), json!({ "type": "array", "description": "对话测试:每次检查都会跑", "items": test }));
    let mut schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "rules.toml",
        "description": "积分规则。只写需要的表;没写的键用默认值。",
        "type": "object",
        "additionalProperties": false,
        "properties": tables,
        "definitions": whole["definitions"].take(),
    });
    without_null(&mut schema);
    schema
}

/// What names of rules, buckets and campaigns are made of, in a pattern that every editor's engine reads; `fit` looks closer.
static NAME: LazyLock<Value> = LazyLock::new(|| json!({ "pattern": "^[0-9A-Za-z_\\-\\u0080-\\uffff]{1,40}$" }));

fn subschema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().to_value()
}

fn named(title: &str, reference: &str) -> Value {
    json!({ "type": "object", "description": title, "propertyNames": NAME.clone(), "additionalProperties": { "$ref": reference } })
}

/// A kind's own keys and the shared ones in one table.
fn rule(whole: &Value, kind: &Kind, own: &Value, shared: &Value) -> Value {
    let mut keys = properties(whole, own);
    keys.extend(properties(whole, shared));
    let description = resolve(whole, own).get("description").cloned().unwrap_or_else(|| json!(kind.title));
    json!({ "type": "object", "description": description, "additionalProperties": false, "properties": keys })
}

fn campaign_with(whole: &Value, campaign: &Value, rules: &Map<String, Value>) -> Value {
    let mut table = resolve(whole, campaign).clone();
    let mut keys = properties(whole, campaign);
    keys.extend(rules.clone());
    table["properties"] = Value::Object(keys);
    table
}

/// The keys of an object schema.
pub fn properties(root: &Value, schema: &Value) -> Map<String, Value> {
    resolve(root, schema).get("properties").and_then(Value::as_object).cloned().unwrap_or_default()
}

/// TOML has no null: an absent key is absent.
pub fn without_null(schema: &mut Value) {
    let is_null = |one: &Value| one == "null" || one.get("type").is_some_and(|kind| kind == "null");
    match schema {
        Value::Object(entries) => {
            // What a Rust field holds before it is read is no default an operator can rely on; the descriptions say the real ones.
            if entries.get("default").is_some_and(|value| value.is_null() || *value == json!(0) || *value == json!([])) {
                entries.remove("default");
            }
            for name in ["type", "anyOf"] {
                let Some(Value::Array(several)) = entries.get_mut(name) else { continue };
                several.retain(|one| !is_null(one));
                if several.len() == 1 {
                    let only = several.remove(0);
                    entries.remove(name);
                    if name == "type" {
                        entries.insert(name.to_owned(), only);
                    } else {
                        entries.insert("allOf".to_owned(), json!([only]));
                    }
                }
            }
            entries.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_beside_the_program_is_its_own() {
        crate::rules::reference::blessed("fixtures/rules.schema.json", &format!("{:#}\n", *SCHEMA));
    }

    #[test]
    fn every_key_says_what_it_is() {
        for (name, table) in SCHEMA["definitions"].as_object().expect("definitions") {
            for (key, about) in properties(&SCHEMA, table) {
                assert!(about.get("description").is_some(), "{name}.{key}");
            }
        }
    }
}
