//! What only the inside can see.

use super::*;

#[test]
fn a_locked_file_belongs_to_its_writer() {
    let dir = std::env::temp_dir().join(format!("glassbreak-audit-unit-{}", LogId::mint()));
    let writer = AuditOptions::new().open(&dir).unwrap();
    let file = std::fs::File::options().append(true).open(writer.path()).unwrap();
    let taken = log::lock(&file, writer.path());
    assert!(matches!(taken, Err(AuditError::Taken { .. })), "{taken:?}");
    drop(writer);
    assert!(log::lock(&file, &dir).is_ok());
    std::fs::remove_dir_all(dir).unwrap();
}
