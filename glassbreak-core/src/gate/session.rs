//! The handle that makes calls.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::ask::{Ticket, Waiting};
use super::permit::{AnyPermit, ExecCall, Permit, ToolCall};
use super::run::Failure;
use super::{Denied, Gate, Verdict, reach};
use crate::call::{Actor, Args, Argv, Call, Conversation, Exec, Malformed, Operation, Text, Tool, Word, Workspace};
use crate::clock::{Span, Timestamp};
use crate::desk::OperateError;
use crate::exec::{Collected, ExecError, Ran, WorkspaceDir};
use crate::finding::Denial;
use crate::guard::Guard;
use crate::judge::SessionState;
use crate::lock::{LockPath, Target};
use crate::store::Which;

/// What an agent makes its calls through. Clones are the same session: they share its counters.
#[derive(Debug, Clone)]
pub struct Session {
    pub(super) inner: Arc<SessionInner>,
}

#[derive(Debug)]
pub(super) struct SessionInner {
    pub(super) gate: Gate,
    pub(super) actor: Actor,
    pub(super) conversation: Option<Conversation>,
    pub(super) dir: Arc<WorkspaceDir>,
    /// Shared by all agents of the session's tree.
    pub(super) state: Arc<Mutex<SessionState>>,
    pub(super) time: Arc<Believed>,
    pub(super) path: LockPath,
}

/// The time as a session believes it: a clock that is put forward must not end its windows.
#[derive(Debug, Default)]
pub(super) struct Believed(Mutex<Option<(Timestamp, Instant)>>);

impl Believed {
    /// How far ahead of what has gone by a clock may be.
    const LEAP: Span = Span::from_millis(5_000);

    /// The time to count by, where the clock says `now`: where that is over five seconds more than have gone by since the
    /// last call, by a clock that nobody sets, what has gone by. One that is put back is the counters' own to see.
    pub(super) fn read(&self, now: Timestamp) -> Timestamp {
        // It is two numbers; whoever panicked here has left them whole.
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let read = match *last {
            None => now,
            Some((then, since)) => {
                let gone = Span::from_millis(u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX));
                let steady = then.after(gone);
                if now > steady.after(Self::LEAP) { steady } else { now }
            }
        };
        if last.is_none_or(|(then, _)| read > then) {
            *last = Some((read, Instant::now()));
        }
        read
    }
}

/// A call, bound to the session that made it. Only a session makes one.
#[derive(Debug)]
pub struct SessionCall {
    pub(super) session: Session,
    pub(super) call: Call,
}

impl SessionCall {
    /// The call.
    pub const fn call(&self) -> &Call {
        &self.call
    }
}

/// A session that is not opened yet.
#[derive(Debug)]
pub struct SessionBuilder {
    gate: Gate,
    actor: Actor,
    conversation: Option<Conversation>,
}

/// Why a session was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The workspace's path is not one that calls can be measured against.
    #[error("the workspace `{path}`: {why}", path = .0.display(), why = .1)]
    Path(PathBuf, Malformed),
    /// The judge would lie within the agent's reach.
    #[error("`{}` lies in the workspace, where the agent could change it", .0.display())]
    Within(PathBuf),
    /// The workspace cannot be opened.
    #[error(transparent)]
    Folder(#[from] ExecError),
    /// The gate's list of sessions broke.
    #[error("the gate no longer knows its sessions; build a new gate")]
    Broken,
}

impl SessionBuilder {
    pub(super) const fn new(gate: Gate, actor: Actor) -> Self {
        Self {
            gate,
            actor,
            conversation: None,
        }
    }

    /// The conversation that its calls come from: people are shown it and it is recorded, and no rule judges by it.
    #[must_use]
    pub fn conversation(mut self, conversation: Conversation) -> Self {
        self.conversation = Some(conversation);
        self
    }

