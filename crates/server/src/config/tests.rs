use super::*;

const SHIPPED: &str = include_str!("../../../../docs/madang.toml");

#[test]
fn the_shipped_file_shows_the_defaults() {
    assert_eq!(
        toml::from_str::<Config>(SHIPPED).unwrap(),
        Config::default()
    );
}

#[test]
fn the_shipped_file_shows_every_setting() {
    let shipped: toml::Table = SHIPPED.parse().unwrap();
    let debug = format!("{:?}", Config::default());
    fn count(table: &toml::Table) -> (usize, usize) {
        let parts = table.values().map(|value| match value.as_table() {
            Some(table) => {
                let (settings, tables) = count(table);
                (settings, tables + 1)
            }
            None => (1, 0),
        });
        parts.fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1))
    }
    // Every field of the structs shows as `name:` in the debug text, tables too.
    let (settings, tables) = count(&shipped);
    assert_eq!(settings + tables, debug.matches(": ").count(), "{debug}");
}

#[test]
fn the_services_that_the_shipped_file_shows_can_be() {
    // Those in comments, by their defaults.
    let (_, commented) = SHIPPED.split_once("# [services.cafe]").unwrap();
    let (commented, _) = commented.split_once("\n\n").unwrap();
    let lines = commented.lines().filter_map(|line| line.strip_prefix("# "));
    let settings: Vec<_> = lines.filter(|line| line.contains(" = ")).collect();
    let service: HttpService = toml::from_str(&settings.join("\n")).unwrap();
    service.check("cafe").unwrap();
    let shown = HttpService {
        url: service.url.clone(),
        ..HttpService::default()
    };
    assert_eq!(service, shown);
    let debug = format!("{service:?}");
    assert_eq!(settings.len(), debug.matches(": ").count(), "{debug}");
}

#[test]
fn a_secret_is_not_shown() {
    let debug = format!("{:?}", Secret::from("커피".to_owned()));
    assert!(!debug.contains("커피"), "{debug}");
}

#[test]
fn an_error_names_the_file_the_line_and_the_setting() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("madang.toml");
    for (text, expected) in [
        ("[limits]\nmessage_bytez = 1\n", "message_bytez"),
        ("listen = 8080\n", "listen"),
        ("[times]\nheartbeat_ms = -1\n", "heartbeat_ms"),
        (
            "[limits]\nsessions = 0\n",
            "limits.sessions is 0 and must be from 1",
        ),
        (
            "[limits]\njournal_queue = 9000000000\n",
            "limits.journal_queue",
        ),
        ("[limits]\noutgoing_bytes = 100\n", "limits.outgoing_bytes"),
        (
            "[retention]\nevery_seconds = 0\n",
            "retention.every_seconds is 0 and must be from 1",
        ),
        ("[retention.closed]\ndays = 1\n", "closed"),
        (
            "[proxy]\ntrusted = [\"10.0.0.0/40\"]\n",
            "proxy.trusted is wrong: '10.0.0.0/40' is neither",
        ),
        ("[proxy]\nheader = \"via\"\n", "x-forwarded-for"),
        ("[tls]\nkey = \"key.pem\"\n", "tls.certificate and tls.key"),
        ("[services.cafe]\nport = 1\n", "port"),
        ("[services.cafe]\n", "services.cafe is wrong: url is ''"),
        (
            "[services.cafe]\nurl = \"cafe:80\"\n",
            "services.cafe is wrong: url is 'cafe:80' and must be",
        ),
        (
            "[services.cafe]\nurl = \"http://a\"\nconcurrency = 0\n",
            "services.cafe is wrong: concurrency is 0 and must be from 1",
        ),
        (
            "[services.cafe]\nurl = \"http://a\"\ntimeout_ms = 99999999\n",
            "services.cafe is wrong: timeout_ms is 99999999",
        ),
        (
            "[services.\"the café\"]\nurl = \"http://a\"\n",
            "services.the café is wrong: the name of a service must not contain",
        ),
        ("[limits\n", "line 1"),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = format!("{:#}", Config::read(&path).unwrap_err());
        assert!(
            error.contains(expected) && error.contains("madang.toml"),
            "{error}"
        );
    }
    let error = format!(
        "{:#}",
        Config::read(&folder.path().join("none.toml")).unwrap_err()
    );
    assert!(error.contains("none.toml"), "{error}");
}
