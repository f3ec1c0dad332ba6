//! What ACL answers, and what it changes.

use std::sync::mpsc::{Receiver, TryRecvError};

use bytes::Bytes;
use kora_access::{CATEGORIES, Entry, Selector, User, draw_password, in_category};
use kora_resp::{Reply, Words};
use kora_values::Database;

use super::checking::check_both;
use super::is_collection;
use crate::aliases::OwnNames;
use crate::command::acl::{self, AclRequest};
use crate::counts::integer;
use crate::error::ClientError;
use crate::gather::{Context, Gather, Next};
use crate::mail::{RequestBody, Target};
use crate::session::Session;
use crate::setup::Setup;

/// The reply to what changes nothing, or the request back.
pub(crate) fn answer(
    request: Box<AclRequest>,
    session: &Session,
    setup: &Setup,
    unix_ms: u64,
) -> Result<Reply, Box<AclRequest>> {
    let access = &setup.live.access;
    let users = access.users();
    Ok(match *request {
        AclRequest::Categories(None) => array(CATEGORIES.iter().map(|name| text(name))),
        AclRequest::Categories(Some(name)) => match in_category(&name) {
            Some(commands) => array(commands.map(text)),
            None => {
                let name = String::from_utf8_lossy(&name);
                Reply::Error(format!("ERR Unknown category '{name}'"))
            }
        },
        AclRequest::DryRun(name, words) => match users.get(&name) {
            Some(user) => dry_run(user, &words, setup, (session.database, unix_ms)),
            None => {
                let name = String::from_utf8_lossy(&name);
                Reply::Error(format!("ERR User '{name}' not found"))
            }
        },
        AclRequest::GeneratePassword(bits) => match draw_password(bits) {
            Ok(password) => Reply::Text(password),
            Err(error) => Reply::Error(format!("ERR the system has no random numbers: {error}")),
        },
        AclRequest::GetUser(name) => users.get(&name).map_or(Reply::Null, |user| description(user)),
        AclRequest::List => array(users.iter().map(|user| Reply::Bulk(user.describe().into()))),
        AclRequest::Log(count) => {
            let log = access.denials.get();
            array(log.latest().take(count).map(|entry| logged(entry, unix_ms)))
        }
        AclRequest::ResetLog => {
            let _: Result<(), ()> = access.denials.replace(|log| {
                let mut log = log.clone();
                log.clear();
                Ok(log)
            });
            Reply::ok()
        }
        AclRequest::Users => array(users.iter().map(|user| Reply::Bulk(user.name.clone()))),
        AclRequest::WhoAmI => Reply::Bulk(session.user_name()),
        AclRequest::DeleteUsers(_) | AclRequest::SetUser(..) | AclRequest::Load | AclRequest::Save => {
            return Err(request);
        }
    })
}

/// Changes the users, or begins to read or write their file. All workers then look at the users of their connections.
pub(crate) fn change(request: AclRequest, me: u64, context: &Context<'_>) -> Next {
    let setup = context.setup;
    let access = &setup.live.access;
    match request {
        AclRequest::SetUser(name, rules) => {
            match access.replace(|users| users.with_rules(&name, &rules, access.new_users())) {
                Ok(()) => have_reviewed(Reply::ok(), me, context),
                Err(text) => Next::Reply(Reply::Error(format!("ERR {text}"))),
            }
        }
        AclRequest::DeleteUsers(names) => {
            let mut count = 0;
            let outcome = access.replace(|users| {
                let (next, removed) = users.without(&names)?;
                count = removed;
                Ok::<_, &str>(next)
            });
            match outcome {
                Ok(()) => have_reviewed(Reply::Integer(integer(count as u64)), me, context),
                Err(text) => Next::Reply(Reply::Error(format!("ERR {text}"))),
            }
        }
        AclRequest::Load => match setup.settings.read_users() {
            Some(text) => Next::Again(Gather::LoadingUsers(text, me)),
            None => Next::error(&ClientError::Said(NO_FILE)),
        },
        AclRequest::Save => match setup.settings.write_users(access.users().text()) {
            Some(outcome) => Next::Again(Gather::SavingUsers(outcome)),
            None => Next::error(&ClientError::Said(NO_FILE)),
        },
        _ => Next::error(&ClientError::NotInTransaction),
    }
}

