//! `glassbreak exec`: exit codes, what the command sees, and what is left in the log.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use uuid::Uuid;

const POLICY: &str = r#"
@id("all") permit (principal, action in Action::"exec", resource);
"#;
const PROFILES: &str = r#"
schema = 1
use = ["builtin:cat-readonly"]
[profiles.act]
root = { verdict = "allow", forms = [{ operands = [{ type = "path", max = 4 }] }] }
examples.allow = ["act script"]
[profiles.gone]
root = { verdict = "allow", forms = [{ operands = [{ type = "path", max = 4 }] }] }
examples.allow = ["gone script"]
[profiles.deploy]
root = { verdict = "ask", forms = [{ operands = [{ type = "path", max = 4 }] }] }
examples.ask = ["deploy a.txt"]
"#;
const PEOPLE: &str = "[groups.oncall]\n[persons.bob]\ngroups = [\"oncall\"]\n";

/// A policy folder, a workspace, and `act`: a program that does what a file of the workspace says.
struct House(PathBuf);

impl House {
    fn new() -> Self {
        let root = std::env::temp_dir().join(format!("glassbreak-cli-exec-{}", Uuid::now_v7()));
        let house = Self(root);
        for folder in ["", "policy", "work", "bin"] {
            house.folder(folder);
        }
        for (name, text) in [
            ("policy/agent.cedar", POLICY),
            ("policy/safe-bins.toml", PROFILES),
            ("policy/people.toml", PEOPLE),
            ("policy/glassbreak.toml", "[ask]\ngroup = \"oncall\"\n"),
            (
                "policy/entities.json",
                r#"[{"uid":{"type":"Role","id":"ops"},"attrs":{},"parents":[]}]"#,
            ),
            ("work/a.txt", "hello\n"),
        ] {
            fs::write(house.0.join(name), text).unwrap();
        }
        for program in ["bin/act", "bin/deploy"] {
            fs::copy("/bin/sh", house.0.join(program)).unwrap();
            fs::set_permissions(house.0.join(program), PermissionsExt::from_mode(0o755)).unwrap();
        }
        house
    }

    fn folder(&self, name: &str) {
        fs::create_dir(self.0.join(name)).unwrap();
        fs::set_permissions(self.0.join(name), PermissionsExt::from_mode(0o755)).unwrap();
    }

    fn script(&self, text: &str) {
        fs::write(self.0.join("work/script"), text).unwrap();
    }

    /// `glassbreak exec` with everything but the command.
    fn guarded(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_glassbreak"));
        let at = |name: &str| self.0.join(name);
        command.arg("exec");
        command
            .arg("--policy")
            .arg(at("policy"))
            .arg("--audit")
            .arg(at("audit"));
        command
            .arg("--workspace")
            .arg(at("work"))
            .arg("--program-dir")
            .arg(at("bin"));
        command.args(["--session", "s1", "--on-behalf-of", "alice", "--because", "to see"]);
        command
    }

    fn run(&self, words: &[&str]) -> (i32, String, String) {
        let mut command = self.guarded();
        read(&command.args(["--role", "ops", "--"]).args(words).output().unwrap())
    }

