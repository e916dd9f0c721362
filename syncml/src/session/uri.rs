//! Where the next message of a session goes.

/// Resolves a `RespURI` against the URL that was asked.
///
/// Followed only to the same scheme, host and port; a relative one is resolved. None means: refuse it.
// spec: threats S2
pub fn resolve_resp_uri(asked: &str, resp_uri: &str) -> Option<String> {
    let (scheme, rest) = asked.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if let Some((their_scheme, their_rest)) = resp_uri.split_once("://") {
        let theirs = their_rest.split(['/', '?']).next().unwrap_or_default();
        let same = their_scheme.eq_ignore_ascii_case(scheme)
            && with_port(scheme, theirs) == with_port(scheme, authority);
        return same.then(|| resp_uri.to_owned());
    }
    let base = format!("{scheme}://{authority}");
    Some(match resp_uri.as_bytes().first()? {
        b'/' => format!("{base}{resp_uri}"),
        b'?' => format!("{base}{}{resp_uri}", path.split('?').next().unwrap_or_default()),
        _ => {
            let path = path.split('?').next().unwrap_or_default();
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            format!("{base}{folder}/{}", resp_uri.trim_start_matches("./"))
        }
    })
}

fn with_port(scheme: &str, authority: &str) -> String {
    let authority = authority.to_ascii_lowercase();
    let has_port =
        authority.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    match (has_port, scheme.eq_ignore_ascii_case("https")) {
        (true, _) => authority,
        (false, true) => authority + ":443",
        (false, false) => authority + ":80",
    }
}

#[cfg(test)]
mod tests {
    use super::resolve_resp_uri;

    #[test]
    fn threat_s2_only_the_same_server_is_followed() {
        let asked = "http://h:8080/syncml?x=1";
        let table = [
            ("http://h:8080/syncml?s=1", Some("http://h:8080/syncml?s=1")),
            ("HTTP://H:8080/a", Some("HTTP://H:8080/a")),
            ("http://h/syncml", None),
            ("https://h:8080/syncml", None),
            ("http://evil:8080/syncml", None),
            ("http://h:8080@evil/", None),
            ("/other?s=2", Some("http://h:8080/other?s=2")),
            ("?s=3", Some("http://h:8080/syncml?s=3")),
            ("syncml?s=4", Some("http://h:8080/syncml?s=4")),
            ("", None),
        ];
        for (resp_uri, want) in table {
            assert_eq!(resolve_resp_uri(asked, resp_uri).as_deref(), want, "{resp_uri}");
        }
        assert!(resolve_resp_uri("http://h/x", "http://h:80/y").is_some());
    }
}
