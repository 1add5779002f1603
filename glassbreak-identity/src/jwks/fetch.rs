//! One GET of a key set.

use std::sync::Arc;

use ureq::Agent;
use ureq::http::Uri;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};

use super::MOST_BYTES;
use super::remote::Remote;
use crate::error::ConfigError;

pub(super) struct Client {
    agent: Agent,
    address: String,
}

impl Client {
    pub(super) fn new(settings: &Remote) -> Result<Self, ConfigError> {
        let clear = is_clear(&settings.address)?;
        let mut config = Agent::config_builder()
            .https_only(!clear)
            .max_redirects(0)
            .http_status_as_error(false)
            .max_response_header_size(32 * 1024)
            .timeout_global(Some(settings.timeout));
        if clear {
            // The loopback is this machine's, and no proxy's.
            config = config.proxy(None);
        } else {
            config = config.tls_config(tls(settings.roots.as_deref())?);
        }
        Ok(Self {
            agent: config.build().into(),
            address: settings.address.clone(),
        })
    }

    /// The body of a plain, whole answer.
    pub(super) fn get(&self) -> Result<Vec<u8>, String> {
        let request = self
            .agent
            .get(&self.address)
            .header("accept", "application/jwk-set+json, application/json");
        let mut response = request
            .call()
            .map_err(|error| format!("{} does not answer: {error}", self.address))?;
        let status = response.status();
        if status != 200 {
            let more = if status.is_redirection() {
                ", and redirects are not followed"
            } else {
                ""
            };
            return Err(format!(
                "{} answers with status {}{more}",
                self.address,
                status.as_u16()
            ));
        }
        let body = response.body_mut().with_config().limit(MOST_BYTES as u64 + 1);
        body.read_to_vec()
            .map_err(|error| format!("the answer of {} breaks off or is too long: {error}", self.address))
    }
}

/// Whether the address is in clear, which only the loopback may be.
fn is_clear(address: &str) -> Result<bool, ConfigError> {
    let bad = |help| {
        let shown = glassbreak_core::error::shown(address);
        Err(ConfigError::new(format!("keys cannot be fetched from `{shown}`"), help))
    };
    let Ok(uri) = address.parse::<Uri>() else {
        return bad("write an address such as https://sso.example.com/jwks");
    };
    let (Some(host), Some(authority)) = (uri.host(), uri.authority()) else {
        return bad("write an address such as https://sso.example.com/jwks");
    };
    if authority.as_str().contains('@') {
        return bad("write it without a name or password");
    }
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let loopback = bare == "localhost" || bare.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    match uri.scheme_str() {
        Some("https") => Ok(false),
        Some("http") if loopback => Ok(true),
        Some("http") => bad("write https: in clear, anybody on the way could put in keys of their own"),
        _ => bad("write https:"),
    }
}

fn tls(roots: Option<&str>) -> Result<TlsConfig, ConfigError> {
    const HELP: &str = "name the certificates to trust by Remote::roots";
    let certificates: Vec<Certificate<'static>> = match roots {
        Some(pem) => parse_pem(pem.as_bytes())
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect(),
        None => rustls_native_certs::load_native_certs()
            .certs
            .iter()
            .map(|certificate| Certificate::from_der(certificate).to_owned())
            .collect(),
    };
    if certificates.is_empty() {
        return Err(ConfigError::new("there are no certificates to trust servers by", HELP));
    }
    Ok(TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .root_certs(RootCerts::from(certificates))
        .build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_by_https_or_from_the_loopback() {
        for address in [
            "https://sso.example.com/jwks",
            "https://10.0.0.1/jwks",
            "https://localhost/x",
        ] {
            assert_eq!(is_clear(address), Ok(false), "{address}");
        }
        for address in [
            "http://127.0.0.1:8080/jwks",
            "http://127.9.9.9/x",
            "http://[::1]:80/x",
            "http://localhost:1/x",
        ] {
            assert_eq!(is_clear(address), Ok(true), "{address}");
        }
        for address in [
            "http://sso.example.com/jwks",
            "http://10.0.0.1/jwks",
            "http://127.0.0.1.example.com/",
            "http://127.0.0.1@evil.example/",
            "https://user:pw@sso.example.com/",
            "http://localhost.evil.example/",
            "ftp://127.0.0.1/x",
            "file:///etc/passwd",
            "/jwks",
            "",
            "https://",
        ] {
            assert!(is_clear(address).is_err(), "{address}");
        }
    }
}
