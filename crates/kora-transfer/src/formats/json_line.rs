//! One line of JSON Lines: an object that is a key with its value, or a collection.
//!
//! | line | members |
//! |---|---|
//! | a string | `key`, `string` |
//! | a hash | `key`, `hash`: an object, or pairs in arrays; `fields_expire_at_ms`: pairs; `continues` if more of it was before |
//! | a vector | `key`, `vector`, `attributes` |
//! | a vector of a set made by VADD | `key` of the set, `element`, `vector`, `attributes`, `quant`, `m` |
//! | the deadline of such a set | `key`, `vector_set` |
//! | a collection | `collection`, `dimension`, `metric`, `quant`, `m`, `ef_construction`, `ef_search` |
//!
//! All but sets' elements may have `expires_at_ms`. Bytes that are not UTF-8 are `{"base64": …}`. With `id` instead of `key`
//! the collection is the one that the command line names.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::limits::DIMENSION_MAX;
use crate::row::{Content, FieldDeadlines, Fields, Row, Schema, SetForm, SetQuant, Vector};

use super::labels::Label;
use super::vector_text::component;
use super::{AttributeChoice, MemberNames, Naming};

/// Reads a line as a row.
pub(super) fn row(line: &[u8], naming: &Naming, names: &MemberNames, choice: &AttributeChoice) -> Result<Row, String> {
    let mut object = Object::read(line)?;
    let row = if let Some(name) = object.take("collection") {
        Row {
            key: bytes(name, "collection")?,
            content: Content::Collection(schema(&mut object)?),
            expires_at_ms: object.parsed("expires_at_ms")?,
        }
    } else if let Some(components) = object.take(&names.vector) {
        let components = components_of(components)?;
        let id = object.take(&names.id);
        let label = label_of(&mut object, id, naming)?;
        return with_chosen(super::vecs::row_of(label, components), object, choice);
    } else {
        let key = bytes(object.need("key")?, "key")?;
        let content = value(&mut object)?;
        let expires_at_ms = object.parsed("expires_at_ms")?;
        Row {
            key,
            content,
            expires_at_ms,
        }
    };
    match object.members.first() {
        Some((name, _)) => Err(format!(
            "the member `{}` is unknown",
            crate::row::shown(name.as_bytes())
        )),
        None => Ok(row),
    }
}

/// Reads a line as the label of a vector that stands elsewhere.
pub(super) fn label(line: &[u8], naming: &Naming) -> Result<Label, String> {
    let mut object = Object::read(line)?;
    let id = object.take("id");
    label_of(&mut object, id, naming)
}

/// Reads a line that is a collection.
pub(super) fn collection(line: &[u8]) -> Option<Row> {
    let row = row(
        line,
        &Naming::default(),
        &MemberNames::default(),
        &AttributeChoice::Refuse,
    )
    .ok()?;
    matches!(row.content, Content::Collection(_)).then_some(row)
}

