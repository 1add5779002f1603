//! Several servers that know of each other.

use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use glassbreak_redis::{RedisBuilder, RedisStore};

use super::{PATIENT, Server};

/// Waits until something is so.
fn until(what: &str, so: impl Fn() -> bool) {
    let end = Instant::now() + 3 * PATIENT;
    while !so() {
        assert!(Instant::now() < end, "{what}");
        sleep(Duration::from_millis(20));
    }
}

/// A server, one that follows it, and three that watch over both.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) master: Server,
    pub(crate) replica: Server,
    pub(crate) sentinels: Vec<Server>,
}

impl Watched {
    pub(crate) fn start() -> Self {
        let master = Server::start();
        let replica = Server::with(&[
            "--appendonly",
            "yes",
            "--replicaof",
            "127.0.0.1",
            &master.port.to_string(),
        ]);
        until("it follows", || {
            replica.say("INFO replication").contains("master_link_status:up")
        });
        let port = master.port.to_string();
        let sentinels: Vec<Server> = (0..3).map(|_| Server::sentinel(&port)).collect();
        let agree = |sentinel: &Server| {
            let told = sentinel.say("SENTINEL MASTER gb");
            told.contains("num-other-sentinels\r\n$1\r\n2") && told.contains("num-slaves\r\n$1\r\n1")
        };
        until("the sentinels agree", || sentinels.iter().all(agree));
        Self {
            master,
            replica,
            sentinels,
        }
    }

    pub(crate) fn builder(&self, realm: &str) -> RedisBuilder {
        let urls: Vec<String> = self.sentinels.iter().map(Server::url).collect();
        let builder = RedisStore::sentinel("gb", urls.iter().map(|url| &**url));
        builder.realm(realm).call_limit(PATIENT)
    }

    /// Waits until the one that followed is the master.
    pub(crate) fn taken_over(&self) {
        until("it takes over", || self.replica.say("ROLE").contains("master"));
    }
}

/// Six nodes: three that have the slots, and one that follows each.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Server>,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        let settings = [
            "--appendonly",
            "yes",
            "--cluster-enabled",
            "yes",
            "--cluster-node-timeout",
            "2000",
        ];
        let nodes: Vec<Server> = (0..6).map(|_| Server::with(&settings)).collect();
        let made = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)))
            .args(["--cluster-replicas", "1", "--cluster-yes"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
        let ready = |node: &Server| node.say("CLUSTER INFO").contains("cluster_state:ok");
        until("the nodes agree", || nodes.iter().all(ready));
        until("they are followed", || {
            nodes
                .iter()
                .filter(|node| node.say("INFO replication").contains("master_link_status:up"))
                .count()
                == 3
        });
        Self { nodes }
    }

    pub(crate) fn builder(&self, realm: &str) -> RedisBuilder {
        let urls: Vec<String> = self.nodes.iter().map(Server::url).collect();
        let builder = RedisStore::cluster(urls.iter().map(|url| &**url));
        builder.realm(realm).call_limit(PATIENT)
    }

    /// The node that has a realm, and the one that follows it.
    pub(crate) fn of(&self, realm: &str) -> (&Server, &Server) {
        let has = |node: &&Server| node.say(&format!("EXISTS gb1:{{{realm}}}:meta")).starts_with(":1");
        let master = self.nodes.iter().find(has).unwrap();
        let port = format!("master_port:{}", master.port);
        let follows = |node: &&Server| node.say("INFO replication").contains(&port);
        (master, self.nodes.iter().find(follows).unwrap())
    }
}
