//! How a command begins: what it waits for, which shards it needs, and its first step. All decided here.

use std::sync::Arc;

use bytes::Bytes;
use kora_resp::{Reply, Words};

use crate::access;
use crate::command::table::{DataAccess, Parsed};
use crate::command::{
    Action, Center, Command, Creation, Element, ElementList, Evaluation, FunctionRequest, KeyAction, LatencyRequest,
    MemoryRequest, Message, MultiKeyCommand, ScanRequest, ScriptSource, ShortKey, Transfer, VectorSetAction,
};
use crate::cursor::Cursor;
use crate::databases::as_said;
use crate::error::ClientError;
use crate::functions;
use crate::gather::{
    self, AskingSlow, AskingTopics, Context, DescribeForm, Describing, Dropping, Flushing, Gather, Informing,
    RandomKey, Report,
};
use crate::gather::{KillingClients, ListingClients, Next, Recalling, RenameOrCopy, Scanning, Shape, Switching};
use crate::limits::{KEY_BYTES_ROUTED_MAX, KEYS_ROUTED_MAX};
use crate::mail::{IfThere, KeyOperation, Proposal, RequestBody, ScriptRun, Target};
use crate::pubsub::Subscribing;
use crate::router::{LIBRARIES_SHARD, Placement, ShardId, Spread, slot};
use kora_keyspace::catalog::{CatalogView, GraphSettings, MadeBy};
use kora_script::{Flags, LibraryCode, Program, Run};

/// What must be true of a connection's earlier commands before this one starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Order {
    /// Nothing: where it meets them it meets them in order.
    Any,
    /// None of them may be asked again: it writes, and they must not see that.
    AfterQueries,
    /// All of them are answered: it decides about a collection, and they were sent before that.
    AfterAll,
}

/// Whose credit it takes to start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Route {
    /// No shard: the connection's own worker answers it.
    Here,
    /// One shard's worker.
    One(ShardId),
    /// Every worker's, or a number of them that is not worth counting.
    All,
}

/// What is done first. Decided with order and route, at one look at the catalog, so that beginning the command needs
/// no second one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum First {
    /// The connection's own worker answers.
    Answer,
    /// The shard of its one key does all of it.
    Key,
    /// The shards that are asked first do all of it: several such commands may be asked together.
    OneStep,
    /// Its one key is the name of a collection: other shards hear of it.
    Collection,
    /// It asks in several steps, or takes all shards.
    Steps,
}

/// How a command begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Plan {
    pub(crate) order: Order,
    pub(crate) route: Route,
    pub(crate) first: First,
}

