use super::*;

fn paths(root: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => paths(&path, found),
            false => found.push(path),
        }
    }
}

/// Round-trips all files below the folder in `LIC_CORPUS`.
#[test]
#[ignore]
fn corpus_round_trip() {
    let root = std::env::var("LIC_CORPUS").expect("LIC_CORPUS names a folder");
    let mut files = Vec::new();
    paths(root.as_ref(), &mut files);
    files.sort();
    let (mut exact, mut refused, mut wrong) = (0, 0, 0);
    let (mut bytes, mut reading, mut writing) = (0, 0.0, 0.0);
    for path in &files {
        let data = std::fs::read(path).unwrap();
        if !data.starts_with(&[0xFF, 0xD8]) {
            continue;
        }
        let limits = Limits::default();
        let start = std::time::Instant::now();
        let jpeg = match read(&data, &limits) {
            Ok(jpeg) => jpeg,
            Err(error) => {
                println!("REFUSED {}: {error}", path.display());
                refused += 1;
                continue;
            }
        };
        let t_read = start.elapsed().as_secs_f64();
        assert_eq!(layout(&jpeg.skeleton, &limits).unwrap(), jpeg.frame);
        let start = std::time::Instant::now();
        let written = write(&jpeg.skeleton, &jpeg.planes, &limits);
        let t_write = start.elapsed().as_secs_f64();
        let notes_len =
            skeleton::split(&jpeg.skeleton).map(|p| jpeg.skeleton.len() - p.markers.len()).unwrap();
        match written {
            Ok(written) if written == data => {
                if notes_len > 0 {
                    println!("notes {notes_len} of {}  {}", data.len(), path.display());
                }
                bytes += data.len();
                reading += t_read;
                writing += t_write;
                exact += 1;
            }
            result => {
                println!("WRONG {}: {:?}", path.display(), result.map(|w| (w.len(), data.len())));
                wrong += 1;
            }
        }
    }
    let speed = |seconds: f64| bytes as f64 / 1e6 / seconds;
    println!(
        "{exact} exact, {refused} refused, {wrong} wrong; read {:.1} MB/s, write {:.1} MB/s",
        speed(reading),
        speed(writing)
    );
    assert_eq!(wrong, 0);
}
