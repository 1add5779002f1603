//! **NOT KUBECTL.** A stand-in that the examples run in its place: its cluster is the folder `cluster/` beneath the
//! current one, and no Kubernetes is anywhere near. What it deletes is really deleted: the folder of that object.
//!
//! It takes the words that the real one would, for the few commands that the stories need: `get pods|deployments|events`,
//! `describe`, `logs`, `top pods`, `rollout history`, and `delete pod`. Anything else is an error.

use std::fs;
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

const HELP: &str = "\
NOT KUBECTL: a stand-in of glassbreak's examples. Its cluster is the folder ./cluster; there is no Kubernetes.

  kubectl get pods|deployments|events|namespaces [NAME] [-n NS]
  kubectl describe pod|deploy NAME [-n NS]
  kubectl logs POD [-n NS] [--previous] [--tail=N]
  kubectl top pods [-n NS]
  kubectl rollout history deploy/NAME [-n NS]
  kubectl delete pod NAME... [-n NS]      really deletes: the folder of the pod
";

/// Works on `./cluster` by the words of the command line.
pub fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match answer(Path::new("cluster"), &words) {
        // Whoever reads may stop when they have seen enough.
        Ok(text) => match io::stdout().write_all(text.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// What one command prints, after doing what it says.
///
/// # Errors
/// What the command prints when it fails.
pub fn answer(cluster: &Path, words: &[String]) -> Result<String, String> {
    let words = Words::read(words)?;
    let operands: Vec<&str> = words.operands.iter().map(String::as_str).collect();
    if words.help || operands.is_empty() {
        return Ok(HELP.to_owned());
    }
    let space = Space {
        name: words.namespace.clone(),
        path: cluster.join(part(&words.namespace)?),
    };
    match operands.as_slice() {
        ["get", "ns" | "namespace" | "namespaces"] => Ok(format!("NAME\n{}", lines(&names(cluster)?))),
        ["get", "event" | "events" | "ev"] => {
            read(&space.path.join("events")).map_err(|_| format!("No resources found in {} namespace.", space.name))
        }
        ["get", kind, rest @ ..] => space.get(Kind::read(kind)?, rest),
        ["describe", rest @ ..] => objects(rest)?
            .into_iter()
            .map(|(kind, name)| read(&space.object(kind, &name)?.join("describe")))
            .collect::<Result<Vec<_>, _>>()
            .map(|texts| texts.join("\n\n")),
        ["logs", pod] => {
            let file = if words.previous { "logs.previous" } else { "logs" };
            let pod = pod.strip_prefix("pod/").unwrap_or(pod);
            let path = space.object(Kind::Pod, pod)?.join(file);
            let text = read(&path)
                .map_err(|_| format!("Error from server (BadRequest): previous container of \"{pod}\" not found"))?;
            let all: Vec<&str> = text.lines().collect();
            let from = words.tail.map_or(0, |tail| all.len().saturating_sub(tail));
            Ok(lines(all.get(from..).unwrap_or_default()))
        }
        ["top", "pod" | "pods" | "po"] => {
            let mut rows = vec![["NAME".to_owned(), "CPU(cores)".to_owned(), "MEMORY(bytes)".to_owned()].to_vec()];
            rows.extend(space.rows(Kind::Pod, "top")?);
            Ok(table(&rows))
        }
        ["rollout", "history", rest @ ..] => objects(rest)?
            .into_iter()
            .map(|(kind, name)| {
                let text = read(&space.object(kind, &name)?.join("history"))?;
                Ok(format!("{}/{name}\n{text}", kind.long()))
            })
            .collect(),
        ["delete", rest @ ..] => {
            let objects = objects(rest)?;
            if objects.is_empty() {
                return Err("error: resource(s) were provided, but no name was specified".to_owned());
            }
            let mut text = String::new();
            for (kind, name) in objects {
                fs::remove_dir_all(space.object(kind, &name)?).map_err(|error| format!("error: {name}: {error}"))?;
                text.push_str(&format!(
                    "{} \"{name}\" deleted from {} namespace\n",
                    kind.long(),
                    space.name
                ));
            }
            Ok(text)
        }
        [command, ..] => Err(format!(
            "error: this stand-in for kubectl does not know `{command}` so; see --help"
        )),
        [] => Ok(HELP.to_owned()),
    }
}

/// The words of a command line, read as kubectl would.
#[derive(Debug)]
struct Words {
    operands: Vec<String>,
    namespace: String,
    tail: Option<usize>,
    previous: bool,
    help: bool,
}

impl Words {
    fn read(words: &[String]) -> Result<Self, String> {
        let mut read = Self {
            operands: Vec::new(),
            namespace: "default".to_owned(),
            tail: None,
            previous: false,
            help: false,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let (name, joined) = match word.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
                _ => (word.as_str(), None),
            };
            let mut value = || {
                joined
                    .clone()
                    .or_else(|| words.next().cloned())
                    .ok_or_else(|| format!("error: flag needs an argument: {name}"))
            };
            match name {
                "-n" | "--namespace" => read.namespace = value()?,
                "--tail" => {
                    let number = value()?;
                    // As kubectl has it: -1 shows all.
                    read.tail = match number.as_str() {
                        "-1" => None,
                        _ => Some(
                            number
                                .parse()
                                .map_err(|_| format!("error: invalid argument \"{number}\" for \"--tail\""))?,
                        ),
                    };
                }
                // Rows are kept in the order they are shown.
                "--sort-by" => drop(value()?),
                "-p" | "--previous" => read.previous = true,
                "-h" | "--help" => read.help = true,
                _ if name.starts_with('-') => return Err(format!("error: unknown flag: {name}")),
                _ => read.operands.push(word.clone()),
            }
        }
        Ok(read)
    }
}

/// What there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Pod,
    Deployment,
}

