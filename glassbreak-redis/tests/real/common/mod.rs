//! Redis servers of tests: each on a free port of this machine, in a folder of its own, and gone with the test.

pub(crate) mod many;
pub(crate) mod pair;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use glassbreak_redis::{RedisBuilder, RedisStore};

/// How long a call may take in a test: machines that test are busy.
pub(crate) const PATIENT: Duration = Duration::from_secs(20);

/// A server. It ends when this is dropped, and when the test's process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Server {
    /// A shell that waits for the end of its input, and then ends the server.
    keeper: Child,
    pub(crate) port: u16,
    pub(crate) folder: PathBuf,
    more: Vec<String>,
}

impl Server {
    /// One that keeps what it acknowledged.
    pub(crate) fn start() -> Self {
        Self::with(&["--appendonly", "yes"])
    }

    /// One with these settings.
    pub(crate) fn with(settings: &[&str]) -> Self {
        let more: Vec<String> = settings.iter().map(|&setting| setting.to_owned()).collect();
        for _ in 0..5 {
            // Another may take it before the server does: then it does not answer, and another port is tried.
            let port = free_port();
            let folder = scratch();
            if let Some(keeper) = spawn(port, &folder, &more) {
                return Self {
                    keeper,
                    port,
                    folder,
                    more,
                };
            }
        }
        panic!("redis-server does not start");
    }

    /// One that keeps nothing, and watches over the server at this port.
    pub(crate) fn sentinel(port: &str) -> Self {
        let file = scratch().join("sentinel.conf");
        let settings = format!(
            "sentinel monitor gb 127.0.0.1 {port} 2\nsentinel down-after-milliseconds gb 1000\n\
             sentinel failover-timeout gb 4000\n"
        );
        std::fs::write(&file, settings).unwrap();
        Self::with(&["sentinel", &file.display().to_string()])
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// A store that is not hurried, in a realm.
    pub(crate) fn builder(&self, realm: &str) -> RedisBuilder {
        RedisStore::builder(&self.url()).realm(realm).call_limit(PATIENT)
    }

    /// Sends one line, and returns what comes back: for what the client has no word for.
    pub(crate) fn say(&self, line: &str) -> String {
        say(self.port, line).unwrap()
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let id = std::fs::read_to_string(self.folder.join("pid")).unwrap();
        let id = rustix::process::Pid::from_raw(id.trim().parse().unwrap()).unwrap();
        rustix::process::kill_process(id, signal).unwrap();
    }

    /// Kills it, and starts it again on what it wrote.
    pub(crate) fn crash(&mut self) {
        self.stop();
        self.begin();
    }

    /// Kills it.
    pub(crate) fn stop(&mut self) {
        self.signal(rustix::process::Signal::KILL);
        self.keeper.kill().unwrap();
        self.keeper.wait().unwrap();
        while say(self.port, "PING").is_some() {
            sleep(Duration::from_millis(1));
        }
    }

    /// Starts it again on what it wrote.
    pub(crate) fn begin(&mut self) {
        let _ = std::fs::remove_file(self.folder.join("pid"));
        self.keeper = spawn(self.port, &self.folder, &self.more).expect("it starts again");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

const SERVER: [&str; 6] = [
    "--save",
    "",
    "--enable-debug-command",
    "yes",
    "--repl-diskless-sync-delay",
    "0",
];

fn spawn(port: u16, folder: &Path, more: &[String]) -> Option<Child> {
    let found = Command::new("redis-server")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    assert!(
        found.is_ok_and(|found| found.success()),
        "NOT RUN: redis-server is not on PATH; install it (Debian: apt-get install redis-server), or leave these tests out"
    );
    let (settings, more) = match more {
        [first, file] if first == "sentinel" => (vec![file.as_str(), "--sentinel"], &[][..]),
        more => (SERVER.to_vec(), more),
    };
    let keeper = Command::new("sh")
        .args(["-c", "redis-server \"$@\" & read -r _; kill -9 $!; wait; rm -rf \"$0\""])
        .arg(folder)
        .args(settings)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .arg("--dir")
        .arg(folder)
        .arg("--pidfile")
        .arg(folder.join("pid"))
        .args(more)
        .stdin(Stdio::piped())
        .stdout(std::fs::File::create(folder.join("log")).unwrap())
        .spawn();
    let mut keeper = keeper.unwrap();
    let until = Instant::now() + Duration::from_secs(10);
    while Instant::now() < until {
        // It must be this server, and not another one that has the port.
        if folder.join("pid").exists() && say(port, "PING").is_some_and(|answer| answer.starts_with("+PONG")) {
            return Some(keeper);
        }
        let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
        if log.contains("Address already in use") {
            break;
        }
        sleep(Duration::from_millis(5));
    }
    let _ = keeper.kill();
    let _ = keeper.wait();
    None
}

fn say(port: u16, line: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream.write_all(format!("{line}\r\n").as_bytes()).ok()?;
    let mut answer = vec![0; 65_536];
    let length = stream.read(&mut answer).ok()?;
    Some(String::from_utf8_lossy(answer.get(..length)?).into_owned())
}

/// A port that nobody has at the moment.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A new folder.
pub(crate) fn scratch() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("redis-{}-{}", std::process::id(), next()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// A realm that nobody has yet.
pub(crate) fn realm() -> String {
    format!("test-{}-{}", std::process::id(), next())
}

fn next() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::SeqCst)
}
