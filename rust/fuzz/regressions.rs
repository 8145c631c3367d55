//! Replay of the fuzz targets for files: their seeds, and the inputs that they found.

#[path = "src/hostile.rs"]
#[allow(unreachable_pub)]
mod hostile;

use std::fs;
use std::path::{Path, PathBuf};

/// Returns all files of a folder, which need not exist.
fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("rust/fuzz").join(folder);
    fs::read_dir(folder)
        .map_or_else(|_| Vec::new(), |entries| entries.map(|entry| entry.unwrap().path()).collect())
}

#[track_caller]
fn replay(target: fn(&[u8]), name: &str) {
    let seeds = files("seeds");
    assert!(!seeds.is_empty());
    for path in seeds.into_iter().chain(files(&format!("regressions/{name}"))) {
        println!("{}", path.display());
        target(&fs::read(path).unwrap());
    }
}

#[test]
fn jpeg() {
    replay(hostile::jpeg, "jpeg");
}

#[test]
fn carve() {
    replay(hostile::carve, "carve");
}

#[test]
fn context_model() {
    replay(hostile::context_model, "context_model");
}

#[test]
fn lic() {
    replay(hostile::lic, "lic");
}

#[test]
fn weights() {
    replay(hostile::weights, "weights");
}

#[test]
fn image() {
    replay(hostile::image, "image");
}
