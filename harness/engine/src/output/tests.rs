use super::*;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

const CASE: &str = r#"{"case": {"format": 3}, "scenario": {}, "plan": {}}"#;

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_file_is_replaced_whole_and_leaves_nothing_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.json");
    std::fs::write(&path, CASE).unwrap();
    let to = Destination::prepare(&path, FileFormat::Case, false).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), CASE, "nothing is touched before there is a result");
    to.write("new").unwrap();
    drop(to);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
    assert_eq!(names(folder.path()), ["a.json"]);
}

#[test]
fn a_result_that_fits_takes_no_space_beyond_the_reserved_space() {
    use std::os::unix::fs::MetadataExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.json");
    std::fs::write(&path, CASE).unwrap();
    let to = Destination::prepare(&path, FileFormat::Case, false).unwrap();
    let space = to.reserve(100).unwrap();
    let reserved = names(folder.path()).into_iter().find(|name| name.ends_with(".tmp")).unwrap();
    let inode = std::fs::metadata(folder.path().join(reserved)).unwrap().ino();
    to.write_reserved(space, "new").unwrap();
    drop(to);
    assert_eq!(std::fs::metadata(&path).unwrap().ino(), inode);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
    assert_eq!(names(folder.path()), ["a.json"]);
}

#[test]
fn a_result_longer_than_the_reserved_space_is_written_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.json");
    let to = Destination::prepare(&path, FileFormat::Case, false).unwrap();
    let space = to.reserve(2).unwrap();
    to.write_reserved(space, "longer").unwrap();
    drop(to);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "longer");
    assert_eq!(names(folder.path()), ["a.json"]);
}

#[test]
fn a_link_is_written_through() {
    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (folder.path().join("a.json"), folder.path().join("link.json"));
    std::fs::write(&file, "old").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    replace(&link, "new").unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "new");
    assert!(link.is_symlink());
}

#[test]
fn a_foreign_file_is_refused_without_force() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("README.md");
    std::fs::write(&path, "# Read me\n").unwrap();
    for format in [FileFormat::Case, FileFormat::JUnit] {
        let refused = Destination::prepare(&path, format, false).unwrap_err();
        assert!(matches!(refused, OutputError::Foreign(..)), "{refused}");
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "# Read me\n");
    Destination::prepare(&path, FileFormat::Case, true).unwrap().write(CASE).unwrap();
    Destination::prepare(&path, FileFormat::Case, false).unwrap();
}

#[test]
fn a_second_writer_is_refused_until_the_first_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.xml");
    let first = Destination::prepare(&path, FileFormat::JUnit, false).unwrap();
    let refused = Destination::prepare(&path, FileFormat::JUnit, false).unwrap_err();
    assert!(matches!(refused, OutputError::Locked(_)), "{refused}");
    drop(first);
    Destination::prepare(&path, FileFormat::JUnit, false).unwrap();
    assert_eq!(names(folder.path()), Vec::<String>::new());
}

#[test]
fn a_folder_is_not_a_file_to_write() {
    let folder = tempfile::tempdir().unwrap();
    let refused = Destination::prepare(folder.path(), FileFormat::Case, true).unwrap_err();
    assert!(matches!(refused, OutputError::Unwritable(..)), "{refused}");
}

#[test]
fn streams_are_recognised() {
    for path in ["-", "/dev/null", "/dev/full", "/dev/stdout", "/proc/self/fd/1"] {
        assert!(is_stream(Path::new(path)), "{path}");
    }
    for path in ["a.jsonl", "/tmp", "src/lib.rs"] {
        assert!(!is_stream(Path::new(path)), "{path}");
    }
}

#[test]
fn a_full_device_is_an_error_and_a_signal_ends_the_wait() {
    let signal = Arc::new(AtomicUsize::new(0));
    let mut full = OutputStream::open(Path::new("/dev/full"), signal.clone()).unwrap();
    full.put("a line\n".to_owned()).unwrap();
    assert_eq!(full.end().unwrap_err().kind(), std::io::ErrorKind::StorageFull);

    // A pipe without a reader accepts a limited number of lines.
    let (_reader, writer) = std::io::pipe().unwrap();
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&writer));
    let mut stuck = OutputStream::open(Path::new(&path), signal.clone()).unwrap();
    let line = "x".repeat(64 << 10);
    stuck.put(line.clone()).unwrap();
    stuck.put(line).unwrap();
    signal.store(15, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(stuck.end().unwrap_err().kind(), std::io::ErrorKind::Interrupted);
}
