//! The workspace, the working folder and the paths among the words.

use std::os::unix::fs::symlink;

use super::*;

#[test]
fn a_workspace_reached_by_a_link_is_not_opened() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.work("inner")).unwrap();
    symlink(scratch.root.join("work"), scratch.root.join("way")).unwrap();
    let code = |path: PathBuf| {
        WorkspaceDir::open(&Workspace::new(path.to_str().unwrap()).unwrap())
            .map_err(|error| error.code())
            .map(drop)
    };
    assert_eq!(code(scratch.root.join("work/inner")), Ok(()));
    assert_eq!(code(scratch.root.join("way")), Err("workspace.link"));
    assert_eq!(code(scratch.root.join("way/inner")), Err("workspace.link"));
    assert_eq!(code(scratch.root.join("nothing")), Err("workspace.unreadable"));
    fs::write(scratch.work("file"), "").unwrap();
    assert_eq!(code(scratch.work("file")), Err("workspace.unreadable"));
}

#[tokio::test]
async fn a_working_folder_replaced_by_a_link_is_refused() {
    let scratch = Scratch::new();
    let ground = scratch.ground();
    let pin = Pin::take(&scratch.dirs(), "true", false).unwrap();
    let there = |cwd: &str| ExecPlan::as_it_came(&exec(&["true"]), cwd, None);
    fs::create_dir_all(scratch.work("a/b")).unwrap();
    let run = async |cwd: &str| {
        Runner::new()
            .run(&there(cwd), &pin, &ground, Limits::default(), pending(), &mut Discard)
            .await
            .map_err(|error| (error.code(), error.effect()))
            .map(|ran| ran.exit)
    };
    assert_eq!(run("a/b").await, Ok(Exit::Code(0)));
    // Between the decision and the run: the last part, then one in the middle, then one that leads back inside.
    fs::rename(scratch.work("a/b"), scratch.work("a/was")).unwrap();
    symlink("/etc", scratch.work("a/b")).unwrap();
    assert_eq!(run("a/b").await, Err(("cwd.link", Effect::NotRun)));
    fs::create_dir_all(scratch.work("x/b")).unwrap();
    fs::rename(scratch.work("a"), scratch.work("old")).unwrap();
    symlink("x", scratch.work("a")).unwrap();
    assert_eq!(run("a/b").await, Err(("cwd.link", Effect::NotRun)));

    assert_eq!(run("..").await, Err(("cwd.outside", Effect::NotRun)));
    assert_eq!(run("x/../..").await, Err(("cwd.outside", Effect::NotRun)));
    assert_eq!(run("/etc").await, Err(("cwd.outside", Effect::NotRun)));
    assert_eq!(run("nothing").await, Err(("cwd.unreadable", Effect::NotRun)));
}

#[tokio::test]
async fn a_workspace_that_was_moved_away_is_refused() {
    let scratch = Scratch::new();
    let ground = scratch.ground();
    let pin = Pin::take(&scratch.dirs(), "true", false).unwrap();
    fs::rename(scratch.root.join("work"), scratch.root.join("moved")).unwrap();
    fs::create_dir(scratch.root.join("work")).unwrap();
    let error = scratch.refusal(plan(&["true"]), &pin, &ground).await;
    assert_eq!(error.code(), "workspace.moved");
    fs::remove_dir(scratch.root.join("work")).unwrap();
    symlink(scratch.root.join("moved"), scratch.root.join("work")).unwrap();
    let error = scratch.refusal(plan(&["true"]), &pin, &ground).await;
    assert_eq!(error.code(), "workspace.link");
}

#[tokio::test]
async fn the_program_starts_in_the_folder_that_was_opened() {
    let scratch = Scratch::new();
    fs::create_dir_all(scratch.work("a/b")).unwrap();
    for (cwd, expected) in [("", scratch.root.join("work")), ("a/b", scratch.work("a/b"))] {
        let plan = ExecPlan::as_it_came(&exec(&["readlink", "/proc/self/cwd"]), cwd, None);
        let (_, out) = scratch.run_with(plan, Limits::default(), pending()).await;
        assert_eq!(text(&out.stdout).trim_end(), expected.to_str().unwrap());
    }
}

