//! **NOT KUBECTL.** A stand-in that the examples run in its place: its cluster is the folder `cluster/` beneath the
//! current one, and no Kubernetes is anywhere near. What it deletes is really deleted: the folder of that object.
//!
//! It takes the words that the real one would, for the few commands that the stories need. A pod that a ReplicaSet keeps
//! alive comes back under a new name when it is deleted, so that deleting a crashing pod never ends; `rollout undo` puts
//! the revision before the bad one back. `logs -f`, `rollout status` and `wait` wait, and may do so for ever. Anything
//! else is an error.

mod replicas;
mod space;
#[cfg(test)]
mod tests;
mod wait;
mod words;

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use self::space::{Kind, Space, lines, names, objects, part, read, table};
use self::wait::Until;
pub use self::wait::Wait;
use self::words::Words;

const HELP: &str = "\
NOT KUBECTL: a stand-in of glassbreak's examples. Its cluster is the folder ./cluster; there is no Kubernetes.

  kubectl get pods|deployments|events|namespaces [NAME] [-n NS]
  kubectl describe pod|deploy NAME [-n NS]
  kubectl logs POD [-n NS] [--previous] [--tail=N] [-f]
  kubectl top pods [-n NS]
  kubectl rollout history|status|undo deploy/NAME [-n NS]
  kubectl wait --for=delete pod/NAME [--timeout=TIME] [-n NS]
  kubectl delete pod NAME... [-n NS]      really deletes: the folder of the pod
";

/// What a command says, and what it then waits for.
#[derive(Debug)]
pub struct Answer {
    /// Its output.
    pub text: String,
    /// Why it does not end here.
    pub wait: Option<Wait>,
}

/// Works on `./cluster` by the words of the command line.
pub fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match answer(Path::new("cluster"), &words) {
        Ok(Answer { text, wait }) => {
            let mut out = io::stdout();
            // Whoever reads may stop when they have seen enough.
            match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
                Ok(()) => wait.map_or(ExitCode::SUCCESS, |wait| wait.outlast()),
                Err(_) => ExitCode::FAILURE,
            }
        }
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
pub fn answer(cluster: &Path, words: &[String]) -> Result<Answer, String> {
    let words = Words::read(words)?;
    let operands: Vec<&str> = words.operands.iter().map(String::as_str).collect();
    let space = Space {
        name: words.namespace.clone(),
        path: cluster.join(part(&words.namespace)?),
    };
    let mut wait = None;
    let mut hold = |until| {
        wait = Some(Wait {
            until,
            most: words.timeout,
        });
    };
    let text = match operands.as_slice() {
        _ if words.help => HELP.to_owned(),
        [] => HELP.to_owned(),
        ["logs", pod] => {
            if words.follow {
                hold(Until::Never);
            }
            logs(&space, pod, &words)?
        }
        ["rollout", "status", rest @ ..] => {
            let [(kind @ Kind::Deployment, name)] = &*objects(rest)? else {
                return Err("error: required resource not specified".to_owned());
            };
            space.object(*kind, name)?;
            let (ready, all) = space.ready(name)?;
            hold(Until::Ready(space, name.clone()));
            if ready == all {
                String::new()
            } else {
                format!(
                    "Waiting for deployment \"{name}\" rollout to finish: {ready} of {all} updated replicas are available...\n"
                )
            }
        }
        ["wait", rest @ ..] => {
            let ([(kind, name)], Some("delete")) = (&*objects(rest)?, words.until.as_deref()) else {
                return Err("error: this stand-in for kubectl waits for one object to be deleted".to_owned());
            };
            let said = format!("{}/{name} condition met\n", kind.long());
            hold(Until::Gone(space.object(*kind, name)?, said));
            String::new()
        }
        operands => at_once(cluster, &space, operands)?,
    };
    Ok(Answer { text, wait })
}

fn logs(space: &Space, pod: &str, words: &Words) -> Result<String, String> {
    let file = if words.previous { "logs.previous" } else { "logs" };
    let pod = pod.strip_prefix("pod/").unwrap_or(pod);
    let path = space.object(Kind::Pod, pod)?.join(file);
    let text = read(&path)
        .map_err(|_| format!("Error from server (BadRequest): previous container of \"{pod}\" not found"))?;
    let all: Vec<&str> = text.lines().collect();
    let from = words.tail.map_or(0, |tail| all.len().saturating_sub(tail));
    Ok(lines(all.get(from..).unwrap_or_default()))
}

/// The commands that end by themselves.
fn at_once(cluster: &Path, space: &Space, operands: &[&str]) -> Result<String, String> {
    match operands {
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
        ["rollout", "undo", rest @ ..] => {
            let [(Kind::Deployment, name)] = &*objects(rest)? else {
                return Err("error: required resource not specified".to_owned());
            };
            space.undo(cluster, name)?;
            Ok(format!("{}/{name} rolled back\n", Kind::Deployment.long()))
        }
        ["delete", rest @ ..] => delete(cluster, space, rest),
        [command, ..] => Err(format!(
            "error: this stand-in for kubectl does not know `{command}` so; see --help"
        )),
        [] => Ok(HELP.to_owned()),
    }
}

fn delete(cluster: &Path, space: &Space, words: &[&str]) -> Result<String, String> {
    let objects = objects(words)?;
    if objects.is_empty() {
        return Err("error: resource(s) were provided, but no name was specified".to_owned());
    }
    let mut text = String::new();
    for (kind, name) in objects {
        let object = space.object(kind, &name)?;
        match kind {
            Kind::Pod => space.delete_pod(cluster, &object)?,
            Kind::Deployment => fs::remove_dir_all(object).map_err(|error| format!("error: {name}: {error}"))?,
        }
        text.push_str(&format!(
            "{} \"{name}\" deleted from {} namespace\n",
            kind.long(),
            space.name
        ));
    }
    Ok(text)
}
