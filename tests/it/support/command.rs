//! Commands as processes that end: what they printed and how they ended.

use std::{path::Path, process::Stdio};

use tokio::io::AsyncWriteExt;

use super::process::{PATIENCE, triggerbell};

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    /// Both outputs, for what must stand in neither or either.
    pub(crate) fn all(&self) -> String {
        format!("{}{}", self.out, self.err)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Runs the binary in a folder, with nothing in its environment.
pub(crate) async fn command(folder: &Path, args: &[&str]) -> Ended {
    command_with(folder, args, &[], "").await
}

/// Runs the binary in a folder with an environment and standard input.
pub(crate) async fn command_with(
    folder: &Path,
    args: &[&str],
    env: &[(&str, &str)],
    input: &str,
) -> Ended {
    let mut command = triggerbell();
    command.args(args).current_dir(folder).envs(env.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Whoever does not read it has closed it.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output());
    let output = output.await.unwrap_or_else(|_| panic!("{args:?} did not end")).unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended {
        code: output.status.code().unwrap_or_else(|| panic!("{args:?}: {}", output.status)),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}
