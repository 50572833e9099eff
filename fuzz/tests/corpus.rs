//! Every target with every file of its corpus, on any toolchain.

#![expect(
    clippy::unwrap_used,
    reason = "a corpus that cannot be read fails the test"
)]

use std::fs;
use std::path::{Path, PathBuf};

use fuzz::TARGETS;

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn what_must_hold_holds_for_every_file_of_the_corpus() {
    for (name, target) in TARGETS {
        let files = files(&here("corpus").join(name));
        assert!(!files.is_empty(), "{name} has no corpus");
        for file in files {
            // It is shown when the target panics.
            println!("{}", file.display());
            target(&fs::read(&file).unwrap());
        }
    }
}

#[test]
fn what_must_hold_holds_for_nothing_at_all() {
    for (_, target) in TARGETS {
        target(b"");
    }
}

#[test]
fn every_target_has_its_program_and_every_corpus_its_target() {
    let names = TARGETS.map(|(name, _)| name);
    let stems = |files: Vec<PathBuf>| -> Vec<_> { files.iter().map(|file| stem(file)).collect() };
    let programs = stems(files(&here("libfuzzer")));
    assert_eq!(programs, names);
    let corpora = stems(files(&here("corpus")));
    assert_eq!(corpora, names);
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_string_lossy().into_owned()
}
