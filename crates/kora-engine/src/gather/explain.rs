//! VECEXPLAIN: how a query was answered, in place of what was found.

use bytes::Bytes;
use kora_resp::Reply;

use super::merging::QueryPart;
use super::query_reply::{Cost, Neighbours};
use crate::command::Wish;
use crate::counts::integer;
use crate::databases::as_said;
use crate::mail::Question;

/// How the shards answered.
pub(super) struct Explanation {
    parts: Vec<PartExplanation>,
}

struct PartExplanation {
    shard: usize,
    ef: usize,
    cost: Cost,
    found: usize,
    taken: usize,
}

impl Explanation {
    /// Of parts that are merged: how many neighbours were taken of each, if there are several; else all, up to k.
    pub(super) fn of(parts: &[QueryPart], taken: &[usize], k: usize) -> Explanation {
        let explained = |(place, part): (usize, &QueryPart)| {
            let (statistics, found) = (part.found.statistics, part.found.hits.len());
            PartExplanation {
                shard: part.shard.index(),
                ef: part.ef,
                cost: Cost {
                    is_exact: statistics.is_exact,
                    matches: part.found.matches,
                    vectors: part.found.live,
                    ..part.cost
                },
                found,
                taken: match parts.len() {
                    1 => found.min(k),
                    _ => taken.get(place).copied().unwrap_or(0),
                },
            }
        };
        Explanation {
            parts: parts.iter().enumerate().map(explained).collect(),
        }
    }

    /// The reply about a query with this ef, that cost so much in all and returns so many neighbours.
    pub(super) fn reply(&self, (question, ef): (&Question, usize), cost: Cost, returned: usize) -> Reply {
        let first = self.parts.first().map_or("exact", |part| part.cost.plan());
        let plan = match self.parts.iter().all(|part| part.cost.plan() == first) {
            true => first,
            false => "mixed",
        };
        let tested = self.parts.iter().map(|part| part.cost.tested).sum();
        let asked = [
            ("collection", Reply::Bulk(as_said(&question.schema.name))),
            ("k", count(question.k)),
            ("ef", count(ef)),
        ];
        let all = Cost { tested, ..cost };
        let mut fields = [&asked[..], &fields(plan, &all, returned)].concat();
        fields.push((
            "shards",
            Reply::Array(self.parts.iter().map(PartExplanation::reply).collect()),
        ));
        map(fields)
    }
}

impl PartExplanation {
    fn reply(&self) -> Reply {
        map(vec![
            ("shard", count(self.shard)),
            ("plan", text(self.cost.plan())),
            ("ef", count(self.ef)),
            ("vectors", count(self.cost.vectors)),
            ("matches", count(self.cost.matches)),
            ("tested", count(self.cost.tested)),
            ("distances", Reply::Integer(integer(self.cost.distances))),
            ("nodes", Reply::Integer(integer(self.cost.nodes))),
            ("found", count(self.found)),
            ("taken", count(self.taken)),
        ])
    }
}

/// The reply if there is nothing of that name, which is certain, and what is told of that.
pub(super) fn nothing(wish: &Wish, note: impl FnOnce() -> String) -> Reply {
    let cost = Cost {
        is_exact: true,
        ..Cost::default()
    };
    if !wish.explains {
        return cost.reply_with(Neighbours::default(), wish, wish.with_info.then(note));
    }
    let asked = [("k", count(wish.nearest())), ("ef", Reply::Null)];
    let mut fields = [&asked[..], &fields("exact", &cost, 0)].concat();
    fields.push(("shards", Reply::Array(Vec::new())));
    fields.push(("note", Reply::Bulk(note().into())));
    map(fields)
}

/// What is said of the query as a whole.
fn fields(plan: &'static str, cost: &Cost, returned: usize) -> Vec<(&'static str, Reply)> {
    let selectivity = match cost.vectors {
        0 => 1.0,
        vectors => cost.matches as f32 / vectors as f32,
    };
    vec![
        ("plan", text(plan)),
        ("mode", text(cost.mode())),
        ("vectors", count(cost.vectors)),
        ("matches", count(cost.matches)),
        ("selectivity", Reply::Double(selectivity)),
        ("tested", count(cost.tested)),
        ("distances", Reply::Integer(integer(cost.distances))),
        ("nodes", Reply::Integer(integer(cost.nodes))),
        ("rounds", Reply::Integer(cost.rounds)),
        ("astray", Reply::Integer(integer(cost.astray))),
        ("returned", count(returned)),
    ]
}

fn map(fields: Vec<(&'static str, Reply)>) -> Reply {
    Reply::Map(fields.into_iter().map(|(name, value)| (text(name), value)).collect())
}

fn count(count: usize) -> Reply {
    Reply::Integer(integer(count as u64))
}

fn text(text: &'static str) -> Reply {
    Reply::Bulk(Bytes::from_static(text.as_bytes()))
}