/// Decides how a command begins.
pub(crate) fn plan(parsed: &Parsed, placement: Placement, catalog: CatalogView<'_>) -> Plan {
    let writes = parsed.entry.access == DataAccess::Write;
    let by_access = if writes { Order::AfterQueries } else { Order::Any };
    let home = |element: &Element| placement.shard_of_name(catalog, &element.collection, &element.name);
    let (order, route, first) = match &parsed.command {
        Command::OnKey(key, Action::Key(action)) if action.may_concern_a_collection() && catalog.holds(key) => {
            let order = if writes { Order::AfterAll } else { Order::Any };
            (order, Route::All, First::Collection)
        }
        // It makes a set, which what comes behind may ask for.
        Command::OnKey(key, Action::VectorSet(VectorSetAction::Add(_))) if !catalog.takes_vectors(key) => (
            Order::AfterAll,
            Route::One(home_of(parsed, key, placement)),
            First::Collection,
        ),
        Command::OnKey(key, _) => (by_access, Route::One(home_of(parsed, key, placement)), First::Key),
        Command::MultiKey(MultiKeyCommand::Delete(keys)) if names_a_collection(keys, catalog) => {
            (Order::AfterAll, Route::All, First::Steps)
        }
        Command::MultiKey(multi_key) => (by_access, route_of_keys(multi_key.keys(), placement), First::OneStep),
        Command::Transfer(transfer) => {
            let (from, to) = (placement.shard_of(&transfer.from), placement.shard_of(&transfer.to));
            match from == to && !gather::moves_into_closing(transfer, catalog) {
                // What comes behind it may ask for the collection of the new name.
                true if names_collection(transfer, catalog) => (Order::AfterAll, Route::All, First::Steps),
                true => (by_access, Route::One(from), First::OneStep),
                false => (by_access, Route::All, First::Steps),
            }
        }
        Command::VectorSet(element, ..) => match catalog.takes_vectors(&element.collection) {
            true => (by_access, Route::One(home(element)), First::OneStep),
            false => (Order::AfterAll, Route::All, First::Steps),
        },
        Command::VectorSetMany(vectors) => match catalog.takes_vectors(&vectors[0].0.collection) {
            true => (by_access, Route::All, First::OneStep),
            false => (Order::AfterAll, Route::All, First::Steps),
        },
        Command::VectorDelete(elements) if elements.len() == 1 => {
            let (collection, name) = elements.element(0);
            let shard = placement.shard_of_name(catalog, collection, name);
            (by_access, Route::One(shard), First::OneStep)
        }
        Command::VectorDelete(_) => (by_access, Route::All, First::OneStep),
        Command::VectorGet(element, _) | Command::VectorAttributes(element, _) => {
            (by_access, Route::One(home(element)), First::OneStep)
        }
        Command::VectorQuery(query) => match query.center {
            Center::Given(_) => (by_access, route_of_query(&query.target, placement), First::Steps),
            Center::Stored(_) | Center::Mean(_) => (by_access, Route::All, First::Steps),
        },
        Command::VectorQueryMany(query) => (by_access, route_of_query(&query.target, placement), First::Steps),
        Command::Scan(request) => (by_access, route_of_scan(request, placement), First::Steps),
        Command::VectorCreate(_) | Command::VectorDrop(_) | Command::ChangeAlias(_) | Command::Flush(_) => {
            (Order::AfterAll, Route::All, First::Steps)
        }
        Command::Function(request) => match **request {
            FunctionRequest::Change(_) => (Order::AfterAll, Route::All, First::Steps),
            FunctionRequest::List { .. } | FunctionRequest::Stats | FunctionRequest::Kill => {
                (Order::Any, Route::Here, First::Answer)
            }
        },
        // It may write, and goes where its keys are; of several slots it is refused.
        Command::Evaluate(evaluation) => match evaluation.keys.first() {
            Some(key) => (Order::AfterQueries, Route::One(placement.shard_of(key)), First::OneStep),
            None => (Order::AfterQueries, Route::All, First::Steps),
        },
        Command::RandomKey(_)
        | Command::Keys(..)
        | Command::VectorRecall(_)
        | Command::VectorList(..)
        | Command::VectorInfo(_)
        | Command::DatabaseSize(_)
        | Command::ClientList(_)
        | Command::ClientKill(..)
        | Command::Info(_)
        | Command::Publish(_)
        | Command::PubSub(_)
        | Command::Memory(_)
        | Command::ClientUnpause
        | Command::Slowlog(_)
        | Command::Latency(_)
        | Command::ConfigResetStat => (by_access, Route::All, First::Steps),
        Command::Watch(keys) => {
            // The others lie there, too, or are refused.
            let route = keys
                .first()
                .map_or(Route::Here, |key| Route::One(placement.shard_of(key)));
            (Order::Any, route, First::Answer)
        }
        Command::Exec => (Order::AfterAll, Route::All, First::Answer),
        Command::Unwatch | Command::Discard => (Order::Any, Route::All, First::Answer),
        // What it read before is not remembered, and what it reads behind it is.
        Command::ClientTracking(_) => (Order::AfterAll, Route::All, First::Steps),
        // What its client published before must not reach it, and what it began before must be confirmed.
        Command::ChangeSubscriptions(_) => (Order::AfterAll, Route::Here, First::Steps),
        Command::Shutdown(_) | Command::WaitLog { .. } => (Order::AfterAll, Route::Here, First::Answer),
        Command::Acl(request) if request.changes_users() => (Order::AfterAll, Route::All, First::Steps),
        Command::Refused(_)
        | Command::Multi
        | Command::Time
        | Command::Ping(_)
        | Command::Echo(_)
        | Command::Quit
        | Command::Reset
        | Command::Hello(_)
        | Command::Authenticate(_)
        | Command::Acl(_)
        | Command::Select(_)
        | Command::ClientId
        | Command::ClientGetName
        | Command::ClientSetName(_)
        | Command::ClientSetInfo(..)
        | Command::ClientInfo
        | Command::Answered(_)
        | Command::ClientSwitch(_)
        | Command::ClientPause { .. }
        | Command::ClientCaching(_)
        | Command::Monitor
        | Command::ClientTrackingInfo
        | Command::ClientGetRedirect
        | Command::CommandInfo(_)
        | Command::CommandCount
        | Command::CommandList(_)
        | Command::CommandDocs(_)
        | Command::Help(_)
        | Command::ConfigGet(_)
        | Command::ConfigSet(_)
        | Command::ConfigRewrite
        | Command::LastSave
        | Command::ListAliases(..)
        | Command::ScriptLoad(_)
        | Command::ScriptExists(_)
        | Command::ScriptFlush
        | Command::ScriptKill
        | Command::Save(_) => (Order::Any, Route::Here, First::Answer),
    };
    Plan { order, route, first }
}

