//! Which files hold rules: those named, and those in the folders named.
//!
//! Folders are read recursively for `*.yaml` and `*.yml` but not `*_test.yaml`, in byte order of
//! path; what begins with a dot is passed over (a config map's `..data` holds every file twice).
//! `*_test.yaml` and `*_test.yml` hold rule tests, and are found the same way.
//! Deliberately absent: what stands in them.

use std::{
    collections::HashSet,
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

use super::{read_as, values::Shown};
use crate::document::{Code, Document, Report, Value};

/// The deepest folder that is read.
const MAX_DEPTH: usize = 16;

/// The most files of rules.
const MAX_FILES: usize = 10_000;

/// A path that holds rules and the value that names it.
pub(super) struct Named<'a> {
    pub(super) path: Shown,
    pub(super) value: Value<'a>,
}

/// The files that a path stands for, in order; with what can't be read.
pub(super) fn files_of(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    inside(path, MAX_DEPTH, is_rule_file)
}

/// The rule files of a folder, and not of those within it.
pub(super) fn files_beside(folder: &Path) -> io::Result<Vec<PathBuf>> {
    inside(folder, 0, is_rule_file)
}

/// The test files beside rules: those of a folder, or those in the folder of a file.
pub(super) fn tests_of(path: &Path) -> io::Result<Vec<PathBuf>> {
    if fs::metadata(path)?.is_dir() {
        return inside(path, MAX_DEPTH, is_test_file);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut files = inside(folder.unwrap_or(Path::new(".")), 0, is_test_file)?;
    if folder.is_none() {
        let bare = |file: &PathBuf| file.strip_prefix(".").unwrap_or(file).to_owned();
        files = files.iter().map(bare).collect();
    }
    Ok(files)
}

/// The files in a folder and in those within it, so deep.
fn inside(path: &Path, deepest: usize, wanted: fn(&[u8]) -> bool) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![(path.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or(OsStr::new("")).as_encoded_bytes();
            if name.starts_with(b".") {
                continue;
            }
            // Links are followed, as a config map needs; the depth bounds those that go in circles.
            let is_folder = fs::metadata(&path).is_ok_and(|meta| meta.is_dir());
            if is_folder && depth < deepest {
                folders.push((path, depth + 1));
            } else if !is_folder && wanted(name) && files.len() < MAX_FILES {
                files.push(path);
            }
        }
    }
    files.sort_by(|one, other| {
        one.as_os_str().as_encoded_bytes().cmp(other.as_os_str().as_encoded_bytes())
    });
    Ok(files)
}

/// Reads the rule files of several paths, each file once; says whether all could be opened.
pub(super) fn documents(named: &[Named<'_>], report: &Report) -> (Vec<Document>, bool) {
    let (mut documents, mut all) = (Vec::new(), true);
    let mut known = HashSet::new();
    for Named { path, value } in named {
        let files = match files_of(&path.path) {
            Ok(files) => files,
            Err(error) => {
                report.add(super::unreadable(&path.shown, &error, Some(*value)));
                all = false;
                continue;
            }
        };
        for file in files {
            if !known.insert(file.clone()) {
                continue;
            }
            let shown = path.inside(&file);
            match read_as(&file, &shown) {
                Ok(text) => documents.push(Document::parse(text, report)),
                Err(error) => {
                    report.add(super::unreadable(Path::new(&shown), &error, Some(*value)));
                    all = false;
                }
            }
        }
    }
    (documents, all)
}

/// Whether a file of that name is read where a folder of rules is: not `*_test.yaml`.
pub fn is_rule_file(name: &[u8]) -> bool {
    stem(name).is_some_and(|stem| !stem.is_empty() && !stem.ends_with(b"_test"))
}

/// Whether a file of that name holds rule tests.
pub(super) fn is_test_file(name: &[u8]) -> bool {
    stem(name).is_some_and(|stem| stem.ends_with(b"_test"))
}

fn stem(name: &[u8]) -> Option<&[u8]> {
    name.strip_suffix(b".yaml").or_else(|| name.strip_suffix(b".yml"))
}

/// Says that there are no rules at all.
pub(super) fn warn_of_none(value: Option<Value<'_>>, place: Value<'_>) {
    let message = "there are no rules, so nothing is ever sent";
    let problem = value.unwrap_or(place).problem(Code::NoRules, message);
    place.add(problem.help("name rule files or folders under `rules`: `rules: [rules/]`"));
}
