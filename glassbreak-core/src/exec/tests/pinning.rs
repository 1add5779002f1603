//! A file swapped between pin and run, and files that are not fit to be pinned.

use std::os::unix::fs::symlink;

use super::*;

fn refused(dirs: &ProgramDirs, name: &str) -> &'static str {
    let error = Pin::take(dirs, name, false).unwrap_err();
    assert_eq!(error.effect(), Effect::NotRun);
    error.code()
}

/// Pins a copy of `true`, lets `swap` loose on it, and runs.
async fn after(with_hash: bool, swap: impl FnOnce(&Scratch)) -> ExecError {
    let scratch = Scratch::new();
    scratch.copy("true", "tool");
    let pin = Pin::take(&scratch.dirs(), "tool", with_hash).unwrap();
    pin.check_again().unwrap();
    swap(&scratch);
    assert!(pin.check_again().is_err());
    let error = scratch.refusal(plan(&["tool"]), &pin, &scratch.ground()).await;
    assert_eq!(error.effect(), Effect::NotRun, "{error}");
    error
}

#[tokio::test]
async fn a_file_renamed_over_the_pinned_one_is_not_run() {
    for with_hash in [false, true] {
        let error = after(with_hash, |scratch| {
            scratch.copy("false", "other");
            fs::rename(scratch.bin("other"), scratch.bin("tool")).unwrap();
        })
        .await;
        assert_eq!(error.code(), "pin.changed");
        assert!(error.why().contains("inode"), "{error}");
    }
}

#[tokio::test]
async fn a_write_into_the_pinned_file_is_found() {
    let error = after(false, |scratch| {
        sh(&format!("printf x >> {}", scratch.bin("tool").display()));
    })
    .await;
    assert_eq!(error.code(), "pin.changed");
    assert!(error.why().contains("size"), "{error}");
}

#[tokio::test]
async fn a_write_that_restores_size_and_time_is_found() {
    for with_hash in [false, true] {
        let error = after(with_hash, |scratch| {
            let tool = scratch.bin("tool");
            let tool = tool.display();
            sh(&format!(
                "touch -r {tool} {tool}.time; printf x | dd of={tool} bs=1 seek=4000 conv=notrunc status=none; \
                 touch -r {tool}.time {tool}"
            ));
        })
        .await;
        assert_eq!(error.code(), "pin.changed");
        assert!(!error.why().contains("size"), "{error}");
        assert!(!error.why().contains("written"), "{error}");
        assert_eq!(error.why().contains("SHA-256"), with_hash, "{error}");
    }
}

#[tokio::test]
async fn a_link_in_place_of_the_pinned_file_is_not_followed() {
    let error = after(false, |scratch| {
        fs::rename(scratch.bin("tool"), scratch.bin("moved")).unwrap();
        symlink("moved", scratch.bin("tool")).unwrap();
    })
    .await;
    assert_eq!(error.code(), "pin.changed");
    let error = after(false, |scratch| {
        fs::remove_file(scratch.bin("tool")).unwrap();
    })
    .await;
    assert_eq!(error.code(), "program.missing");
}

#[tokio::test]
async fn a_file_or_folder_opened_to_others_meanwhile_is_not_run() {
    let error = after(false, |scratch| mode(&scratch.bin("tool"), 0o777)).await;
    assert_eq!(error.code(), "path.writable");
    let error = after(false, |scratch| mode(&scratch.root.join("bin"), 0o777)).await;
    assert_eq!(error.code(), "path.writable");
    let error = after(false, |scratch| mode(&scratch.root, 0o775)).await;
    assert_eq!(error.code(), "path.writable");
}

