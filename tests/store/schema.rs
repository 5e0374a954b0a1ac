//! The hand-kept `schema.rs` is what the migrations make.

use std::collections::{BTreeMap, BTreeSet};

use diesel::sql_types::Text;
use diesel_async::RunQueryDsl;

use crate::world::World;

const SCHEMA: &str = include_str!("../../src/store/schema.rs");
const TYPES: &str = include_str!("../../src/store/types.rs");

#[derive(diesel::QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Text)]
    column_name: String,
    #[diesel(sql_type = Text)]
    udt_name: String,
    #[diesel(sql_type = Text)]
    is_nullable: String,
}

/// PostgreSQL's own type of each column type that holds ids, names or hashes: `20, 1016: RecordId JobId;` in `types.rs`.
fn bases() -> BTreeMap<&'static str, &'static str> {
    let lines = TYPES.lines().filter_map(|line| line.trim().strip_suffix(';')?.split_once(": "));
    let of_line = |(numbers, names): (&str, &'static str)| {
        let base = match numbers.split_once(", ")?.0 {
            "20" => "BigInt",
            "25" => "Text",
            "17" => "Bytea",
            _ => return None,
        };
        Some(names.split(' ').map(move |name| (name, base)))
    };
    lines.filter_map(of_line).flatten().collect()
}

/// `table.column -> Type` of every line of `schema.rs` that has one.
fn declared() -> BTreeSet<String> {
    let bases = bases();
    assert!(bases.len() > 10, "{bases:?}");
    let base = |kind: &str| bases.get(kind).map_or(kind.to_owned(), |base| (*base).to_owned());
    let mut table = String::new();
    let mut columns = BTreeSet::new();
    for line in SCHEMA.lines().map(str::trim) {
        if let Some((name, rest)) = line.split_once(' ')
            && rest.starts_with('(')
            && rest.ends_with('{')
        {
            table = name.to_owned();
        } else if let Some((name, kind)) = line.trim_end_matches(',').split_once(" -> ") {
            let kind = match kind.strip_prefix("Nullable<").and_then(|kind| kind.strip_suffix('>')) {
                Some(inside) => format!("Nullable<{}>", base(inside)),
                None => base(kind),
            };
            columns.insert(format!("{table}.{name} -> {kind}"));
        }
    }
    columns
}

fn diesel_type(udt_name: &str) -> String {
    match udt_name {
        "int8" => "BigInt".to_owned(),
        "int4" => "Integer".to_owned(),
        "int2" => "SmallInt".to_owned(),
        "float8" => "Double".to_owned(),
        "bool" => "Bool".to_owned(),
        "bytea" => "Bytea".to_owned(),
        "_text" => "Array<Text>".to_owned(),
        "_float8" => "Array<Double>".to_owned(),
        "text" | "jsonb" | "timestamptz" => udt_name[..1].to_uppercase() + &udt_name[1..],
        own => own.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect(),
    }
}

#[tokio::test]
async fn schema_rs_equals_the_database() {
    let world = World::new().await;
    let columns: Vec<Column> = diesel::sql_query(
        r"SELECT table_name::text, column_name::text, udt_name::text, is_nullable::text FROM information_schema.columns
          WHERE table_schema = 'public' AND table_name NOT LIKE '\_\_%'",
    )
    .load(&mut world.conn().await)
    .await
    .unwrap();
    let found: BTreeSet<String> = columns
        .iter()
        .map(|column| {
            let kind = diesel_type(&column.udt_name);
            let kind = if column.is_nullable == "YES" { format!("Nullable<{kind}>") } else { kind };
            format!("{}.{} -> {kind}", column.table_name, column.column_name)
        })
        .collect();
    let declared = declared();
    assert!(declared.len() > 100, "{} columns were read of schema.rs", declared.len());
    assert_eq!(declared.difference(&found).collect::<Vec<_>>(), [""; 0], "declared, yet not in the database");
    assert_eq!(found.difference(&declared).collect::<Vec<_>>(), [""; 0], "in the database, yet not declared");
}
