//! Which servers a store may be kept on, by what they say of themselves.

use std::fmt::Write as _;

use glassbreak_core::store::Durability;

use crate::error::Fault;

/// The oldest version that is known to do all that the scripts need.
const REDIS: (u64, u64) = (7, 0);
const VALKEY: (u64, u64) = (8, 0);

/// What is asked of a server beyond what every store needs.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wants {
    /// Losing everything with the server is said to be acceptable.
    pub(crate) ephemeral: bool,
    /// A server that does not tell its eviction policy is said to evict nothing.
    pub(crate) assume_noeviction: bool,
    /// How many replicas must follow it.
    pub(crate) replicas: u32,
    /// Whether it must be a node of a cluster.
    pub(crate) cluster: bool,
}

/// What `INFO` says, looked up by name.
#[derive(Debug)]
pub(crate) struct Info(String);

impl Info {
    pub(crate) fn new(sections: &[String]) -> Self {
        let mut all = String::new();
        for section in sections {
            let _ = writeln!(all, "{section}");
        }
        Self(all)
    }

    fn get(&self, name: &str) -> Option<&str> {
        let mut lines = self.0.lines().filter_map(|line| line.trim_end().split_once(':'));
        lines.find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    fn is(&self, name: &str, value: &str) -> bool {
        self.get(name) == Some(value)
    }

    /// Whether a store may be kept there.
    pub(crate) fn check(&self, wants: &Wants) -> Result<(), Fault> {
        self.check_version()?;
        let refuse = |what: String| Err(Fault::Unsafe(what));
        if !self.is("role", "master") {
            let role = self.get("role").unwrap_or("nothing known");
            return Err(Fault::Refused(format!("it is {role}, and only a master keeps a store")));
        }
        if !self.is("loading", "0") {
            return Err(Fault::Refused("it is still reading its data".to_owned()));
        }
        match self.get("maxmemory_policy") {
            Some("noeviction" | "volatile-lru" | "volatile-lfu" | "volatile-random" | "volatile-ttl") => {}
            Some("") | None if wants.assume_noeviction => {}
            Some("") | None => {
                return refuse(
                    "the Redis server does not say what it evicts; where it is known to evict nothing, say so by \
                     `assume_noeviction`"
                        .to_owned(),
                );
            }
            Some(policy) => {
                return refuse(format!(
                    "the Redis server evicts keys ({policy}), and an evicted counter would count too little; set \
                     `maxmemory-policy noeviction`"
                ));
            }
        }
        if !wants.ephemeral && !self.is("aof_enabled", "1") {
            return refuse(
                "the Redis server writes no append-only file, so it would forget counts and locks when it is \
                 restarted; set `appendonly yes`, or say `ephemeral` where that is acceptable"
                    .to_owned(),
            );
        }
        if self.is("aof_last_write_status", "err") {
            return Err(Fault::Refused(
                "it cannot write its append-only file; look at its disk".to_owned(),
            ));
        }
        let follow = self
            .get("connected_slaves")
            .and_then(|many| many.parse::<u32>().ok())
            .unwrap_or(0);
        if follow < wants.replicas {
            let wanted = wants.replicas;
            return Err(Fault::Refused(format!(
                "{follow} replicas follow it, and {wanted} are wanted"
            )));
        }
        if self.is("cluster_enabled", "1") != wants.cluster {
            return refuse(match wants.cluster {
                true => "the Redis server is no node of a cluster; connect to it by itself".to_owned(),
                false => "the Redis server is a node of a cluster; name its nodes to `RedisStore::cluster`".to_owned(),
            });
        }
        Ok(())
    }

    fn check_version(&self) -> Result<(), Fault> {
        let (name, version, least) = match (self.get("valkey_version"), self.get("redis_version")) {
            (Some(version), _) => ("Valkey", version, VALKEY),
            (None, Some(version)) => ("Redis", version, REDIS),
            (None, None) => return Err(Fault::Unsafe("the server does not say its version".to_owned())),
        };
        let mut parts = version.split('.').map(|part| part.parse::<u64>().ok());
        let found = parts.next().flatten().zip(parts.next().flatten());
        if found.is_some_and(|found| found >= least) {
            return Ok(());
        }
        let (major, minor) = least;
        let what = format!("the server is {name} {version}; at least {name} {major}.{minor} is needed");
        Err(Fault::Unsafe(what))
    }

    /// What may be lost of what it acknowledged. An append-only file is written before the answer, and is on disk within
    /// a second or so.
    pub(crate) fn durability(&self) -> Durability {
        if self.is("aof_enabled", "1") {
            Durability::Machine
        } else {
            Durability::Process
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "redis_version:7.0.15\r\nrole:master\r\nloading:0\r\nmaxmemory_policy:noeviction\r\n\
                        aof_enabled:1\r\naof_last_write_status:ok\r\nconnected_slaves:0\r\ncluster_enabled:0\r\n";

    fn checked(info: &str, wants: Wants) -> Result<(), String> {
        Info::new(&[info.to_owned()])
            .check(&wants)
            .map_err(|fault| fault.to_string())
    }

    #[test]
    fn a_server_that_would_count_too_little_is_refused_and_told_what_to_set() {
        assert_eq!(checked(GOOD, Wants::default()), Ok(()));
        for (from, to, says) in [
            ("7.0.15", "6.2.14", "at least Redis 7.0"),
            ("7.0.15", "x", "at least Redis 7.0"),
            ("redis_version", "other_version", "does not say its version"),
            ("role:master", "role:slave", "only a master"),
            ("loading:0", "loading:1", "still reading"),
            ("noeviction", "allkeys-lru", "maxmemory-policy noeviction"),
            ("noeviction", "something-new", "maxmemory-policy noeviction"),
            ("noeviction", "", "assume_noeviction"),
            ("maxmemory_policy", "other", "assume_noeviction"),
            ("aof_enabled:1", "aof_enabled:0", "appendonly yes"),
            ("aof_enabled", "other", "appendonly yes"),
            ("write_status:ok", "write_status:err", "look at its disk"),
            ("cluster_enabled:0", "cluster_enabled:1", "RedisStore::cluster"),
        ] {
            let told = checked(&GOOD.replace(from, to), Wants::default()).unwrap_err();
            assert!(told.contains(says), "{told}");
        }
        let old = checked(
            &GOOD.replace("redis_version:7.0.15", "redis_version:7.2.4\nvalkey_version:7.2.9"),
            Wants::default(),
        );
        assert!(old.unwrap_err().contains("at least Valkey 8.0"));
    }

    #[test]
    fn what_an_operator_vouches_for_is_taken() {
        let wants = |change: fn(&mut Wants)| {
            let mut wants = Wants::default();
            change(&mut wants);
            wants
        };
        let ephemeral = wants(|wants| wants.ephemeral = true);
        assert_eq!(
            checked(&GOOD.replace("aof_enabled:1", "aof_enabled:0"), ephemeral),
            Ok(())
        );
        let assumed = wants(|wants| wants.assume_noeviction = true);
        assert_eq!(checked(&GOOD.replace("noeviction", ""), assumed), Ok(()));
        // But not what the server contradicts.
        assert!(checked(&GOOD.replace("noeviction", "allkeys-lfu"), assumed).is_err());
        let replicas = wants(|wants| wants.replicas = 1);
        assert!(checked(GOOD, replicas).unwrap_err().contains("1 are wanted"));
        let cluster = wants(|wants| wants.cluster = true);
        assert!(checked(GOOD, cluster).unwrap_err().contains("no node of a cluster"));
    }
}