    fn audit(&self, words: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_glassbreak"));
        read(
            &command
                .arg("audit")
                .args(words)
                .arg(self.0.join("audit"))
                .output()
                .unwrap(),
        )
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn read(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_owned()).unwrap();
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn the_exit_code_is_the_commands_own() {
    let house = House::new();
    assert_eq!(house.run(&["cat", "a.txt"]), (0, "hello\n".to_owned(), String::new()));
    house.script("echo out; echo err >&2; exit 7");
    assert_eq!(
        house.run(&["act", "script"]),
        (7, "out\n".to_owned(), "err\n".to_owned())
    );
    house.script("kill -9 $$");
    assert_eq!(house.run(&["act", "script"]).0, 137);

    let (code, out, _) = house.audit(&["verify"]);
    assert_eq!(code, 0, "{out}");
    let (_, shown, _) = house.audit(&["show"]);
    assert!(
        shown.contains("exit status 7") && shown.contains("signal 9") && shown.contains("to see"),
        "{shown}"
    );
}

#[test]
fn refusals_end_with_120_and_say_why() {
    let house = House::new();
    let (code, out, err) = house.run(&["cat", "/etc/passwd"]);
    assert_eq!((code, out.as_str()), (120, ""));
    assert!(err.contains("refused, by argv.cat.path-outside"), "{err}");
    assert!(err.contains("  why:  "), "{err}");

    let (code, _, err) = house.run(&["rm", "-rf", "\u{1b}[2J\u{202e}"]);
    assert_eq!(code, 120);
    assert!(!err.contains(['\u{1b}', '\u{202e}']), "{err:?}");

    let (code, _, err) = house.run(&["deploy", "a.txt"]);
    assert_eq!(code, 120, "{err}");
    assert!(err.contains("1 person of oncall") && err.contains("add --ask"), "{err}");

    let stranger = house
        .guarded()
        .args(["--role", "stranger", "--", "cat", "a.txt"])
        .output()
        .unwrap();
    assert_eq!(stranger.status.code(), Some(120));

    let (code, out, _) = house.audit(&["verify"]);
    assert_eq!(code, 0, "{out}");
    assert_eq!(house.audit(&["show"]).1.matches("refused  ").count(), 3);
}

#[test]
fn what_breaks_ends_with_122() {
    let house = House::new();
    let (code, _, err) = house.run(&["gone", "a.txt"]);
    assert_eq!(code, 122);
    assert!(err.contains("argv.gone.program-file"), "{err}");

    fs::set_permissions(house.0.join("bin"), PermissionsExt::from_mode(0o777)).unwrap();
    assert_eq!(house.run(&["act", "script"]).0, 122);

    house.folder("open");
    fs::set_permissions(house.0.join("open"), PermissionsExt::from_mode(0o777)).unwrap();
    for (dir, why) in [
        ("open", "written by its group or by others"),
        ("work/a.txt", "not a folder"),
    ] {
        fs::remove_dir_all(house.0.join("audit")).unwrap_or_default();
        let mut command = Command::new(env!("CARGO_BIN_EXE_glassbreak"));
        let at = |name: &str| house.0.join(name);
        command
            .arg("exec")
            .arg("--policy")
            .arg(at("policy"))
            .arg("--audit")
            .arg(at(dir));
        command.arg("--workspace").arg(at("work"));
        let (code, out, err) = read(
            &command
                .args(["--role", "ops", "--session", "s", "--", "cat", "a.txt"])
                .output()
                .unwrap(),
        );
        assert_eq!((code, out.as_str()), (122, ""), "{err}");
        assert!(err.contains(why), "{err}");
    }
}

#[test]
fn wrong_usage_ends_with_2() {
    let house = House::new();
    let code = |words: &[&str]| house.guarded().args(words).output().unwrap().status.code();
    assert_eq!(code(&["--", "cat", "a.txt"]), Some(2), "no role");
    assert_eq!(code(&["--role", "ops", "--"]), Some(2), "no command");
    assert_eq!(
        code(&["--role", "a role", "--", "cat", "a.txt"]),
        Some(2),
        "no such word"
    );
    assert_eq!(
        code(&["--role", "ops", "--session", "other", "--", "cat"]),
        Some(2),
        "twice"
    );
    fs::write(house.0.join("policy/agent.cedar"), "permit").unwrap();
    assert_eq!(code(&["--role", "ops", "--", "cat", "a.txt"]), Some(2), "no policy");
    fs::write(house.0.join("policy/agent.cedar"), POLICY).unwrap();
    fs::rename(house.0.join("work"), house.0.join("elsewhere")).unwrap();
    assert_eq!(code(&["--role", "ops", "--", "cat", "a.txt"]), Some(2), "no workspace");
}

#[test]
fn the_command_sees_its_workspace_and_no_environment_of_ours() {
    let house = House::new();
    house.script("pwd; cat; env");
    let input = fs::File::open(house.0.join("work/a.txt")).unwrap();
    let mut command = house.guarded();
    command.env("SECRET_TOKEN", "hunter2").stdin(Stdio::from(input));
    let (code, out, err) = read(&command.args(["--role", "ops", "--", "act", "script"]).output().unwrap());
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let work = house.0.join("work");
    assert_eq!(out.lines().next().map(Path::new), Some(work.as_path()));
    assert!(out.contains("NO_COLOR=1") && !out.contains("SECRET_TOKEN"), "{out}");
    assert!(!out.contains("hello"), "our input is not the command's: {out}");
}

/// Whether a process is there, and more than a dead one that nobody has waited for yet.
fn lives(pid: &str) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

#[test]
fn output_comes_as_it_is_written_and_an_interrupt_ends_the_command() {
    let house = House::new();
    house.script("echo $$; sleep 60; echo late");
    let mut command = house.guarded();
    let began = Instant::now();
    let mut child = command
        .args(["--role", "ops", "--", "act", "script"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut first = [0; 32];
    let read = child.stdout.as_mut().unwrap().read(&mut first).unwrap();
    let pid = String::from_utf8_lossy(first.get(..read).unwrap()).trim().to_owned();
    assert!(lives(&pid), "{pid:?}");
    let told = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(told.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(began.elapsed() < Duration::from_secs(20));
    while lives(&pid) {
        assert!(began.elapsed() < Duration::from_secs(20), "the command lives on");
        std::thread::sleep(Duration::from_millis(10));
    }
    let (code, out, _) = house.audit(&["verify"]);
    assert_eq!(code, 0, "{out}");
}
