//! The connection to whichever server holds the realm now: one for all messages, made again where it is lost.
//!
//! The client's own ways of repeating are not used: it would repeat what may have been done.

use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::{MultiplexedConnection, PubSub};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::SentinelClient;
use redis::{AsyncConnectionConfig, Client, Cmd, RedisError, Value};
use tokio::time::timeout;

use crate::error::{Fault, Trouble};
use crate::place::{self, Trust};
use crate::server::{Info, Wants};
use crate::{reply, script};

/// So many messages in a row that nobody answers, and the connection is taken to be dead.
const SILENT: u32 = 3;

/// How long to wait for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) connect: Duration,
    pub(crate) answer: Duration,
    /// For all of it, repeats included.
    pub(crate) call: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            connect: Duration::from_millis(300),
            answer: Duration::from_millis(250),
            call: Duration::from_millis(400),
        }
    }
}

/// Where the realm is.
pub(crate) enum Plan {
    /// On one server.
    Single(Box<Client>),
    /// On the server that the sentinels name.
    Sentinel(Box<tokio::sync::Mutex<SentinelClient>>),
    /// On the node of a cluster that has its slot.
    Cluster {
        client: Box<ClusterClient>,
        nodes: Vec<Client>,
    },
}

#[derive(Clone)]
enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    async fn send(self, cmd: &Cmd) -> Result<Value, RedisError> {
        match self {
            Self::One(mut one) => cmd.query_async(&mut one).await,
            Self::Cluster(mut cluster) => cmd.query_async(&mut cluster).await,
        }
    }
}

#[derive(Clone)]
struct Live {
    /// Which connection it is: what fails ends this one, and not one made since.
    number: u64,
    connection: Connection,
}

/// The connection.
pub(crate) struct Line {
    plan: Plan,
    pub(crate) times: Times,
    trust: Trust,
    wants: Wants,
    /// A key of the realm: the server that has it is the one that is looked at.
    meta: String,
    live: Mutex<Option<Live>>,
    connecting: tokio::sync::Mutex<()>,
    made: AtomicU64,
    silent: AtomicU32,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line")
            .field("times", &self.times)
            .finish_non_exhaustive()
    }
}

impl Line {
    pub(crate) fn new(plan: Plan, times: Times, trust: Trust, wants: Wants, meta: String) -> Self {
        Self {
            plan,
            times,
            trust,
            wants,
            meta,
            live: Mutex::new(None),
            connecting: tokio::sync::Mutex::new(()),
            made: AtomicU64::new(0),
            silent: AtomicU32::new(0),
        }
    }

    /// Which connection it is by now: another number is another connection, maybe to another server.
    pub(crate) fn number(&self) -> u64 {
        self.made.load(Ordering::SeqCst)
    }

    /// Sends a message, and waits for its answer.
    pub(crate) async fn send(&self, cmd: &Cmd) -> Result<Value, Trouble> {
        let Live { number, connection } = self.connected().await?;
        match connection.send(cmd).await {
            Ok(answer) => {
                self.silent.store(0, Ordering::SeqCst);
                Ok(answer)
            }
            Err(error) => Err(self.failed(number, error)),
        }
    }

    fn failed(&self, number: u64, error: RedisError) -> Trouble {
        let silent = error.is_timeout() && self.silent.fetch_add(1, Ordering::SeqCst) + 1 >= SILENT;
        let is_slow = error.is_timeout();
        let mut trouble = Trouble::from(error);
        if is_slow {
            trouble.fault = Fault::Slow(self.times.answer.as_millis());
        }
        if silent || trouble.lost {
            self.drop_connection(number);
        }
        trouble
    }

    /// What waited for an answer and gave up has told nobody that it did.
    pub(crate) fn gave_up(&self) {
        if self.silent.fetch_add(1, Ordering::SeqCst) + 1 >= SILENT {
            self.drop_connection(self.number());
        }
    }

    fn drop_connection(&self, number: u64) {
        let mut live = held(&self.live);
        if live.as_ref().is_some_and(|live| live.number == number) {
            *live = None;
            self.silent.store(0, Ordering::SeqCst);
        }
    }

