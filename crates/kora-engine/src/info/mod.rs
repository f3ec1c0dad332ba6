//! The text of INFO. Field names are Redis's where the field is; those of our own have a section or a prefix of their
//! own.

mod counters;
mod data;
mod process;

use std::fmt::Write as _;

use bytes::Bytes;

use crate::gather::Context;
use crate::stats::WorkerStats;

/// The sections that were asked for; the default ones if none was named.
pub(crate) fn text(sections: &[Bytes], stats: &[WorkerStats], context: &Context<'_>) -> String {
    let is_named = |name: &str| {
        sections
            .iter()
            .any(|section| section.eq_ignore_ascii_case(name.as_bytes()))
    };
    let all = is_named("all") || is_named("everything");
    let default = sections.is_empty() || is_named("default");
    let mut text = String::new();
    for section in SECTIONS {
        if all || (default && section.is_default) || is_named(section.name) {
            if !text.is_empty() {
                text.push_str("\r\n");
            }
            text.push_str(&format!("# {}\r\n", section.title()));
            (section.write)(&mut Fields { text: &mut text }, stats, context);
        }
    }
    text
}

struct Section {
    name: &'static str,
    /// It is told when no section is named.
    is_default: bool,
    write: fn(&mut Fields<'_>, &[WorkerStats], &Context<'_>),
}

impl Section {
    fn title(&self) -> String {
        match self.name {
            "cpu" => "CPU".to_owned(),
            name => name[..1].to_uppercase() + &name[1..],
        }
    }
}

const SECTIONS: [Section; 15] = [
    Section::new("server", process::server),
    Section::new("clients", process::clients),
    Section::new("memory", data::memory),
    Section::new("persistence", process::persistence),
    Section::new("stats", counters::stats),
    Section::new("replication", process::replication),
    Section::new("cpu", process::cpu),
    // There are no modules: what Redis has in some of them is built in here.
    Section::new("modules", |_, _, _| {}),
    Section::new("commandstats", counters::commandstats).on_demand(),
    Section::new("errorstats", counters::errorstats),
    Section::new("latencystats", counters::latencystats).on_demand(),
    Section::new("cluster", |fields, _, _| fields.add("cluster_enabled", 0)),
    Section::new("keyspace", data::keyspace),
    Section::new("recall", data::recall),
    Section::new("workers", data::workers),
];

impl Section {
    const fn new(name: &'static str, write: fn(&mut Fields<'_>, &[WorkerStats], &Context<'_>)) -> Section {
        Section {
            name,
            is_default: true,
            write,
        }
    }

    const fn on_demand(self) -> Section {
        Section {
            is_default: false,
            ..self
        }
    }
}

struct Fields<'a> {
    text: &'a mut String,
}

impl Fields<'_> {
    fn add(&mut self, name: &str, value: impl std::fmt::Display) {
        write!(self.text, "{name}:{value}\r\n").expect("writing to a string cannot fail");
    }

    /// What can't happen here: Redis would say 0, too.
    fn add_zeros(&mut self, names: &[&str]) {
        names.iter().for_each(|name| self.add(name, 0));
    }
}

/// The sum of a counter over all workers.
fn sum(stats: &[WorkerStats], counter: impl Fn(&WorkerStats) -> u64) -> u64 {
    stats.iter().map(counter).sum()
}

/// The Redis whose protocol and replies we keep to, where libraries compare versions.
pub(crate) const REDIS_VERSION: &str = "8.2.3";
