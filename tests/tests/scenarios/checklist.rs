//! The checklist of the two documents that connectors are built from: every line of it names tests, and every test
//! that it names is there.

use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The rows of the document's tables: the promise, and the cell with its proofs.
fn rows(document: &str) -> Vec<(&str, &str)> {
    document
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
        .filter(|line| !line.starts_with("---") && !line.starts_with("promise"))
        .filter_map(|line| line.rsplit_once(" | "))
        .collect()
}

/// The tests that a cell names, as `file.rs::function`.
fn named(cell: &str) -> Vec<(&str, &str)> {
    cell.split('`').skip(1).step_by(2).filter_map(|code| code.split_once("::")).collect()
}

#[test]
fn every_line_of_the_checklist_names_tests_and_each_of_them_is_there() -> Result<()> {
    let document = std::fs::read_to_string(root().join("docs/connector-checklist.md"))?;
    let rows = rows(&document);
    ensure!(rows.len() > 60, "the checklist has {} lines only", rows.len());
    let mut faults = Vec::new();
    for (promise, proof) in rows {
        let tests = named(proof);
        let excused = proof.starts_with("advice");
        if tests.is_empty() && !excused {
            faults.push(format!("nothing proves {promise:?}"));
        }
        for (file, test) in tests {
            let source = std::fs::read_to_string(root().join(file)).with_context(|| file.to_owned());
            match source {
                Ok(source) if source.contains(&format!("fn {test}(")) => {}
                Ok(_) => faults.push(format!("{file} has no test {test}")),
                Err(error) => faults.push(format!("{error:#}")),
            }
        }
    }
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}
