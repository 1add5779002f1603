#[guard(tool = "copy")]
fn copy<P: AsRef<Path> + Serialize>(#[guard(session)] who: &Agent, from: P, to: P) -> io::Result<u64> {
    std::fs::copy(from, to)
}
