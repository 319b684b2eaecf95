//! Commands on a running service.

use std::sync::{
    Arc,
    atomic::{AtomicU16, Ordering},
};

use serde_json::json;

use super::{config, free_port, row, write};
use crate::support::{
    command::{Ended, command, command_with},
    process::{Service, until},
    receiver::{Receiver, Reply},
};

/// A service with dead letters, its folder, and the status that its receiver answers with.
struct Running {
    service: Service,
    receiver: Receiver,
    mood: Arc<AtomicU16>,
    folder: tempfile::TempDir,
}

impl Running {
    async fn start(api: &str) -> Self {
        let mood = Arc::new(AtomicU16::new(400));
        let answers = mood.clone();
        let receiver =
            Receiver::answering(move |_, _| Reply::status(answers.load(Ordering::Relaxed))).await;
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let api = format!("  listen: 127.0.0.1:{port}\n{api}");
        config(folder.path(), "log.jsonl", &receiver.url, &api);
        write(folder.path(), "log.jsonl", &(row(1, "v1", 1) + &row(2, "支付-v2", 1)));
        let service = Service::again(folder.path(), &[]).await;
        Self { service, receiver, mood, folder }
    }

    async fn run(&self, args: &[&str]) -> Ended {
        command(self.folder.path(), args).await
    }

    /// The ids of notifications in a state, once there are so many.
    async fn ids(&self, state: &str, count: usize) -> Vec<String> {
        let mut ids = Vec::new();
        until(&format!("{count} are {state}"), async || {
            let args = ["deliveries", "list", "--state", state, "--format", "json"];
            let ended = self.run(&args).await;
            assert_eq!(ended.code, 0, "{ended:?}");
            let items = ended.json()["items"].as_array().unwrap().clone();
            ids = items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect();
            ids.len() == count
        })
        .await;
        ids
    }
}

