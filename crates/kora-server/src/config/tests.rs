use std::ffi::OsString;

use super::invocation::command;
use super::*;

const SHIPPED: &str = include_str!("../../../../config/kora.toml");

/// The defaults' names and texts as the file writes them.
fn defaults() -> toml::Table {
    toml::Table::try_from(Config::default()).unwrap()
}

fn from_file(text: &str) -> Result<Config, ConfigError> {
    Config::from_text(Path::new("config/kora.toml"), text)
}

fn from_line(line: &str) -> Result<Config, ConfigError> {
    let words = line.split(' ').map(OsString::from);
    match parse_from(words)? {
        Invocation::Serve(config) | Invocation::Demo(_, config) => Ok(*config),
        _ => panic!("it has no settings"),
    }
}

#[test]
fn the_shipped_file_has_every_setting_with_its_default() {
    let shipped: toml::Table = SHIPPED.parse().unwrap();
    let names = |table: &toml::Table| table.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&shipped), names(&defaults()));
    assert_eq!(from_file(SHIPPED).unwrap(), Config::default());
}

#[test]
fn every_setting_of_the_shipped_file_is_explained() {
    for (index, line) in SHIPPED
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.starts_with('#') && !line.is_empty())
    {
        let before = SHIPPED.lines().nth(index.saturating_sub(1)).unwrap();
        assert!(
            before.starts_with("# "),
            "line {} has no comment above it: {line}",
            index + 1
        );
    }
}

#[test]
fn every_setting_is_a_flag_and_a_variable_of_the_same_name() {
    for command in [
        &command(),
        command().find_subcommand("serve").unwrap(),
        command().find_subcommand("demo").unwrap(),
    ] {
        for name in defaults().keys() {
            let flag = command
                .get_arguments()
                .find(|flag| flag.get_long() == Some(name))
                .unwrap_or_else(|| panic!("no --{name}"));
            let variable = format!("KORA_{}", name.to_uppercase().replace('-', "_"));
            assert_eq!(flag.get_env().unwrap(), variable.as_str());
        }
    }
}

#[test]
fn the_help_of_every_setting_ends_with_its_default() {
    for (name, value) in &defaults() {
        let default = match (name.as_str(), value.as_str().unwrap()) {
            ("requirepass" | "aclfile" | "dir" | "tls-cert-file" | "tls-key-file" | "tls-ca-cert-file", "")
            | ("notify-keyspace-events", "") => "none",
            ("proto-max-bulk-len", "67108864") => "64mb",
            (_, text) => text,
        };
        let command = command();
        let flag = command
            .get_arguments()
            .find(|flag| flag.get_long() == Some(name))
            .unwrap();
        let help = flag.get_help().unwrap().to_string();
        assert!(help.ends_with(&format!("[default: {default}]")), "--{name}: {help}");
    }
}