/// The first step of a command that asks shards or workers. Those that the connection's own worker answers are in
/// `answer.rs`, those of transactions in `transaction.rs`.
pub(crate) fn start(command: Command, first: First, me: u64, here: Target, context: &Context<'_>) -> Next {
    let placement = context.placement();
    match command {
        Command::OnKey(key, action) => start_on_key(key, action, first, context),
        Command::MultiKey(multi_key) => gather::multi_key(multi_key, context),
        Command::Transfer(transfer) => RenameOrCopy::start(*transfer, context),
        Command::Keys(pattern, database) => Scanning::list(pattern, database, context),
        Command::RandomKey(database) => RandomKey::start(database, context),
        Command::VectorSet(element, vector, options) => gather::set_vector(element, vector, options, context),
        Command::VectorSetMany(vectors) => gather::set_vectors(vectors, context),
        Command::VectorGet(element, form) => {
            let shard = context.home_of(&element);
            Next::Request(
                Gather::One(Shape::Vector(form)),
                vec![(Target::Shard(shard), RequestBody::Get(element))],
            )
        }
        Command::VectorAttributes(element, action) => {
            let shard = Target::Shard(context.home_of(&element));
            let body = RequestBody::Attributes(Box::new((element, *action)));
            Next::Request(Gather::One(Shape::Whole), vec![(shard, body)])
        }
        Command::VectorDelete(elements) => delete(&elements, context),
        Command::VectorQuery(query) => gather::query(*query, context),
        Command::VectorQueryMany(query) => gather::query_many(*query, context),
        Command::Scan(request) => Scanning::start(*request, context),
        Command::VectorCreate(creation) => {
            let owner = Target::Shard(placement.shard_of(&creation.collection));
            let graph = graph_settings(&creation, context.setup.graph);
            let (name, dimension, label) = (creation.collection, creation.dimension, creation.label);
            let proposal = Proposal {
                name,
                dimension,
                graph,
                made_by: MadeBy::Veccreate,
                label,
                if_there: IfThere::Refuse,
            };
            Next::Request(Gather::Creating, vec![(owner, RequestBody::Create(Box::new(proposal)))])
        }
        Command::VectorDrop(name) => {
            let owner = Target::Shard(placement.shard_of(&name));
            Next::Request(
                Gather::Dropping(Dropping::Deciding),
                vec![(owner, RequestBody::Withdraw(name))],
            )
        }
        Command::ChangeAlias(change) => {
            let owner = Target::Shard(placement.shard_of(change.alias()));
            Next::Request(Gather::ChangingAlias, vec![(owner, RequestBody::ChangeAlias(change))])
        }
        Command::VectorList(with_aliases, database) => {
            // Any shard can read the catalog; one of our own, if there is one, spares the way.
            let shard = match here {
                Target::Shard(shard) => shard,
                Target::Worker(_) => ShardId(0),
            };
            let gather = match with_aliases {
                true => Gather::ListingWithAliases(database),
                false => Gather::One(Shape::Names),
            };
            Next::Request(gather, vec![(Target::Shard(shard), RequestBody::List(database))])
        }
        Command::VectorRecall(request) => Recalling::start(&request, context),
        Command::VectorInfo(name) => describe(&name, DescribeForm::All, context),
        Command::DatabaseSize(database) => {
            let count = |shard| (Target::Shard(shard), RequestBody::Count(database));
            let requests: Vec<_> = placement.shards().map(count).collect();
            let (missing, total) = (requests.len(), 0);
            Next::Request(Gather::Sum { missing, total }, requests)
        }
        Command::Flush(database) => Flushing::start(database, context),
        Command::ClientList(filter) => ListingClients::start(*filter, context),
        Command::ClientKill(filter, reply) => KillingClients::start(*filter, me, reply, context),
        Command::ChangeSubscriptions(change) => {
            let worker = match here {
                Target::Shard(shard) => placement.worker_of(shard),
                Target::Worker(worker) => worker,
            };
            let body = RequestBody::ChangeSubscriptions(Box::new(Subscribing::new(*change)));
            Next::Request(Gather::Subscribing, vec![(Target::Worker(worker), body)])
        }
        Command::Publish(message) => {
            let message: Arc<Message> = message.into();
            let body = |worker| (Target::Worker(worker), RequestBody::Publish(Arc::clone(&message)));
            let requests: Vec<_> = context.setup.workers().map(body).collect();
            let (missing, total) = (requests.len(), 0);
            Next::Request(Gather::Sum { missing, total }, requests)
        }
        Command::PubSub(query) => AskingTopics::start(*query, context),
        Command::Evaluate(evaluation) => evaluate(*evaluation, here, context),
        Command::Function(request) => match *request {
            FunctionRequest::Change(change) => {
                let body = RequestBody::ChangeFunctions(Box::new(change));
                Next::Request(Gather::Scripting, vec![(Target::Shard(LIBRARIES_SHARD), body)])
            }
            // In a transaction, after what it changes.
            request => functions::answer(request, context.setup, context.at_ms)
                .map_or_else(|_| Next::error(&ClientError::NotInTransaction), Next::Reply),
        },
        Command::Info(sections) => Informing::start(Report::Info(sections), context),
        Command::Memory(MemoryRequest::Stats) => Informing::start(Report::MemoryStats, context),
        Command::Memory(MemoryRequest::Doctor) => Informing::start(Report::MemoryDoctor, context),
        Command::Memory(MemoryRequest::AllocatorStats) => Next::Reply(Reply::Verbatim(
            "Stats not supported for the current allocator".to_owned(),
        )),
        Command::Memory(MemoryRequest::Purge) => ask_all_workers(context, || RequestBody::ReleaseMemory),
        Command::Save(_) => Next::Again(Gather::Saving(context.setup.durability.told.saves_ended.get())),
        Command::Acl(request) => access::change(*request, me, context),
        Command::ConfigRewrite => Next::Again(Gather::Rewriting(context.setup.settings.rewrite())),
        Command::Slowlog(request) => AskingSlow::slowlog(request, context.setup).into(),
        Command::Latency(request) => match *request {
            LatencyRequest::Histogram(names) => Informing::start(Report::Histogram(names), context),
            request => AskingSlow::latency(request, context.setup).into(),
        },
        Command::ClientTracking(options) => {
            let worker = match here {
                Target::Shard(shard) => placement.worker_of(shard),
                Target::Worker(worker) => worker,
            };
            Switching::start(options, Target::Worker(worker), context.setup).into()
        }
        Command::ClientUnpause => {
            context.setup.live.pause.end();
            ask_all_workers(context, || RequestBody::Unpause)
        }
        Command::ConfigResetStat => ask_all_workers(context, || RequestBody::ResetStats),
        // Answered before: the plan says so. A command that neither file knows is refused here.
        _ => Next::error(&ClientError::NotInTransaction),
    }
}

