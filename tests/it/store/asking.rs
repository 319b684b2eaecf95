//! Lists, filters, pages and counts.

use triggerbell::{
    domain::{
        entry::Entry,
        notification::{HeldBy, NotificationState},
    },
    ports::{Batch, EntryQuery, NotificationQuery, OutboxCount, RepoKey, SettleAs, Store},
};

use super::{Home, about, at, decided, entry, entry_of, failed_until, id, number, row};

fn entry_query(limit: usize) -> EntryQuery {
    EntryQuery { limit, ..EntryQuery::default() }
}

fn query(limit: usize) -> NotificationQuery {
    NotificationQuery { limit, ..NotificationQuery::default() }
}

async fn found(home: &Home, query: NotificationQuery) -> Vec<u32> {
    let list = home.notifications(query).await.unwrap();
    list.items.iter().map(|view| number(view.id)).collect()
}

async fn put_entries(home: &Home, entries: Vec<Entry>) {
    let entries = entries.into_iter().map(|entry| decided(entry, &[])).collect();
    home.commit(Batch { entries, ..Batch::default() }).await.unwrap();
}

#[tokio::test]
async fn entries_are_listed_newest_first_page_by_page() {
    let home = Home::new();
    put_entries(&home, (1..=7).map(|n| entry(n, &format!("v{n}"))).collect()).await;
    let (mut before, mut pages) = (None, Vec::new());
    loop {
        let list = home.entries(EntryQuery { before, ..entry_query(3) }).await.unwrap();
        pages.push(
            list.items.iter().map(|view| view.entry.row.wall_time.0 - 1_000).collect::<Vec<_>>(),
        );
        before = list.next;
        if before.is_none() {
            break;
        }
        // What comes meanwhile moves no page.
        put_entries(&home, vec![entry(50 + pages.len() as i64, "new")]).await;
    }
    assert_eq!(pages, [vec![7, 6, 5], vec![4, 3, 2], vec![1]]);
}

#[tokio::test]
async fn entries_are_filtered_by_source_and_by_the_repository_that_the_row_names() {
    let home = Home::new();
    let key = |source: &str, repo: &str| RepoKey { source: source.into(), repo: repo.into() };
    let mut unnamed = row(3, "c");
    unnamed.repo = None;
    let mut other = row(4, "d");
    other.repo = Some("shop/web".into());
    put_entries(
        &home,
        vec![
            entry_of(&key("shop", "shop/api"), row(1, "a"), 0),
            entry_of(&key("mall", "shop/api"), row(2, "b"), 0),
            entry_of(&key("shop", "shop/asked"), unnamed, 0),
            entry_of(&key("shop", "shop/asked"), other, 0),
        ],
    )
    .await;
    let tags = async |source: Option<&str>, repo: Option<&str>| {
        let filter = |text: Option<&str>| text.map(str::to_owned);
        let query = EntryQuery { source: filter(source), repo: filter(repo), ..entry_query(9) };
        let list = home.entries(query).await.unwrap();
        list.items
            .iter()
            .map(|view| view.entry.row.tag.clone().unwrap())
            .collect::<Vec<_>>()
            .concat()
    };
    assert_eq!(tags(None, None).await, "dcba");
    assert_eq!(tags(Some("shop"), None).await, "dca");
    assert_eq!(tags(None, Some("shop/api")).await, "ba");
    assert_eq!(tags(Some("mall"), Some("shop/api")).await, "b");
    assert_eq!(tags(None, Some("shop/asked")).await, "c");
    assert_eq!(tags(None, Some("shop/web")).await, "d");
    assert_eq!(tags(None, Some("nowhere")).await, "");
    assert_eq!(tags(Some("nowhere"), None).await, "");
}

#[tokio::test]
async fn an_entry_knows_every_notification_that_tells_of_it() {
    let home = Home::new();
    let (one, two, three) = (entry(1, "a"), entry(2, "b"), entry(3, "c"));
    put_entries(&home, vec![one.clone(), two.clone()]).await;
    let telling = |n, entries: &[&Entry]| {
        let mut new = about(n, "ops", &format!("k{n}"));
        new.entries = entries.iter().map(|entry| entry.id).collect();
        new
    };
    home.commit(Batch {
        entries: vec![decided(three.clone(), &[])],
        notifications: vec![
            telling(1, &[&one]),
            telling(2, &[&one, &two, &three]),
            telling(3, &[&three, &one]),
            telling(4, &[&two]),
        ],
        ..Batch::default()
    })
    .await
    .unwrap();
    for (entry, expected) in [(&one, vec![1, 2, 3]), (&two, vec![2, 4]), (&three, vec![2, 3])] {
        let view = home.entry(entry.id).await.unwrap().unwrap();
        assert_eq!(view.notifications.into_iter().map(number).collect::<Vec<_>>(), expected);
    }
    let view = home.notification(id(2)).await.unwrap().unwrap().0;
    assert_eq!(view.entries, [one.id, two.id, three.id]);
    assert!(home.entry(entry(9, "z").id).await.unwrap().is_none());
    assert!(home.notification(id(9)).await.unwrap().is_none());
}