#[tokio::test]
async fn deliveries_are_listed_shown_and_tried_again() {
    let running = Running::start("").await;
    let dead = running.ids("dead", 2).await;
    let list = running.run(&["deliveries", "list"]).await;
    assert_eq!((list.code, list.err.as_str()), (0, ""));
    let mut lines = list.out.lines();
    assert!(lines.next().unwrap().starts_with("ID "), "{}", list.out);
    let rows: Vec<_> = lines.collect();
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|line| line.contains("dead") && line.contains("audit")), "{rows:?}");
    let none = running.run(&["deliveries", "list", "--rule", "no&such=rule"]).await;
    assert_eq!((none.code, none.out.as_str(), none.err.as_str()), (0, "", "no notifications\n"));
    let one = running.run(&["deliveries", "list", "--limit", "1", "--receiver", "audit"]).await;
    assert_eq!(one.out.lines().count(), 2);
    let first = running.run(&["deliveries", "list", "--limit", "1"]).await;
    let cursor = first.err.trim().strip_prefix("there are more: --cursor ").unwrap();
    let rest = running.run(&["deliveries", "list", "--cursor", cursor]).await;
    assert_eq!((rest.code, &*rest.err), (0, ""), "{rest:?}");
    let told = |list: &Ended| list.out.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!([told(&first), told(&rest)].concat(), told(&list), "one after the other are all");
    let nobody = running.run(&["deliveries", "list", "--receiver", "nobody"]).await;
    assert_eq!(nobody.code, 1, "{nobody:?}");
    assert!(nobody.err.contains("there is no receiver nobody; known: audit"), "{nobody:?}");
    let wrong = running.run(&["deliveries", "list", "--state", "gone"]).await;
    assert_eq!(wrong.code, 2, "{wrong:?}");

    let id = dead[0].as_str();
    let shown = running.run(&["deliveries", "show", id]).await;
    assert_eq!(shown.code, 0);
    for text in [id, "state: dead", "attempts made:", "permanent", "payload:", "支付-v2"] {
        assert!(shown.out.contains(text), "{text}: {}", shown.out);
    }
    let shown = running.run(&["deliveries", "show", id, "--format", "json"]).await.json();
    assert_eq!((&shown["id"], &shown["attempt_list"][0]["number"]), (&json!(id), &json!(1)));

    running.mood.store(200, Ordering::Relaxed);
    let retried = running.run(&["deliveries", "retry", id]).await;
    assert_eq!((retried.code, retried.out), (0, format!("{id} is tried again\n")));
    assert_eq!(running.ids("delivered", 1).await, [id]);
    let again = running.run(&["deliveries", "retry", id]).await;
    assert_eq!((again.code, again.out.as_str()), (1, ""), "{again:?}");
    assert!(again.err.contains("delivered"), "{}", again.err);
    let other = running.run(&["deliveries", "retry", &dead[1], "--to", "nobody"]).await;
    assert_eq!(other.code, 1, "{other:?}");
    let args = ["deliveries", "retry", &dead[1], "--to", "audit", "--format", "json"];
    assert_eq!(running.run(&args).await.json()["id"], dead[1]);
    running.ids("delivered", 2).await;
    let ids: Vec<_> = running.receiver.seen().iter().map(|seen| seen.id()).collect();
    assert_eq!(ids.len(), 4);
    assert_eq!(ids[..2].iter().filter(|seen| *seen == id).count(), 1);
    assert_eq!(ids[2..], [dead[0].clone(), dead[1].clone()], "under the ids they had");

    running.mood.store(400, Ordering::Relaxed);
    let mut log = std::fs::read_to_string(running.folder.path().join("log.jsonl")).unwrap();
    log += &(row(3, "v3", 1) + &row(4, "v4", 1));
    write(running.folder.path(), "log.jsonl", &log);
    let dead = running.ids("dead", 2).await;
    running.mood.store(200, Ordering::Relaxed);
    let all = ["deliveries", "retry", "--receiver", "audit", "--since", "1h"];
    let preview = running.run(&[&all[..], &["--preview"]].concat()).await;
    assert_eq!((preview.code, preview.out.as_str()), (0, "2 dead letters of audit\n"));
    let retried = running.run(&all).await;
    let said = "2 dead letters of audit tried again\n";
    assert_eq!((retried.code, retried.out.as_str(), retried.err.as_str()), (0, said, ""));
    running.ids("delivered", 4).await;
    let ids: Vec<_> = running.receiver.seen()[6..].iter().map(|seen| seen.id()).collect();
    assert_eq!(ids.len(), 2);
    assert!(dead.iter().all(|id| ids.contains(id)), "under the ids they had");
    let none = running.run(&[&all[..], &["--format", "json"]].concat()).await;
    assert_eq!((none.code, none.json()), (0, json!({"count": 0})));
    let nobody = running.run(&[&all[..3], &["nobody", "--since", "1h"]].concat()).await;
    assert_eq!(nobody.code, 1, "{nobody:?}");
    for wrong in [&all[..4], &["deliveries", "retry"], &["deliveries", "retry", "--since", "1h"]] {
        assert_eq!(running.run(wrong).await.code, 2, "{wrong:?}");
    }

    let nothing = "0".repeat(32);
    for word in ["show", "retry"] {
        let ended = running.run(&["deliveries", word, &nothing]).await;
        assert_eq!((ended.code, ended.out.as_str()), (1, ""), "{word}: {ended:?}");
    }
}

