//! The real binary as a process: started, asked, killed.

use std::{
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// The longest that anything is waited for; far more than it takes, so that a busy machine does not
/// fail a test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something holds.
pub(crate) async fn until(what: &str, holds: impl AsyncFnMut() -> bool) {
    until_within(PATIENCE, Duration::from_millis(5), what, holds).await;
}

/// Waits at most `patience` until something holds, looking every so often.
pub(crate) async fn until_within(
    patience: Duration,
    every: Duration,
    what: &str,
    mut holds: impl AsyncFnMut() -> bool,
) {
    let deadline = tokio::time::Instant::now() + patience;
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(every).await;
    }
}

/// The binary with nothing of this process's environment.
pub(crate) fn triggerbell() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_triggerbell"));
    command.env_clear().env("RUST_BACKTRACE", "1").kill_on_drop(true).stdin(Stdio::null());
    command
}

/// The stand-in registry as a process of its own.
pub(crate) struct Registry {
    _child: Child,
    pub(crate) url: String,
    pub(crate) secret_id: String,
    pub(crate) secret_key: String,
    pub(crate) repos: Vec<String>,
}

impl Registry {
    /// Starts `simulate` with these arguments and reads what it prints.
    pub(crate) async fn start(args: &[&str]) -> Self {
        let mut command = triggerbell();
        command.args(["simulate", "--listen", "127.0.0.1:0"]).args(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut next = async |prefix: &str| {
            let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap();
            let line = line.unwrap().expect("simulate ended early");
            let value = line.strip_prefix(prefix);
            value.unwrap_or_else(|| panic!("{line:?} does not begin with {prefix:?}")).to_owned()
        };
        let url = next("listening on ").await;
        let secret_id = next("secret_id: ").await;
        let secret_key = next("secret_key: ").await;
        let repos = next("repos: ").await;
        let repos = repos.split([',', ' ']).filter(|repo| !repo.is_empty());
        let repos = repos.map(str::to_owned).collect();
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { _child: child, url, secret_id, secret_key, repos }
    }

    /// The `sources` of a configuration that reads all of it through API 2.0, as a block.
    pub(crate) fn source(&self, extra: &str) -> String {
        format!(
            "sources:\n  shop:\n    ccr:\n      endpoint: {}/v2/index.php\n      \
             secret_id: {}\n      secret_key: {}\n    repos: [{}]\n    {extra}\n",
            self.url.trim_end_matches('/'),
            self.secret_id,
            self.secret_key,
            self.repos.join(", "),
        )
    }
}

/// A running service with its folder.
pub(crate) struct Service {
    pub(crate) child: Child,
    pub(crate) url: String,
    pub(crate) folder: PathBuf,
    client: reqwest::Client,
}

impl Service {
    /// Writes the configuration into a folder, with an API on a free port, and starts `run`.
    pub(crate) async fn start(folder: &Path, config: &str, rules: &str) -> Self {
        Self::start_with(folder, config, rules, &[]).await
    }

    /// As [`Service::start`], with an environment.
    pub(crate) async fn start_with(
        folder: &Path,
        config: &str,
        rules: &str,
        env: &[(&str, &str)],
    ) -> Self {
        Self::configure(folder, config, rules);
        Self::again(folder, env).await
    }

    /// Writes the configuration into a folder, with an API on a free port.
    pub(crate) fn configure(folder: &Path, config: &str, rules: &str) {
        let config = format!("{config}rules: [rules.yaml]\napi:\n  listen: 127.0.0.1:0\n");
        std::fs::write(folder.join("triggerbell.yaml"), config).unwrap();
        std::fs::write(folder.join("rules.yaml"), rules).unwrap();
    }

    /// Starts `run` on a folder that holds its configuration already.
    pub(crate) async fn again(folder: &Path, env: &[(&str, &str)]) -> Self {
        Self::from_child(folder, Self::spawn(folder, env)).await
    }

    /// Starts `run` and waits for nothing.
    pub(crate) fn spawn(folder: &Path, env: &[(&str, &str)]) -> Child {
        let mut command = triggerbell();
        command.arg("run").current_dir(folder).envs(env.iter().copied());
        Self::logged(folder, command)
    }

    /// Starts a command whose output goes into the folder's log, which begins anew.
    pub(crate) fn logged(folder: &Path, mut command: Command) -> Child {
        let log = std::fs::File::create(folder.join("log")).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
    }

    /// The service that a child of [`Service::spawn`] is, once it answers.
    pub(crate) async fn from_child(folder: &Path, child: Child) -> Self {
        let client = client();
        let mut service = Self { child, url: String::new(), folder: folder.to_owned(), client };
        until("the service answers", async || {
            assert!(service.child.try_wait().unwrap().is_none(), "it ended: {}", service.log());
            let log = service.log();
            let said = log.split("the API and the status page are at ").nth(1);
            let Some((url, _)) = said.and_then(|said| said.split_once("/\n")) else { return false };
            url.clone_into(&mut service.url);
            service.get("/healthz").await.is_some()
        })
        .await;
        service
    }

    /// What was logged since it was started last.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.folder.join("log")).unwrap()).into_owned()
    }

    /// The body of a path, where it answers.
    pub(crate) async fn get(&self, path: &str) -> Option<String> {
        let answer = self.client.get(format!("{}{path}", self.url)).send().await.ok()?;
        answer.text().await.ok()
    }

    pub(crate) async fn json(&self, path: &str) -> serde_json::Value {
        serde_json::from_str(&self.get(path).await.unwrap()).unwrap()
    }

    /// SIGTERM, and how it ended.
    pub(crate) async fn terminate(mut self) -> ExitStatus {
        let id = self.child.id().unwrap().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status().await.unwrap();
        assert!(sent.success());
        tokio::time::timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap()
    }
}

/// A command that ran to its end.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// All that it printed.
    pub(crate) fn said(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// Runs a command of the binary in a folder to its end.
pub(crate) async fn ran(folder: &Path, args: &[&str], env: &[(&str, &str)]) -> Ran {
    let mut command = triggerbell();
    command.args(args).current_dir(folder).envs(env.iter().copied());
    let output = tokio::time::timeout(PATIENCE, command.output()).await.unwrap().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

/// An HTTP client that goes by no proxy of the environment.
pub(crate) fn client() -> reqwest::Client {
    let settings = triggerbell::adapters::http::ClientSettings::default();
    triggerbell::adapters::http::client(&settings).unwrap()
}
