//! The guide's policy snippets load, and its commands print what it shows.
//!
//! A block whose fence names a file (` ```toml budgets.toml `) is added to that file of the folder that `glassbreak new`
//! writes; one that names `starter/FILE` stands in that file. In a block of `console`, lines behind `$ ` run, and what
//! follows is what they print: `…` on a line of its own stands for any lines, at the end of a line for the rest of it.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use uuid::Uuid;

/// A page, and the fenced blocks in it: what stands behind the fence, and the text.
struct Page {
    name: String,
    blocks: Vec<(String, String)>,
}

fn pages() -> Vec<Page> {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../glassbreak-core/guide");
    let mut pages: Vec<Page> = fs::read_dir(guide)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            Page {
                name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
                blocks: blocks(&fs::read_to_string(&path).unwrap()),
            }
        })
        .collect();
    pages.sort_by(|a, b| a.name.cmp(&b.name));
    pages
}

fn blocks(text: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(info), None) => open = Some((info.to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((_, body))) => {
                body.push_str(line);
                body.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block that does not end");
    blocks
}

/// A folder with `policy` in it; removed when dropped.
struct Place(PathBuf);

impl Place {
    fn new(page: &Page) -> Self {
        let root = std::env::temp_dir().join(format!("glassbreak-guide-{}-{}", page.name, Uuid::now_v7()));
        fs::create_dir(&root).unwrap();
        let place = Self(root);
        // A page that makes the folder itself begins without it.
        if !page
            .blocks
            .iter()
            .any(|(_, body)| body.contains("$ glassbreak new policy"))
        {
            place.run("glassbreak new policy");
        }
        place
    }

    fn add(&self, file: &str, text: &str) {
        let path = self.0.join("policy").join(file);
        let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
        file.write_all(format!("\n{text}").as_bytes()).unwrap();
    }

    /// What the command prints.
    fn run(&self, command: &str) -> String {
        let built = Path::new(env!("CARGO_BIN_EXE_glassbreak")).parent().unwrap();
        let path = format!("{}:{}", built.display(), std::env::var("PATH").unwrap());
        let mut shell = Command::new("sh");
        let shell = shell.args(["-c", &format!("umask 022; {command} 2>&1")]);
        let output = shell.current_dir(&self.0).env("PATH", path).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Place {
    /// Runs the commands of a block; how many there are.
    fn console(&self, page: &str, body: &str) -> usize {
        let steps = body.split("$ ").skip(1);
        let run = |step: &str| {
            let (command, shown) = step.split_once('\n').unwrap();
            let printed = self.run(command);
            let shown: Vec<&str> = shown.trim_end().lines().collect();
            let is: Vec<&str> = printed.trim_end().lines().collect();
            assert!(as_shown(&shown, &is), "{page}: {command}\n{printed}");
        };
        steps.map(run).count()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Whether lines are as they are shown, with `…` for what is left out.
fn as_shown(shown: &[&str], printed: &[&str]) -> bool {
    match (shown.split_first(), printed.split_first()) {
        (None, None) => true,
        (Some((&"…", rest)), _) => (0..=printed.len()).any(|skip| as_shown(rest, &printed[skip..])),
        (Some((line, shown)), Some((is, printed))) => {
            let same = match line.strip_suffix('…') {
                Some(start) => is.starts_with(start),
                None => line == is,
            };
            same && as_shown(shown, printed)
        }
        _ => false,
    }
}

#[test]
fn what_is_left_out_is_said() {
    assert!(as_shown(&["a", "…", "d…"], &["a", "b", "c", "def"]));
    assert!(as_shown(&["…"], &[]));
    assert!(!as_shown(&["a"], &["a", "b"]));
    assert!(!as_shown(&["a", "…", "c"], &["a", "b"]));
}

#[test]
fn snippets_load_and_commands_print_what_is_shown() {
    let (mut snippets, mut commands) = (0, 0);
    for page in pages() {
        let place = Place::new(&page);
        let starter = Path::new(env!("CARGO_MANIFEST_DIR"));
        // In the order in which a reader does it.
        for (info, body) in &page.blocks {
            match info.split_once(' ') {
                Some((_, file)) if file.starts_with("starter/") => {
                    snippets += 1;
                    let text = fs::read_to_string(starter.join(file)).unwrap();
                    let has = text.contains(body.as_str());
                    assert!(has, "{}: {file} has no such lines:\n{body}", page.name);
                }
                Some((_, file)) => {
                    snippets += 1;
                    place.add(file, body);
                }
                None if info == "console" => commands += place.console(&page.name, body),
                None => {}
            }
        }
        let tested = place.run("glassbreak test --policy policy");
        assert!(tested.contains(" 0 failed"), "{}:\n{tested}", page.name);
    }
    assert!(
        snippets >= 15 && commands >= 6,
        "{snippets} snippets, {commands} commands"
    );
}