#[tokio::test]
async fn status_and_healthcheck_say_whether_it_is_ready() {
    let running = Running::start("").await;
    running.ids("dead", 2).await;
    until("it is ready", async || running.run(&["healthcheck"]).await.code == 0).await;
    let healthy = running.run(&["healthcheck"]).await;
    assert_eq!((healthy.code, healthy.all().as_str()), (0, ""), "quiet");
    let status = running.run(&["status"]).await;
    assert_eq!((status.code, status.err.as_str()), (0, ""));
    for text in ["triggerbell 0", "SOURCE", "log", "RECEIVER", "audit", "dead"] {
        assert!(status.out.to_lowercase().contains(&text.to_lowercase()), "{}", status.out);
    }
    let json = running.run(&["status", "--format", "json"]).await.json();
    assert_eq!(json["readiness"]["ready"], true);
    assert_eq!(json["receivers"]["audit"]["dead"], 2);

    let elsewhere = tempfile::tempdir().unwrap();
    let url = running.service.url.clone();
    assert_eq!(command(elsewhere.path(), &["status", "--url", &url]).await.code, 0);
    let env = [("TRIGGERBELL_URL", url.as_str())];
    assert_eq!(command_with(elsewhere.path(), &["status"], &env, "").await.code, 0);
    let slash = format!("{url}/");
    assert_eq!(command(elsewhere.path(), &["healthcheck", "--url", &slash]).await.code, 0);

    // The log goes away: it is read no more.
    std::fs::remove_file(running.folder.path().join("log.jsonl")).unwrap();
    until("it is not ready", async || running.run(&["healthcheck"]).await.code == 1).await;
    let unready = running.run(&["healthcheck"]).await;
    assert_eq!((unready.code, unready.out.as_str()), (1, ""));
    assert!(unready.err.contains("source log"), "{}", unready.err);
    let status = running.run(&["status"]).await;
    assert_eq!(status.code, 1);
    assert!(status.out.contains("not ready: source log"), "{}", status.out);
    assert_eq!(running.run(&["status", "--format", "json"]).await.code, 1);

    assert!(running.service.terminate().await.success());
    for args in [&["status"][..], &["healthcheck"], &["deliveries", "list"]] {
        let ended = command(running.folder.path(), args).await;
        assert_eq!((ended.code, ended.out.as_str()), (69, ""), "{args:?}: {ended:?}");
        assert!(ended.err.contains("no answer from http://127.0.0.1:"), "{}", ended.err);
    }
}

#[tokio::test]
async fn the_token_is_the_configurations_or_the_environments() {
    let running = Running::start("  token: secret-of-the-test\n").await;
    // The configuration beside it has the token.
    running.ids("dead", 2).await;
    let elsewhere = tempfile::tempdir().unwrap();
    let url = running.service.url.clone();
    let run = async |args: &[&str], token: &str| {
        let env = [("TRIGGERBELL_URL", url.as_str()), ("TRIGGERBELL_TOKEN", token)];
        command_with(elsewhere.path(), args, &env, "").await
    };
    assert_eq!(run(&["deliveries", "list"], "secret-of-the-test").await.code, 0);
    for (token, hint) in [("", "set TRIGGERBELL_TOKEN"), ("wrong-one", "TRIGGERBELL_TOKEN must be")]
    {
        for args in [&["status"][..], &["deliveries", "list"]] {
            let ended = run(args, token).await;
            assert_eq!((ended.code, ended.out.as_str()), (78, ""), "{token:?}: {ended:?}");
            assert!(ended.err.contains(hint), "{}", ended.err);
            assert!(!ended.err.contains("wrong-one"), "{}", ended.err);
        }
    }
    let healthy = run(&["healthcheck"], "").await;
    assert_eq!((healthy.code, healthy.all().as_str()), (0, ""), "health takes no token");
}

#[tokio::test]
async fn something_else_at_the_url_is_no_triggerbell() {
    let other = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    for args in [&["status"][..], &["deliveries", "list"]] {
        let args = [args, &["--url", &other.url]].concat();
        let ended = command(folder.path(), &args).await;
        assert_eq!((ended.code, ended.out.as_str()), (69, ""), "{ended:?}");
        assert!(ended.err.contains("is no triggerbell"), "{}", ended.err);
    }
    let url = other.url.replace("http://", "http://user:hidden@");
    let ended = command(folder.path(), &["status", "--url", &url]).await;
    assert!(!ended.all().contains("hidden"), "{ended:?}");
}

