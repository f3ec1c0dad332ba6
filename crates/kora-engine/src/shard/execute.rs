//! The way in: what is asked of a shard begins here, and nowhere else but for a command on its own worker's keys, which
//! comes by the short way ([`Shard::operation`], [`Shard::begin_multi_key`]).

use bytes::Bytes;
use kora_keyspace::Cause;
use kora_vector::Work;

use super::Shard;
use super::counting::Counting;
use super::insert::SetMany;
use super::ownership::{Listing, Release, Sweep};
use super::pipeline::Pipeline;
use super::scan::Scan;
use super::searching::Query;
use super::searching_many::QueryMany;
use super::slot_wait::Placing;
use super::task::Begun;
use super::vectors::Delete;
use super::watching::Watching;
use crate::error::ClientError;
use crate::mail::{Origin, PartialReply, RequestBody};

impl Shard {
    /// The first slice of what is asked.
    pub(super) fn execute(
        &mut self,
        body: RequestBody,
        origin: Origin,
        at_ms: u64,
        work: &mut Work,
    ) -> Begun<PartialReply> {
        Begun::Done(match body {
            RequestBody::KeyOperation(operation) => {
                return self
                    .operate(&operation.key, operation.action, at_ms, work)
                    .map(PartialReply::Reply);
            }
            RequestBody::Pipeline(steps) => {
                let begun = self.run(Pipeline::new(steps, origin, at_ms), work);
                return begun.map(|(replies, parts)| PartialReply::Pipeline(replies, parts));
            }
            RequestBody::MultiKey(body) => return self.begin_multi_key(body, at_ms, 0, work),
            RequestBody::Transfer(transfer) => return self.place(Placing::Transfer(*transfer), at_ms, work),
            RequestBody::TakeValue(take_value) => return self.take_value(*take_value, at_ms, work),
            RequestBody::PutValue(put) => return self.place(Placing::Put(*put), at_ms, work),
            RequestBody::Watch(keys) => return self.run(Watching::new(keys, origin, at_ms), work).map(done),
            RequestBody::Script(body) => return self.begin_script(*body, origin, at_ms, work),
            RequestBody::ChangeFunctions(change) => return self.change_functions(*change, work),
            RequestBody::Batch(batch) => return self.begin_batch(*batch, origin, at_ms, work),
            RequestBody::Set(setting) => return self.place(Placing::Set(*setting), at_ms, work),
            RequestBody::SetMany(settings) => return self.run(SetMany::new(settings, at_ms), work),
            RequestBody::Delete(elements) => return self.run(Delete::new(elements, at_ms), work).map(counted),
            RequestBody::Query { question, ef } => {
                return self.run(Query::new(question, ef, at_ms), work).map(PartialReply::Hits);
            }
            RequestBody::QueryMany(questions) => {
                return self
                    .run(QueryMany::new(questions, at_ms), work)
                    .map(PartialReply::HitsMany);
            }
            RequestBody::WithdrawBefore(before, database) => {
                return self.run(Sweep::new(before, database), work).map(done);
            }
            RequestBody::ReleaseBefore(before, database) => {
                return self.run(Release::new(before, database), work).map(done);
            }
            RequestBody::Count(database) => {
                return self.run(Counting::new(database, at_ms), work).map(PartialReply::Count);
            }
            RequestBody::List(database) => return self.run(Listing::new(database, at_ms), work).map(names),
            RequestBody::Scan(body) => return self.run(Scan::new(*body, at_ms), work).map(PartialReply::Scanned),
            RequestBody::RandomKey(database) => PartialReply::Chosen(self.random_key(database, at_ms)),
            RequestBody::Leave => PartialReply::Done,
            RequestBody::Unwatch => {
                self.keyspace.observers_mut().watches.unwatch(origin);
                PartialReply::Done
            }
            RequestBody::Vet(key) => {
                self.resolve_live(&key, at_ms);
                self.refuse_other_type(&key)
                    .map_or(PartialReply::Done, PartialReply::Refused)
            }
            RequestBody::Get(element) => self
                .get(&element, at_ms)
                .map_or_else(PartialReply::Refused, PartialReply::Vector),
            RequestBody::Attributes(body) => {
                let (element, action) = *body;
                self.act_on_element_attributes(&element, action, at_ms)
                    .map_or_else(PartialReply::Refused, PartialReply::Reply)
            }
            RequestBody::Holds(element) => self
                .holds(&element, at_ms)
                .map_or_else(PartialReply::Refused, PartialReply::Holds),
            RequestBody::Create(proposal) => PartialReply::Decided(self.create(*proposal, at_ms)),
            RequestBody::Withdraw(name) => {
                self.resolve_live(&name, at_ms);
                match self.refuse_other_type(&name).or_else(|| self.refuse_alias(&name)) {
                    Some(refusal) => PartialReply::Refused(refusal),
                    None => PartialReply::Withdrawn(self.withdraw(&name)),
                }
            }
            RequestBody::ChangeAlias(change) => self
                .change_alias(*change, at_ms)
                .map_or_else(PartialReply::Refused, PartialReply::Reply),
            RequestBody::Close(schema) => PartialReply::Count(self.close(&schema)),
            RequestBody::Keep(name) => {
                self.keep(&name);
                PartialReply::Done
            }
            RequestBody::WithdrawEmpty { schema, attempt } => {
                PartialReply::Withdrawn(self.withdraw_empty(&schema, attempt))
            }
            RequestBody::Release { name, generation } => {
                self.keyspace.drop_part(&name, generation, Cause::Dropped);
                PartialReply::Done
            }
            RequestBody::Describe(schema) => PartialReply::Description(self.describe(&schema)),
            RequestBody::Sample { schema, random } => PartialReply::Sample(self.sample(&schema, random).map(Box::new)),
            RequestBody::Tracked(tracked) => {
                let (tracker, body) = *tracked;
                self.track(&tracker, &body);
                return self.execute(body, origin, at_ms, work);
            }
            RequestBody::TrackPrefixes(list) => {
                self.track_prefixes(&list);
                PartialReply::Done
            }
            RequestBody::Untouched(body) => {
                self.keyspace.set_touching(false);
                let begun = self.execute(*body, origin, at_ms, work);
                self.keyspace.set_touching(true);
                return begun;
            }
            RequestBody::Clients { .. }
            | RequestBody::Kill { .. }
            | RequestBody::Stats
            | RequestBody::ResetStats
            | RequestBody::ReviewUsers { .. }
            | RequestBody::ReleaseMemory
            | RequestBody::Unpause
            | RequestBody::Slow(_)
            | RequestBody::News(_)
            | RequestBody::HasClient(_)
            | RequestBody::SwitchTracking(_)
            | RequestBody::ChangeSubscriptions(_)
            | RequestBody::Publish(_)
            | RequestBody::Topics(_)
            | RequestBody::Drain => {
                // Asks to a worker are answered by the engine.
                PartialReply::Refused(ClientError::other_answer())
            }
        })
    }
}

fn done((): ()) -> PartialReply {
    PartialReply::Done
}

fn counted(count: Result<u64, ClientError>) -> PartialReply {
    count.map_or_else(PartialReply::Refused, PartialReply::Count)
}

fn names(names: Result<Vec<Bytes>, ClientError>) -> PartialReply {
    names.map_or_else(PartialReply::Refused, PartialReply::Names)
}
