//! Settings, and connecting.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use glassbreak_core::store::{Clock, StoreError};
use redis::cluster::ClusterClient;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{Client, ConnectionAddr, ConnectionInfo, RedisError, TlsMode};
use tokio::sync::watch;

use crate::anchor::Anchor;
use crate::asks;
use crate::engine::{Engine, hex};
use crate::error::{Fault, Trouble};
use crate::kept::Kept;
use crate::known::{Known, Seen};
use crate::line::{Line, Plan, Times};
use crate::place::{self, Trust};
use crate::realm::{Key, Realm};
use crate::server::Wants;
use crate::store::{Handle, RedisStore};

/// A [`RedisStore`] in the making.
#[derive(Debug)]
pub struct RedisBuilder {
    urls: Vec<String>,
    shape: Shape,
    realm: String,
    times: Times,
    trust: Trust,
    wants: Wants,
    clock: Option<Arc<dyn Clock>>,
    anchor: Option<PathBuf>,
    #[cfg(feature = "tls")]
    root: Option<Vec<u8>>,
}

#[derive(Debug)]
enum Shape {
    Single,
    Sentinel(String),
    Cluster,
}

impl RedisBuilder {
    fn new<'a>(shape: Shape, urls: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            urls: urls.into_iter().map(ToOwned::to_owned).collect(),
            wants: Wants {
                cluster: matches!(shape, Shape::Cluster),
                ..Wants::default()
            },
            shape,
            realm: "main".to_owned(),
            times: Times::default(),
            trust: Trust::default(),
            clock: None,
            anchor: None,
            #[cfg(feature = "tls")]
            root: None,
        }
    }

    pub(crate) fn single(url: &str) -> Self {
        Self::new(Shape::Single, [url])
    }

    pub(crate) fn sentinel<'a>(service: &str, urls: impl IntoIterator<Item = &'a str>) -> Self {
        Self::new(Shape::Sentinel(service.to_owned()), urls)
    }

    pub(crate) fn cluster<'a>(urls: impl IntoIterator<Item = &'a str>) -> Self {
        Self::new(Shape::Cluster, urls)
    }

    /// Which realm; `main` unless said. Realms of one server know nothing of each other.
    #[must_use]
    pub fn realm(mut self, realm: &str) -> Self {
        realm.clone_into(&mut self.realm);
        self
    }

    /// How long a call may take, repeats included; 400 ms unless said. What takes longer is refused.
    #[must_use]
    pub fn call_limit(mut self, limit: Duration) -> Self {
        self.times.call = limit;
        self.times.answer = limit * 5 / 8;
        self.times.connect = limit * 3 / 4;
        self
    }

    /// Says in this file, once a second and at the end, how far the realm had come, so that a server that lost something while
    /// no process ran is noticed. The file belongs out of the agent's reach, in a folder that is there.
    #[must_use]
    pub fn remember_in(mut self, file: impl Into<PathBuf>) -> Self {
        self.anchor = Some(file.into());
        self
    }

    /// Takes a server that writes no append-only file: all counts and locks are lost when it is restarted.
    #[must_use]
    pub fn ephemeral(mut self) -> Self {
        self.wants.ephemeral = true;
        self
    }

    /// Takes a server that does not tell its eviction policy, where it is known that it evicts nothing.
    #[must_use]
    pub fn assume_noeviction(mut self) -> Self {
        self.wants.assume_noeviction = true;
        self
    }

    /// Refuses everything while fewer replicas follow the server than this.
    #[must_use]
    pub fn replicas(mut self, least: u32) -> Self {
        self.wants.replicas = least;
        self
    }

    /// Takes `redis://` to another machine, where nobody else can be on the way.
    #[must_use]
    pub fn danger_in_clear(mut self) -> Self {
        self.trust.in_clear = true;
        self
    }

    /// Trusts the certificates that these sign (PEM), and not those that the machine trusts.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.root = Some(pem.into());
        self
    }

    #[cfg(feature = "tls")]
    fn certificates(&self) -> Option<redis::TlsCertificates> {
        // Without one the first connection would panic. Where the host has chosen one, that is taken.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        self.root.clone().map(|root| redis::TlsCertificates {
            client_tls: None,
            root_cert: Some(root),
        })
    }

    #[cfg(feature = "tls")]
    fn client(&self, info: ConnectionInfo) -> Result<Client, RedisError> {
        match self.certificates() {
            Some(certificates) if matches!(info.addr(), ConnectionAddr::TcpTls { .. }) => {
                Client::build_with_tls(info, certificates)
            }
            _ => Client::open(info),
        }
    }

    #[cfg(not(feature = "tls"))]
    fn client(&self, info: ConnectionInfo) -> Result<Client, RedisError> {
        Client::open(info)
    }

    /// Catches jumps of the callers' clock by `clock`, and not by the server's: for tests.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Makes the realm where there is none, and connects to it. To be done once for each realm, by a person: whoever does
    /// it at every start would begin anew, with nothing counted, after the server has lost everything.
    ///
    /// # Errors
    /// As [`connect`](Self::connect); but not for a realm that is new.
    pub async fn init(self) -> Result<RedisStore, StoreError> {
        const HERE: &str = "init";
        let generation = uuid::Uuid::new_v4().into_bytes();
        self.open(Some(generation)).await.map_err(|fault| fault.told(HERE))
    }

    /// Connects to the realm.
    ///
    /// # Errors
    /// As [`RedisStore::connect`].
    pub async fn connect(self) -> Result<RedisStore, StoreError> {
        const HERE: &str = "connect";
        self.open(None).await.map_err(|fault| fault.told(HERE))
    }

    async fn open(self, new: Option<[u8; 16]>) -> Result<RedisStore, Fault> {
        let realm = Realm::new(&self.realm)?;
        let plan = self.plan()?;
        let line = Line::new(plan, self.times, self.trust, self.wants, realm.key(Key::Meta));
        let durability = line.look().await?.durability();
        let nobody = Seen {
            generation: [0; 16],
            reign: 0,
            run: "".into(),
            epoch: 0,
        };
        let engine = Engine {
            realm,
            line,
            known: Known::new(nobody),
            anchor: self.anchor.as_deref().map(Anchor::new),
            clock: self.clock,
            news: watch::Sender::new(0),
        };
        let new = new.map(|generation| hex(&generation)).unwrap_or_default();
        let Some(found) = engine.find(new.as_bytes()).await? else {
            return Err(Fault::Unsafe(format!(
                "there is no realm {:?} on this server; if it is new, make it once with `RedisBuilder::init`, and if it \
                 is not, the server has lost it",
                self.realm
            )));
        };
        let remembered = engine.anchor.as_ref().map(Anchor::read).transpose()?.flatten();
        engine.known.adopted(remembered.unwrap_or(found));
        // What was remembered is held against what is there. A store that must be adopted first is opened all the same,
        // because that is how it is adopted; it denies.
        match engine.ask(&asks::looking(&engine, "position", &[0; 16])).await {
            Ok(_) | Err(Fault::RolledBack(_)) => {}
            Err(fault) => return Err(fault),
        }
        engine.say()?;
        let engine = Arc::new(engine);
        let watch = tokio::spawn(crate::watch::watch(Arc::clone(&engine))).abort_handle();
        Ok(RedisStore::of(Handle {
            engine,
            kept: Kept::new(),
            durability,
            watch,
        }))
    }

    fn plan(&self) -> Result<Plan, Fault> {
        let fault = |error: RedisError| Trouble::from(error).fault;
        let all: Vec<ConnectionInfo> = self
            .urls
            .iter()
            .map(|url| place::address(url, self.trust))
            .collect::<Result<_, _>>()?;
        let Some(first) = all.first().cloned() else {
            return Err(Fault::Unsafe("no URL of a Redis server is given".to_owned()));
        };
        match &self.shape {
            Shape::Single => Ok(Plan::Single(Box::new(self.client(first).map_err(fault)?))),
            Shape::Sentinel(service) => {
                let addresses = all.iter().map(|info| info.addr().clone());
                let made = SentinelClientBuilder::new(addresses, service, SentinelServerType::Master);
                let mut made = made
                    .map_err(fault)?
                    .set_client_to_redis_tcp_settings(first.tcp_settings().clone());
                let user = first.redis_settings();
                if let Some(name) = user.username() {
                    made = made
                        .set_client_to_redis_username(name)
                        .set_client_to_sentinel_username(name);
                }
                if let Some(password) = user.password() {
                    made = made
                        .set_client_to_redis_password(password)
                        .set_client_to_sentinel_password(password);
                }
                if matches!(first.addr(), ConnectionAddr::TcpTls { .. }) {
                    made = made.set_client_to_redis_tls_mode(TlsMode::Secure);
                }
                #[cfg(feature = "tls")]
                if let (Some(certificates), ConnectionAddr::TcpTls { .. }) = (self.certificates(), first.addr()) {
                    made = made
                        .set_client_to_redis_certificates(certificates.clone())
                        .set_client_to_sentinel_certificates(certificates);
                }
                let client = made.set_client_to_redis_db(user.db()).build().map_err(fault)?;
                Ok(Plan::Sentinel(Box::new(tokio::sync::Mutex::new(client))))
            }
            Shape::Cluster => {
                let made = ClusterClient::builder(all.clone());
                #[cfg(feature = "tls")]
                let made = match self.certificates() {
                    Some(certificates) => made.certs(certificates),
                    None => made,
                };
                let client = made
                    // It would repeat what may have been done; and without limits it waits for ever.
                    .retries(0)
                    .connection_timeout(self.times.connect)
                    .response_timeout(self.times.answer)
                    .overall_response_timeout(Some(self.times.answer))
                    .tcp_settings(first.tcp_settings().clone())
                    .build()
                    .map_err(fault)?;
                let nodes = all.into_iter().map(|node| self.client(node)).collect::<Result<_, _>>();
                Ok(Plan::Cluster {
                    client: Box::new(client),
                    nodes: nodes.map_err(fault)?,
                })
            }
        }
    }
}
