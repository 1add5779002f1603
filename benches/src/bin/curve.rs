//! Judges one hostile call so many times: `curve KIND BYTES many|one TIMES`. What one judging costs at each length is the
//! difference of two runs under callgrind: `benches/curve.sh`.

use std::hint::black_box;

use glassbreak_benches::Hostile;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, kind, bytes, shape, times] = args.as_slice() else {
        Hostile::kinds().for_each(|kind| println!("{kind}"));
        return;
    };
    let (Ok(bytes), Ok(times)) = (bytes.parse(), times.parse::<u32>()) else {
        eprintln!("curve KIND BYTES many|one TIMES");
        return;
    };
    let hostile = Hostile::of(kind, bytes, shape == "one");
    for _ in 0..times {
        black_box(hostile.judge());
    }
}