#[tokio::test]
async fn a_message_and_its_entry_are_explained_by_their_ids() {
    let running = Running::start("").await;
    let dead = running.ids("dead", 2).await;
    let shown = running.run(&["deliveries", "show", &dead[0], "--format", "json"]).await.json();
    let entry = shown["entries"][0].as_str().unwrap().to_owned();
    let by_message = running.run(&["explain", "--id", &dead[0]]).await;
    assert_eq!((by_message.code, by_message.err.as_str()), (0, ""));
    assert!(by_message.out.contains(": matched\n"), "{}", by_message.out);
    let see = format!("(see `deliveries show {}`)", dead[0]);
    let becomes = by_message.out.lines().find(|line| line.contains(&see)).unwrap();
    assert!(becomes.contains("for audit was given up, tried at "), "{becomes}");
    let by_entry = running.run(&["explain", "--id", &entry]).await;
    assert_eq!(by_entry.out, by_message.out);
    let json = running.run(&["explain", "--id", &entry, "--format", "json"]).await.json();
    assert_eq!((&json["id"], &json["messages"][0]["id"]), (&json!(entry), &json!(dead[0])));

    let unknown = running.run(&["explain", "--id", &"0".repeat(32)]).await;
    assert_eq!(unknown.code, 1, "{unknown:?}");
    let both = running.run(&["explain", "--id", &entry, "--entry", "x.json"]).await;
    assert_eq!(both.code, 2, "{both:?}");
}

#[tokio::test]
async fn a_service_is_found_beside_files_that_have_become_broken() {
    let running = Running::start("  token: ${BELL_TOKEN:-secret-of-the-test}\n").await;
    until("it is ready", async || running.run(&["healthcheck"]).await.code == 0).await;
    let whole = |name: &str| std::fs::read_to_string(running.folder.path().join(name)).unwrap();
    let (rules, configured) = (whole("rules.yaml"), whole("triggerbell.yaml"));
    let broken = [
        ("rules.yaml", rules.replace("[audit]", "[audti]"), "audti"),
        ("rules.yaml", rules[..rules.len() / 2].to_owned(), "rules.yaml"),
        ("triggerbell.yaml", configured.replace("poll_every: 1s", "pol_every: soon"), "pol_every"),
        (
            "triggerbell.yaml",
            configured.replace("/hook", "/${NOT_SET_ANYWHERE}"),
            "NOT_SET_ANYWHERE",
        ),
        ("triggerbell.yaml", configured.replace("api:\n", "api:\n  public_url: 7\n"), "public_url"),
        ("triggerbell.yaml", format!("{configured}retention: {{entries: [\n"), "triggerbell.yaml"),
    ];
    for (name, text, named) in broken {
        write(running.folder.path(), name, &text);
        let healthy = running.run(&["healthcheck"]).await;
        assert_eq!((healthy.code, healthy.all().as_str()), (0, ""), "{named}");
        assert_eq!(running.run(&["deliveries", "list"]).await.code, 0, "{named}");
        let refused = running.run(&["reload"]).await;
        assert_eq!(refused.code, 1, "{named}: {refused:?}");
        assert!(refused.out.contains(named), "{}", refused.out);
        assert!(!refused.all().contains("secret-of-the-test"), "{refused:?}");
        write(running.folder.path(), "rules.yaml", &rules);
        write(running.folder.path(), "triggerbell.yaml", &configured);
    }
    assert_eq!(running.run(&["reload"]).await.code, 0);

    let unknowable = [
        (configured.replace("listen: 127.0.0.1", "listen: somewhere"), "an IP and a port"),
        (configured.replace(":-secret-of-the-test", ""), "`BELL_TOKEN` is not set"),
        (configured.split_once("api:\n").unwrap().0.to_owned() + "api: [\n", "error"),
    ];
    for (text, said) in unknowable {
        write(running.folder.path(), "triggerbell.yaml", &text);
        let ended = running.run(&["healthcheck"]).await;
        assert_eq!((ended.code, ended.out.as_str()), (78, ""), "{ended:?}");
        assert!(ended.err.contains(said) && ended.err.contains("--url"), "{}", ended.err);
    }
}

