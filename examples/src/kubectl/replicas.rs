//! What keeps a deployment's pods alive: a pod that is deleted comes back under a new name, made of the template of its
//! ReplicaSet, and crashes again if that is a bad one; putting an earlier revision back replaces the pods of the bad one.
//!
//! A deployment's folder holds `history`, whose last line is the revision that runs, and in `revisions/N/` the template
//! of ReplicaSet N: the files of a pod with `{name}` where its name belongs, `cause` as the history has it, and
//! `deployment`, the description of the deployment while that revision runs.

use std::fs;
use std::path::Path;

use super::space::{Kind, Space, names, read};

/// Where the next name comes from: a number, anew after each name. Without the file it begins with 1.
const SEED: &str = "seed";

/// The ReplicaSet of a pod: its deployment, and the number of its template.
fn replica_set(pod: &Path) -> Option<(String, String)> {
    let text = fs::read_to_string(pod.join("describe")).ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Controlled By: ReplicaSet/"))?;
    let (deployment, number) = line.trim().rsplit_once('-')?;
    Some((deployment.to_owned(), number.to_owned()))
}

impl Space {
    /// Deletes a pod; where a ReplicaSet stands behind it, there is another one at once.
    pub(super) fn delete_pod(&self, cluster: &Path, pod: &Path) -> Result<(), String> {
        let owner = replica_set(pod);
        fs::remove_dir_all(pod).map_err(|error| format!("error: {}: {error}", pod.display()))?;
        match owner {
            Some((deployment, number)) => self.new_pod(cluster, &deployment, &number),
            None => Ok(()),
        }
    }

    /// Puts the revision before this one back, and replaces every pod of the present one.
    pub(super) fn undo(&self, cluster: &Path, name: &str) -> Result<(), String> {
        let deployment = self.object(Kind::Deployment, name)?;
        let history = read(&deployment.join("history"))?;
        let mut rows: Vec<(u32, &str)> = history
            .lines()
            .filter_map(|line| line.split_once(char::is_whitespace))
            .filter_map(|(number, cause)| Some((number.parse().ok()?, cause.trim())))
            .collect();
        let [.., earlier, (present, bad)] = *rows.as_slice() else {
            return Err(format!(
                "error: no rollout history found for {} \"{name}\"",
                Kind::Deployment.long()
            ));
        };
        let (from, to) = (template(&deployment, bad)?, template(&deployment, earlier.1)?);
        let pods = self.path.join(Kind::Pod.folder());
        for pod in names(&pods)? {
            let pod = pods.join(pod);
            if replica_set(&pod).is_some_and(|(of, number)| of == name && number == from) {
                fs::remove_dir_all(&pod).map_err(|error| format!("error: {}: {error}", pod.display()))?;
                self.new_pod(cluster, name, &to)?;
            }
        }
        // As kubectl has it: the earlier revision is now the latest, under a new number.
        rows.retain(|row| *row != earlier);
        rows.push((present.saturating_add(1), earlier.1));
        let mut text = "REVISION  CHANGE-CAUSE\n".to_owned();
        rows.iter()
            .for_each(|(number, cause)| text.push_str(&format!("{number:<10}{cause}\n")));
        write(&deployment.join("history"), &text)?;
        let described = read(&deployment.join("revisions").join(&to).join("deployment"))?;
        write(&deployment.join("describe"), &described)?;
        let (ready, all) = self.ready(name)?;
        write(
            &deployment.join("get"),
            &format!("{ready}/{all}  {all}  {ready}  30d\n"),
        )
    }

    /// How many pods of a deployment are ready, of how many.
    pub(super) fn ready(&self, deployment: &str) -> Result<(usize, usize), String> {
        let pods = self.path.join(Kind::Pod.folder());
        let (mut ready, mut all) = (0, 0);
        for pod in names(&pods)? {
            let pod = pods.join(pod);
            if replica_set(&pod).is_some_and(|(of, _)| of == deployment) {
                all += 1;
                ready += usize::from(read(&pod.join("get"))?.starts_with("1/1"));
            }
        }
        Ok((ready, all))
    }

    fn new_pod(&self, cluster: &Path, deployment: &str, number: &str) -> Result<(), String> {
        let template = self
            .object(Kind::Deployment, deployment)?
            .join("revisions")
            .join(number);
        let name = self.new_name(cluster, deployment)?;
        let pod = self.path.join(Kind::Pod.folder()).join(&name);
        fs::create_dir(&pod).map_err(|error| format!("error: {}: {error}", pod.display()))?;
        for file in ["get", "describe", "logs", "logs.previous", "top"] {
            // A pod that never ran before has no previous logs.
            if let Ok(text) = fs::read_to_string(template.join(file)) {
                write(&pod.join(file), &text.replace("{name}", &name))?;
            }
        }
        Ok(())
    }

    fn new_name(&self, cluster: &Path, deployment: &str) -> Result<String, String> {
        let path = cluster.join(SEED);
        let kept = fs::read_to_string(&path).ok();
        let mut seed: u64 = kept.and_then(|text| text.trim().parse().ok()).unwrap_or(1);
        loop {
            seed = scrambled(seed);
            let name = format!("{deployment}-{:04x}", seed % 0x1_0000);
            if !self.path.join(Kind::Pod.folder()).join(&name).exists() {
                write(&path, &seed.to_string())?;
                return Ok(name);
            }
        }
    }
}

/// The next of a row of numbers that look random (SplitMix64).
const fn scrambled(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The number of the template that a line of the history means.
fn template(deployment: &Path, cause: &str) -> Result<String, String> {
    let revisions = deployment.join("revisions");
    let of = |number: &String| read(&revisions.join(number).join("cause")).is_ok_and(|text| text.trim() == cause);
    names(&revisions)?
        .into_iter()
        .find(of)
        .ok_or_else(|| format!("error: unable to find the revision of {cause}"))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("error: {}: {error}", path.display()))
}