    /// Opens the session: its calls stay beneath `folder`.
    ///
    /// # Errors
    /// When the folder does not exist, is reached through a link, its path is not UTF-8, or the policy folder, the store or
    /// the audit log lies in it.
    pub fn workspace(self, folder: impl AsRef<Path>) -> Result<Session, SessionError> {
        let folder = folder.as_ref();
        let path = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let bad = |why| SessionError::Path(path.clone(), why);
        let text = path.to_str().ok_or_else(|| {
            bad(Malformed::new(
                "workspace",
                "",
                "the path is not UTF-8",
                "name another folder",
            ))
        })?;
        let workspace = Workspace::new(text).map_err(bad)?;
        // First: of a folder that is not there nobody can tell what lies in it, and that would be the refusal.
        let dir = WorkspaceDir::open(&workspace)?;
        let audit = self.gate.inner.audit.path().to_owned();
        // Held until the session is among them: no reload puts a folder into its workspace meanwhile.
        let mut sessions = self.gate.inner.sessions.lock().map_err(|_| SessionError::Broken)?;
        let bundle = self.gate.bundle();
        let judge = bundle
            .folder()
            .map(Path::to_owned)
            .into_iter()
            .chain([audit])
            .chain(self.gate.inner.store.place());
        if let Some(thing) = judge.into_iter().find(|thing| reach::lies_in(thing, &path)) {
            return Err(SessionError::Within(thing));
        }
        let lock_path = LockPath::new(&self.actor, "");
        let state = Arc::new(Mutex::new(SessionState::new(workspace)));
        let inner = Arc::new(SessionInner {
            gate: self.gate.clone(),
            actor: self.actor,
            conversation: self.conversation,
            dir: Arc::new(dir),
            state,
            time: Arc::default(),
            path: lock_path,
        });
        sessions.retain(|session| session.strong_count() > 0);
        sessions.push(Arc::downgrade(&inner));
        Ok(Session { inner })
    }
}

impl Session {
    /// Who makes the calls.
    pub fn actor(&self) -> &Actor {
        &self.inner.actor
    }

    /// The gate that judges them.
    pub fn gate(&self) -> &Gate {
        &self.inner.gate
    }

    /// The same session for an agent that this one starts: of a role, under a name of its own, for the same person.
    ///
    /// Nothing begins anew for it. What the session has counted and seen counts for all agents of its tree; budgets of an
    /// agent or a role count what its sub-agents do, too; and a lock on the session, or on any of its parents, stops it.
    ///
    /// # Errors
    /// When the gate's list of sessions broke.
    pub fn sub_agent(&self, role: Word, instance: Word) -> Result<Self, SessionError> {
        let parent = &self.inner.actor;
        let mut parents: Vec<Word> = parent.instance.iter().chain([&parent.role]).cloned().collect();
        for elder in &parent.parents {
            if !parents.contains(elder) {
                parents.push(elder.clone());
            }
        }
        let actor = Actor {
            role,
            instance: Some(instance),
            parents,
            ..parent.clone()
        };
        let gate = &self.inner.gate;
        let mut sessions = gate.inner.sessions.lock().map_err(|_| SessionError::Broken)?;
        let inner = Arc::new(SessionInner {
            gate: gate.clone(),
            path: LockPath::new(&actor, ""),
            actor,
            conversation: self.inner.conversation.clone(),
            dir: Arc::clone(&self.inner.dir),
            state: Arc::clone(&self.inner.state),
            time: Arc::clone(&self.inner.time),
        });
        sessions.retain(|session| session.strong_count() > 0);
        sessions.push(Arc::downgrade(&inner));
        Ok(Self { inner })
    }

    /// Gives the agent's own words for the call that follows: recorded as unverified, never judged. Over 4 KiB they
    /// are cut.
    pub fn because(&self, reason: &str) -> Because<'_> {
        let end = (0..=Text::MAX.min(reason.len()))
            .rev()
            .find(|end| reason.is_char_boundary(*end));
        let reason = end
            .and_then(|end| reason.get(..end))
            .and_then(|text| Text::new(text).ok());
        Because { session: self, reason }
    }

    /// A program to run: its words, the name first; never a command string.
    pub fn exec<W: Into<Box<str>>>(&self, words: impl IntoIterator<Item = W>) -> PendingExec {
        Because {
            session: self,
            reason: None,
        }
        .exec(words)
    }

    /// A tool to call.
    pub fn tool(&self, name: Word, arguments: Args) -> PendingTool {
        Because {
            session: self,
            reason: None,
        }
        .tool(name, arguments)
    }

    /// Comes back to a call of this agent and session that waits for people: in this process, or in another one that
    /// shares the store.
    ///
    /// # Errors
    /// When there is no such request, it is another caller's, or the call cannot be made again from it.
    pub async fn resume(&self, ticket: Ticket) -> Result<Waiting, Denial> {
        Waiting::resume(self, ticket).await
    }

    /// Ends the session: what it asked is withdrawn, and its grants are revoked. Calls may still be made, and begin
    /// anew.
    ///
    /// # Errors
    /// When the store or the audit log does not answer.
    pub async fn close(&self) -> Result<(), OperateError> {
        let target = Target::Session(self.inner.actor.session.clone());
        let (Ok(reason), Ok(by)) = (Text::new("the session ended"), Word::new("session")) else {
            return Ok(());
        };
        let desk = self.inner.gate.desk();
        desk.revoke_now(Which::Under(target), reason, by).await.map(drop)
    }

    /// A call ready to be judged.
    pub fn call(&self, operation: Operation, reason: Option<Text>) -> SessionCall {
        let call = Call {
            actor: self.inner.actor.clone(),
            operation,
            reason,
            conversation: self.inner.conversation.clone(),
        };
        SessionCall {
            session: self.clone(),
            call,
        }
    }
}