/// Appends a row as a line.
pub(super) fn write(row: &Row, out: &mut Vec<u8>) {
    let mut line = Writer::begin(out);
    match &row.content {
        Content::String(value) => {
            line.text("key", &row.key);
            line.text("string", value);
        }
        Content::Hash {
            fields,
            deadlines,
            continues,
        } => {
            line.text("key", &row.key);
            line.fields(fields);
            if !deadlines.is_empty() {
                let pairs: Vec<(Text<'_>, u64)> =
                    deadlines.iter().map(|(field, at_ms)| (Text(field), *at_ms)).collect();
                line.member("fields_expire_at_ms", &pairs);
            }
            if *continues {
                line.member("continues", &true);
            }
        }
        Content::Vector(Vector { components, .. })
        | Content::Element {
            vector: Vector { components, .. },
            ..
        } => {
            line.labels(row);
            line.member("vector", components);
        }
        Content::SetDeadline => {
            line.text("key", &row.key);
            line.member("vector_set", &true);
        }
        Content::Collection(schema) => line.schema(&row.key, schema),
    }
    line.end(row.expires_at_ms);
}

/// Appends the label of a vector whose components stand elsewhere.
pub(super) fn write_label(row: &Row, out: &mut Vec<u8>) {
    let mut line = Writer::begin(out);
    match &row.content {
        Content::Collection(schema) => line.schema(&row.key, schema),
        _ => line.labels(row),
    }
    line.end(row.expires_at_ms);
}

fn value(object: &mut Object<'_>) -> Result<Content, String> {
    if let Some(text) = object.take("string") {
        return Ok(Content::String(bytes(text, "string")?));
    }
    if let Some(fields) = object.take("hash") {
        return Ok(Content::Hash {
            fields: fields_of(fields)?,
            deadlines: deadlines_of(object)?,
            continues: object.parsed("continues")?.unwrap_or(false),
        });
    }
    match object.parsed("vector_set")? {
        Some(true) => Ok(Content::SetDeadline),
        _ => Err("no value: `string`, `hash` or `vector` is missing".into()),
    }
}

fn label_of(object: &mut Object<'_>, id: Option<&RawValue>, naming: &Naming) -> Result<Label, String> {
    let key = match (object.take("key"), id) {
        (Some(key), _) => bytes(key, "key")?,
        (None, Some(id)) => naming.key(&id_of(id)?)?,
        (None, None) => return Err("no name: `key` or `id` is missing".into()),
    };
    let element = match object.take("element") {
        Some(element) => Some((bytes(element, "element")?, set_form(object)?)),
        None => None,
    };
    let attributes = match (object.take("attributes"), object.take("attributes_text")) {
        (Some(json), None) if json.get() == "null" => Vec::new(),
        (Some(json), None) => json.get().as_bytes().to_vec(),
        (None, Some(text)) => bytes(text, "attributes_text")?,
        (None, None) => Vec::new(),
        (Some(_), Some(_)) => return Err("both `attributes` and `attributes_text`".into()),
    };
    Ok(Label {
        key,
        element,
        attributes: Some(attributes),
        expires_at_ms: object.parsed("expires_at_ms")?,
    })
}

/// Members that are nothing to this crate become attributes, if that was chosen.
fn with_chosen(mut row: Row, object: Object<'_>, choice: &AttributeChoice) -> Result<Row, String> {
    let chosen: Vec<_> = match choice {
        AttributeChoice::Refuse => match object.members.first() {
            None => return Ok(row),
            Some((name, _)) => {
                let name = crate::row::shown(name.as_bytes());
                return Err(format!(
                    "the member `{name}` is unknown; --attributes says which become attributes"
                ));
            }
        },
        AttributeChoice::None => return Ok(row),
        AttributeChoice::All => object.members,
        AttributeChoice::These(names) => {
            let is_chosen = |(name, _): &(String, &RawValue)| names.contains(name);
            object.members.into_iter().filter(is_chosen).collect()
        }
    };
    let (Content::Vector(vector) | Content::Element { vector, .. }) = &mut row.content else {
        return Ok(row);
    };
    match vector.attributes.as_deref() {
        _ if chosen.is_empty() => {}
        None | Some([]) => {
            let mut text = Vec::new();
            let mut line = Writer::begin(&mut text);
            chosen.iter().for_each(|(name, value)| line.member(name, value));
            line.close();
            vector.attributes = Some(text);
        }
        Some(_) => return Err("both `attributes` and members that become attributes".into()),
    }
    Ok(row)
}

fn schema(object: &mut Object<'_>) -> Result<Schema, String> {
    let dimension = object
        .parsed("dimension")?
        .filter(|count| (1..=DIMENSION_MAX).contains(count));
    Ok(Schema {
        dimension: dimension.ok_or_else(|| format!("`dimension` is not between 1 and {DIMENSION_MAX}"))?,
        metric: object.parsed("metric")?,
        quant: object.parsed("quant")?,
        m: object.parsed("m")?,
        ef_construction: object.parsed("ef_construction")?,
        ef_search: object.parsed("ef_search")?,
    })
}

fn set_form(object: &mut Object<'_>) -> Result<SetForm, String> {
    let quant = match object.parsed::<String>("quant")? {
        Some(name) => SetQuant::from_name(&name).ok_or("`quant` of an element is f32, int8 or bin")?,
        None => SetQuant::Int8,
    };
    let m = object.parsed("m")?.unwrap_or(M_DEFAULT);
    Ok(SetForm { quant, m })
}

fn components_of(raw: &RawValue) -> Result<Vec<f32>, String> {
    let inner = raw.get().strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let inner = inner.ok_or("the vector is no array of numbers")?;
    let words = inner.split(',').map(|word| component(word.trim_ascii().as_bytes()));
    let components: Vec<f32> = words.collect::<Result<_, _>>()?;
    match components.len() > DIMENSION_MAX {
        true => Err(format!("{} components are more than {DIMENSION_MAX}", components.len())),
        false => Ok(components),
    }
}

fn fields_of(raw: &RawValue) -> Result<Fields, String> {
    let fields: Fields = match raw.get().starts_with('[') {
        true => {
            let pairs: Vec<[&RawValue; 2]> = parsed(raw, "hash")?;
            let pair = |[field, value]: [&RawValue; 2]| Ok((bytes(field, "field")?, bytes(value, "value")?));
            pairs.into_iter().map(pair).collect::<Result<_, String>>()?
        }
        false => {
            let object = Object::read(raw.get().as_bytes())?;
            let pair = |(field, value): (String, &RawValue)| Ok((field.into_bytes(), bytes(value, "value")?));
            object.members.into_iter().map(pair).collect::<Result<_, String>>()?
        }
    };
    match fields.is_empty() {
        true => Err("a hash has at least one field".into()),
        false => Ok(fields),
    }
}

fn deadlines_of(object: &mut Object<'_>) -> Result<FieldDeadlines, String> {
    let Some(raw) = object.take("fields_expire_at_ms") else {
        return Ok(Vec::new());
    };
    let pairs: Vec<(&RawValue, u64)> = parsed(raw, "fields_expire_at_ms")?;
    let pair = |(field, at_ms): (&RawValue, u64)| Ok((bytes(field, "field")?, at_ms));
    pairs.into_iter().map(pair).collect()
}

/// A text, or bytes in Base64.
fn bytes(raw: &RawValue, member: &str) -> Result<Vec<u8>, String> {
    if raw.get().starts_with('"') {
        return parsed::<String>(raw, member).map(String::into_bytes);
    }
    let wrong = || format!("`{member}` is no text");
    let mut object = Object::read(raw.get().as_bytes()).map_err(|_| wrong())?;
    let text: String = object.parsed("base64")?.ok_or_else(wrong)?;
    BASE64_STANDARD
        .decode(text)
        .map_err(|error| format!("`{member}` is no Base64: {error}"))
}

/// A text or a number.
fn id_of(raw: &RawValue) -> Result<Vec<u8>, String> {
    match raw.get().as_bytes() {
        text @ [b'0'..=b'9' | b'-', ..] => Ok(text.to_vec()),
        _ => bytes(raw, "id"),
    }
}

fn parsed<'a, T: serde::Deserialize<'a>>(raw: &'a RawValue, member: &str) -> Result<T, String> {
    serde_json::from_str(raw.get()).map_err(|error| format!("`{member}`: {error}"))
}

/// The members of an object that were not taken yet, in their order.
struct Object<'a> {
    members: Vec<(String, &'a RawValue)>,
}

impl<'a> Object<'a> {
    fn read(line: &'a [u8]) -> Result<Self, String> {
        let mut reader = serde_json::Deserializer::from_slice(line);
        let members = reader
            .deserialize_map(MembersVisitor)
            .map_err(|error| error.to_string())?;
        reader.end().map_err(|error| error.to_string())?;
        Ok(Self { members })
    }

    fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let index = self.members.iter().position(|(known, _)| known == name)?;
        Some(self.members.remove(index).1)
    }

    fn need(&mut self, name: &str) -> Result<&'a RawValue, String> {
        self.take(name).ok_or_else(|| format!("no `{name}`"))
    }

    fn parsed<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, String> {
        self.take(name).map(|raw| parsed(raw, name)).transpose()
    }
}