    async fn connected(&self) -> Result<Live, Trouble> {
        if let Some(live) = held(&self.live).clone() {
            return Ok(live);
        }
        // In a box of its own: every message would carry its room.
        Box::pin(self.connected_anew()).await
    }

    async fn connected_anew(&self) -> Result<Live, Trouble> {
        let _turn = self.connecting.lock().await;
        if let Some(live) = held(&self.live).clone() {
            return Ok(live);
        }
        let connection = match timeout(self.times.connect, self.connect()).await {
            Ok(connection) => {
                let connection = connection.map_err(Trouble::unsent)?;
                // Nothing is asked of a server that nobody has looked at.
                self.look_at(&connection)
                    .await
                    .map_err(Trouble::unsent)?
                    .check(&self.wants)
                    .map_err(Trouble::unsent)?;
                connection
            }
            Err(_) => {
                let what = format!("no connection within {} ms", self.times.connect.as_millis());
                return Err(Trouble::unsent(Fault::Unreachable(what)));
            }
        };
        let live = Live {
            number: self.made.fetch_add(1, Ordering::SeqCst) + 1,
            connection,
        };
        *held(&self.live) = Some(live.clone());
        Ok(live)
    }

    async fn look_at(&self, connection: &Connection) -> Result<Info, Fault> {
        let cmd = script::INFO.message(true, std::slice::from_ref(&self.meta), &[]);
        let answer = connection
            .clone()
            .send(&cmd)
            .await
            .map_err(|error| Trouble::from(error).fault)?;
        let sections = reply::list(answer)?.into_iter().map(reply::text);
        Ok(Info::new(&sections.collect::<Result<Vec<_>, _>>()?))
    }

    /// Looks at the server again: it may have been set otherwise since. Then the connection goes, and the next one looks
    /// before it is used. Returns what the server says.
    pub(crate) async fn look(&self) -> Result<Info, Fault> {
        let Live { number, connection } = self.connected().await.map_err(|trouble| trouble.fault)?;
        let looked = self.look_at(&connection).await;
        let found = looked.and_then(|info| info.check(&self.wants).map(|()| info));
        if found.is_err() {
            self.drop_connection(number);
        }
        found
    }

    async fn connect(&self) -> Result<Connection, Fault> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.times.connect))
            .set_response_timeout(Some(self.times.answer));
        let fault = |error: RedisError| Trouble::from(error).fault;
        match &self.plan {
            Plan::Cluster { client, .. } => {
                let connection = client.get_async_connection().await.map_err(fault)?;
                Ok(Connection::Cluster(connection))
            }
            _ => {
                let client = self.client().await?;
                let connection = client.get_multiplexed_async_connection_with_config(&config).await;
                Ok(Connection::One(connection.map_err(fault)?))
            }
        }
    }

    /// The server that has the realm now, or some node of its cluster.
    async fn client(&self) -> Result<Client, Fault> {
        let fault = |error: RedisError| Trouble::from(error).fault;
        match &self.plan {
            Plan::Single(client) => Ok((**client).clone()),
            Plan::Sentinel(sentinel) => {
                let client = sentinel.lock().await.async_get_client().await.map_err(fault)?;
                // The sentinels name it, and nobody has looked at it yet.
                place::check(client.get_connection_info(), self.trust)?;
                Ok(client)
            }
            Plan::Cluster { nodes, .. } => {
                let mut last = Fault::Unreachable("the cluster has no nodes".to_owned());
                for node in nodes {
                    match node.get_multiplexed_async_connection().await {
                        Ok(_) => return Ok(node.clone()),
                        Err(error) => last = fault(error),
                    }
                }
                Err(last)
            }
        }
    }

    /// A connection that is told of changes.
    pub(crate) async fn listen(&self, channel: &str) -> Result<PubSub, Fault> {
        let fault = |error: RedisError| Trouble::from(error).fault;
        let listening = async {
            let mut listening = self.client().await?.get_async_pubsub().await.map_err(fault)?;
            listening.subscribe(channel).await.map_err(fault)?;
            Ok(listening)
        };
        let slow = Fault::Unreachable("no connection to listen on".to_owned());
        timeout(self.times.connect, listening).await.unwrap_or(Err(slow))
    }
}

/// Each is replaced whole, so a panic leaves no half of it.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
