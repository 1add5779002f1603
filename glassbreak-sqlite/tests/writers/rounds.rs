//! The rounds.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use glassbreak_sqlite::SqliteStore;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::common::{Scratch, deadly};
use crate::victim::{FILE, KEYS, counted};

/// How many rounds there are unless `GLASSBREAK_ROUNDS` says otherwise.
const ROUNDS: u64 = 60;
/// How many rounds share a store: what one leaves, the next goes on from. Odd, so that no sweep falls in step with it.
const TOGETHER: u64 = 5;
/// The machine is shared: more than this at once makes none faster.
const WORKERS: usize = 2;
/// Before a change, at half of it, after it, later.
const HOWS: u64 = 4;
/// From one change to the next that is taken: a prime, so that a sweep takes all of them, and few rounds take some of each
/// part of a life.
const STRIDE: u64 = 7_919;
/// How much later at most, in µs: as long as some changes take.
const LATER: u64 = 400;

/// What counts under each key: rows and sums.
type Counts = [(u64, u64); KEYS];

/// What the tables hold of an op: under the rule of rows, and of sums.
type Rows = BTreeMap<u128, [Option<u64>; 2]>;

/// A store that several processes work on, one after another.
struct House {
    scratch: Scratch,
    /// At least so much of each op counts; nothing where it was given back.
    told: BTreeMap<u128, u64>,
    counts: Counts,
    lives: u64,
}

/// What the workers share.
#[derive(Default)]
struct Course {
    next: AtomicU64,
    rounds: u64,
    /// How many changes a life has, and some more.
    changes: u64,
    sums: Mutex<Sums>,
}

#[derive(Debug, Default)]
struct Sums {
    /// Processes that were killed, by how.
    killed: [u64; 4],
    /// And those that came to their end first.
    whole: u64,
    /// Killed before they could say what counts.
    opening: u64,
    /// What was said of ops, and held against the tables.
    said: u64,
    /// Counts of a store that were held against its tables.
    counted: u64,
    /// Charges that nobody was told of: they count all the same.
    untold: u64,
}

impl House {
    fn new() -> Self {
        Self {
            scratch: Scratch::new(),
            told: BTreeMap::new(),
            counts: Counts::default(),
            lives: 0,
        }
    }

    /// Lets a process live in it until its end, and looks at what is left.
    fn live(&mut self, library: &Path, kill: Option<(u64, u64, u64)>, sums: &mut Sums) -> Option<u64> {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "victim::victim", "--ignored", "--nocapture"])
            .env(FILE, self.scratch.database())
            .env("LD_PRELOAD", library);
        if let Some((at, how, micros)) = kill {
            command.env("GLASSBREAK_KILL", format!("{at} {how} {micros}"));
        }
        let ended = command.output().unwrap();
        let said = String::from_utf8_lossy(&ended.stdout);
        let errors = String::from_utf8_lossy(&ended.stderr);
        assert!(
            ended.status.success() || ended.status.signal() == Some(9),
            "{:?}: {said} {errors}",
            ended.status
        );
        self.lives += 1;
        let mut changes = None;
        let mut opening = true;
        for line in said.lines().filter_map(|line| line.strip_prefix('#')) {
            let words: Vec<&str> = line.split(' ').collect();
            let number = |n: usize| words[n].parse::<u64>().unwrap();
            match words[0] {
                "counted" => {
                    let counts: Counts = std::array::from_fn(|key| (number(1 + 2 * key), number(2 + 2 * key)));
                    assert_eq!(counts, self.counts, "the store counts otherwise than its tables");
                    opening = false;
                    sums.counted += 1;
                }
                "held" => drop(self.told.insert(words[1].parse().unwrap(), number(2))),
                "back" => drop(self.told.remove(&words[1].parse().unwrap())),
                _ => changes = Some(number(1)),
            }
            sums.said += u64::from(matches!(words[0], "held" | "back"));
        }
        sums.opening += u64::from(opening);
        assert_eq!(changes.is_some(), ended.status.success(), "{said} {errors}");
        let rows = self.read();
        for (op, amount) in &self.told {
            let [row, sum] = rows.get(op).copied().unwrap_or_default();
            assert!(
                row == Some(1) && sum >= Some(*amount),
                "{amount} of {op:032x} was acknowledged, and the tables have {row:?} and {sum:?}"
            );
        }
        sums.untold += rows
            .iter()
            .filter(|(op, sum)| !self.told.contains_key(op) && sum[1] > Some(0))
            .count() as u64;
        changes
    }

    /// What the tables hold, and that their sums are the sums of it. Leaves the write-ahead log as it is.
    fn read(&mut self) -> Rows {
        self.counts = Counts::default();
        let mut rows = Rows::new();
        let file = self.scratch.database();
        if !file.exists() {
            return rows;
        }
        let db = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
            .unwrap();
        let made = "SELECT count(*) FROM sqlite_schema WHERE name = 'charges'";
        if db.query_row(made, [], |row| row.get::<_, i64>(0)).unwrap() == 0 {
            return rows;
        }
        let mut charges = db
            .prepare(
                "SELECT ops.id, one.key, one.value ->> 0, one.value ->> 2, one.value ->> 4,
                     (SELECT amount FROM charges WHERE op = ops.id AND place = one.key)
                 FROM ops, json_each(ops.charges) AS one",
            )
            .unwrap();
        let charges = charges.query_map([], |row| {
            let rule = (usize::from(row.get::<_, u16>(1)?), row.get::<_, String>(2)?);
            let (op, key) = (u128::from_be_bytes(row.get(0)?), row.get::<_, String>(3)?);
            Ok((op, rule, key, row.get::<_, i64>(4)?, row.get::<_, Option<i64>>(5)?))
        });
        let mut sliding = 0;
        for charge in charges.unwrap() {
            let (op, (place, rule), key, amount, row) = charge.unwrap();
            let of_key = &mut self.counts[usize::from(uuid::Uuid::try_parse(&key).unwrap().into_bytes()[0])];
            let count = if place == 0 { &mut of_key.0 } else { &mut of_key.1 };
            // One of the two is counted by rows of its own, and the other by sums.
            let own = (rule == "rows").then_some(amount);
            assert_eq!(row, own, "what the op says it counts, and what counts");
            sliding += i64::from(own.is_some());
            let amount = u64::try_from(amount).unwrap();
            *count += amount;
            rows.entry(op).or_default()[place] = Some(amount);
        }
        let all: i64 = db
            .query_row("SELECT count(*) FROM charges", [], |row| row.get(0))
            .unwrap();
        assert_eq!(all, sliding, "rows that no op counts");
        let mut totals = db.prepare("SELECT key, sum(amount) FROM totals GROUP BY key").unwrap();
        let totals = totals.query_map([], |row| Ok((row.get::<_, [u8; 16]>(0)?, row.get::<_, i64>(1)?)));
        for total in totals.unwrap() {
            let (key, sum) = total.unwrap();
            let sum = u64::try_from(sum).unwrap();
            assert_eq!(
                sum,
                self.counts[usize::from(key[0])].1,
                "a sum is not that of its charges"
            );
        }
        rows
    }
}

