//! What a killed process left, read from outside: the database by its tables, the log by its records.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use glassbreak_core::approval::{Request, State};
use glassbreak_core::audit::{self, Kind, Timeline, VerifyOptions, verify};
use glassbreak_core::grant::Grant;
use glassbreak_core::lock::Lock;
use glassbreak_core::store::OpId;
use rusqlite::{Connection, OpenFlags};

use crate::house::{database, lines};
use crate::story::Told;

/// A call, as the log tells it.
#[derive(Debug, Clone)]
pub(crate) struct Permitted {
    pub(crate) op: String,
    pub(crate) grant: Option<String>,
}

/// Everything that is left.
#[derive(Debug, Default)]
pub(crate) struct Left {
    pub(crate) requests: BTreeMap<String, Request>,
    pub(crate) grants: BTreeMap<String, Grant>,
    /// How each op ended, and the grant that it spent.
    pub(crate) ops: BTreeMap<String, (Option<String>, Option<String>)>,
    /// How much each rule counts, by scope and key.
    pub(crate) charges: BTreeMap<(String, [u8; 16], [u8; 16]), u32>,
    pub(crate) locks: Vec<Lock>,
    pub(crate) told: Vec<Told>,
    pub(crate) effects: Vec<String>,
    /// Permits, by the call's own name.
    pub(crate) permitted: BTreeMap<String, Permitted>,
    /// Which of `request.opened`, `vote.cast` and so on the log has, with what they are about.
    records: BTreeSet<(String, String)>,
}

impl Left {
    /// Reads it, and holds it to what must be so at every moment.
    pub(crate) fn read(root: &Path) -> Self {
        let mut left = Self {
            effects: lines(&root.join("effects")),
            told: lines(&root.join("acknowledged"))
                .iter()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect(),
            ..Self::default()
        };
        left.read_database(root);
        left.read_log(root);
        left.hold_effects();
        left.hold_grants();
        left.hold_told();
        left
    }

    fn read_database(&mut self, root: &Path) {
        let path = database(root);
        if !path.exists() {
            return;
        }
        // Writing, so that it takes up the write-ahead log as any other process would.
        let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
        let whole: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(whole, "ok");
        let tables: i64 = db
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .unwrap();
        if tables == 0 {
            return;
        }
        let mut foreign = db.prepare("PRAGMA foreign_key_check").unwrap();
        assert!(!foreign.exists([]).unwrap(), "a row without its parent");
        let all = |sql: &str| -> Vec<(Vec<u8>, String, Option<String>)> {
            let mut rows = db.prepare(sql).unwrap();
            let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
            rows.unwrap().map(Result::unwrap).collect()
        };
        for (_, body, state) in all("SELECT id, body, state FROM requests") {
            let request: Request = serde_json::from_str(&body).unwrap();
            assert_eq!(Some(request.state.as_str()), state.as_deref());
            self.requests.insert(request.id.to_string(), request);
        }
        for (_, body, _) in all("SELECT id, body, NULL FROM grants") {
            let grant: Grant = serde_json::from_str(&body).unwrap();
            self.grants.insert(grant.id.to_string(), grant);
        }
        for (id, outcome, spent) in all("SELECT id, ifnull(outcome, ''), spent FROM ops") {
            let op = OpId::from_bytes(id.try_into().unwrap()).to_string();
            let spent = spent.map(|spent| {
                let grant: Grant = serde_json::from_str(&spent).unwrap();
                grant.id.to_string()
            });
            self.ops
                .insert(op, (Some(outcome).filter(|text| !text.is_empty()), spent));
        }
        let mut charges = db
            .prepare("SELECT rule, scope, key, count(*) FROM charges GROUP BY rule, scope, key")
            .unwrap();
        let charges = charges.query_map([], |row| Ok(((row.get(0)?, row.get(1)?, row.get(2)?), row.get(3)?)));
        self.charges = charges.unwrap().map(Result::unwrap).collect();
        for (_, body, _) in all("SELECT zeroblob(0), body, NULL FROM locks") {
            self.locks.push(serde_json::from_str(&body).unwrap());
        }
    }