/// Runs `words` in the folder `a`, with `swap` done in the last moment: the order to end is looked at once between the
/// last check and the start.
async fn in_the_last_moment(
    scratch: &Scratch,
    words: &[&str],
    swap: impl FnOnce() + Send,
) -> (Result<Ran, ExecError>, Collected) {
    fs::create_dir(scratch.work("a")).unwrap();
    let pin = Pin::take(&scratch.dirs(), words[0], false).unwrap();
    let plan = ExecPlan::as_it_came(&exec(words), "a", None);
    let (mut swap, mut sink) = (Some(swap), Collected::default());
    let cancel = std::future::poll_fn(|_| {
        if let Some(swap) = swap.take() {
            swap();
        }
        std::task::Poll::Pending
    });
    let ground = scratch.ground();
    let ran = Runner::new()
        .run(&plan, &pin, &ground, Limits::default(), cancel, &mut sink)
        .await;
    (ran, sink)
}

#[tokio::test]
async fn what_is_swapped_in_the_last_moment_does_not_run() {
    // Were the new file run, it would make a file `60`.
    for in_place in [false, true] {
        let scratch = Scratch::new();
        scratch.copy("sleep", "tool");
        scratch.copy("touch", "other");
        let (other, tool) = (scratch.bin("other"), scratch.bin("tool"));
        let how = if in_place { "chmod 700" } else { "mv" };
        let command = format!(
            "{how} {} {}",
            if in_place { "" } else { other.to_str().unwrap() },
            tool.display()
        );
        let before = std::time::Instant::now();
        let (ran, _) = in_the_last_moment(&scratch, &["tool", "60"], || sh(&command)).await;
        let error = ran.unwrap_err();
        assert_eq!((error.code(), error.effect()), ("pin.swapped", Effect::Unknown));
        assert!(!scratch.work("a/60").exists());
        assert!(before.elapsed() < millis(10_000), "it was killed, not waited for");
    }
}

#[tokio::test]
async fn a_folder_swapped_in_the_last_moment_is_not_entered() {
    let scratch = Scratch::new();
    let (here, gone) = (scratch.work("a"), scratch.work("gone"));
    let (ran, out) = in_the_last_moment(&scratch, &["readlink", "/proc/self/cwd"], || {
        fs::rename(&here, &gone).unwrap();
        symlink("/etc", &here).unwrap();
    })
    .await;
    assert_eq!(ran.unwrap().exit, Exit::Code(0));
    assert_eq!(text(&out.stdout).trim_end(), gone.to_str().unwrap());
}

#[test]
fn a_write_after_the_last_check_is_seen_on_the_open_file() {
    let scratch = Scratch::new();
    let tool = scratch.copy("true", "tool");
    let pin = Pin::take(&scratch.dirs(), "tool", false).unwrap();
    let ready = pin.open_again().unwrap();
    assert!(pin.still(&ready));
    std::thread::sleep(millis(20)); // file times move in ticks of the kernel on some file systems
    sh(&format!("chmod 700 {0}; chmod 755 {0}", tool.display()));
    assert!(!pin.still(&ready));
}

#[test]
fn what_others_may_write_to_is_not_pinned() {
    let scratch = Scratch::new();
    let dirs = scratch.dirs();
    let tool = scratch.copy("true", "tool");
    assert!(Pin::take(&dirs, "tool", false).is_ok());
    for (path, bits) in [
        (tool.clone(), 0o757),
        (tool, 0o775),
        (scratch.root.join("bin"), 0o757),
        (scratch.root.join("bin"), 0o775),
        // Sticky keeps others from moving what is there, not from putting something new.
        (scratch.root.join("bin"), 0o1777),
        (scratch.root.clone(), 0o777),
    ] {
        mode(&path, bits);
        assert_eq!(refused(&dirs, "tool"), "path.writable", "{} {bits:o}", path.display());
        mode(&path, 0o755);
    }
    // A sticky folder above is passed: the scratch folder itself lies in one, and so may another.
    mode(&scratch.root, 0o1777);
    assert!(Pin::take(&dirs, "tool", false).is_ok());
}

