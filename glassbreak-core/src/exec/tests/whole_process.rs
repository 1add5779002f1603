//! What concerns the whole process, and therefore runs in one of its own.

use super::*;

/// Runs the ignored test `name` of this file alone in a process.
fn alone(name: &str) {
    let status = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            &format!("exec::tests::whole_process::{name}"),
            "--ignored",
            "--nocapture",
        ])
        .stdin(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
}

fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn a_thousand_runs_leave_no_descriptor_and_no_zombie() {
    alone("a_thousand_runs");
}

#[tokio::test]
#[ignore = "run by a_thousand_runs_leave_no_descriptor_and_no_zombie"]
async fn a_thousand_runs() {
    let scratch = Scratch::new();
    let (dirs, ground) = (scratch.dirs(), scratch.ground());
    let pin = Pin::take(&dirs, "true", false).unwrap();
    let plan = plan(&["true"]);
    let runner = Runner::new();
    let mut before = 0;
    for n in 0..1_010 {
        let mut sink = Discard;
        let run = runner.run(&plan, &pin, &ground, Limits::default(), pending(), &mut sink);
        if n % 10 == 3 {
            // Some are dropped half-way, and some refused.
            let _ = tokio::time::timeout(Duration::from_micros(300), run).await;
            assert!(ground.check_path("", "../x").is_err());
        } else {
            assert_eq!(run.await.unwrap().exit, Exit::Code(0));
        }
        if n == 10 {
            before = open_descriptors();
        }
    }
    tokio::time::sleep(millis(50)).await;
    let _ = runner
        .run(&plan, &pin, &ground, Limits::default(), pending(), &mut Discard)
        .await;
    let after = open_descriptors();
    assert!(after <= before, "{before} descriptors, then {after}");
    let own = std::process::id().to_string();
    let zombies = fs::read_dir("/proc").unwrap().flatten().filter(|entry| {
        fs::read_to_string(entry.path().join("stat")).is_ok_and(|stat| {
            let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
            fields.first() == Some(&"Z") && fields.get(1) == Some(&&*own)
        })
    });
    assert_eq!(zombies.count(), 0);
}

#[test]
fn a_child_inherits_nothing_of_ours() {
    alone("inheritance");
}

#[tokio::test]
#[ignore = "run by a_child_inherits_nothing_of_ours"]
async fn inheritance() {
    let scratch = Scratch::new();
    let listed = async || {
        let (_, out) = scratch.run(&["ls", "/proc/self/fd"]).await;
        let mut numbers: Vec<u32> = text(&out.stdout).lines().map(|line| line.parse().unwrap()).collect();
        numbers.sort_unstable();
        numbers
    };
    // What our own parent left open is not ours to answer for, but it is named.
    let given: Vec<u32> = inheritable().unwrap().into_iter().map(|found| found.number).collect();
    let mut expected = [0, 1, 2].to_vec();
    expected.extend(&given);
    let without_own = |numbers: Vec<u32>| {
        // `ls` lists the descriptor it reads the folder by.
        let own = (3..).find(|n| !given.contains(n)).unwrap();
        numbers.into_iter().filter(|n| *n != own).collect::<Vec<_>>()
    };
    let _files: Vec<fs::File> = (0..20).map(|_| fs::File::open("/dev/null").unwrap()).collect();
    assert_eq!(without_own(listed().await), expected);

    // A careless descriptor of the host does reach the child, and is found by `inheritable`.
    let careless = rustix::io::dup(fs::File::open("/dev/null").unwrap()).unwrap();
    let number = u32::try_from(std::os::fd::AsRawFd::as_raw_fd(&careless)).unwrap();
    let found = inheritable().unwrap();
    assert!(found.contains(&Inheritable {
        number,
        what: "/dev/null".to_owned()
    }));
    assert!(
        listed().await.contains(&number),
        "the documented gap has closed: say so"
    );
}
