//! A server behind TLS: who is not known is refused, and who is gets a whole store.

#![cfg(feature = "tls")]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use crate::common::{PATIENT, Server};
use glassbreak_core::lock::Target;
use glassbreak_core::store::{FakeClock, Outcome};
use glassbreak_redis::{RedisBuilder, RedisStore};
use glassbreak_testkit::store::{Rig, Subject};

/// Runs openssl in a folder.
fn openssl(folder: &Path, args: &str) {
    let made = Command::new("openssl")
        .args(args.split_whitespace())
        .current_dir(folder)
        .output();
    let made = made.expect("NOT RUN: openssl is not on PATH; install it (Debian: apt-get install openssl)");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// Somebody who signs certificates, and a server's certificate.
fn certificates(folder: &Path) {
    const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(
        folder,
        &format!("req -x509 {KEY} -keyout ca.key -out ca.pem -subj /CN=signer -days 2"),
    );
    openssl(
        folder,
        &format!("req {KEY} -keyout server.key -out server.csr -subj /CN=localhost"),
    );
    std::fs::write(folder.join("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1").unwrap();
    openssl(
        folder,
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 2 -extfile names",
    );
}

#[tokio::test]
async fn a_server_that_is_not_known_is_refused_and_one_that_is_keeps_a_store() {
    let folder = crate::common::scratch();
    certificates(&folder);
    let port = crate::common::free_port();
    let at = |file: &str| folder.join(file).display().to_string();
    let server = Server::with(&[
        "--appendonly",
        "yes",
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &at("server.pem"),
        "--tls-key-file",
        &at("server.key"),
        "--tls-ca-cert-file",
        &at("ca.pem"),
        "--tls-auth-clients",
        "no",
    ]);
    let (clock, url) = (Arc::new(FakeClock::default()), format!("rediss://localhost:{port}/0"));
    let builder = || -> RedisBuilder {
        RedisStore::builder(&url)
            .call_limit(PATIENT)
            .clock(Arc::clone(&clock) as _)
    };
    let refused = builder().init().await.expect_err("nobody knows who signed it");
    assert!(refused.to_string().contains("certificate"), "{refused}");
    let ca = std::fs::read(folder.join("ca.pem")).unwrap();
    let one = builder().root_certificates(ca.clone()).init().await.unwrap();
    let two = builder().root_certificates(ca).connect().await.unwrap();
    let rig = Rig::new(Subject::new(Arc::new(one), Arc::new(two.clone()), Arc::clone(&clock)));
    let call = rig.call().on(1, 9).done();
    rig.hold(call.clone()).await;
    rig.settle(&call, Outcome::NotRun).await;
    // What is pushed comes through it as well.
    let waiter = two.clone();
    let since = glassbreak_core::store::Locks::locks(&two).await.unwrap().position;
    let waiting = tokio::spawn(async move { glassbreak_core::store::Locks::changed(&waiter, since).await });
    rig.lock(Target::All).await;
    assert!(waiting.await.unwrap().unwrap().locks.get(&Target::All).is_some());
    drop(server);
    let _ = std::fs::remove_dir_all(folder);
}