#[test]
fn what_belongs_to_somebody_else_is_not_pinned() {
    if !is_root() {
        return not_run("what_belongs_to_somebody_else_is_not_pinned", "needs root");
    }
    let scratch = Scratch::new();
    let tool = scratch.copy("true", "tool");
    symlink("tool", scratch.bin("link")).unwrap();
    let owner = |path: &Path, uid| std::os::unix::fs::lchown(path, Some(uid), None).unwrap();
    for path in [tool, scratch.root.join("bin"), scratch.root.clone()] {
        owner(&path, 65_534);
        assert_eq!(refused(&scratch.dirs(), "tool"), "path.owner", "{}", path.display());
        owner(&path, 0);
    }
    owner(&scratch.bin("link"), 65_534);
    assert_eq!(refused(&scratch.dirs(), "link"), "path.owner");
}

#[test]
fn a_link_is_followed_only_through_safe_folders() {
    let scratch = Scratch::new();
    scratch.copy("true", "tool");
    let open = scratch.root.join("open");
    fs::create_dir(&open).unwrap();
    symlink(scratch.bin("tool"), open.join("hop")).unwrap();
    symlink(open.join("hop"), scratch.bin("via")).unwrap();
    mode(&open, 0o755);
    let pin = Pin::take(&scratch.dirs(), "via", false).unwrap();
    assert_eq!(pin.program().path(), scratch.bin("tool").to_str().unwrap());
    assert_eq!(pin.name(), "via");
    // Whoever may write to a folder on the way chooses what the name means.
    mode(&open, 0o1777);
    assert_eq!(refused(&scratch.dirs(), "via"), "path.writable");
    symlink("loop", scratch.bin("loop")).unwrap();
    assert_eq!(refused(&scratch.dirs(), "loop"), "path.links");
}

#[test]
fn only_regular_executable_elf_files_without_special_bits_are_pinned() {
    let scratch = Scratch::new();
    let tool = scratch.copy("true", "tool");
    let dirs = scratch.dirs();
    mode(&tool, 0o644);
    assert_eq!(refused(&dirs, "tool"), "program.mode");
    mode(&tool, 0o4755);
    assert_eq!(refused(&dirs, "tool"), "program.setuid");
    mode(&tool, 0o2755);
    assert_eq!(refused(&dirs, "tool"), "program.setuid");
    fs::create_dir(scratch.bin("folder")).unwrap();
    assert_eq!(refused(&dirs, "folder"), "program.kind");
    sh(&format!("mkfifo -m 755 {}", scratch.bin("pipe").display()));
    assert_eq!(refused(&dirs, "pipe"), "program.kind");
    for (name, content) in [
        ("text", "echo hello\n"),
        ("empty", ""),
        ("almost", "\u{7f}EL"),
        ("magic", "\u{7f}ELF"),
    ] {
        fs::write(scratch.bin(name), content).unwrap();
        mode(&scratch.bin(name), 0o755);
        assert_eq!(refused(&dirs, name), "program.format", "{name}");
    }
    // Another machine's: the number of the machine is at byte 18.
    let mut other = fs::read("/bin/true").unwrap();
    other[18] ^= 1;
    fs::write(scratch.bin("other"), other).unwrap();
    mode(&scratch.bin("other"), 0o755);
    assert_eq!(refused(&dirs, "other"), "program.format");
}

#[test]
fn names_are_bare_and_the_first_folder_that_has_one_wins() {
    let scratch = Scratch::new();
    let dirs = scratch.dirs();
    for name in ["", ".", "..", "/bin/true", "./tool", "../bin/tool", "a\0b"] {
        assert_eq!(refused(&dirs, name), "program.name", "{name:?}");
    }
    assert_eq!(refused(&dirs, "no-such-program-here"), "program.missing");
    assert_eq!(
        ProgramDirs::new().program_dir("bin").unwrap_err().code(),
        "dir.relative"
    );

    let of = |name| Pin::take(&dirs, name, false).unwrap().program().path().to_owned();
    let system = of("true");
    assert!(system.starts_with("/usr/") || system.starts_with("/bin/"), "{system}");
    scratch.copy("true", "true");
    assert_eq!(of("true"), scratch.bin("true").to_str().unwrap());
    // One that is there and unfit ends the search; so does a link to nothing.
    mode(&scratch.bin("true"), 0o777);
    assert_eq!(refused(&dirs, "true"), "path.writable");
    fs::remove_file(scratch.bin("true")).unwrap();
    symlink("nothing", scratch.bin("true")).unwrap();
    assert_eq!(refused(&dirs, "true"), "program.missing");
}

