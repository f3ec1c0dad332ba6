//! `redis://user:password@host:port/database`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A server and how to speak to it.
#[derive(Clone, PartialEq)]
pub struct ServerAddress {
    /// `rediss://`: over TLS.
    pub(crate) is_tls: bool,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) database: u32,
    /// Whose certificates are accepted, PEM.
    pub(crate) ca_file: Option<PathBuf>,
}

impl ServerAddress {
    /// Gives a password where the address has none, so that it needn't stand on a command line.
    #[must_use]
    pub fn or_password(mut self, password: Option<String>) -> Self {
        self.password = self.password.or(password.filter(|password| !password.is_empty()));
        self
    }

    /// Names the file of the authorities whose certificates are accepted.
    #[must_use]
    pub fn with_ca_file(mut self, file: Option<PathBuf>) -> Self {
        self.ca_file = file;
        self
    }
}

/// As in messages: without the password.
impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "rediss" } else { "redis" };
        match self.host.contains(':') {
            true => write!(f, "{scheme}://[{}]:{}", self.host, self.port)?,
            false => write!(f, "{scheme}://{}:{}", self.host, self.port)?,
        }
        match self.database {
            0 => Ok(()),
            database => write!(f, "/{database}"),
        }
    }
}

impl fmt::Debug for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ServerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (is_tls, rest) = match (text.strip_prefix("redis://"), text.strip_prefix("rediss://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => {
                return Err(
                    "an address is redis://[user:password@]host[:port][/database], or rediss:// for TLS".into(),
                );
            }
        };
        // A password may hold `@` and `/` only as %40 and %2F; an `@` that was not escaped is still the last one.
        let (rest, database) = match rest.rsplit_once('/') {
            Some((rest, "")) => (rest, 0),
            Some((rest, database)) if !database.contains('@') => {
                let number = database.parse();
                (
                    rest,
                    number.map_err(|_| format!("`{database}` is no number of a database"))?,
                )
            }
            _ => (rest, 0),
        };
        let (login, place) = match rest.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, rest),
        };
        let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, ""))) {
            Some((user, password)) => (some(user)?, some(password)?),
            None => (None, None),
        };
        let (host, port) = host_and_port(place)?;
        Ok(Self {
            is_tls,
            user,
            password,
            host,
            port,
            database,
            ca_file: None,
        })
    }
}

fn host_and_port(place: &str) -> Result<(String, u16), String> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or("a [ has no ]")?;
            (host, rest.strip_prefix(':'))
        }
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    let port = match port {
        Some(port) => {
            let number = port.parse().ok().filter(|port| *port > 0);
            number.ok_or_else(|| format!("`{port}` is no port"))?
        }
        None => PORT,
    };
    match host {
        "" => Ok(("127.0.0.1".to_owned(), port)),
        host => Ok((host.to_owned(), port)),
    }
}

/// A part of a login without its `%XX`; none if it is empty.
fn some(text: &str) -> Result<Option<String>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = rest.split_at_checked(2).and_then(|(digits, after)| {
            rest = after;
            u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
        });
        bytes.push(digits.ok_or("a % in the user or the password has no two hexadecimal digits behind it")?);
    }
    let text = String::from_utf8(bytes).map_err(|_| "the user or the password is not UTF-8")?;
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// Where Redis and Kōra listen if nothing else is said.
const PORT: u16 = 6379;

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> ServerAddress {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_defaults() {
        let address = parsed("redis://");
        assert_eq!(
            (address.host.as_str(), address.port, address.database),
            ("127.0.0.1", 6379, 0)
        );
        assert_eq!(parsed("redis://h").to_string(), "redis://h:6379");
        assert_eq!(parsed("rediss://h:1/").to_string(), "rediss://h:1");
        assert_eq!(parsed("redis://[::1]:7000/3").to_string(), "redis://[::1]:7000/3");
    }

    #[test]
    fn a_login_is_decoded_and_never_shown() {
        let address = parsed("redis://me:a%40b%2Fc@h:1/2");
        assert_eq!(
            (address.user.as_deref(), address.password.as_deref()),
            (Some("me"), Some("a@b/c"))
        );
        assert_eq!(format!("{address} {address:?}"), "redis://h:1/2 redis://h:1/2");
        let address = parsed("redis://:p@h");
        assert_eq!((address.user, address.password.as_deref()), (None, Some("p")));
        assert_eq!(
            parsed("redis://h").or_password(Some("q".into())).password.as_deref(),
            Some("q")
        );
        assert_eq!(
            parsed("redis://:p@h").or_password(Some("q".into())).password.as_deref(),
            Some("p")
        );
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "h:1",
            "http://h",
            "redis://h:0",
            "redis://h:70000",
            "redis://h/x",
            "redis://[::1",
            "redis://a%4:b@h",
        ] {
            assert!(text.parse::<ServerAddress>().is_err(), "{text}");
        }
    }
}
