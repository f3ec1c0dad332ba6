//! The text of INFO, read back.

use serde_json::{Map, Value};

/// INFO's sections, each with its fields, in the order in which they came.
#[derive(Clone, Debug, Default)]
pub(super) struct Info {
    sections: Vec<(String, Vec<(String, String)>)>,
}

impl Info {
    pub(super) fn parse(text: &str) -> Info {
        let mut info = Info::default();
        for line in text.lines() {
            if let Some(title) = line.strip_prefix("# ") {
                info.sections.push((title.to_lowercase(), Vec::new()));
            } else if let Some((name, value)) = line.split_once(':')
                && let Some((_, fields)) = info.sections.last_mut()
            {
                fields.push((name.to_owned(), value.to_owned()));
            }
        }
        info
    }

    /// A field's value, whatever section it is in.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let fields = self.sections.iter().flat_map(|(_, fields)| fields);
        let found = fields.into_iter().find(|(field, _)| field == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The fields of all sections whose names begin so: what follows in the name, and the value's `a=1,b=2` in parts.
    pub(super) fn numbered<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, Vec<(&'a str, &'a str)>)> {
        self.sections
            .iter()
            .flat_map(|(_, fields)| fields)
            .filter_map(move |(name, value)| {
                let rest = name.strip_prefix(prefix)?;
                Some((rest, value.split(',').filter_map(|part| part.split_once('=')).collect()))
            })
    }

    /// All of it: sections by name, their fields as texts.
    pub(super) fn to_json(&self) -> Value {
        let section = |fields: &Vec<(String, String)>| {
            let fields = fields
                .iter()
                .map(|(name, value)| (name.clone(), Value::from(value.as_str())));
            Value::Object(fields.collect())
        };
        let sections = self
            .sections
            .iter()
            .map(|(title, fields)| (title.clone(), section(fields)));
        Value::Object(sections.collect::<Map<_, _>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_fields_and_their_parts_are_found() {
        let info =
            Info::parse("# Server\r\nrun_id:ab\r\n\r\n# Workers\r\nworker0:vectors=5,keys=2\r\nworker1:vectors=6\r\n");
        assert_eq!(info.get("run_id"), Some("ab"));
        assert_eq!(info.get("absent"), None);
        let workers: Vec<_> = info.numbered("worker").collect();
        assert_eq!(workers[0], ("0", vec![("vectors", "5"), ("keys", "2")]));
        assert_eq!(workers[1].0, "1");
        assert_eq!(info.to_json()["server"]["run_id"], "ab");
    }
}