/// Both sides of both ends of every setting that has a range, and the range in its help and in the shipped file.
#[test]
fn a_range_includes_its_ends_and_nothing_beyond() {
    let ranges: [(&str, u64, u64); 21] = [
        ("port", 0, 65_535),
        ("acllog-max-len", 0, 10_000),
        ("maxclients", 1, 1_000_000),
        ("timeout", 0, 2_147_483_647),
        ("tcp-keepalive", 0, 32_767),
        ("tcp-backlog", 1, 65_535),
        ("http-port", 0, 65_535),
        ("tls-port", 0, 65_535),
        ("proto-max-bulk-len", 1 << 20, 512 << 20),
        ("busy-reply-threshold", 0, 4_294_967_295),
        ("slowlog-max-len", 0, 100_000),
        ("latency-monitor-threshold", 0, 4_294_967_295),
        ("tracking-table-max-keys", 1, 100_000_000),
        ("shutdown-timeout", 0, 86_400),
        ("workers", 0, 256),
        ("shards", 0, 256),
        ("idle-laps", 0, 10_000),
        ("turn-budget-us", 10, 100_000),
        ("vector-m", 2, 512),
        ("vector-ef-construction", 1, 100_000),
        ("vector-ef-search", 1, 100_000),
    ];
    for (name, least, most) in ranges {
        let beyond = [Some(most + 1), least.checked_sub(1), Some(u64::MAX)];
        for inside in [least, most] {
            from_file(&format!("{name} = {inside}")).unwrap_or_else(|error| panic!("{error}"));
            from_line(&format!("kora --{name} {inside}")).unwrap_or_else(|error| panic!("{error}"));
        }
        for outside in beyond.into_iter().flatten() {
            // Quoted: TOML's own numbers end at 2^63 - 1.
            from_file(&format!("{name} = \"{outside}\"")).unwrap_err();
            from_line(&format!("kora --{name} {outside}")).unwrap_err();
        }
        for nonsense in ["-1", "1.5", "", "many", "0x10", "18446744073709551616"] {
            from_file(&format!("{name} = \"{nonsense}\"")).unwrap_err();
            from_line(&format!("kora --{name}={nonsense}")).unwrap_err();
        }
        let ends = match name {
            "proto-max-bulk-len" => "1mb to 512mb".to_owned(),
            _ => format!("{least} to {most}"),
        };
        let command = command();
        let flag = command
            .get_arguments()
            .find(|flag| flag.get_long() == Some(name))
            .unwrap();
        assert!(
            flag.get_help().unwrap().to_string().contains(&ends),
            "--{name} does not say {ends}"
        );
        let comment = SHIPPED
            .split(&format!("\n{name} = "))
            .next()
            .unwrap()
            .rsplit("\n\n")
            .next()
            .unwrap();
        assert!(
            comment.contains(&ends),
            "config/kora.toml does not say {ends} above {name}:\n{comment}"
        );
    }
}