    /// The log verifies, and tells every step before what follows from it.
    fn read_log(&mut self, root: &Path) {
        let dir = crate::house::audit(root);
        if !dir.exists() {
            return;
        }
        let report = verify(&dir, &VerifyOptions::default()).unwrap();
        assert_ne!(report.state(), audit::State::Tampered, "{report:#?}");
        let mut persons: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut opened_by: BTreeMap<String, String> = BTreeMap::new();
        let mut keys: BTreeMap<String, String> = BTreeMap::new();
        for record in Timeline::open(&dir).unwrap() {
            let record = match record {
                Ok(record) => record,
                Err(fault) => panic!("{fault}"),
            };
            let json = record.json();
            let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
            let about = |records: &BTreeSet<_>, kind: &str, id: &str| {
                assert!(
                    records.contains(&(kind.to_owned(), id.to_owned())),
                    "no {kind} of {id} before {json}"
                );
            };
            let kind = record.kind_word().to_owned();
            let records = &mut self.records;
            let mut once = |id: String| assert!(records.insert((kind.clone(), id)), "twice: {json}");
            match record.kind() {
                Some(Kind::RequestOpened) => once(text("request")),
                Some(Kind::VoteCast) => {
                    // Several, of one person too: one is recorded before it is known whether another came first.
                    records.insert((kind, format!("{} {}", text("request"), text("person"))));
                    persons.entry(text("request")).or_default().insert(text("person"));
                    about(records, "request.opened", &text("request"));
                }
                Some(Kind::GrantOpened) => {
                    once(text("grant"));
                    let request = text("request");
                    about(records, "request.opened", &request);
                    let wanted = if json["lifts"].to_string().contains("prod-asks-two") {
                        2
                    } else {
                        1
                    };
                    let had = persons.get(&request).map_or(0, BTreeSet::len);
                    assert!(had >= wanted, "{had} voted before {json}");
                    opened_by.insert(text("grant"), request);
                }
                Some(Kind::RequestSettled) => {
                    once(text("request"));
                    records.insert((text("state"), text("request")));
                }
                Some(Kind::GrantRevoked) => {
                    records.insert((kind, text("which")));
                }
                Some(Kind::CallPermitted) => {
                    once(text("call"));
                    let line = json.to_string();
                    let found: BTreeSet<&str> = line.split('"').filter(|text| text.starts_with("k-")).collect();
                    let key = (*found.first().unwrap()).to_owned();
                    assert_eq!(found.len(), 1, "{json}");
                    let grant = json["grant"].as_str().map(str::to_owned);
                    if let Some(grant) = &grant {
                        about(records, "grant.opened", grant);
                    }
                    keys.insert(text("call"), key.clone());
                    let op = text("call");
                    let first = self.permitted.insert(key, Permitted { op, grant }).is_none();
                    assert!(first, "two permits: {json}");
                }
                Some(Kind::CallFinished) => {
                    once(text("call"));
                    let key = &keys[&text("call")];
                    let ran = self.effects.contains(key);
                    match text("outcome").as_str() {
                        "done" | "failed" => assert!(ran, "{key} did not run: {json}"),
                        "not_run" => assert!(!ran, "{key} ran: {json}"),
                        other => panic!("{other}: {json}"),
                    }
                }
                _ => {}
            }
        }
        // What the database holds is on record, and what the log says of an end is so.
        for (id, request) in &self.requests {
            assert!(self.has("request.opened", id), "{id} was opened unrecorded");
            for vote in &request.votes {
                let vote = format!("{id} {}", vote.person);
                assert!(self.has("vote.cast", &vote), "{vote} is not on record");
            }
            if self.has("request.settled", id) {
                assert!(self.has(request.state.as_str(), id), "recorded otherwise: {request:?}");
            }
        }
        for (id, grant) in &self.grants {
            assert_eq!(opened_by.get(id), Some(&grant.request.to_string()), "{grant:?}");
        }
    }

    pub(crate) fn has(&self, kind: &str, id: &str) -> bool {
        self.records.contains(&(kind.to_owned(), id.to_owned()))
    }