#[tokio::test]
async fn notifications_are_listed_and_filtered() {
    let home = Home::new();
    let mut held = about(5, "ops", "e");
    (held.held_by, held.payload, held.rule) = (Some(HeldBy::Shadow), None, "quiet".into());
    let first = vec![about(1, "ops", "a"), about(2, "dev", "b"), about(3, "ops", "c")];
    home.put(first).await;
    let claimed = home.claim_for("ops", 2, at(9)).await;
    home.settle_as(&claimed[0], SettleAs::Delivered, at(9)).await;
    home.settle_as(&claimed[1], SettleAs::Dead, at(9)).await;
    home.put(vec![about(4, "ops", "d"), held]).await;

    assert_eq!(found(&home, query(9)).await, [5, 4, 3, 2, 1]);
    let of_state = |state| NotificationQuery { state: Some(state), ..query(9) };
    assert_eq!(found(&home, of_state(NotificationState::Pending)).await, [4, 2]);
    assert_eq!(found(&home, of_state(NotificationState::Delivered)).await, [1]);
    assert_eq!(found(&home, of_state(NotificationState::Dead)).await, [3]);
    assert_eq!(found(&home, of_state(NotificationState::Held)).await, [5]);
    let of = |receiver: Option<&str>, rule: Option<&str>| NotificationQuery {
        receiver: receiver.map(str::to_owned),
        rule: rule.map(str::to_owned),
        ..query(9)
    };
    assert_eq!(found(&home, of(Some("ops"), None)).await, [5, 4, 3, 1]);
    assert_eq!(found(&home, of(Some("ops"), Some("quiet"))).await, [5]);
    assert_eq!(found(&home, of(Some("dev"), Some("quiet"))).await, [] as [u32; 0]);
    assert_eq!(found(&home, of(Some("nobody"), None)).await, [] as [u32; 0]);

    let page = home.notifications(query(2)).await.unwrap();
    let rest = NotificationQuery { before: page.next, ..query(9) };
    assert_eq!(found(&home, rest).await, [3, 2, 1]);
    assert_eq!(home.notifications(query(5)).await.unwrap().next, None);
}

#[tokio::test]
async fn a_notification_is_shown_as_it_was_decided() {
    let home = Home::new();
    let mut held = about(2, "ops", "a");
    (held.held_by, held.payload) = (Some(HeldBy::Silenced), None);
    home.put(vec![about(1, "ops", "a"), held]).await;
    let (view, payload, attempts) = home.notification(id(1)).await.unwrap().unwrap();
    let new = about(1, "ops", "a");
    assert_eq!((view.id, view.key, view.created_at), (new.id, new.key_json, new.created_at));
    assert_eq!(
        (&*view.receiver, &*view.rule, &*view.source),
        ("ops", "prod-deploy-failed", "shop")
    );
    assert_eq!((view.reason, view.severity), (new.reason, new.severity));
    assert_eq!((view.attempts, view.last_outcome, view.folded_into), (0, None, None));
    assert_eq!((payload, attempts), (new.payload, vec![]));
    let (view, payload, _) = home.notification(id(2)).await.unwrap().unwrap();
    assert_eq!((view.state, view.held_by), (NotificationState::Held, Some(HeldBy::Silenced)));
    assert_eq!((payload, view.next_attempt_at), (None, None));
}

#[tokio::test]
async fn the_outbox_counts_what_waits_and_what_is_dead() {
    let home = Home::new();
    let mut held = about(9, "ops", "h");
    (held.held_by, held.payload) = (Some(HeldBy::Shadow), None);
    home.put(vec![about(1, "ops", "a"), about(2, "ops", "a"), about(3, "ops", "b"), held]).await;
    home.put(vec![about(4, "dev", "a")]).await;
    let claimed = home.claim_for("ops", 9, at(9)).await;
    home.settle_as(&claimed[0], failed_until(at(90)), at(9)).await;
    let count = |receiver: &str, waiting, oldest_at, dead| OutboxCount {
        receiver: receiver.into(),
        waiting,
        oldest_at,
        dead,
    };
    let counts = [count("dev", 1, Some(at(4)), 0), count("ops", 3, Some(at(1)), 0)];
    assert_eq!(home.outbox().await.unwrap(), counts);

    home.settle_as(&claimed[1], SettleAs::Dead, at(9)).await;
    let dev = home.claim_for("dev", 9, at(9)).await;
    home.settle_as(&dev[0], SettleAs::Delivered, at(9)).await;
    assert_eq!(home.outbox().await.unwrap(), [count("ops", 2, Some(at(1)), 1)]);
}

#[tokio::test]
async fn entries_are_found_many_at_once_and_those_that_are_gone_are_left_out() {
    let home = Home::new();
    let entries: Vec<_> = (1..=3).map(|n| entry(n, &format!("v{n}"))).collect();
    let put = entries[..2].iter().cloned().map(|entry| decided(entry, &[])).collect();
    home.commit(Batch { entries: put, ..Batch::default() }).await.unwrap();
    let ids = [2, 1, 0].map(|n: usize| entries[n].id).to_vec();
    let mut found = home.entries_by_id(ids).await.unwrap();
    found.sort_by_key(|entry| entry.row.time);
    assert_eq!(found, entries[..2]);
}