#[test]
fn a_bad_value_is_refused_with_its_line_and_what_is_right() {
    let error = from_file("# one\nbind = \"127.0.0.1\"\n\nport = 70000\n").unwrap_err();
    let said = "config/kora.toml:4: `70000` is not a whole number from 0 to 65535\n    port = 70000";
    assert_eq!(error.to_string(), said);
    let error = from_file("loglevel = \"loud\"").unwrap_err().to_string();
    assert!(error.contains(":1: `loud` is not trace, debug, verbose"), "{error}");
    let error = from_file("bind = [\"127.0.0.1\", \"localhost\"]")
        .unwrap_err()
        .to_string();
    assert!(error.contains(":1: `localhost` is not an IP address"), "{error}");
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_known_ones() {
    let error = from_file("port = 1\n\n\nprot = 6379\n").unwrap_err().to_string();
    assert!(
        error.starts_with("config/kora.toml:4: unknown field `prot`, expected one of `bind`, `port`"),
        "{error}"
    );
    let error = from_file("port = 1\nport = 2\n").unwrap_err().to_string();
    assert!(error.starts_with("config/kora.toml:2: duplicate key"), "{error}");
    let error = from_file("port = 1\n[server]\nport = 2\n").unwrap_err().to_string();
    assert!(
        error.starts_with("config/kora.toml:2: unknown field `server`"),
        "{error}"
    );
    let error = from_file("port: 6379\n").unwrap_err().to_string();
    assert!(error.starts_with("config/kora.toml:1: "), "{error}");
}

#[test]
fn a_flag_wins_over_the_file_and_leaves_the_rest() {
    let path = std::env::temp_dir().join(format!("kora-config-{}.toml", std::process::id()));
    fs::write(&path, "port = 7000\nmaxclients = 5\n").unwrap();
    let config = from_line(&format!("kora --config {} --port 7001", path.display())).unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(
        (config.port.get(), config.maxclients.get(), config.vector_m.get()),
        (7001, 5, 16)
    );
}

#[test]
fn a_file_that_was_named_must_exist() {
    let error = from_line("kora --config /nowhere/kora.toml").unwrap_err();
    assert!(
        error.to_string().starts_with("/nowhere/kora.toml: No such file"),
        "{error}"
    );
}

#[test]
fn settings_stand_behind_the_program_or_behind_the_subcommand() {
    for line in [
        "kora --port 7000",
        "kora serve --port 7000",
        "kora demo --port 7000",
        "kora demo --exit --port 7000",
    ] {
        assert_eq!(from_line(line).unwrap().port.get(), 7000, "{line}");
    }
    from_line("kora --port 7000 serve").unwrap_err();
    from_line("kora --exit").unwrap_err();
    from_line("kora fly").unwrap_err();
}

#[test]
fn a_password_opens_every_interface_unless_told_otherwise() {
    let config = |line: &str| from_line(line).unwrap();
    let shown = |config: &Config| bind::to_text(&config.listen_addresses());
    let cases = [
        ("kora", "127.0.0.1 -::1", Exposure::LoopbackOnly),
        ("kora --requirepass p", "0.0.0.0 -::", Exposure::NetworkWithPassword),
        (
            "kora --requirepass p --bind 127.0.0.1",
            "127.0.0.1",
            Exposure::LoopbackOnly,
        ),
        (
            "kora --bind ::ffff:127.0.0.1",
            "::ffff:127.0.0.1",
            Exposure::LoopbackOnly,
        ),
        ("kora --bind *", "0.0.0.0", Exposure::NetworkWithoutPassword),
        (
            "kora --bind 127.0.0.1,-::*",
            "127.0.0.1 -::",
            Exposure::NetworkWithoutPassword,
        ),
    ];
    for (line, addresses, exposure) in cases {
        assert_eq!(
            (shown(&config(line)).as_str(), config(line).exposure()),
            (addresses, exposure),
            "{line}"
        );
    }
    assert_eq!(
        from_file("bind = [\"10.0.0.1\", \"-::1\"]").unwrap().bind.to_string(),
        "10.0.0.1 -::1"
    );
    from_line("kora --bind=").unwrap_err();
}

#[test]
fn memory_is_written_with_redis_units() {
    let bytes =
        |text: &str| from_line(&format!("kora --proto-max-bulk-len {text}")).map(|c| c.proto_max_bulk_len.bytes());
    let cases = [
        ("2000000", 2_000_000),
        ("2m", 2_000_000),
        ("2MB", 2 << 20),
        ("2048kB", 2 << 20),
        ("2000k", 2_000_000),
    ];
    for (text, expected) in cases {
        assert_eq!(bytes(text).unwrap(), expected, "{text}");
    }
    for wrong in ["2mib", "mb", "1.5mb", "99999999999g", "2 mb"] {
        assert!(bytes(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn idle_laps_need_peers_and_a_core_for_each_worker() {
    assert_eq!(IdleLaps::Automatic.count(2, 2), 4);
    assert_eq!(IdleLaps::Automatic.count(3, 2), 0);
    assert_eq!(IdleLaps::Automatic.count(1, 2), 0);
    assert_eq!(IdleLaps::Laps(7).count(3, 2), 7);
}

#[test]
fn a_password_is_shown_by_nothing_but_config_get() {
    let config = from_line("kora --requirepass hunter2").unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    assert!(!toml::to_string(&config).unwrap().contains("hunter2"));
    assert!(
        config
            .settings()
            .contains(&("requirepass".to_owned(), "hunter2".to_owned()))
    );
    let error = from_file("requirepass = [\"hunter2\", 5]").unwrap_err().to_string();
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn config_get_knows_every_setting_by_its_name_and_effective_value() {
    let settings = Config::default().settings();
    assert_eq!(
        settings.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        defaults().keys().collect::<Vec<_>>()
    );
    let value = |name: &str| settings.iter().find(|(known, _)| known == name).unwrap().1.as_str();
    assert_eq!(value("bind"), "127.0.0.1 -::1");
    assert_eq!(value("proto-max-bulk-len"), "67108864");
    assert_eq!(value("loglevel"), "notice");
    assert_eq!(value("requirepass"), "");
}