/// What is to run, and what it says of itself.
fn program_of(source: ScriptSource, context: &Context<'_>) -> Result<(Program, Option<Flags>), String> {
    let scripts = &context.setup.scripts;
    let script = match source {
        ScriptSource::Text(text) => scripts.evaluated(text)?,
        ScriptSource::Sha(sha) => scripts.find(&sha).ok_or(NO_SCRIPT)?,
        ScriptSource::Function(name, fault) => {
            let libraries = context.setup.catalog.libraries();
            let (library, function) = libraries.function(&name).ok_or("ERR Function not found")?;
            if let Some(fault) = fault {
                return Err(fault.to_owned());
            }
            let (library, name) = (
                LibraryCode::new(library.code.clone(), library.id)?,
                function.name.clone(),
            );
            let flags = Flags::from_bits(function.flags);
            return Ok((Program::Function { library, name }, Some(flags)));
        }
    };
    let flags = script.flags;
    Ok((Program::Script(script), flags))
}

/// The first step of a script or a function: the shard of its keys runs it. One without keys begins somewhere.
fn evaluate(evaluation: Evaluation, here: Target, context: &Context<'_>) -> Next {
    let (program, flags) = match program_of(evaluation.source, context) {
        Ok(found) => found,
        Err(text) => return Next::Reply(Reply::Error(text)),
    };
    let never_writes = flags.is_some_and(|flags| flags.has(Flags::NO_WRITES));
    if evaluation.is_read_only && flags.is_some() && !never_writes {
        return Next::error(&ClientError::Said(
            "ERR Can not execute a script with write flag using *_ro command.",
        ));
    }
    let (keys, placement) = (evaluation.keys, context.placement());
    let slot_of = |key: &Bytes| slot(&[key]);
    let slot = keys.first().map(slot_of);
    let spans_slots = context.setup.live.scripts_across_slots.get() != 0
        || flags.is_some_and(|flags| flags.has(Flags::ALLOW_CROSS_SLOT_KEYS));
    let is_apart = |key: &Bytes| match spans_slots {
        true => placement.shard_of(key) != placement.shard_of(&keys[0]),
        false => Some(slot_of(key)) != slot,
    };
    if keys.iter().any(is_apart) {
        return Next::error(&ClientError::CrossSlot);
    }
    let target = match (slot, here) {
        (Some(slot), _) => Target::Shard(placement.shard_of_slot(slot)),
        (None, Target::Shard(_)) => here,
        (None, Target::Worker(_)) => Target::Shard(ShardId(0)),
    };
    let gather = match slot {
        Some(_) => Gather::One(Shape::Whole),
        None => Gather::Scripting,
    };
    let body = ScriptRun {
        run: Run {
            program,
            keys: keys.iter().map(as_said).collect(),
            arguments: evaluation.arguments,
            version: evaluation.version,
        },
        command: if evaluation.is_read_only { "FCALL_RO" } else { "FCALL" },
        database: evaluation.database,
        is_read_only: evaluation.is_read_only || never_writes,
        rights: evaluation.rights,
        slot,
        spans_slots,
        may_move: slot.is_none(),
    };
    Next::Request(gather, vec![(target, RequestBody::Script(Box::new(body)))])
}

