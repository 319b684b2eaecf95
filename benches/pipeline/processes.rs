//! The processes of a measurement: started, asked, looked at through `/proc`, ended.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

const TRIGGERBELL: &str = env!("CARGO_BIN_EXE_triggerbell");

/// The longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// A process that ends with this value, and speaks in lines.
pub(crate) struct Process {
    pub(crate) child: Child,
    lines: BufReader<ChildStdout>,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

/// The stand-in registry.
pub(crate) struct Registry {
    _process: Process,
    pub(crate) addr: String,
    id: String,
    key: String,
    repos: Vec<String>,
}

impl Registry {
    /// One of so many repositories, named `team0/svc-0` and so on.
    pub(crate) fn start(repos: usize, backlog: usize, rate: Option<&str>) -> Self {
        let names: Vec<_> =
            (0..repos).map(|index| format!("team{}/svc-{}", index % 40, index / 40)).collect();
        let backlog = backlog.to_string();
        let mut command = Command::new(TRIGGERBELL);
        command.args(["simulate", "--listen", "127.0.0.1:0", "--seed", "1"]);
        // One argument can't hold all of many.
        for names in names.chunks(1000) {
            command.args(["--repos", &names.join(",")]);
        }
        command.args(["--backlog", &backlog]);
        command.args(rate.iter().flat_map(|rate| ["--rate", rate]));
        let mut process = Process::start(&mut command);
        let mut value = |prefix: &str| process.line().strip_prefix(prefix).unwrap().to_owned();
        let url = value("listening on ");
        let (id, key, repos) = (value("secret_id: "), value("secret_key: "), value("repos: "));
        let addr = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let repos = repos.split(',').map(str::to_owned).collect();
        Self { _process: process, addr, id, key, repos }
    }

    /// Whoever asks the registry at `addr` with these words gets its log: endpoint, id, key, repos.
    pub(crate) fn words(&self, addr: &str) -> [String; 4] {
        let (id, key) = (self.id.clone(), self.key.clone());
        [format!("http://{addr}/v2/index.php"), id, key, self.repos.join(",")]
    }
}

/// The receiver, with the relay in front of a registry.
pub(crate) struct Sink {
    process: Process,
    input: ChildStdin,
    pub(crate) addr: String,
    pub(crate) relay: String,
}

impl Sink {
    pub(crate) fn start(registry: &Registry) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let mut process =
            Process::start(command.args(["sink", &registry.addr]).stdin(Stdio::piped()));
        let input = process.child.stdin.take().unwrap();
        let line = process.line();
        let (addr, relay) = line.split_once(' ').unwrap();
        Self { addr: addr.to_owned(), relay: relay.to_owned(), process, input }
    }

    fn ask(&mut self, command: &str) -> serde_json::Value {
        writeln!(self.input, "{command}").unwrap();
        serde_json::from_str(&self.process.line()).unwrap()
    }

    /// Forgets all, and answers after that long from now on.
    pub(crate) fn reset(&mut self, delay_ms: u64) {
        self.ask(&format!("reset {delay_ms}"));
    }

    pub(crate) fn stats(&mut self) -> serde_json::Value {
        self.ask("stats")
    }

    pub(crate) fn latencies(&mut self) -> Vec<f64> {
        serde_json::from_value(self.ask("latency")).unwrap()
    }

    /// Waits for so many different messages; returns when the last came.
    pub(crate) fn wait_for(&mut self, messages: u64) -> Instant {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let stats = self.stats();
            if stats["distinct"].as_u64().unwrap() >= messages || Instant::now() > deadline {
                let since = stats["since_last_s"].as_f64().unwrap_or_default();
                return Instant::now() - Duration::from_secs_f64(since);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A running service.
pub(crate) struct Service {
    process: Process,
    pub(crate) api: SocketAddr,
    /// When `healthz` first answered.
    pub(crate) ready: Instant,
    /// How long that took from the start of the process.
    pub(crate) start: Duration,
}

impl Service {
    pub(crate) fn start(folder: &Path) -> Self {
        let api = free_addr();
        let log = fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
        let mut command = Command::new(TRIGGERBELL);
        command.args(["run", "--listen", &api.to_string()]).current_dir(folder).stderr(log);
        let begun = Instant::now();
        let mut process = Process::start(&mut command);
        while get(api, "/healthz").is_none() {
            assert!(begun.elapsed() < PATIENCE, "the service does not answer");
            let ended = process.child.try_wait().unwrap();
            assert!(ended.is_none(), "ended: {}", fs::read_to_string(folder.join("log")).unwrap());
            std::thread::sleep(Duration::from_micros(500));
        }
        let ready = Instant::now();
        Self { process, api, ready, start: ready - begun }
    }

    /// User and system time so far, in seconds.
    pub(crate) fn cpu_s(&self) -> f64 {
        cpu_s(&self.process.child)
    }

    /// A line of `/proc/PID/status` that is in kB, in MiB.
    pub(crate) fn mib(&self, name: &str) -> f64 {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.process.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
    }

    pub(crate) fn kill(mut self) {
        self.process.child.kill().unwrap();
        self.process.child.wait().unwrap();
    }
}

/// Runs the bare loop; when it began.
pub(crate) struct Bare(Process, pub(crate) Instant);

impl Bare {
    pub(crate) fn start(config: &Path, entries: usize) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg("bare").arg(config).arg(entries.to_string());
        let mut process = Process::start(&mut command);
        assert_eq!(process.line(), "ready");
        Self(process, Instant::now())
    }

    /// Waits for the end; the CPU time it took, in seconds.
    pub(crate) fn end(mut self) -> f64 {
        // It waits to be looked at once it has said that it is done.
        self.0.line();
        cpu_s(&self.0.child)
    }
}

/// User and system time of a process so far, in seconds.
fn cpu_s(child: &Child) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let fields: Vec<_> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks = |index: usize| fields[index].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / 100.0
}

/// Runs the script on `entries` entries: messages a second, `None` without a Python.
pub(crate) fn script(words: &[String; 4], sink: &str, entries: usize) -> Option<f64> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/usual.py");
    let mut command = Command::new("python3");
    command.arg(script).args(words).arg(format!("http://{sink}/")).arg(entries.to_string());
    let output = command.output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

/// The body of a path that answers 200.
pub(crate) fn get(addr: SocketAddr, path: &str) -> Option<String> {
    ask(addr, &format!("GET {path}"), "")
}

/// The body of a path that answers 200 when it is told an empty object.
pub(crate) fn post(addr: SocketAddr, path: &str) -> Option<String> {
    let told = "content-type: application/json\r\ncontent-length: 2\r\n";
    ask(addr, &format!("POST {path}"), told)
}

fn ask(addr: SocketAddr, what: &str, told: &str) -> Option<String> {
    let mut stream = TcpStream::connect(addr).ok()?;
    let body = if told.is_empty() { "" } else { "{}" };
    let head = format!("{what} HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n{told}\r\n{body}");
    stream.write_all(head.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.1 200").then(|| body.to_owned())
}

fn free_addr() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
