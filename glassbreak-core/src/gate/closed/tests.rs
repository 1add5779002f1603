//! Who tells of a grant, where several could.

use std::error::Error;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use super::glass::{Glass, digest_of, op_of, path};
use super::{AfterGlass, Closed};
use crate::approval::town::{asked, request};
use crate::approval::{Answer, Request, State, Vote};
use crate::audit::AuditLog;
use crate::clock::{Span, Timestamp};
use crate::grant::{Grant, GrantId, Scope};
use crate::store::{
    Attempt, Caps, Decide, Decided, Ledger, MemoryStore, OpId, Open, Opened, Requests, Reserve, Reserved,
};

#[derive(Debug, Default)]
struct Count(AtomicU32);

#[async_trait]
impl AfterGlass for Count {
    async fn closed(&self, _: &Closed) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

#[async_trait]
impl AfterGlass for Arc<Count> {
    async fn closed(&self, closed: &Closed) -> Result<(), Box<dyn Error + Send + Sync>> {
        Count::closed(self, closed).await
    }
}

/// A grant that has ended, in the store.
async fn ended(store: &MemoryStore) -> Grant {
    let now = Timestamp::now();
    let question = Open {
        request: request(vec![asked("r", Some("oncall"), 1, false)]),
        lasts: Span::from_millis(60_000),
        caps: Caps {
            pending: 9,
            per_hour: 9,
            cooldown: None,
        },
        at: now,
    };
    let Ok(Opened::Opened(open)) = store.open(question).await else {
        panic!("not opened")
    };
    let grant = Grant {
        id: GrantId::mint(now),
        request: open.id,
        path: open.path.clone(),
        lifts: open
            .rules
            .iter()
            .map(|asked| (asked.rule.clone(), asked.hash))
            .collect(),
        scope: Scope::Once { digest: open.digest },
        file: None,
        uses: 0,
        max_uses: 1,
        not_before: now,
        expires_at: now.after(Span::from_millis(1)),
        revoked: None,
    };
    let mut votes = open.votes.clone();
    votes.push(Vote {
        person: crate::approval::town::word("bob"),
        account: crate::approval::town::account("sso:bob"),
        answer: Answer::Once,
        reason: None,
        card: open.card.digest(),
        at: now,
        own: false,
    });
    let decide = Decide {
        expected: 0,
        next: Request {
            version: 1,
            votes,
            state: State::Approved { grant: grant.id },
            ..*open
        },
        grant: Some(grant.clone()),
        at: now,
    };
    assert!(matches!(store.decide(decide).await, Ok(Decided::Done { .. })));
    grant
}

#[tokio::test]
async fn whoever_dies_while_it_tells_is_followed_by_another() {
    let store = MemoryStore::new();
    let grant = ended(&store).await;
    // A process took the right to tell, and was killed.
    let reserve = Reserve {
        op: op_of(&grant, 0),
        attempt: Attempt::mint(),
        digest: digest_of(&grant).unwrap(),
        path: path().unwrap(),
        at: Timestamp::now(),
        lease: Span::from_millis(1_500),
        demands: Vec::new(),
    };
    assert!(matches!(store.reserve(reserve).await, Ok(Reserved::Held(_))));
    let dir = std::env::temp_dir().join(format!("glassbreak-glass-{}", OpId::mint(Timestamp::now())));
    let hook = Arc::new(Count::default());
    let glass = Arc::new(Glass {
        hook: Arc::new(Arc::clone(&hook)),
        hook_time: Duration::from_secs(1),
        store: Arc::new(store.clone()),
        store_time: Duration::from_secs(1),
        audit: AuditLog::open(&dir).unwrap(),
        grants: Mutex::default(),
        over: tokio::sync::Notify::new(),
    });
    let watch = tokio::spawn(Arc::clone(&glass).watch(grant.id));
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    watch.await.unwrap();
    assert_eq!(
        hook.0.load(Ordering::SeqCst),
        1,
        "once the lease of the dead one has ended"
    );
    // And it stays told.
    Arc::clone(&glass).watch(grant.id).await;
    assert_eq!(hook.0.load(Ordering::SeqCst), 1);
    drop(glass);
    let _ = std::fs::remove_dir_all(dir);
}

#[tokio::test]
async fn the_op_of_a_grant_is_one_for_all_and_dated_by_its_end() {
    let mut grant = ended(&MemoryStore::new()).await;
    let first = op_of(&grant, 0);
    assert_eq!(first.minted_at(), grant.expires_at);
    assert_eq!(uuid::Uuid::from_bytes(*first.as_bytes()).get_version_num(), 7);
    assert_ne!(first, op_of(&grant, 1));
    // What changes in the life of a grant does not change it.
    grant.uses = 1;
    assert_eq!(first, op_of(&grant, 0));
    grant.id = GrantId::mint(Timestamp::from_millis(1_001));
    assert_ne!(first, op_of(&grant, 0));
}