const NO_SCRIPT: &str = "NOSCRIPT No matching script. Please use EVAL.";

/// Asks the same of all workers, and answers `OK` when all have done it.
fn ask_all_workers(context: &Context<'_>, body: impl Fn() -> RequestBody) -> Next {
    let workers = context.setup.workers();
    let requests: Vec<_> = workers.map(|worker| (Target::Worker(worker), body())).collect();
    let (missing, reply) = (requests.len(), Reply::ok());
    Next::Request(Gather::AllDone { missing, reply }, requests)
}

/// The first step of a command on one key.
fn start_on_key(key: ShortKey, action: Action, first: First, context: &Context<'_>) -> Next {
    let owner = Target::Shard(context.placement().shard_of(&key));
    let operation = |key, action| vec![(owner, RequestBody::KeyOperation(Box::new(KeyOperation { key, action })))];
    match (action, first) {
        (Action::Key(KeyAction::Delete), First::Collection) => {
            gather::multi_key(MultiKeyCommand::Delete(Words::one(&key)), context)
        }
        (Action::Key(KeyAction::MemoryUsage), First::Collection) => describe(&key, DescribeForm::Bytes, context),
        (action, First::Collection) => Next::Request(Gather::ExpireCollection, operation(key, action)),
        (action, _) => Next::Request(Gather::One(Shape::Whole), operation(key, action)),
    }
}

