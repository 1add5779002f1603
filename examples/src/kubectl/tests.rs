use super::*;
use crate::scratch::{Scratch, copy_folder};

fn scratch(name: &str) -> (Scratch, std::path::PathBuf) {
    let scratch = Scratch::new(name).unwrap();
    let cluster = scratch.path().join("cluster");
    copy_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster"), &cluster).unwrap();
    (scratch, cluster)
}

fn asked(cluster: &Path, line: &str) -> Result<Answer, String> {
    let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    answer(cluster, &words)
}

fn run(cluster: &Path, line: &str) -> Result<String, String> {
    asked(cluster, line).map(|answer| answer.text)
}

#[test]
fn it_deletes_just_what_is_named_and_only_in_its_own_folder() {
    let (_scratch, cluster) = scratch("kubectl-test");
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
        "rollout undo deploy/.. -n web",
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

fn crashing(cluster: &Path) -> Vec<String> {
    let pods = run(cluster, "get pods -n web").unwrap();
    pods.lines()
        .filter(|line| line.contains("CrashLoopBackOff"))
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_crashing_pod_comes_back_under_the_names_of_its_seed_until_the_revision_is_put_back() {
    let (_scratch, one) = scratch("kubectl-loop-1");
    let (_other, two) = scratch("kubectl-loop-2");
    let mut seen = crashing(&one);
    for _ in 0..20 {
        for cluster in [&one, &two] {
            let [pod] = &*crashing(cluster) else { panic!() };
            run(cluster, &format!("delete pod {pod} -n web")).unwrap();
        }
        assert_eq!(crashing(&one), crashing(&two));
        seen.extend(crashing(&one));
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 21);
    let [pod] = &*crashing(&one) else { panic!() };
    let logs = run(&one, &format!("logs {pod} -n web --previous")).unwrap();
    assert!(logs.contains("unknown setting `upstream_timout`"), "{logs}");

    assert_eq!(
        run(&one, "rollout undo deploy/web -n web").unwrap(),
        "deployment.apps/web rolled back\n"
    );
    assert_eq!(crashing(&one), [""; 0]);
    let pods = run(&one, "get pods -n web").unwrap();
    assert!(pods.contains("web-9c2f") && pods.lines().count() == 4, "{pods}");
    assert!(run(&one, "get deploy -n web").unwrap().contains("2/2"));
    assert!(
        run(&one, "rollout history deploy/web -n web")
            .unwrap()
            .ends_with("41        web:41-rc\n42        web:40\n")
    );
    // As with the real one: undoing it once more brings the bad one back.
    run(&one, "rollout undo deploy/web -n web").unwrap();
    assert_eq!(crashing(&one).len(), 2);
}

#[test]
fn what_waits_knows_when_it_is_over() {
    let (_scratch, cluster) = scratch("kubectl-wait");
    let waits = |line: &str| asked(&cluster, line).unwrap().wait;
    assert!(waits("logs web-9c2f -n web").is_none());
    for line in [
        "logs -f web-9c2f -n web --timeout=60ms",
        "rollout status deploy/web -n web --timeout=60ms",
        "wait --for=delete pod/web-9c2f -n web --timeout=60ms",
    ] {
        assert_eq!(waits(line).unwrap().outlast(), ExitCode::FAILURE, "{line}");
    }
    let gone = waits("wait --for=delete pod/db-0 -n web").unwrap();
    run(&cluster, "delete pod db-0 -n web").unwrap();
    assert_eq!(gone.outlast(), ExitCode::SUCCESS);
    run(&cluster, "rollout undo deploy/web -n web").unwrap();
    assert_eq!(
        waits("rollout status deploy/web -n web").unwrap().outlast(),
        ExitCode::SUCCESS
    );
}