#[test]
fn a_file_whose_name_cannot_be_shown_is_not_pinned() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let scratch = Scratch::new();
    scratch.copy("true", "tool");
    for (link, name) in [("a", &b"\xff\xfe"[..]), ("b", "x\u{202e}y".as_bytes()), ("c", b"x\ny")] {
        let odd = scratch.root.join("bin").join(OsStr::from_bytes(name));
        fs::copy("/bin/true", &odd).unwrap();
        symlink(&odd, scratch.bin(link)).unwrap();
        assert_eq!(refused(&scratch.dirs(), link), "program.path", "{name:?}");
    }
}

#[test]
fn a_pin_survives_being_written_down_and_shows_what_counts() {
    let scratch = Scratch::new();
    scratch.copy("true", "tool");
    let pin = Pin::take(&scratch.dirs(), "tool", true).unwrap();
    let text = serde_json::to_string(&pin).unwrap();
    assert_eq!(serde_json::from_str::<Pin>(&text).unwrap(), pin);
    assert!(serde_json::from_str::<Pin>(&text.replacen('{', r#"{"more":1,"#, 1)).is_err());
    let shown = pin.to_string();
    let sum = pin.program().sha256().unwrap().to_string();
    for part in [scratch.bin("tool").to_str().unwrap(), &sum, "as `tool`", "bytes"] {
        assert!(shown.contains(part), "{shown}");
    }
    let real = Command::new("sha256sum").arg(scratch.bin("tool")).output().unwrap();
    assert!(real.stdout.starts_with(sum.as_bytes()));
}

#[tokio::test]
async fn a_pin_runs_only_the_name_it_was_taken_for() {
    let scratch = Scratch::new();
    scratch.copy("true", "tool");
    let pin = Pin::take(&scratch.dirs(), "tool", false).unwrap();
    let error = scratch.refusal(plan(&["true"]), &pin, &scratch.ground()).await;
    assert_eq!((error.code(), error.effect()), ("plan.program", Effect::NotRun));
}

#[test]
fn what_a_program_runs_in_its_turn_is_looked_at_again_with_it() {
    let system = ProgramDirs::new();
    let take = |name: &str| Pin::take(&system, name, false).unwrap();
    let pin = take("timeout").running(&system, vec![take("true")]).unwrap();
    pin.check_again().unwrap();
    assert!(pin.to_string().contains(" as `timeout`, which runs "), "{pin}");
    // As if the file had been another one when it was pinned.
    let mut other = serde_json::to_value(&pin).unwrap();
    let ino = other["runs"][0]["program"]["ino"].as_u64().unwrap();
    other["runs"][0]["program"]["ino"] = (ino + 1).into();
    let other: Pin = serde_json::from_value(other).unwrap();
    assert_eq!(other.check_again().unwrap_err().code(), "pin.changed");
    // What a host added is not where the program looks.
    let scratch = Scratch::new();
    scratch.copy("true", "true");
    scratch.copy("true", "of-the-hosts-only");
    for name in ["true", "of-the-hosts-only"] {
        let theirs = Pin::take(&scratch.dirs(), name, false).unwrap();
        let error = take("timeout").running(&scratch.dirs(), vec![theirs]).unwrap_err();
        assert_eq!(error.code(), "program.elsewhere");
    }
}
