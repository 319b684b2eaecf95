//! Rules of a git revision: `git:REV`, the configuration as it stood there, or `git:REV:PATH`, a file
//! or folder of it. Paths are as git has them: from the repository's root, or with `./` from the
//! configuration's folder.
//!
//! Git itself is asked, in the configuration's folder; nothing is checked out. Deliberately absent:
//! any write to the repository.

use std::{
    fs::{self, DirBuilder},
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::fs::DirBuilderExt,
    path::{Component, Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use crate::{
    cli::{
        exit::{Exit, Failure},
        load::Files,
    },
    config::{self, Config, FILE_NAME},
    document::File,
};

use super::against::{self, Against};

/// What marks a revision.
const MARK: &str = "git:";

/// The most files that are read of a revision, and the largest.
const MOST_FILES: usize = 10_000;
const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// Loads a revision's rules, or its whole configuration.
///
/// # Errors
/// There is no git, no such revision, or no such path in it; or what stands there is not sound.
pub(super) fn load(named: &str, config: &Config, files: &Files) -> Result<Against, Failure> {
    let folder = config.path.parent().filter(|it| !it.as_os_str().is_empty());
    let git = Git { folder: folder.unwrap_or(Path::new(".")).to_owned(), named: named.to_owned() };
    let asked = named.strip_prefix(MARK);
    let (revision, path) = match asked.unwrap_or(named).split_once(':') {
        Some((revision, "." | "./")) => (revision, "./".to_owned()),
        Some((revision, path)) => (revision, path.trim_end_matches('/').to_owned()),
        None => {
            let name = config.path.file_name().unwrap_or(FILE_NAME.as_ref());
            (asked.unwrap_or(named), format!("./{}", name.to_string_lossy()))
        }
    };
    if revision.is_empty() || revision.starts_with('-') {
        return Err(git.no("names no revision; write git:REV or git:REV:PATH, as git:main:rules"));
    }
    git.knows(revision, asked.is_some())?;
    let object = format!("{revision}:{path}");
    match git.ask(&["cat-file", "-t", &object])?.as_deref().map(str::trim) {
        Some("tree") => git.folder(&object, config, files),
        Some("blob") => git.file(revision, &path, config, files),
        _ => Err(git.no(&format!(
            "there is no {path} in {revision}; paths go from the repository's root, or with ./ from \
             the configuration's folder: look with `git ls-tree -r --name-only {revision}`"
        ))),
    }
}

struct Git {
    folder: PathBuf,
    named: String,
}

/// A file of a revision.
struct Blob {
    /// Its path within the folder that was listed.
    path: PathBuf,
    id: String,
}

impl Git {
    fn no(&self, why: &str) -> Failure {
        Failure::new(Exit::Config, format!("--against {}: {why}", self.named))
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.arg("-C").arg(&self.folder).args(args).stdin(Stdio::null());
        command
    }

    fn missing(&self, error: &io::Error) -> Failure {
        self.no(&format!(
            "git can't be run: {error}; install it, or name a folder that holds the other rules"
        ))
    }

    /// What git answers; `None` where it says no.
    fn ask(&self, args: &[&str]) -> Result<Option<String>, Failure> {
        let answer = self.command(args).output().map_err(|error| self.missing(&error))?;
        let text = || String::from_utf8_lossy(&answer.stdout).into_owned();
        Ok(answer.status.success().then(text))
    }

    /// That there is such a revision, in words that fit what was meant.
    fn knows(&self, revision: &str, marked: bool) -> Result<(), Failure> {
        let commit = format!("{revision}^{{commit}}");
        if self.ask(&["rev-parse", "--verify", "--quiet", &commit])?.is_some() {
            return Ok(());
        }
        let folder = self.folder.display();
        let inside = self.ask(&["rev-parse", "--git-dir"])?.is_some();
        Err(self.no(&match (marked, inside) {
            (false, _) => {
                "does not exist; name a rule file, a folder of them, a configuration, or a \
                           git revision as git:REV or git:REV:PATH"
                    .to_owned()
            }
            (true, false) => format!("{folder} is in no git repository"),
            (true, true) => format!(
                "git knows no revision {revision} in {folder}; fetch it with `git fetch`, or look \
                 with `git log` and `git branch --all`"
            ),
        }))
    }

    /// The rules of a folder; or its configuration, where it holds one.
    fn folder(&self, object: &str, config: &Config, files: &Files) -> Result<Against, Failure> {
        let blobs = self.list(object)?;
        if blobs.iter().any(|blob| blob.path == Path::new(FILE_NAME)) {
            return self.whole(&blobs, FILE_NAME, files);
        }
        let rules: Vec<Blob> = blobs.into_iter().filter(|blob| is_rules(&blob.path)).collect();
        let texts = self.contents(&rules)?;
        let named = |blob: &Blob| format!("{MARK}{object}/{}", blob.path.display());
        let read = rules.iter().zip(texts).map(|(blob, text)| File::new(named(blob), text));
        against::rules(&self.named, read.collect(), config, files)
    }

    /// The rules of a file; or the configuration that it is, with all that lies beside it.
    fn file(
        &self,
        revision: &str,
        path: &str,
        config: &Config,
        files: &Files,
    ) -> Result<Against, Failure> {
        let object = format!("{revision}:{path}");
        let text = self.ask(&["cat-file", "blob", &object])?.unwrap_or_default();
        let file = File::new(format!("{MARK}{object}"), text);
        if !config::is_configuration(&file) {
            return against::rules(&self.named, vec![file], config, files);
        }
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        // What git calls the folder that it was asked in.
        let parent = if parent == "." { "./" } else { parent };
        let blobs = self.list(&format!("{revision}:{parent}"))?;
        self.whole(&blobs, name, files)
    }

    /// A whole configuration, written to a folder for as long as it is read.
    fn whole(&self, blobs: &[Blob], name: &str, files: &Files) -> Result<Against, Failure> {
        let failed = |error: io::Error| {
            self.no(&format!("could not be written to a temporary folder: {error}"))
        };
        let folder = Folder::new().map_err(failed)?;
        for (blob, text) in blobs.iter().zip(self.contents(blobs)?) {
            let path = folder.0.join(&blob.path);
            fs::create_dir_all(path.parent().unwrap_or(&folder.0)).map_err(failed)?;
            fs::write(path, text).map_err(failed)?;
        }
        against::configuration(&self.named, &folder.0.join(name), files)
    }

    /// The YAML files and templates under a tree, in byte order of path.
    fn list(&self, object: &str) -> Result<Vec<Blob>, Failure> {
        // Of a folder within the repository, git would list that part of the tree alone.
        let listed = self.ask(&["ls-tree", "-r", "-z", "--full-tree", object])?;
        let listed = listed.ok_or_else(|| self.no("its files can't be listed"))?;
        let mut blobs: Vec<Blob> = listed.split('\0').filter_map(blob).collect();
        if blobs.len() > MOST_FILES {
            return Err(
                self.no(&format!("holds more than {MOST_FILES} files; name a folder in it"))
            );
        }
        blobs.sort_by(|one, other| {
            let bytes = |it: &Blob| it.path.as_os_str().as_encoded_bytes().to_owned();
            bytes(one).cmp(&bytes(other))
        });
        Ok(blobs)
    }

    /// The texts of files, in their order.
    fn contents(&self, blobs: &[Blob]) -> Result<Vec<String>, Failure> {
        let broken = |error: io::Error| self.no(&format!("git's answer can't be read: {error}"));
        let mut command = self.command(&["cat-file", "--batch"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| self.missing(&error))?;
        let ids: String = blobs.iter().map(|blob| format!("{}\n", blob.id)).collect();
        // Both are piped.
        let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Ok(Vec::new());
        };
        // Git answers before it has read all of it.
        let asking = thread::spawn(move || stdin.write_all(ids.as_bytes()));
        let mut answers = BufReader::new(stdout);
        let texts: io::Result<Vec<String>> = blobs.iter().map(|_| content(&mut answers)).collect();
        drop(answers);
        // Both have ended, or do since nobody reads any more.
        let _ = (asking.join(), child.wait());
        texts.map_err(broken)
    }
}

/// A line of `ls-tree`: `100644 blob ID<TAB>PATH`.
fn blob(line: &str) -> Option<Blob> {
    let (about, path) = line.split_once('\t')?;
    let mut about = about.split(' ');
    let (mode, _, id) = (about.next()?, about.next()?, about.next()?);
    let path = PathBuf::from(path);
    let wanted = path.extension().is_some_and(|it| it == "yaml" || it == "yml" || it == "hbs");
    let inside = path.components().all(|it| matches!(it, Component::Normal(_)));
    // No links, which lead elsewhere.
    (mode.starts_with("100") && wanted && inside).then(|| Blob { path, id: id.to_owned() })
}

fn is_rules(path: &Path) -> bool {
    let hidden = path.components().any(|it| it.as_os_str().as_encoded_bytes().starts_with(b"."));
    let name = path.file_name().map_or(&b""[..], |name| name.as_encoded_bytes());
    !hidden && config::is_rule_file(name)
}

/// The next answer of `cat-file --batch`: `ID blob SIZE`, the bytes, a line's end.
fn content(answers: &mut impl BufRead) -> io::Result<String> {
    let mut head = String::new();
    answers.read_line(&mut head)?;
    let size = head.trim_end().rsplit(' ').next().and_then(|size| size.parse::<u64>().ok());
    let size = size.filter(|size| *size <= MOST_BYTES);
    let size = size.ok_or_else(|| io::Error::other("a file is missing, or larger than 16 MiB"))?;
    let mut text = Vec::new();
    answers.take(size + 1).read_to_end(&mut text)?;
    text.pop();
    String::from_utf8(text).map_err(|_| io::Error::other("a file is not UTF-8"))
}

/// A temporary folder that nobody else reads, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Self> {
        let name = format!("triggerbell-replay-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // It is temporary: the system removes what can't be removed now.
        let _ = fs::remove_dir_all(&self.0);
    }
}
