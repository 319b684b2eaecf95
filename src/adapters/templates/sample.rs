//! Samples: entries to try templates on, to show them by, and to send as a test.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};

use crate::{
    domain::{
        digest::Tally,
        entry::{Entry, EntryId, Row, WallTime},
        incident::IncidentView,
        notification::{NotificationId, Reason, words},
        rule::Severity,
    },
    ports::Context,
};

words! {
    /// What a sample is a sample of.
    Sample {
        /// An update that failed.
        Failure = "failure",
        /// An update that succeeded.
        Success = "success",
        /// An update whose result is not known.
        Unknown = "unknown",
        /// An update whose every text tries to be more than text.
        Hostile = "hostile",
        /// An entry with a time and nothing else.
        Bare = "bare",
    }
}

/// Text that would mention, link, colour and break out, were it not for escaping.
const HOSTILE: &str = "\"}],\\ <!channel> <http://evil|safe> [safe](http://evil) ```\n# `x` \
                       <font color=\"warning\">@all</font> <@U012AB3CD>\u{202e}\u{0}";

/// An entry of that kind. The same each time.
pub fn sample_entry(sample: Sample) -> Entry {
    let time = Timestamp::from_second(1_772_413_205).unwrap_or_default();
    let mut row = Row::at(WallTime(1_772_442_005), time);
    if sample != Sample::Bare {
        fill(&mut row, sample);
    }
    let identity = row.identity();
    let asked_repo = "shop/api";
    Entry {
        id: EntryId::of("shop", asked_repo, identity, 0),
        identity,
        ordinal: 0,
        revises: false,
        source: "shop".into(),
        asked_repo: asked_repo.into(),
        row,
    }
}

fn fill(row: &mut Row, sample: Sample) {
    let text = |usual: &str| -> Option<Box<str>> {
        Some(if sample == Sample::Hostile { HOSTILE.into() } else { usual.into() })
    };
    row.repo = text("shop/api");
    row.tag = text("v1.2.3");
    row.trigger = text("deploy-prod");
    row.invoke_source = text("IMAGE_PUSH");
    row.invoke_action = text("SERVICE_UPDATE");
    row.invoke_method = text("regex");
    row.invoke_expr = text(r"v\d+\.\d+\.\d+");
    row.app_id = text("1254119589");
    row.service = text("api");
    row.cluster_id = text("cls-666666");
    row.namespace = text("production");
    row.container = text("api");
    row.cluster_region = Some(1);
    (row.return_code, row.return_msg) = match sample {
        Sample::Success => (Some(0), text("ok")),
        Sample::Unknown => (None, None),
        _ => (Some(404), text("kube Resurces NotFound")),
    };
}

/// What a test message about those entries is rendered from; the last is `entry`.
pub fn sample_context<'a>(
    entries: &'a [Arc<Entry>],
    labels: &'a BTreeMap<String, String>,
    reason: Reason,
    now: Timestamp,
) -> Context<'a> {
    Context {
        id: NotificationId::of_event("sample", "sample", reason, now.as_millisecond()),
        reason,
        rule: if matches!(reason, Reason::Alarm | Reason::Test) {
            ""
        } else {
            "prod-deploy-failed"
        },
        labels,
        severity: Severity::Critical,
        entries,
        count: entries.len() as u64,
        more: None,
        incident: sample_incident(entries, reason, now),
        digest: (reason == Reason::Digest).then_some(Tally {
            failing: 31,
            matched: 4,
            recovered: 8,
            over: 17,
        }),
        now,
        message: None,
        meant_for: None,
    }
}

/// The incident of a sample message, for the reasons that have one.
fn sample_incident(entries: &[Arc<Entry>], reason: Reason, now: Timestamp) -> Option<IncidentView> {
    let has_one = matches!(
        reason,
        Reason::Failing
            | Reason::Recovered
            | Reason::Reminder
            | Reason::Threshold
            | Reason::Absent
            | Reason::Returned
            | Reason::Flapping
            | Reason::Storm
    );
    let since =
        entries.first().map_or(now, |entry| entry.row.time) - SignedDuration::from_secs(754);
    // A message that is the first of its incident refers to itself.
    let first = if reason.followed_by(Reason::Recovered).is_some() && reason != Reason::Reminder {
        NotificationId::of_event("sample", "sample", reason, now.as_millisecond())
    } else {
        NotificationId::of_event("sample", "sample", Reason::Failing, 0)
    };
    let first_id = Some(first);
    has_one.then_some(IncidentView { since, duration_s: 754, count: 3, first_id })
}

/// Calls `each` with samples of every kind for every reason, until it finds something.
pub(super) fn sample_contexts<T>(
    mut each: impl FnMut(Sample, &Context<'_>) -> Option<T>,
) -> Option<T> {
    let labels = BTreeMap::from([
        ("team".to_owned(), "shop".to_owned()),
        ("note".to_owned(), HOSTILE.to_owned()),
    ]);
    let none = BTreeMap::new();
    for &sample in Sample::ALL {
        let one = [Arc::new(sample_entry(sample))];
        let three = [Arc::clone(&one[0]), Arc::clone(&one[0]), Arc::clone(&one[0])];
        let message = if sample == Sample::Hostile { HOSTILE } else { "source shop is blind" };
        let now = one[0].row.time;
        for &reason in Reason::ALL {
            let mut context = sample_context(&one, &labels, reason, now);
            let found = each(sample, &context);
            context.entries = &three;
            context.count = 7;
            context.labels = &none;
            let found = found.or_else(|| each(sample, &context));
            context.entries = &[];
            context.count = 0;
            context.message = Some(message);
            let found = found.or_else(|| each(sample, &context));
            if found.is_some() {
                return found;
            }
        }
    }
    None
}