#[test]
fn paths_lead_where_the_kernel_says_and_never_outside() {
    let scratch = Scratch::new();
    let ground = scratch.ground();
    fs::create_dir_all(scratch.work("a/b")).unwrap();
    fs::write(scratch.work("a/file"), "").unwrap();
    symlink("file", scratch.work("a/inside")).unwrap();
    symlink("/etc/passwd", scratch.work("a/absolute")).unwrap();
    symlink("../../../etc", scratch.work("a/climbing")).unwrap();
    symlink("nothing", scratch.work("a/dangling")).unwrap();
    symlink("a/b", scratch.work("jump")).unwrap();
    let lead = |cwd: &str, word: &str| {
        ground
            .check_path(cwd, word)
            .map(|place| (place.path, place.exists, place.linked))
            .map_err(|error| error.code())
    };
    let fine = |path: &str, exists, linked| Ok((path.to_owned(), exists, linked));
    assert_eq!(lead("", "a/file"), fine("a/file", true, false));
    assert_eq!(lead("a", "file"), fine("a/file", true, false));
    assert_eq!(lead("a", "../a/./b/"), fine("a/b", true, false));
    assert_eq!(lead("a", ".."), fine("", true, false));
    assert_eq!(lead("", "."), fine("", true, false));
    let absolute = scratch.work("a/file");
    assert_eq!(lead("a/b", absolute.to_str().unwrap()), fine("a/file", true, false));
    assert_eq!(lead("a", "/dev/null"), fine("/dev/null", true, false));
    // What is not there yet, and would come to lie here.
    assert_eq!(lead("a", "new"), fine("a/new", false, false));
    assert_eq!(lead("a", "new/newer/newest"), fine("a/new/newer/newest", false, false));
    // Links that stay inside are followed, and said to be links.
    assert_eq!(lead("a", "inside"), fine("a/file", true, true));
    assert_eq!(lead("", "jump/new"), fine("a/b/new", false, true));
    // As text this is `secret`; the kernel goes through the link first.
    assert_eq!(lead("", "jump/../file"), fine("a/file", true, true));

    for (cwd, word) in [
        ("", ".."),
        ("a", "../../x"),
        ("", "/etc/passwd"),
        ("a", "absolute"),
        ("a", "climbing"),
        ("a", "climbing/passwd"),
        ("a", "climbing/../../x"),
        ("", "jump/../../../x"),
    ] {
        assert_eq!(lead(cwd, word), Err("path.outside"), "{cwd} {word}");
    }
    let beside = format!("{}shop", scratch.root.join("work").display());
    assert_eq!(lead("", &beside), Err("path.outside"));
    assert_eq!(lead("a", "dangling"), Err("path.dangling"));
    assert_eq!(lead("a", "dangling/x"), Err("path.dangling"));
    assert_eq!(lead("", ""), Err("path.unreadable"));
    assert_eq!(lead("", "a/file/x"), Err("path.unreadable"));
    assert_eq!(lead("", "new/../../x"), Err("path.unreadable"));
    assert_eq!(lead("jump", "new"), Err("cwd.link"));
}

#[test]
fn without_openat2_every_link_and_every_way_up_is_refused() {
    use rustix::fs::{Mode, OFlags, open};
    use rustix::io::Errno;
    let scratch = Scratch::new();
    fs::create_dir_all(scratch.work("a/b")).unwrap();
    fs::write(scratch.work("a/file"), "").unwrap();
    symlink("file", scratch.work("a/inside")).unwrap();
    symlink("/etc", scratch.work("a/etc")).unwrap();
    let walk = |path: &str, flags| {
        let root = open(scratch.root.join("work"), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let found = ground::walk(root, path.as_ref(), flags);
        found.map(|fd| fs::read_link(file::by_descriptor(&fd)).unwrap())
    };
    assert_eq!(walk("./a//file", OFlags::PATH), Ok(scratch.work("a/file")));
    assert_eq!(
        walk(".", OFlags::PATH | OFlags::DIRECTORY),
        Ok(scratch.root.join("work"))
    );
    for (path, error) in [
        ("a/inside", Errno::LOOP),
        ("a/etc/passwd", Errno::LOOP),
        ("a/../a", Errno::XDEV),
        ("/etc", Errno::XDEV),
        ("a/none", Errno::NOENT),
        ("a/file/x", Errno::NOTDIR),
    ] {
        assert_eq!(walk(path, OFlags::PATH), Err(error), "{path}");
    }
    assert_eq!(walk("a/file", OFlags::PATH | OFlags::DIRECTORY), Err(Errno::NOTDIR));
}
