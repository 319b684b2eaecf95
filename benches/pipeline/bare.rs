//! The bare loop: fetch, parse, match, render, POST over 64 connections; nothing stored, counted,
//! retried or remembered. It uses the library's own parts, so that what it is compared with differs
//! in what it keeps and not in how well it parses.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::StreamExt as _;
use triggerbell::{
    adapters::clock::SystemClock,
    app,
    config::{self, Config, Request},
    domain::{
        decision::{Input, State, decide},
        entry::{Entry, EntryId},
        rule::RuleSet,
    },
    ports::{Clock, Context, Delivery, Notifier, PageRequest, RenderRequest, Renderer, Source},
};

const CONNECTIONS: usize = 64;
const FETCHERS: usize = 16;

/// Delivers `entries` entries as the configuration says, and prints when it began and what it cost.
pub(crate) fn run(path: &Path, entries: usize) {
    let request = Request { config: Some(path), data_dir: None, env: &|_| None };
    let config = config::load(&request).unwrap().config;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    println!("ready");
    let begun = Instant::now();
    let delivered = runtime.block_on(deliver(config, entries));
    println!("{delivered} {}", begun.elapsed().as_secs_f64());
    // Whoever reads that still looks at what it cost, and then ends it.
    std::thread::sleep(Duration::from_secs(60));
}

struct Loop {
    source: Arc<dyn Source>,
    rules: RuleSet,
    renderer: Arc<dyn Renderer>,
    name: Arc<str>,
}

async fn deliver(mut config: Config, entries: usize) -> usize {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (rules, repos) = (std::mem::take(&mut config.rules), config.sources[0].repos.clone());
    let looped = Arc::new(Loop {
        source: app::sources(&config, &clock).unwrap().remove(0).unwrap(),
        rules,
        renderer: Arc::new(app::renderer(&config).unwrap()),
        name: config.sources[0].name.clone(),
    });
    let notifier = app::notifiers(&config).unwrap().remove(0);
    let (sender, receiver) = tokio::sync::mpsc::channel(CONNECTIONS * 4);
    let fetch = tokio::spawn(async move {
        futures_util::stream::iter(repos)
            .for_each_concurrent(FETCHERS, |repo| {
                let (looped, sender) = (looped.clone(), sender.clone());
                async move {
                    tokio::spawn(async move { looped.walk(&repo, &sender).await }).await.unwrap();
                }
            })
            .await;
    });
    let sent = futures_util::stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|delivery| (delivery, receiver))
    })
    .map(|delivery| send(notifier.clone(), delivery))
    .buffer_unordered(CONNECTIONS)
    .take(entries)
    .count()
    .await;
    fetch.abort();
    sent
}

async fn send(notifier: Arc<dyn Notifier>, delivery: Delivery) {
    notifier.send(&delivery, delivery.created_at).await;
}

impl Loop {
    /// All of a repository's log, newest first.
    async fn walk(&self, repo: &Arc<str>, out: &tokio::sync::mpsc::Sender<Delivery>) {
        let limit = self.source.page_limit();
        let (mut offset, mut state) = (0, State::default());
        loop {
            let page = self.source.page(PageRequest { repo, offset, limit }).await.unwrap();
            for row in page.rows {
                let identity = row.identity();
                let entry = Arc::new(Entry {
                    id: EntryId::of(&self.name, repo, identity, out.capacity() as u32),
                    identity,
                    ordinal: 0,
                    revises: false,
                    source: self.name.clone(),
                    asked_repo: repo.clone(),
                    row,
                });
                for delivery in self.messages(&entry, &mut state) {
                    out.send(delivery).await.unwrap();
                }
            }
            offset += u64::from(page.len);
            if page.len < limit {
                break;
            }
        }
    }

    fn messages(&self, entry: &Arc<Entry>, state: &mut State) -> Vec<Delivery> {
        let now = SystemClock.now();
        let effects = decide(&self.rules, state, Input::Entry(entry), now);
        let intents = effects.intents.iter().zip(&effects.matched);
        let message = |(intent, &rule): (&triggerbell::domain::notification::Intent, &usize)| {
            let context = Context {
                id: intent.id,
                reason: intent.reason,
                rule: &intent.rule,
                labels: &self.rules.rules()[rule].labels,
                severity: intent.severity,
                entries: std::slice::from_ref(entry),
                count: intent.count,
                more: None,
                incident: None,
                digest: None,
                now,
                message: None,
                meant_for: None,
            };
            let request =
                RenderRequest { template: None, receiver: &intent.receiver, context: &context };
            let payload = self.renderer.render(&request).unwrap().remove(0).payload;
            Delivery {
                seq: 0,
                id: intent.id,
                receiver: intent.receiver.clone(),
                key: intent.key.digest,
                reason: intent.reason,
                attempt: 1,
                failures: 0,
                plain: false,
                created_at: now,
                payload,
                part_of: None,
                earlier: None,
            }
        };
        intents.map(message).collect()
    }
}