#[tokio::test]
async fn what_a_command_line_gets_wrong_is_a_mistake_of_usage_before_anyone_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    for args in [
        &["deliveries", "retry", "--receiver", "hook", "--since", "abc"][..],
        &["silence", "add", "nope: x", "--for", "1h", "--author", "me"],
        &["silence", "add", "repo: \"x", "--for", "1h", "--author", "me"],
        &["silence", "add", "repo: x/y", "--for", "0s", "--author", "me"],
        &["silence", "add", "repo: x/y", "--until", "soon", "--author", "me"],
        &["silence", "preview", "nope: x"],
    ] {
        let args = [args, &["--url", "http://127.0.0.1:9"]].concat();
        let ended = command(folder.path(), &args).await;
        assert_eq!((ended.code, ended.out.as_str()), (2, ""), "{args:?}: {ended:?}");
    }
    let args = ["silence", "list", "--url", "http://127.0.0.1:9"];
    assert_eq!(command(folder.path(), &args).await.code, 69, "nobody is there");
}

#[tokio::test]
async fn times_are_told_in_the_zone_of_the_configuration_and_programs_read_utc() {
    let running = Running::start("time_zone: America/Phoenix\n").await;
    let id = running.ids("dead", 2).await.remove(0);
    let add = ["silence", "add", "tag: v9", "--for", "1h", "--author", "me"];
    let preview = ["silence", "preview", "tag: v9"];
    for args in [
        &["status"][..],
        &add,
        &["silence", "list"],
        &preview,
        &["deliveries", "list"],
        &["deliveries", "show", &id],
        &["explain", "--id", &id],
        &["explain", "--rule", "all"],
        &["fetch"],
    ] {
        let told = running.run(args).await;
        assert_eq!(told.code, 0, "{args:?}: {told:?}");
        assert!(told.out.contains("-07:00"), "{args:?}: {told:?}");
        let utc = regex_automata::meta::Regex::new(r"\dT\d\d:\d\d:\d\d(\.\d+)?Z").unwrap();
        let (payload, _) = told.out.split_once("payload:").unwrap_or((&told.out, ""));
        assert!(!utc.is_match(payload), "{args:?}: {told:?}");
        let told = running.run(&[args, &["--format", "json"]].concat()).await;
        assert!(!told.out.contains("-07:00"), "{args:?}: {told:?}");
        assert!(utc.is_match(&told.out), "{args:?}: {told:?}");
    }
    // The service says so itself, to whoever has not its configuration.
    let elsewhere = tempfile::tempdir().unwrap();
    let url = running.service.url.clone();
    let told = command(elsewhere.path(), &["deliveries", "list", "--url", &url]).await;
    assert!(told.out.contains("-07:00"), "{told:?}");
}

#[tokio::test]
async fn a_lane_that_does_not_send_says_until_when_and_its_messages_are_not_due_before() {
    for (mood, said) in [(410, "closed, tried 20"), (429, "paused until 20")] {
        let running = Running::start("").await;
        running.ids("dead", 2).await;
        running.mood.store(mood, Ordering::Relaxed);
        let lines = row(1, "v1", 1) + &row(2, "支付-v2", 1) + &row(3, "v3", 1);
        write(running.folder.path(), "log.jsonl", &lines);
        until(said, async || {
            let status = running.run(&["status"]).await;
            let pending = ["deliveries", "list", "--state", "pending", "--format", "json"];
            let pending = running.run(&pending).await.json();
            let next = pending["items"][0]["next_attempt_at"].as_str();
            let next = next.and_then(|next| next.parse::<jiff::Timestamp>().ok());
            status.out.contains(said) && next.is_some_and(|next| next > jiff::Timestamp::now())
        })
        .await;
    }
}