struct MembersVisitor;

impl<'a> Visitor<'a> for MembersVisitor {
    type Value = Vec<(String, &'a RawValue)>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(members)
    }
}

/// Writes an object, member by member.
struct Writer<'a> {
    out: &'a mut Vec<u8>,
    is_empty: bool,
}

impl<'a> Writer<'a> {
    fn begin(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, is_empty: true }
    }

    fn member<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        if !std::mem::take(&mut self.is_empty) {
            self.out.push(b',');
        }
        write_json(name, self.out);
        self.out.push(b':');
        write_json(value, self.out);
    }

    /// A text, or what is none in Base64.
    fn text(&mut self, name: &str, bytes: &[u8]) {
        self.member(name, &Text(bytes));
    }

    fn optional<T: Serialize>(&mut self, name: &str, value: &Option<T>) {
        if let Some(value) = value {
            self.member(name, value);
        }
    }

    fn fields(&mut self, fields: &[(Vec<u8>, Vec<u8>)]) {
        let texts: Option<Vec<&str>> = fields
            .iter()
            .map(|(field, _)| std::str::from_utf8(field).ok())
            .collect();
        match texts {
            Some(_) => self.member("hash", &FieldMap(fields)),
            None => {
                let pairs: Vec<[Text<'_>; 2]> =
                    fields.iter().map(|(field, value)| [Text(field), Text(value)]).collect();
                self.member("hash", &pairs);
            }
        }
    }

    fn labels(&mut self, row: &Row) {
        self.text("key", &row.key);
        let vector = match &row.content {
            Content::Element { element, vector, form } => {
                self.text("element", element);
                self.member("quant", form.quant.name());
                self.member("m", &form.m);
                vector
            }
            Content::Vector(vector) => vector,
            _ => return,
        };
        match vector.attributes.as_deref() {
            None | Some([]) => {}
            Some(attributes) => match json_on_one_line(attributes) {
                Some(raw) => self.member("attributes", raw),
                None => self.text("attributes_text", attributes),
            },
        }
    }

    fn schema(&mut self, name: &[u8], schema: &Schema) {
        self.text("collection", name);
        self.member("dimension", &schema.dimension);
        self.optional("metric", &schema.metric);
        self.optional("quant", &schema.quant);
        self.optional("m", &schema.m);
        self.optional("ef_construction", &schema.ef_construction);
        self.optional("ef_search", &schema.ef_search);
    }

    fn end(mut self, expires_at_ms: Option<u64>) {
        self.optional("expires_at_ms", &expires_at_ms);
        self.out.push(b'}');
        self.out.push(b'\n');
    }

    fn close(self) {
        self.out.push(b'}');
    }
}

