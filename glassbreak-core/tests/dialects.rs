//! Each dialect against the real program: run in an empty folder, with words that it must refuse.
//!
//! Every probe ends with an option that no program has. A program that reads its options before it acts refuses that
//! one, and so tells whether it took the word before it. A program that is not installed is listed as NOT RUN at the end
//! (`cargo test -p glassbreak-core --test dialects -- --nocapture`), and so is one that says nothing of unknown options.

use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use glassbreak_core::argv::profile::{Long, Verdict};
use glassbreak_core::argv::{KnownOption, Role};
use glassbreak_core::bundle::Bundle;
use glassbreak_core::call::{Argv, Exec, Workspace};

/// An option that no program has.
const UNKNOWN: &str = "--glassbreak-zz";
/// The most options of one verb that are tried, and the most verbs of one program.
const MOST_OPTIONS: usize = 8;
const MOST_VERBS: usize = 4;
/// How long one program may take for all its probes.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the program says, of words behind its name; `None` if it did not end in time.
fn said(program: &Path, folder: &Path, words: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    command
        .args(words)
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", folder)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().ok()?;
    let begun = Instant::now();
    while child.try_wait().ok()?.is_none() {
        if begun.elapsed() > Duration::from_secs(5) {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let output = child.wait_with_output().ok()?;
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    Some(format!("{err}\n{out}").to_lowercase())
}

/// Whether it names the unknown option, and so took all words before it.
fn took(said: &str) -> bool {
    said.contains("glassbreak-zz")
}

fn installed(name: &str) -> Option<std::path::PathBuf> {
    let found = ["/usr/local/bin", "/usr/bin", "/bin"].map(|dir| Path::new(dir).join(name));
    found.into_iter().find(|path| path.is_file())
}

/// Long options that only show or shape, without a value.
fn harmless<'a>(options: &'a [KnownOption<'a>], command: &str) -> impl Iterator<Item = &'a str> {
    let here = options
        .iter()
        .filter(move |option| option.command == command && option.verdict == Verdict::Allow && !option.takes_value)
        .filter_map(|option| {
            option
                .names
                .iter()
                .find(|name| name.starts_with("--") && name.len() > 6)
                .copied()
        });
    // These answer at once, whatever else is said.
    here.filter(|name| !matches!(*name, "--help" | "--version"))
        .take(MOST_OPTIONS)
}

#[test]
fn each_dialect_reads_as_the_real_program_does() {
    let bundle = Bundle::read_only().unwrap_or_else(|problems| panic!("{problems}"));
    let programs = bundle.programs();
    let folder = std::env::temp_dir().join(format!("glassbreak-dialects-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let (mut not_run, mut other, mut wrong) = (Vec::new(), String::new(), String::new());
    let (mut tried, mut agreed) = (0usize, 0usize);
    for name in programs.names() {
        let Some(program) = installed(name) else {
            not_run.push(format!("{name}: not installed"));
            continue;
        };
        let options = programs.options_of(name);
        let commands = programs.commands_of(name);
        let free = commands
            .iter()
            .filter(|(_, verdict)| *verdict == Verdict::Allow)
            .map(|(path, _)| *path);
        let (mut tells, mut slow) = (false, false);
        let begun = Instant::now();
        for command in free.take(MOST_VERBS) {
            let verbs: Vec<&str> = command.split(' ').filter(|verb| !verb.is_empty()).collect();
            let say = |words: &[&str]| said(&program, &folder, &[&verbs[..], words].concat()).unwrap_or_default();
            if !took(&say(&[UNKNOWN])) {
                continue;
            }
            tells = true;
            let Some(dialect) = options
                .iter()
                .find(|option| option.command == command)
                .map(|option| option.dialect)
            else {
                continue;
            };
            let known: Vec<&str> = harmless(&options, command).collect();
            for option in &known {
                slow |= begun.elapsed() > PATIENCE;
                if slow {
                    break;
                }
                tried += 1;
                if took(&say(&[option, UNKNOWN])) {
                    agreed += 1;
                } else {
                    // Options come and go between versions.
                    let _ = writeln!(other, "{name} {command}: `{option}` is not taken by this version");
                    continue;
                }
                let short = option.get(..option.len() - 1).unwrap_or(option);
                if options
                    .iter()
                    .any(|known| known.command == command && known.names.contains(&short))
                {
                    continue;
                }
                // Refused words are named; a beginning that is taken is not.
                let answer = say(&[short, UNKNOWN]);
                let apart = |c: char| c.is_whitespace() || "'\"`,;:".contains(c);
                let named = answer.split(apart).any(|word| word == short);
                if took(&answer)
                    && !named
                    && !answer.contains("ambiguous")
                    && !dialect.abbreviates
                    && dialect.long == Long::Double
                {
                    let _ = writeln!(
                        wrong,
                        "{name} {command}: takes `{short}` for `{option}`, and its dialect does not say so"
                    );
                }
            }
        }
        if slow {
            not_run.push(format!("{name}: some of it, it takes too long here"));
        }
        if !tells {
            not_run.push(format!("{name}: says nothing of options it does not know"));
        }
    }
    let _ = std::fs::remove_dir_all(&folder);
    println!("{agreed} of {tried} options are taken by the programs installed here\n{other}");
    for line in &not_run {
        println!("NOT RUN  {line}");
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(agreed * 10 >= tried * 9, "{agreed} of {tried}:\n{other}");
}

/// `--` ends the options of the programs that say so, and what follows is a file's name to both.
#[test]
fn behind_two_dashes_a_word_is_a_file_to_the_program_and_to_us() {
    let bundle = Bundle::read_only().unwrap_or_else(|problems| panic!("{problems}"));
    let workspace = Workspace::new("/workspace").unwrap();
    let folder = std::env::temp_dir().join(format!("glassbreak-dashes-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    for (name, before) in [
        ("cat", &[][..]),
        ("head", &[]),
        ("tail", &[]),
        ("wc", &[]),
        ("sort", &[]),
        ("ls", &[]),
        ("uniq", &[]),
        ("cut", &["-c1"]),
        ("grep", &["x"]),
        ("sed", &["p"]),
        ("jq", &["."]),
    ] {
        let words = [before, &["--", "-glassbreak-file"]].concat();
        let Some(program) = installed(name) else {
            println!("NOT RUN  {name}: not installed");
            continue;
        };
        let answer = said(&program, &folder, &words).unwrap();
        assert!(
            answer.contains("no such file") || answer.contains("could not open"),
            "{name}: {answer}"
        );
        let argv = Argv::new([name].into_iter().chain(words.iter().copied())).unwrap();
        let judged = bundle.programs().judge(&Exec::new(argv), "", &workspace);
        assert!(
            matches!(judged.roles.last(), Some(Role::Operand(Some(_)))),
            "{name}: {:?}",
            judged.roles
        );
    }
    let _ = std::fs::remove_dir_all(&folder);
}

/// Of an option given twice the last counts, where the profile lets it be given twice.
#[test]
fn of_a_number_given_twice_the_last_counts() {
    let folder = std::env::temp_dir().join(format!("glassbreak-twice-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("lines"), "a\nb\nc\nd\n").unwrap();
    for (name, words, lines) in [
        ("head", ["-n", "3", "-n", "1", "lines"], "a\n"),
        ("tail", ["-n", "3", "-n", "1", "lines"], "d\n"),
        ("grep", ["-m", "3", "-m", "1", "lines"], "a\n"),
    ] {
        let Some(program) = installed(name) else {
            println!("NOT RUN  {name}: not installed");
            continue;
        };
        let mut words = words.to_vec();
        if name == "grep" {
            words.insert(4, ".");
        }
        let answer = said(&program, &folder, &words).unwrap();
        assert_eq!(answer.trim_start(), lines, "{name}");
    }
    let _ = std::fs::remove_dir_all(&folder);
}
