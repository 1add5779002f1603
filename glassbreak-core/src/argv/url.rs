//! Addresses among the words of a call: read strictly, so that no program can find another host in them.
//!
//! Programs disagree on what an odd address means (user names, backslashes, numbers for hosts, blanks): whatever is not
//! plain is refused. Where a name leads is the resolver's matter; only names and addresses that say they are not of the
//! public network are known here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::program::FactRef;

/// Which addresses fit.
#[derive(Debug)]
pub(crate) struct UrlRule {
    pub(crate) schemes: Vec<String>,
    /// Names, or `*.` and the name of a domain; any host where there are none.
    pub(crate) hosts: Vec<String>,
    /// Besides the scheme's own.
    pub(crate) ports: Vec<u16>,
    pub(crate) private: bool,
    pub(crate) host_facts: Vec<FactRef>,
}

/// Ends of names that are not of the public network, or that lead to any address one writes in front of them.
const PRIVATE: &[&str] = &[
    "arpa",
    "corp",
    "home",
    "internal",
    "intranet",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "localtest.me",
    "lvh.me",
    "nip.io",
    "onion",
    "private",
    "sslip.io",
    "svc",
    "test",
    "xip.io",
];

/// The host that `text` names, in lower case.
///
/// # Errors
/// Why it does not fit.
pub(crate) fn host(text: &str, rule: &UrlRule) -> Result<String, String> {
    let bad = |c: char| !c.is_ascii_graphic() || "\\{}\"<>^`|".contains(c);
    if let Some(c) = text.chars().find(|c| bad(*c)) {
        return Err(format!(
            "`{}` has no place in an address",
            crate::error::shown(&c.to_string())
        ));
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err("it has no scheme".to_owned());
    };
    if !rule.schemes.iter().any(|known| known == scheme) {
        return Err(format!("its scheme is not {}", rule.schemes.join(" or ")));
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
    if authority.contains(['@', '%']) {
        return Err("a user name or an escape stands before the host".to_owned());
    }
    if path.contains(['[', ']']) {
        return Err("a bracket stands behind the host, which some programs replace".to_owned());
    }
    let (name, port) = match authority.strip_prefix('[') {
        Some(v6) => match v6.split_once(']') {
            Some((v6, port)) => (
                v6,
                port.strip_prefix(':').or(port.is_empty().then_some("")).unwrap_or(":"),
            ),
            None => return Err("a bracket is not closed".to_owned()),
        },
        None => authority.split_once(':').unwrap_or((authority, "")),
    };
    let own = if scheme == "http" { 80 } else { 443 };
    if !port.is_empty() || authority.ends_with(':') {
        let plain = port.bytes().all(|b| b.is_ascii_digit());
        let port = port.parse::<u16>().ok().filter(|_| plain);
        if !port.is_some_and(|port| port == own || rule.ports.contains(&port)) {
            return Err("its port is not the one of its scheme".to_owned());
        }
    }
    let name = name.to_ascii_lowercase();
    let private = if authority.starts_with('[') {
        let address: Ipv6Addr = name.parse().map_err(|_| "it is no address".to_owned())?;
        is_private(IpAddr::V6(address))
    } else {
        is_private_name(&name)?
    };
    if private && !rule.private {
        return Err(format!("`{name}` is not of the public network"));
    }
    let fits = |known: &String| match known.strip_prefix("*.") {
        Some(domain) => name.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')),
        None => *known == name,
    };
    if !rule.hosts.is_empty() && !rule.hosts.iter().any(fits) {
        return Err(format!("its host is not {}", rule.hosts.join(", ")));
    }
    Ok(name)
}

/// Whether a name or IPv4 address says that it is not of the public network.
fn is_private_name(name: &str) -> Result<bool, String> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() > 253 || !name.split('.').all(label) {
        return Err("it has no plain host name".to_owned());
    }
    let last = name.rsplit('.').next().unwrap_or(name);
    // A name cannot end in a number: programs would take it for an address, in one of its many spellings.
    if last.starts_with(|c: char| c.is_ascii_digit()) {
        let address: Ipv4Addr = name
            .parse()
            .map_err(|_| "its host is an odd spelling of a number".to_owned())?;
        return Ok(is_private(IpAddr::V4(address)));
    }
    let ends = |end: &str| {
        name.strip_suffix(end)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    Ok(!name.contains('.') || PRIVATE.iter().any(|end| ends(end)))
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || v4.is_multicast()
                || v4.is_broadcast()
                || v4.is_documentation()
                || matches!(
                    (a, b, c),
                    (0, _, _) | (100, 64..=127, _) | (192, 0, 0) | (198, 18 | 19, _) | (240.., _, _)
                )
        }
        // All but the part that is given out, and of that no address within which another stands.
        IpAddr::V6(v6) => {
            let [a, b, ..] = v6.segments();
            !(0x2000..0x4000).contains(&a) || a == 0x2002 || (a == 0x2001 && (b < 0x200 || b == 0xdb8))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(hosts: &[&str], ports: &[u16], private: bool) -> UrlRule {
        UrlRule {
            schemes: vec!["https".to_owned(), "http".to_owned()],
            hosts: hosts.iter().map(ToString::to_string).collect(),
            ports: ports.to_vec(),
            private,
            host_facts: Vec::new(),
        }
    }

    #[test]
    fn a_plain_address_of_the_public_network_fits_and_its_host_is_known() {
        let any = rule(&[], &[8443], false);
        for (text, host_is) in [
            ("https://example.com/", "example.com"),
            ("http://Example.COM", "example.com"),
            ("https://example.com:443/a?b=c#d", "example.com"),
            ("https://example.com:8443", "example.com"),
            ("https://example.com/@user", "example.com"),
            ("https://example.com?x=http://evil", "example.com"),
            ("https://8.8.8.8/", "8.8.8.8"),
            ("https://[2606:4700::1111]/", "2606:4700::1111"),
        ] {
            assert_eq!(host(text, &any).as_deref(), Ok(host_is), "{text}");
        }
    }

    #[test]
    fn an_address_in_which_programs_could_see_different_hosts_does_not_fit() {
        let any = rule(&[], &[], false);
        for text in [
            "example.com",
            "ftp://example.com",
            "HTTPS://example.com",
            "file:///etc/passwd",
            "https://user@example.com",
            "https://a:b@example.com",
            "https://example.com\\@evil.com",
            "https://example.com%2eevil.com",
            "https://ex ample.com",
            "https://exämple.com",
            "https://",
            "https:///x",
            "https://example.com:",
            "https://example.com:99",
            "https://example.com:080",
            "https://example.com:+443",
            "https://example.com.",
            "https://.com",
            "https://-a.com",
            "https://a_b.com",
            "https://example.com/{a,b}",
            "https://example.com/[1-3]",
            "https://[::1",
            "https://[::1]x",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://127.1/",
            "https://0177.0.0.1/",
            "https://1.2.3.4.5/",
            "https://a.0x7f/",
            "https://example.com:443:80/",
            "//example.com",
            "https:example.com",
        ] {
            assert!(host(text, &any).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_not_of_the_public_network_fits_only_where_the_profile_says_so() {
        let (any, private) = (rule(&[], &[], false), rule(&[], &[], true));
        for text in [
            "http://localhost/",
            "http://127.0.0.1/",
            "http://169.254.169.254/latest/meta-data/",
            "http://10.0.0.1",
            "http://192.168.1.1",
            "http://172.16.0.1",
            "http://100.64.0.1",
            "http://0.0.0.0",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[fd00::1]/",
            "http://[fe80::1]/",
            "http://[::]/",
            "http://metadata.google.internal/",
            "http://db.svc",
            "http://printer.local",
            "http://intranet/",
            "http://127.0.0.1.nip.io/",
            "http://[64:ff9b::7f00:1]/",
            "http://[2002:7f00:1::]/",
            "http://224.0.0.1",
        ] {
            assert!(host(text, &any).is_err(), "{text}");
            assert!(host(text, &private).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_profile_may_name_the_hosts() {
        let few = rule(&["example.com", "*.example.org"], &[], false);
        for good in [
            "https://example.com/",
            "https://a.example.org/",
            "https://a.b.example.org/",
        ] {
            assert!(host(good, &few).is_ok(), "{good}");
        }
        for bad in [
            "https://a.example.com",
            "https://example.org",
            "https://badexample.org",
            "https://example.com.evil.net",
        ] {
            assert!(host(bad, &few).is_err(), "{bad}");
        }
    }
}
