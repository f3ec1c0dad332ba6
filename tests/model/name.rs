//! The list of all commands, as the model knows them. A command that is in the engine's table and not here fails a test
//! at once; one that is here has an arm in the generator and in the twin, or nothing compiles.

/// One command, or one subcommand of a container.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Name {
    Auth,
    Client,
    ClientGetname,
    ClientHelp,
    ClientId,
    ClientInfo,
    ClientKill,
    ClientList,
    ClientSetInfo,
    ClientSetname,
    Command,
    CommandCount,
    CommandDocs,
    CommandHelp,
    CommandInfo,
    CommandList,
    Config,
    ConfigGet,
    ConfigHelp,
    DbSize,
    Echo,
    FlushAll,
    FlushDb,
    Hello,
    Info,
    Ping,
    Quit,
    Scan,
    Select,
    Shutdown,
    Type,
    VecCreate,
    VecDel,
    VecDrop,
    VecGet,
    VecInfo,
    VecList,
    VecQuery,
    VecSet,
}

impl Name {
    pub(crate) const ALL: [Name; 39] = [
        Name::Auth,
        Name::Client,
        Name::ClientGetname,
        Name::ClientHelp,
        Name::ClientId,
        Name::ClientInfo,
        Name::ClientKill,
        Name::ClientList,
        Name::ClientSetInfo,
        Name::ClientSetname,
        Name::Command,
        Name::CommandCount,
        Name::CommandDocs,
        Name::CommandHelp,
        Name::CommandInfo,
        Name::CommandList,
        Name::Config,
        Name::ConfigGet,
        Name::ConfigHelp,
        Name::DbSize,
        Name::Echo,
        Name::FlushAll,
        Name::FlushDb,
        Name::Hello,
        Name::Info,
        Name::Ping,
        Name::Quit,
        Name::Scan,
        Name::Select,
        Name::Shutdown,
        Name::Type,
        Name::VecCreate,
        Name::VecDel,
        Name::VecDrop,
        Name::VecGet,
        Name::VecInfo,
        Name::VecList,
        Name::VecQuery,
        Name::VecSet,
    ];

    /// As in the table: `container|subcommand`, and the number of words, negative for at least that many.
    pub(crate) fn facts(self) -> (&'static str, i32) {
        match self {
            Name::Auth => ("auth", -2),
            Name::Client => ("client", -2),
            Name::ClientGetname => ("client|getname", 2),
            Name::ClientHelp => ("client|help", 2),
            Name::ClientId => ("client|id", 2),
            Name::ClientInfo => ("client|info", 2),
            Name::ClientKill => ("client|kill", -3),
            Name::ClientList => ("client|list", -2),
            Name::ClientSetInfo => ("client|setinfo", 4),
            Name::ClientSetname => ("client|setname", 3),
            Name::Command => ("command", -1),
            Name::CommandCount => ("command|count", 2),
            Name::CommandDocs => ("command|docs", -2),
            Name::CommandHelp => ("command|help", 2),
            Name::CommandInfo => ("command|info", -2),
            Name::CommandList => ("command|list", -2),
            Name::Config => ("config", -2),
            Name::ConfigGet => ("config|get", -3),
            Name::ConfigHelp => ("config|help", 2),
            Name::DbSize => ("dbsize", 1),
            Name::Echo => ("echo", 2),
            Name::FlushAll => ("flushall", -1),
            Name::FlushDb => ("flushdb", -1),
            Name::Hello => ("hello", -1),
            Name::Info => ("info", -1),
            Name::Ping => ("ping", -1),
            Name::Quit => ("quit", -1),
            Name::Scan => ("scan", -2),
            Name::Type => ("type", 2),
            Name::Select => ("select", 2),
            Name::Shutdown => ("shutdown", -1),
            Name::VecCreate => ("veccreate", -4),
            Name::VecDel => ("vecdel", -2),
            Name::VecDrop => ("vecdrop", 2),
            Name::VecGet => ("vecget", -2),
            Name::VecInfo => ("vecinfo", 2),
            Name::VecList => ("veclist", 1),
            Name::VecQuery => ("vecquery", -4),
            Name::VecSet => ("vecset", -4),
        }
    }

    pub(crate) fn text(self) -> &'static str {
        self.facts().0
    }

    pub(crate) fn is_subcommand(self) -> bool {
        self.text().contains('|')
    }

    pub(crate) fn is_container(self) -> bool {
        matches!(self, Name::Client | Name::Command | Name::Config)
    }

    /// The command of that name, in any case of letters.
    pub(crate) fn find(text: &[u8]) -> Option<Name> {
        Name::ALL
            .into_iter()
            .find(|name| name.text().as_bytes().eq_ignore_ascii_case(text))
    }

    pub(crate) fn accepts(self, words: usize) -> bool {
        let (_, arity) = self.facts();
        match usize::try_from(arity) {
            Ok(exactly) => words == exactly,
            Err(_) => words >= arity.unsigned_abs() as usize,
        }
    }

    /// All that may be said before AUTH.
    pub(crate) fn is_before_auth(self) -> bool {
        matches!(self, Name::Auth | Name::Hello | Name::Quit)
    }
}