/// A session with the agent's words for its next call.
#[derive(Debug)]
pub struct Because<'a> {
    session: &'a Session,
    reason: Option<Text>,
}

impl Because<'_> {
    /// As [`Session::exec`].
    pub fn exec<W: Into<Box<str>>>(self, words: impl IntoIterator<Item = W>) -> PendingExec {
        PendingExec {
            session: self.session.clone(),
            reason: self.reason,
            exec: Argv::new(words).map(Exec::new),
        }
    }

    /// As [`Session::tool`].
    pub fn tool(self, name: Word, arguments: Args) -> PendingTool {
        let call = self
            .session
            .call(Operation::Tool(Tool { name, arguments }), self.reason);
        PendingTool { call }
    }
}

/// A program to run that has not been judged yet.
#[derive(Debug)]
pub struct PendingExec {
    session: Session,
    reason: Option<Text>,
    exec: Result<Exec, Malformed>,
}

impl PendingExec {
    /// In this folder: beneath the workspace, or relative to it.
    #[must_use]
    pub fn in_folder(mut self, cwd: &str) -> Self {
        self.exec = self.exec.and_then(|exec| exec.in_folder(cwd));
        self
    }

    /// With one more environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.exec = self.exec.and_then(|exec| exec.with_env(name, value));
        self
    }

    /// With these bytes as standard input.
    #[must_use]
    pub fn stdin(mut self, bytes: &[u8]) -> Self {
        self.exec = self.exec.and_then(|exec| exec.with_stdin(bytes));
        self
    }

    /// Judges the call. Words that may not stand in a call are a denial like any other.
    pub async fn check(self) -> Verdict {
        let gate = self.session.gate().clone();
        match self.exec {
            Ok(exec) => gate.check(self.session.call(Operation::Exec(exec), self.reason)).await,
            Err(malformed) => super::check::malformed(self.session.gate(), &malformed),
        }
    }

    /// Judges the call and gives the right to run it.
    ///
    /// # Errors
    /// The refusal. Where people must agree they are asked, and it waits for them, at most until the deadline.
    pub async fn authorize(self) -> Result<Permit<ExecCall>, Denial> {
        let permit = match self.check().await {
            Verdict::Allow(permit) => permit,
            Verdict::Ask(escalation) => escalation.wait().await?,
            Verdict::Deny(denial) => return Err(denial),
        };
        match permit {
            AnyPermit::Exec(permit) => Ok(permit),
            AnyPermit::Tool(_) => Err(super::check::wrong_permit()),
        }
    }

    /// Judges the call and runs the program; its output is collected.
    ///
    /// # Errors
    /// [`Failure::Denied`] explains itself to the model; the others say whether the program may have run.
    pub async fn run(self) -> Result<(Ran, Collected), Failure> {
        self.authorize().await.map_err(Denied::from)?.exec().await
    }
}

/// A tool call that has not been judged yet.
#[derive(Debug)]
pub struct PendingTool {
    pub(super) call: SessionCall,
}

impl PendingTool {
    /// Whether it is of a session of this gate.
    #[cfg(feature = "tower")]
    pub(crate) fn is_of(&self, gate: &Gate) -> bool {
        Arc::ptr_eq(&self.call.session.inner.gate.inner, &gate.inner)
    }

    /// Judges the call.
    pub async fn check(self) -> Verdict {
        let gate = self.call.session.gate().clone();
        gate.check(self.call).await
    }

    /// Judges the call and gives the right to perform it.
    ///
    /// # Errors
    /// The refusal. Where people must agree they are asked, and it waits for them, at most until the deadline.
    pub async fn authorize(self) -> Result<Permit<ToolCall>, Denial> {
        let permit = match self.check().await {
            Verdict::Allow(permit) => permit,
            Verdict::Ask(escalation) => escalation.wait().await?,
            Verdict::Deny(denial) => return Err(denial),
        };
        match permit {
            AnyPermit::Tool(permit) => Ok(permit),
            AnyPermit::Exec(_) => Err(super::check::wrong_permit()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_put_forward_moves_a_session_by_what_has_gone_by() {
        let time = Believed::default();
        let at = Timestamp::from_millis;
        assert_eq!(time.read(at(1_000_000)), at(1_000_000));
        let jumped = time.read(at(900_000_000));
        assert!((at(1_000_000)..at(1_001_000)).contains(&jumped), "{jumped}");
        for _ in 0..1_000 {
            assert!(time.read(at(900_000_000)) < at(1_002_000));
        }
        // Put back, it stays what it was; and is believed when it is near.
        assert_eq!(time.read(at(0)), at(0));
        assert_eq!(time.read(at(1_003_500)), at(1_003_500));
    }
}
