//! Which addresses a store may be reached at.

use std::net::IpAddr;
use std::time::Duration;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

use crate::error::Fault;

/// What an operator vouches for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Trust {
    /// Nobody else is on the way to the server.
    pub(crate) in_clear: bool,
}

/// A server's address, read from a URL and found to be safe.
pub(crate) fn address(url: &str, trust: Trust) -> Result<ConnectionInfo, Fault> {
    // The error of the client may repeat the URL, and with it a password.
    let bad = |_| {
        Fault::Unsafe("the URL of the Redis server cannot be read; write redis://, rediss:// or unix://".to_owned())
    };
    if !cfg!(feature = "tls") && (url.starts_with("rediss:") || url.starts_with("valkeys:")) {
        let what = "this program was built without the feature `tls` of glassbreak-redis, and the URL wants it";
        return Err(Fault::Unsafe(what.to_owned()));
    }
    let info = url.into_connection_info().map_err(bad)?;
    check(&info, trust)?;
    let tcp = info.tcp_settings().clone().set_nodelay(true);
    // A path that swallows everything is noticed by the kernel, and not by waiting for each answer.
    #[cfg(target_os = "linux")]
    let tcp = tcp.set_user_timeout(Duration::from_secs(2));
    Ok(info.set_tcp_settings(tcp))
}

/// Whether what is said there stays between the two.
pub(crate) fn check(info: &ConnectionInfo, trust: Trust) -> Result<(), Fault> {
    let refuse = |what: &str| Err(Fault::Unsafe(format!("{}: {what}", info.addr())));
    match info.addr() {
        ConnectionAddr::Unix(_) => return Ok(()),
        ConnectionAddr::Tcp(host, _) if is_loopback(host) => return Ok(()),
        ConnectionAddr::Tcp(..) if trust.in_clear => {}
        ConnectionAddr::Tcp(..) => {
            return refuse(
                "what decides over calls must not travel in clear; write rediss://, or say `danger_in_clear`",
            );
        }
        ConnectionAddr::TcpTls { insecure: true, .. } => {
            return refuse("a certificate that is not checked protects nothing; leave `#insecure` out");
        }
        ConnectionAddr::TcpTls { host, .. } if is_loopback(host) => return Ok(()),
        ConnectionAddr::TcpTls { .. } => {}
        _ => return refuse("this kind of address is not known"),
    }
    let user = info.redis_settings().username();
    if info.redis_settings().password().is_none() || user.is_none_or(|user| user == "default" || user.is_empty()) {
        return refuse(
            "a server that others can reach wants an ACL user of its own; name it and its password in the URL",
        );
    }
    Ok(())
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(url: &str, in_clear: bool) -> Option<String> {
        address(url, Trust { in_clear }).err().map(|fault| fault.to_string())
    }

    #[test]
    fn nothing_travels_in_clear_beyond_the_machine() {
        for url in [
            "redis://127.0.0.1:6379",
            "redis://localhost",
            "redis://[::1]:6379/0",
            "redis://127.8.8.8",
            "unix:///run/redis.sock",
        ] {
            assert_eq!(told(url, false), None, "{url}");
        }
        for url in [
            "redis://10.0.0.1",
            "redis://localhost.example.org",
            "redis://u:p@redis.example.org",
            "redis://127.0.0.1.example.org",
        ] {
            assert!(told(url, false).unwrap().contains("in clear"), "{url}");
        }
        assert_eq!(told("redis://gate:secret@10.0.0.1", true), None);
    }

    #[test]
    #[cfg(not(feature = "tls"))]
    fn without_tls_nobody_is_told_that_the_url_is_wrong() {
        assert!(
            told("rediss://gate:secret@10.0.0.1", false)
                .unwrap()
                .contains("feature `tls`")
        );
    }

    #[test]
    #[cfg(feature = "tls")]
    fn a_certificate_is_checked() {
        assert_eq!(told("rediss://gate:secret@10.0.0.1", false), None);
        for url in [
            "rediss://gate:secret@10.0.0.1/#insecure",
            "rediss://127.0.0.1/#insecure",
        ] {
            assert!(told(url, false).unwrap().contains("not checked"), "{url}");
        }
    }

    #[test]
    fn whoever_comes_from_elsewhere_has_a_name_and_a_password() {
        for url in [
            "redis://10.0.0.1",
            "redis://:p@10.0.0.1",
            "redis://default:p@10.0.0.1",
            "redis://gate@10.0.0.1",
        ] {
            assert!(told(url, true).unwrap().contains("ACL user"), "{url}");
        }
    }

    #[test]
    fn an_error_does_not_repeat_the_password() {
        for url in [
            "http://gate:secret@10.0.0.1",
            "redis://gate:secret@10.0.0.1",
            "redis://gate:secret@10.0.0.1:x",
        ] {
            assert!(!told(url, false).unwrap().contains("secret"), "{url}");
        }
    }
}