/// Replaces the users once their file is read. Until then it is looked at in each round.
pub(crate) fn load(file: Receiver<Result<UsersFile, String>>, me: u64, context: &Context<'_>) -> Next {
    let outcome = match file.try_recv() {
        Err(TryRecvError::Empty) => return Next::Again(Gather::LoadingUsers(file, me)),
        Err(TryRecvError::Disconnected) => Err("the thread that reads the file has ended".to_owned()),
        Ok(outcome) => outcome,
    };
    let loaded = outcome.and_then(|file| context.setup.live.access.read(&file.text, &file.path));
    match loaded {
        Ok(()) => have_reviewed(Reply::ok(), me, context),
        Err(text) => Next::Reply(Reply::Error(format!("ERR {text}"))),
    }
}

/// Answers when the file is written.
pub(crate) fn save(outcome: Receiver<Result<(), String>>) -> Next {
    match outcome.try_recv() {
        Err(TryRecvError::Empty) => Next::Again(Gather::SavingUsers(outcome)),
        Ok(Ok(())) => Next::Reply(Reply::ok()),
        Ok(Err(_)) | Err(TryRecvError::Disconnected) => Next::error(&ClientError::Said(
            "ERR There was an error trying to save the ACLs. Please check the server logs for more information",
        )),
    }
}

/// A file of users that was read.
#[derive(Debug)]
pub struct UsersFile {
    /// What stands in it.
    pub text: Vec<u8>,
    /// Its path, for errors.
    pub path: String,
}

const NO_FILE: &str = "ERR This Redis instance is not configured to use an ACL file. Start the server with the setting \
                       aclfile to keep users in one";

/// Answers when all workers have looked at the users of their connections.
fn have_reviewed(reply: Reply, me: u64, context: &Context<'_>) -> Next {
    let workers = context.setup.workers();
    let requests: Vec<_> = workers
        .map(|worker| (Target::Worker(worker), RequestBody::ReviewUsers { me }))
        .collect();
    let missing = requests.len();
    Next::Request(Gather::AllDone { missing, reply }, requests)
}

fn dry_run(user: &User, words: &Words, setup: &Setup, (database, unix_ms): (Database, u64)) -> Reply {
    let Some(entry) = acl::find_command(words) else {
        let name = String::from_utf8_lossy(words.first().unwrap_or_default());
        return Reply::Error(format!("ERR Command '{name}' not found"));
    };
    if !entry.accepts(words.len()) {
        let command = entry.name.to_owned();
        return Reply::Error(ClientError::WrongArity { command }.to_string());
    }
    let is_collection = |key: &[u8]| is_collection(setup, database, key, unix_ms);
    let aliases = setup.catalog.aliases().now();
    let own_words = OwnNames::new(&aliases, setup.catalog.at(unix_ms)).words(entry, words, database);
    match check_both(user, entry, (words, own_words.as_ref()), &is_collection) {
        Ok(()) => Reply::ok(),
        Err(denial) => Reply::Text(denial.explain(user)),
    }
}

fn description(user: &User) -> Reply {
    let mut fields = vec![
        (text("flags"), Reply::Set(user.flags().map(text).collect())),
        (text("passwords"), array(user.password_hashes().map(Reply::Text))),
    ];
    fields.extend(rules(&user.root));
    let selectors = user.selectors.iter().map(|selector| Reply::Map(rules(selector).into()));
    fields.push((text("selectors"), array(selectors)));
    Reply::Map(fields)
}

fn rules(selector: &Selector) -> [(Reply, Reply); 3] {
    [
        (text("commands"), Reply::Bulk(selector.commands().into())),
        (text("keys"), Reply::Bulk(selector.keys().into())),
        (text("channels"), Reply::Bulk(selector.channels().into())),
    ]
}

fn logged(entry: &Entry, unix_ms: u64) -> Reply {
    let number = |number: u64| Reply::Integer(integer(number));
    let bytes = |bytes: &[u8]| Reply::Bulk(Bytes::copy_from_slice(bytes));
    let age_ms = unix_ms.saturating_sub(entry.last_ms);
    Reply::Map(vec![
        (text("count"), number(entry.count)),
        (text("reason"), Reply::Text(entry.denial.reason.to_string())),
        (text("context"), Reply::Text(entry.context.to_string())),
        (text("object"), bytes(&entry.denial.object)),
        (text("username"), bytes(&entry.user)),
        (text("age-seconds"), Reply::Double(age_ms as f32 / 1000.0)),
        (text("client-info"), Reply::Text(entry.client.clone())),
        (text("entry-id"), number(entry.id)),
        (text("timestamp-created"), number(entry.first_ms)),
        (text("timestamp-last-updated"), number(entry.last_ms)),
    ])
}

fn array(replies: impl Iterator<Item = Reply>) -> Reply {
    Reply::Array(replies.collect())
}

fn text(text: &'static str) -> Reply {
    Reply::Bulk(Bytes::from_static(text.as_bytes()))
}