/// The shard of the key of a command on one key.
pub(crate) fn home_of(parsed: &Parsed, key: &[u8], placement: Placement) -> ShardId {
    match parsed.slot {
        Some(slot) => placement.shard_of_slot(slot),
        None => placement.shard_of(key),
    }
}

/// What VECCREATE gives, and the defaults for the rest.
fn graph_settings(creation: &Creation, defaults: GraphSettings) -> GraphSettings {
    GraphSettings {
        metric: creation.metric.unwrap_or(defaults.metric),
        storage: creation.storage.unwrap_or(defaults.storage),
        m: creation.m.unwrap_or(defaults.m),
        ef_construction: creation.ef_construction.unwrap_or(defaults.ef_construction),
        ef_search: creation.ef_search.unwrap_or(defaults.ef_search),
        graph_min: defaults.graph_min,
    }
}

fn describe(name: &[u8], form: DescribeForm, context: &Context<'_>) -> Next {
    match (context.catalog().find(name), form) {
        (Some(schema), form) => Describing::start(schema, form, context),
        (None, DescribeForm::All) => Next::reply_unless_wrong_type(Reply::Null, name, context),
        (None, DescribeForm::Bytes) => Next::Reply(Reply::Null),
    }
}

fn delete(elements: &ElementList, context: &Context<'_>) -> Next {
    let placement = context.placement();
    let mut of_shard: Vec<ElementList> = (0..placement.shard_count()).map(|_| ElementList::default()).collect();
    for (collection, name) in elements.iter() {
        of_shard[placement.shard_of_name(context.catalog(), collection, name).index()].push(collection, name);
    }
    let requests: Vec<(Target, RequestBody)> = placement
        .shards()
        .zip(of_shard)
        .filter(|(_, elements)| !elements.is_empty())
        .map(|(shard, elements)| (Target::Shard(shard), RequestBody::Delete(elements)))
        .collect();
    Next::Request(
        Gather::Sum {
            missing: requests.len(),
            total: 0,
        },
        requests,
    )
}

/// True if one of the keys is the name of a collection: to delete it is a decision that other shards hear of.
pub(crate) fn names_a_collection(keys: &Words, catalog: CatalogView<'_>) -> bool {
    // Of very many keys it is not looked up but taken for granted: no more follows from it than some messages.
    !catalog.is_empty() && (keys.len() > KEYS_ROUTED_MAX || keys.iter().any(|key| catalog.holds(key)))
}

/// True if one of the keys is the name of a collection.
pub(crate) fn names_collection(transfer: &Transfer, catalog: CatalogView<'_>) -> bool {
    !catalog.is_empty() && (catalog.holds(&transfer.from) || catalog.holds(&transfer.to))
}

fn route_of_keys<'k>(mut keys: impl ExactSizeIterator<Item = &'k [u8]> + Clone, placement: Placement) -> Route {
    // Of very many, or very long ones, it is taken for granted that they are everywhere.
    if keys.len() > KEYS_ROUTED_MAX || keys.clone().map(<[u8]>::len).sum::<usize>() > KEY_BYTES_ROUTED_MAX {
        return Route::All;
    }
    let Some(first) = keys.next().map(|key| placement.shard_of(key)) else {
        return Route::Here;
    };
    match keys.all(|key| placement.shard_of(key) == first) {
        true => Route::One(first),
        false => Route::All,
    }
}

fn route_of_scan(request: &ScanRequest, placement: Placement) -> Route {
    let shard = Cursor::of_number(request.cursor).shard;
    if shard.index() < placement.shard_count() {
        Route::One(shard)
    } else {
        Route::Here
    }
}

fn route_of_query(target: &[u8], placement: Placement) -> Route {
    // A hash tag in what is asked is one in whatever is meant by it, or is only in an element's name: then the first
    // ask goes to that element's shard, and what follows waits for credit on its own.
    match placement.spread_of(target) {
        Spread::One(shard) => Route::One(shard),
        Spread::All => Route::All,
    }
}