impl Course {
    fn run(&self, library: &Path) {
        let mut house = House::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        loop {
            let round = self.next.fetch_add(1, Ordering::SeqCst);
            if round >= self.rounds {
                break;
            }
            let (at, sweep) = (1 + round * STRIDE % self.changes, round / self.changes);
            let (how, micros) = ((sweep + at) % HOWS, (sweep * 7 + at * 13) % LATER);
            let _said = Said(format!(
                "round {round}: at change {at}, {how}, {micros} µs, life {} of its store",
                house.lives
            ));
            let mut sums = Sums::default();
            match house.live(library, Some((at, how, micros)), &mut sums) {
                Some(_) => sums.whole += 1,
                None => sums.killed[usize::try_from(how).unwrap()] += 1,
            }
            self.sums.lock().unwrap().add(&sums);
            if house.lives >= TOGETHER {
                // As another process would find it.
                let store = runtime.block_on(SqliteStore::open(house.scratch.database())).unwrap();
                assert_eq!(runtime.block_on(counted(&store)), house.counts);
                drop(store);
                house = House::new();
            }
        }
    }
}

impl Sums {
    fn add(&mut self, other: &Self) {
        let Self {
            killed,
            whole,
            opening,
            said,
            counted,
            untold,
        } = other;
        self.killed.iter_mut().zip(killed).for_each(|(sum, more)| *sum += more);
        self.whole += whole;
        self.opening += opening;
        self.said += said;
        self.counted += counted;
        self.untold += untold;
    }
}

/// Says in which round it was, where a check fails.
struct Said(String);

impl Drop for Said {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("in {}", self.0);
        }
    }
}

#[test]
fn whoever_is_killed_at_any_write_while_32_write_has_counted_what_was_acknowledged() {
    let rounds = std::env::var("GLASSBREAK_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let folder = Scratch::new();
    let library = deadly(folder.path());
    let begun = Instant::now();
    let mut sums = Sums::default();
    // How many changes there are differs from life to life: who shares a transaction with whom is chance.
    let changes = House::new().live(&library, None, &mut sums).unwrap();
    assert!(changes > 200, "only {changes} changes: the library does not see them");
    let course = Course {
        rounds,
        changes: changes + changes / 10,
        ..Course::default()
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(|| course.run(&library))).collect();
        for worker in workers {
            assert!(worker.join().is_ok(), "a round failed: see above");
        }
    });
    let sums = course.sums.lock().unwrap();
    println!(
        "{rounds} rounds over {changes} changes to files in {:.0} s, none counted too little: {sums:?}",
        begun.elapsed().as_secs_f64()
    );
    assert!(sums.killed.iter().sum::<u64>() > rounds / 2, "hardly any was killed");
    assert!(
        rounds < ROUNDS || sums.said > rounds && sums.opening > 0,
        "the callers did nothing"
    );
}