/// Attributes that can stand in a line as they are, to the byte.
fn json_on_one_line(attributes: &[u8]) -> Option<&RawValue> {
    let is_whole = attributes.starts_with(b"{") && attributes.ends_with(b"}");
    let is_line = !attributes.iter().any(|byte| matches!(byte, b'\n' | b'\r'));
    serde_json::from_slice(attributes).ok().filter(|_| is_whole && is_line)
}

struct Text<'a>(&'a [u8]);

impl Serialize for Text<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => serializer.collect_map([("base64", BASE64_STANDARD.encode(self.0))]),
        }
    }
}

struct FieldMap<'a>(&'a [(Vec<u8>, Vec<u8>)]);

impl Serialize for FieldMap<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(
            self.0
                .iter()
                .map(|(field, value)| (String::from_utf8_lossy(field), Text(value))),
        )
    }
}

fn write_json<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    // Writing to memory does not fail, and these types have no value that JSON lacks.
    let written = serde_json::to_writer(out, value);
    debug_assert!(written.is_ok());
}

/// What VADD takes without `M`.
const M_DEFAULT: u64 = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(line: &str) -> Result<Row, String> {
        let naming = Naming {
            collection: Some("c".into()),
            colon: None,
        };
        row(
            line.as_bytes(),
            &naming,
            &MemberNames::default(),
            &AttributeChoice::Refuse,
        )
    }

    fn any_row() -> impl Strategy<Value = Row> {
        let bytes = || prop_oneof![any::<Vec<u8>>(), "[a-zäø:{}\"\\\\\n]{0,9}".prop_map(String::into_bytes)];
        let number = prop::num::f32::NORMAL | prop::num::f32::SUBNORMAL | prop::num::f32::ZERO;
        let vector = (prop::collection::vec(number, 1..5), bytes()).prop_map(|(components, attributes)| Vector {
            components,
            attributes: Some(attributes),
        });
        let fields = prop::collection::vec((bytes(), bytes()), 1..5);
        let deadlines = prop::collection::vec((bytes(), any::<u64>()), 0..3);
        let quants = prop::sample::select(vec![SetQuant::F32, SetQuant::Int8, SetQuant::Bin]);
        let form = (quants, 1u64..600).prop_map(|(quant, m)| SetForm { quant, m });
        let content = prop_oneof![
            bytes().prop_map(Content::String),
            (fields, deadlines, any::<bool>()).prop_map(|(fields, deadlines, continues)| Content::Hash {
                fields,
                deadlines,
                continues,
            }),
            vector.clone().prop_map(Content::Vector),
            (bytes(), vector, form).prop_map(|(element, vector, form)| Content::Element { element, vector, form }),
            Just(Content::SetDeadline),
            (1usize..9, any::<Option<u64>>()).prop_map(|(dimension, m)| Content::Collection(Schema {
                dimension,
                metric: Some("L2".into()),
                m,
                ..Schema::default()
            })),
        ];
        (bytes(), content, any::<Option<u64>>()).prop_map(|(key, content, expires_at_ms)| Row {
            key,
            content,
            expires_at_ms,
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(row in any_row()) {
            let mut line = Vec::new();
            write(&row, &mut line);
            prop_assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
            let read = super::row(&line, &Naming::default(), &MemberNames::default(), &AttributeChoice::Refuse);
            prop_assert_eq!(read, Ok(row));
        }

        #[test]
        fn any_bytes_are_an_error_and_nothing_worse(row in any_row(), at in any::<prop::sample::Index>(), byte: u8) {
            let mut line = Vec::new();
            write(&row, &mut line);
            let at = at.index(line.len());
            line[at] = byte;
            let _ = super::row(&line, &Naming::default(), &MemberNames::default(), &AttributeChoice::All);
            line.truncate(at);
            let _ = super::row(&line, &Naming::default(), &MemberNames::default(), &AttributeChoice::All);
        }
    }

    #[test]
    fn an_id_belongs_to_the_named_collection() {
        let row = read(r#"{"id": 7, "vector": [1, -2.5e0]}"#).unwrap();
        assert_eq!(row.key, b"c:7");
        let vector = Vector {
            components: vec![1.0, -2.5],
            attributes: Some(Vec::new()),
        };
        assert_eq!(row.content, Content::Vector(vector));
        assert_eq!(read(r#"{"id": "a", "vector": [1]}"#).unwrap().key, b"c:a");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, reason) in [
            ("", "EOF while parsing a value"),
            ("[]", "expected an object"),
            (r#"{"vector": [1]}"#, "no name"),
            (r#"{"key": "a"}"#, "no value"),
            (r#"{"key": "a", "vector": []}"#, "no finite number"),
            (r#"{"key": "a", "vector": [1e99]}"#, "no finite number"),
            (r#"{"key": "a", "vector": "x"}"#, "no array"),
            (r#"{"key": "a", "vector": [[1]]}"#, "no finite number"),
            (r#"{"key": "a", "string": 1}"#, "no text"),
            (r#"{"key": "a", "string": {"base64": "?"}}"#, "no Base64"),
            (r#"{"key": "a", "hash": {}}"#, "at least one field"),
            (
                r#"{"key": "a", "hash": {"f": "v"}, "fields_expire_at_ms": [["f"]]}"#,
                "fields_expire_at_ms",
            ),
            (r#"{"key": "a", "string": "x", "year": 1}"#, "`year` is unknown"),
            (r#"{"key": "a", "vector": [1], "year": 1}"#, "--attributes"),
            (r#"{"id": "a:b", "vector": [1]}"#, "colon"),
            (r#"{"collection": "a", "dimension": 0}"#, "`dimension`"),
            (r#"{"key": "a", "string": "x", "expires_at_ms": -1}"#, "expires_at_ms"),
        ] {
            let error = read(line).unwrap_err();
            assert!(error.contains(reason), "{line}: {error}");
        }
    }

    #[test]
    fn members_become_attributes_as_chosen() {
        let line = br#"{"key": "c:a", "vector": [1], "year": 1999, "title": "x"}"#;
        let attributes = |choice: &str| {
            let choice = choice.parse().unwrap();
            let row = row(line, &Naming::default(), &MemberNames::default(), &choice).unwrap();
            let Content::Vector(vector) = row.content else { panic!() };
            String::from_utf8(vector.attributes.unwrap()).unwrap()
        };
        assert_eq!(attributes("all"), r#"{"year":1999,"title":"x"}"#);
        assert_eq!(attributes("title,other"), r#"{"title":"x"}"#);
        assert_eq!(attributes("none"), "");
    }
}
