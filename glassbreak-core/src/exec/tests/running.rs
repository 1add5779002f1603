//! What a program is given, and what is recorded of it.

use sha2::{Digest, Sha256};

use super::*;

#[tokio::test]
async fn the_environment_is_just_what_was_built() {
    let scratch = Scratch::new();
    let call = exec(&["env"])
        .with_env("TZ", "UTC")
        .unwrap()
        .with_env("LANG", "C")
        .unwrap();
    let (_, out) = scratch
        .run_with(ExecPlan::as_it_came(&call, "", None), Limits::default(), pending())
        .await;
    let mut lines: Vec<&str> = text(&out.stdout).lines().collect();
    lines.sort_unstable();
    let home = format!("HOME={}", scratch.root.join("work").display());
    let expected = [
        &*home,
        "LANG=C",
        "NO_COLOR=1",
        "PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin",
        "TERM=dumb",
        "TZ=UTC",
    ];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn the_host_may_name_another_home() {
    let scratch = Scratch::new();
    let pin = Pin::take(&scratch.dirs(), "env", false).unwrap();
    let mut sink = Collected::default();
    let runner = Runner::new().home("/nonexistent").unwrap();
    runner
        .run(
            &plan(&["env"]),
            &pin,
            &scratch.ground(),
            Limits::default(),
            pending(),
            &mut sink,
        )
        .await
        .unwrap();
    assert!(text(&sink.stdout).lines().any(|line| line == "HOME=/nonexistent"));
    assert_eq!(Runner::new().home("home").unwrap_err().code(), "home.relative");
}

#[tokio::test]
async fn no_plan_sets_what_loads_code() {
    let scratch = Scratch::new();
    let pin = Pin::take(&scratch.dirs(), "env", false).unwrap();
    for name in [
        "LD_PRELOAD",
        "ld_library_path",
        "PATH",
        "BASH_ENV",
        "GLIBC_TUNABLES",
        "IFS",
    ] {
        let call = exec(&["env"]).with_env(name, "secret-value").unwrap();
        let error = scratch
            .refusal(ExecPlan::as_it_came(&call, "", None), &pin, &scratch.ground())
            .await;
        assert_eq!(error.code(), "env.loader", "{name}");
        assert!(!format!("{error:?} {error}").contains("secret-value"));
    }
}

#[tokio::test]
async fn input_is_delivered_whole_and_then_ends() {
    let scratch = Scratch::new();
    let input: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
    let call = exec(&["cat"]).with_stdin(&input).unwrap();
    let (ran, out) = scratch
        .run_with(ExecPlan::as_it_came(&call, "", None), Limits::default(), pending())
        .await;
    assert!(out.stdout == input);
    assert_eq!((ran.exit, ran.ended_by), (Exit::Code(0), EndedBy::Finished));
    assert_eq!(ran.stdout.sha256.as_bytes()[..], Sha256::digest(&input)[..]);
    // Empty input, no input, and input that nobody reads.
    let call = exec(&["cat"]).with_stdin(b"").unwrap();
    let (ran, _) = scratch
        .run_with(ExecPlan::as_it_came(&call, "", None), Limits::default(), pending())
        .await;
    assert_eq!((ran.exit, ran.stdout.bytes), (Exit::Code(0), 0));
    let (_, out) = scratch.run(&["readlink", "/proc/self/fd/0"]).await;
    assert_eq!(text(&out.stdout), "/dev/null\n");
    let call = exec(&["true"]).with_stdin(&input).unwrap();
    let (ran, _) = scratch
        .run_with(ExecPlan::as_it_came(&call, "", None), Limits::default(), pending())
        .await;
    assert_eq!((ran.exit, ran.ended_by), (Exit::Code(0), EndedBy::Finished));
}

#[tokio::test]
async fn both_streams_are_handed_on_as_they_come_and_recorded() {
    /// Notes when something came.
    struct Timed(Vec<(Stream, Vec<u8>, std::time::Instant)>);
    impl OutputSink for Timed {
        fn take(&mut self, stream: Stream, bytes: &[u8]) {
            self.0.push((stream, bytes.to_vec(), std::time::Instant::now()));
        }
    }
    let scratch = Scratch::new();
    let pin = Pin::take(&scratch.dirs(), "sh", false).unwrap();
    let mut sink = Timed(Vec::new());
    let plan = plan(&["sh", "-c", "echo one; sleep 0.3; echo two >&2; exit 7"]);
    let ran = Runner::new()
        .run(&plan, &pin, &scratch.ground(), Limits::default(), pending(), &mut sink)
        .await
        .unwrap();
    assert_eq!((ran.exit, ran.ended_by), (Exit::Code(7), EndedBy::Finished));
    let (one, two) = (&sink.0[0], &sink.0[1]);
    assert_eq!((one.0, &*one.1), (Stream::Stdout, &b"one\n"[..]));
    assert_eq!((two.0, &*two.1), (Stream::Stderr, &b"two\n"[..]));
    assert!(two.2 - one.2 > millis(200), "the first came as late as the second");
    assert_eq!((ran.stdout.bytes, ran.stdout.truncated), (4, false));
    assert_eq!(ran.stderr.sha256.as_bytes()[..], Sha256::digest("two\n")[..]);
    assert!(ran.duration >= millis(300));
}

#[tokio::test]
async fn the_program_sees_the_name_of_the_profile() {
    let scratch = Scratch::new();
    let (_, out) = scratch.run(&["cat", "/proc/self/cmdline"]).await;
    assert_eq!(out.stdout, b"cat\0/proc/self/cmdline\0");
}

#[tokio::test]
async fn one_file_of_many_names_gets_the_name_it_was_called_by() {
    let scratch = Scratch::new();
    let source = scratch.root.join("box.c");
    fs::write(
        &source,
        "#include <stdio.h>\nint main(int n, char **v) { return !(n == 2 && printf(\"%s %s\\n\", v[0], v[1])); }\n",
    )
    .unwrap();
    let built = Command::new("cc")
        .arg("-o")
        .arg(scratch.bin("box"))
        .arg(&source)
        .status();
    if !built.is_ok_and(|status| status.success()) {
        return not_run(
            "one_file_of_many_names_gets_the_name_it_was_called_by",
            "there is no `cc`",
        );
    }
    mode(&scratch.bin("box"), 0o755);
    for name in ["one", "two"] {
        std::os::unix::fs::symlink("box", scratch.bin(name)).unwrap();
        let pin = Pin::take(&scratch.dirs(), name, false).unwrap();
        assert_eq!(pin.program().path(), scratch.bin("box").to_str().unwrap());
        let (ran, out) = scratch.run(&[name, "x y"]).await;
        assert_eq!(
            (ran.exit, text(&out.stdout)),
            (Exit::Code(0), &*format!("{name} x y\n"))
        );
    }
}

#[tokio::test]
async fn the_program_leads_its_own_session_without_a_terminal() {
    let scratch = Scratch::new();
    // pid, then group, session and terminal as the kernel tells them.
    let (_, out) = scratch.run(&["cat", "/proc/self/stat"]).await;
    let stat = text(&out.stdout);
    let pid = stat.split(' ').next().unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    assert_eq!((fields[2], fields[3], fields[4]), (pid, pid, "0"));
}

#[tokio::test]
async fn what_cannot_be_executed_did_not_run() {
    let scratch = Scratch::new();
    let tool = scratch.copy("true", "tool");
    // A loader that is not there.
    sh(&format!(
        "sed -i 's|/ld-linux|/ld-winux|' {}; chmod 755 {0}",
        tool.display()
    ));
    let pin = Pin::take(&scratch.dirs(), "tool", false).unwrap();
    let error = scratch.refusal(plan(&["tool"]), &pin, &scratch.ground()).await;
    assert_eq!((error.code(), error.effect()), ("spawn", Effect::NotRun));
}

#[tokio::test]
async fn what_the_kernel_does_not_know_is_never_given_to_a_shell() {
    let scratch = Scratch::new();
    // A fitting header and one entry: a loader's name of one byte, which the kernel refuses with ENOEXEC. For that the
    // C library of GNU starts a shell on the file.
    let own = fs::read("/proc/self/exe").unwrap();
    let mut file = own[..64].to_vec();
    // For the shell, the rest of the header is a remark.
    file[9..11].copy_from_slice(b"\n#");
    file[24..32].fill(0);
    file[40..52].fill(0);
    file[32..40].copy_from_slice(&64u64.to_ne_bytes());
    file[56..58].copy_from_slice(&1u16.to_ne_bytes());
    let mut entry = [0; 56];
    entry[..4].copy_from_slice(&3u32.to_ne_bytes());
    entry[32..40].copy_from_slice(&1u64.to_ne_bytes());
    file.extend(entry);
    file.extend(b"\ntouch made\n");
    if own[4] != 2 {
        return not_run(
            "what_the_kernel_does_not_know_is_never_given_to_a_shell",
            "this is no 64-bit machine",
        );
    }
    fs::write(scratch.root.join("file"), &file).unwrap();
    let tool = scratch.bin("tool");
    sh(&format!(
        "cp {}/file {1}; chmod 755 {1}",
        scratch.root.display(),
        tool.display()
    ));
    // The file itself would do harm, were a shell to read it.
    // (Naming a user, even our own, makes std fork and `execvp`, as a new session does.)
    let own_user = rustix::process::geteuid().as_raw();
    let direct = std::os::unix::process::CommandExt::uid(&mut Command::new(&tool), own_user)
        .current_dir(&scratch.root)
        .status();
    let tempting = direct.is_ok() && scratch.root.join("made").exists();
    if !tempting {
        not_run(
            "what_the_kernel_does_not_know_is_never_given_to_a_shell",
            "this C library starts no shell",
        );
    }
    let pin = Pin::take(&scratch.dirs(), "tool", false).unwrap();
    let ran = Runner::new()
        .run(
            &plan(&["tool"]),
            &pin,
            &scratch.ground(),
            Limits::default(),
            pending(),
            &mut Discard,
        )
        .await;
    assert!(ran.is_err() || ran.is_ok_and(|ran| !ran.exit.is_success()));
    assert!(!scratch.work("made").exists());
}

#[test]
fn without_a_runtime_nothing_runs() {
    let scratch = Scratch::new();
    let pin = Pin::take(&scratch.dirs(), "true", false).unwrap();
    let (plan, ground, mut sink) = (plan(&["true"]), scratch.ground(), Discard);
    let runner = Runner::new();
    let run = runner.run(&plan, &pin, &ground, Limits::default(), pending(), &mut sink);
    let mut run = std::pin::pin!(run);
    let polled = run
        .as_mut()
        .poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
    let std::task::Poll::Ready(Err(error)) = polled else {
        panic!("it ran")
    };
    assert_eq!((error.code(), error.effect()), ("runtime", Effect::NotRun));
}

#[test]
fn output_and_errors_keep_secrets_out_of_debug() {
    let collected = Collected {
        stdout: b"secret".to_vec(),
        stderr: Vec::new(),
    };
    assert!(!format!("{collected:?}").contains("115"), "{collected:?}");
    fn is_send<T: Send>(_: &T) {}
    let scratch = Scratch::new();
    let pin = Pin::take(&scratch.dirs(), "true", false).unwrap();
    let (plan, ground, mut sink, runner) = (plan(&["true"]), scratch.ground(), Discard, Runner::new());
    is_send(&runner.run(&plan, &pin, &ground, Limits::default(), pending(), &mut sink));
}
