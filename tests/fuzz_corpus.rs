//! The fuzz targets' corpus, replayed by ordinary tests.

#[path = "../fuzz/targets.rs"]
mod targets;

fn replay(target: &str, run: fn(&[u8])) {
    let folder = format!("{}/fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    let files: Vec<_> = std::fs::read_dir(&folder).expect("the corpus is in the repository").collect();
    assert!(files.len() >= 5, "{folder} is nearly empty");
    for file in files {
        let bytes = std::fs::read(file.expect("readable").path()).expect("readable");
        for end in 0..=bytes.len().min(600) {
            run(&bytes[..end]);
        }
        run(&bytes);
    }
}

#[test]
fn no_envelope_of_the_corpus_breaks_anything() {
    replay("envelope", targets::envelope);
}

#[test]
fn no_xml_of_the_corpus_breaks_anything() {
    replay("xml", targets::xml);
}

#[test]
fn no_json_of_the_corpus_breaks_anything() {
    replay("json", targets::json);
}

#[test]
fn no_archive_record_of_the_corpus_breaks_anything() {
    replay("archive_record", targets::archive_record);
}