    /// One grant for each request that was approved, and no other; used as often as calls spent it, and no more than
    /// it may be.
    fn hold_grants(&self) {
        let mut answered = BTreeSet::new();
        for (id, grant) in &self.grants {
            let request = &self.requests[&grant.request.to_string()];
            assert_eq!(request.state, State::Approved { grant: grant.id });
            assert!(answered.insert(grant.request), "two grants of {}", grant.request);
            assert!(grant.uses <= grant.max_uses, "{grant:?}");
            let spent = self.ops.values().filter(|(_, spent)| spent.as_ref() == Some(id));
            assert_eq!(spent.count(), grant.uses as usize, "{grant:?}");
            let of_it = |key: &&String| self.permitted[*key].grant.as_ref() == Some(id);
            let effects = self.effects.iter().filter(of_it).count();
            assert!(effects <= grant.uses as usize, "{effects} effects by {grant:?}");
        }
        let approved = self.requests.values();
        let approved = approved.filter(|request| matches!(request.state, State::Approved { .. }));
        assert_eq!(approved.count(), self.grants.len());
        for lock in &self.locks {
            let open = self.requests.values().find(|request| {
                request.path.is_under(&lock.target)
                    && match &request.state {
                        State::Pending => true,
                        State::Approved { grant } => {
                            let grant = &self.grants[&grant.to_string()];
                            grant.revoked.is_none() && grant.uses < grant.max_uses
                        }
                        _ => false,
                    }
            });
            assert_eq!(open, None, "under {lock:?}");
        }
    }

    /// Every effect has its permit, none comes twice, and the shared budget counts at least as many.
    fn hold_effects(&self) {
        let mut seen = BTreeSet::new();
        for key in &self.effects {
            assert!(seen.insert(key), "{key} took effect twice");
            let permitted = self.permitted.get(key);
            let permitted = permitted.unwrap_or_else(|| panic!("{key} took effect without a record"));
            let (outcome, spent) = &self.ops[&permitted.op];
            assert!(
                !matches!(outcome.as_deref(), Some("not-run" | "asked")),
                "{key}: {outcome:?}"
            );
            assert_eq!(*spent, permitted.grant, "{key}");
            // Everything asks but the first restarts.
            let free = ["k-up-1", "k-up-3"].contains(&&**key);
            assert_eq!(permitted.grant.is_none(), free, "{key}: {permitted:?}");
        }
        assert!(
            self.counted() >= self.restarts(),
            "{} count: {:?}",
            self.counted(),
            self.effects
        );
    }

    /// How many restarts took effect.
    pub(crate) fn restarts(&self) -> u32 {
        let restarts = self.effects.iter().filter(|key| key.starts_with("k-up-"));
        u32::try_from(restarts.count()).unwrap()
    }

    fn counted(&self) -> u32 {
        self.charges.values().sum()
    }

    /// Everything that was acknowledged is there.
    fn hold_told(&self) {
        // A permit that was handed out counts, used or not, until it is given back.
        let permits = self.told.iter().filter(|told| match told {
            Told::Permit(key) if key.starts_with("k-up-") => {
                let (outcome, _) = &self.ops[&self.permitted[key].op];
                outcome.as_deref() != Some("not-run")
            }
            _ => false,
        });
        assert!(u32::try_from(permits.count()).unwrap() <= self.counted());
        let deploys_locked = self.told.iter().rev().find_map(|told| match told {
            Told::Locked => Some(Some(true)),
            // Perhaps it was lifted, and nobody was told.
            Told::Unlocking => Some(None),
            Told::Unlocked => Some(Some(false)),
            _ => None,
        });
        if let Some(Some(locked)) = deploys_locked {
            assert_eq!(!self.locks.is_empty(), locked);
        }
        for told in &self.told {
            match told {
                Told::Ticket(key, ticket) => {
                    let (request, op) = ticket.split_once('.').unwrap();
                    assert_eq!(self.requests[request].op.to_string(), op, "{key}");
                    assert!(self.ops.contains_key(op), "{key}");
                }
                Told::Voted(request, person, version) => {
                    let request = &self.requests[request];
                    assert!(request.version >= *version, "{request:?}");
                    let mut votes = request.votes.iter();
                    assert!(votes.any(|vote| vote.person.as_str() == person), "{request:?}");
                }
                Told::Permit(key) => assert!(self.permitted.contains_key(key), "{key}"),
                Told::Ran(key) => {
                    assert!(self.effects.contains(key), "{key}");
                    let (outcome, _) = &self.ops[&self.permitted[key].op];
                    assert_eq!(outcome.as_deref(), Some("done"), "{key}");
                }
                Told::Forgone(key) => {
                    let (outcome, _) = &self.ops[&self.permitted[key].op];
                    assert_eq!(outcome.as_deref(), Some("not-run"), "{key}");
                }
                Told::Revoked(grants) => {
                    assert!(!grants.is_empty());
                    for grant in grants {
                        assert!(self.grants[grant].revoked.is_some(), "{grant} stands");
                        assert!(self.has("grant.revoked", &format!("grant {grant}")));
                    }
                }
                Told::Locked | Told::Unlocking | Told::Unlocked | Told::Whole(_) => {}
            }
        }
    }
}