impl Kind {
    fn read(word: &str) -> Result<Self, String> {
        match word {
            "pod" | "pods" | "po" => Ok(Self::Pod),
            "deploy" | "deployment" | "deployments" => Ok(Self::Deployment),
            _ => Err(format!("error: the server doesn't have a resource type \"{word}\"")),
        }
    }

    const fn folder(self) -> &'static str {
        match self {
            Self::Pod => "pods",
            Self::Deployment => "deployments",
        }
    }

    const fn long(self) -> &'static str {
        match self {
            Self::Pod => "pod",
            Self::Deployment => "deployment.apps",
        }
    }

    const fn columns(self) -> [&'static str; 5] {
        match self {
            Self::Pod => ["NAME", "READY", "STATUS", "RESTARTS", "AGE"],
            Self::Deployment => ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"],
        }
    }
}

/// `pod web-1 web-2`, or `pod/web-1 deploy/web`.
fn objects(words: &[&str]) -> Result<Vec<(Kind, String)>, String> {
    match words {
        [first, names @ ..] if !first.contains('/') => {
            let kind = Kind::read(first)?;
            Ok(names.iter().map(|name| (kind, (*name).to_owned())).collect())
        }
        _ => words
            .iter()
            .map(|word| {
                let (kind, name) = word
                    .split_once('/')
                    .ok_or("error: there is no need to mix kinds and kind/name")?;
                Ok((Kind::read(kind)?, name.to_owned()))
            })
            .collect(),
    }
}

/// A namespace.
struct Space {
    name: String,
    path: PathBuf,
}

impl Space {
    fn get(&self, kind: Kind, only: &[&str]) -> Result<String, String> {
        for name in only {
            self.object(kind, name)?;
        }
        let rows = self.rows(kind, "get")?;
        let wanted =
            |row: &Vec<String>| only.is_empty() || row.first().is_some_and(|name| only.contains(&name.as_str()));
        let mut shown = vec![kind.columns().map(str::to_owned).to_vec()];
        shown.extend(rows.into_iter().filter(wanted));
        if shown.len() == 1 {
            return Ok(format!("No resources found in {} namespace.\n", self.name));
        }
        Ok(table(&shown))
    }

    /// The name and the columns of each object.
    fn rows(&self, kind: Kind, file: &str) -> Result<Vec<Vec<String>>, String> {
        let folder = self.path.join(kind.folder());
        names(&folder)
            .unwrap_or_default()
            .into_iter()
            .map(|name| {
                let text = read(&folder.join(&name).join(file))?;
                Ok([name]
                    .into_iter()
                    .chain(text.split_whitespace().map(str::to_owned))
                    .collect())
            })
            .collect()
    }

    fn object(&self, kind: Kind, name: &str) -> Result<PathBuf, String> {
        let path = self.path.join(kind.folder()).join(part(name)?);
        if path.is_dir() {
            return Ok(path);
        }
        Err(format!(
            "Error from server (NotFound): {} \"{name}\" not found",
            kind.folder()
        ))
    }
}

/// One plain part of a path: a name never leads out of the cluster's folder.
fn part(name: &str) -> Result<&str, String> {
    let mut parts = Path::new(name).components();
    match (parts.next(), parts.next()) {
        (Some(Component::Normal(_)), None) => Ok(name),
        _ => Err(format!("error: invalid name {name:?}")),
    }
}

fn names(folder: &Path) -> Result<Vec<String>, String> {
    let bad = |error| format!("Unable to connect to the server: {}: {error}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(bad)? {
        let entry = entry.map_err(bad)?;
        if entry.path().is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("Error from server: {}: {error}", path.display()))
}

fn lines(lines: &[impl AsRef<str>]) -> String {
    lines.iter().map(|line| format!("{}\n", line.as_ref())).collect()
}

/// Columns under each other, three blanks between.
fn table(rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.len());
        }
    }
    let line = |row: &Vec<String>| {
        let cells: String = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}   "))
            .collect();
        format!("{}\n", cells.trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::{Scratch, copy_folder};

    fn run(cluster: &Path, line: &str) -> Result<String, String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        answer(cluster, &words)
    }

    #[test]
    fn it_deletes_just_what_is_named_and_only_in_its_own_folder() {
        let scratch = Scratch::new("kubectl-test").unwrap();
        let cluster = scratch.path().join("cluster");
        copy_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster"), &cluster).unwrap();
        assert!(run(&cluster, "get pods -n web").unwrap().contains("web-7d4b"));
        assert!(
            run(&cluster, "logs web-7d4b -n web --previous --tail=2")
                .unwrap()
                .lines()
                .count()
                == 2
        );
        for line in [
            "delete pod ../pods/db-0 -n web",
            "delete pod .. -n web",
            "delete pod web-7d4b -n ..",
            "delete pod nowhere -n web",
            "delete pods --all -n web",
            "delete pod -n web",
            "delete ns web",
            "exec -it web-7d4b -- sh",
        ] {
            assert!(run(&cluster, line).is_err(), "{line}");
        }
        let said = run(&cluster, "-n web delete pod web-7d4b").unwrap();
        assert_eq!(said, "pod \"web-7d4b\" deleted from web namespace\n");
        let left = run(&cluster, "get pods -n web").unwrap();
        assert!(
            !left.contains("web-7d4b") && left.contains("web-9c2f") && left.contains("db-0"),
            "{left}"
        );
        assert!(run(&cluster, "get pods").unwrap().contains("job-1"));
    }
}
