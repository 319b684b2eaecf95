//! Two rule sets over the same entries, in step: what the new one would tell that the old one does
//! not, what it would no longer tell, and what it would tell otherwise.
//!
//! Both are rehearsals, so each decides as the service would. A message is the same in both where it
//! has the same id, or is the same news, of the same rule, for the same receiver: ids count incidents,
//! of which one set may have seen more. What has no counterpart waits for a while, for the other set
//! may tell it later; nothing but that is kept. Deliberately absent: the text of a message
//! ([`Wording`]), and what is held in both, which nobody sees.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;

use super::{
    entry::{Entry, EntryId},
    notification::{HeldBy, Intent, NotificationId, Reason, words},
    rehearsal::{Decided, Fed, Rehearsal},
    rule::RuleSet,
};

/// So many messages may wait for a counterpart; the oldest is a difference then.
const WAITING: usize = 20_000;

/// How long time goes on after the last entry, so that what waits can still leave.
pub const WIND_DOWN: Duration = Duration::from_secs(24 * 3600);

words! {
    /// How the new rule set differs in a message.
    Change {
        /// The new one tells it, and the old one does not.
        Added = "added",
        /// The old one tells it, and the new one does not.
        Gone = "gone",
        /// It goes to another receiver.
        Rerouted = "re-routed",
        /// It says something else.
        Reworded = "re-worded",
        /// It leaves at another time.
        Moved = "moved",
    }
}

/// Which rule set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The one that is changed.
    Old,
    /// The one that it is changed to.
    New,
}

/// A message of one side.
#[derive(Debug, Clone)]
pub struct Message {
    /// When it was decided, and what.
    pub decided: Decided,
    /// The last entry that it lists, where there is one.
    pub entry: Option<Arc<Entry>>,
}

/// A difference.
#[derive(Debug, Clone)]
pub struct Difference {
    /// Which kind.
    pub change: Change,
    /// The old side's message; `None` where it is added.
    pub old: Option<Message>,
    /// The new side's message; `None` where it is gone.
    pub new: Option<Message>,
    /// What holds it on the side that does not tell it, where something does.
    pub held_by: Option<HeldBy>,
    /// Both texts, where it is re-worded.
    pub texts: Option<(String, String)>,
}

/// What messages say.
pub trait Wording {
    /// Whether two messages of one id say the same for certain, so that there is nothing to render.
    fn is_same(&self, old: &Decided, new: &Decided) -> bool;

    /// All that a message says, its entries in its order.
    fn text(&self, side: Side, decided: &Decided, entries: &[Arc<Entry>]) -> String;
}

/// What a step came to.
#[derive(Debug, Default)]
pub struct Step {
    /// What the old rule set made of it.
    pub old: Fed,
    /// What the new one made of it.
    pub new: Fed,
    /// Differences that are certain by now.
    pub differences: Vec<Difference>,
}

/// Lets what waits leave after the last entry. Reminders and absences are left out: of that time the
/// history says nothing.
pub fn wind_down(rehearsal: &mut Rehearsal<'_>) -> Vec<Decided> {
    let end = rehearsal.now().checked_add(WIND_DOWN).unwrap_or(Timestamp::MAX);
    let mut decided = rehearsal.advance(end);
    decided.retain(|it| !matches!(it.intent.reason, Reason::Reminder | Reason::Absent));
    decided
}

/// Two rule sets in step.
pub struct Comparison<'r> {
    old: Rehearsal<'r>,
    new: Rehearsal<'r>,
    /// What has no counterpart yet, and in what order it came.
    alone: HashMap<NotificationId, Alone>,
    order: VecDeque<NotificationId>,
    /// The same by what they tell: the last of each side.
    by_news: HashMap<(Side, Told), NotificationId>,
}

struct Alone {
    side: Side,
    message: Message,
    held_by: Option<HeldBy>,
}

impl<'r> Comparison<'r> {
    /// Both begin at an instant and remember nothing.
    pub fn new(old: &'r RuleSet, new: &'r RuleSet, start: Timestamp) -> Self {
        Self {
            old: Rehearsal::new(old, start),
            new: Rehearsal::new(new, start),
            alone: HashMap::new(),
            order: VecDeque::new(),
            by_news: HashMap::new(),
        }
    }

    /// Has both decide an entry.
    pub fn feed(&mut self, entry: &Arc<Entry>, at: Timestamp, wording: &dyn Wording) -> Step {
        let old = self.old.feed(entry, at);
        let new = self.new.feed(entry, at);
        let differences = self.compare(&old.decided, &new.decided, wording);
        Step { old, new, differences }
    }

    /// Lets what waits leave, and says what is different after all.
    pub fn finish(&mut self, wording: &dyn Wording) -> Step {
        let old = Fed { decided: wind_down(&mut self.old), ..Fed::default() };
        let new = Fed { decided: wind_down(&mut self.new), ..Fed::default() };
        let mut differences = self.compare(&old.decided, &new.decided, wording);
        self.settle(0, &mut differences);
        Step { old, new, differences }
    }

    fn compare(
        &mut self,
        old: &[Decided],
        new: &[Decided],
        wording: &dyn Wording,
    ) -> Vec<Difference> {
        if old.is_empty() && new.is_empty() {
            return Vec::new();
        }
        let mut differences = Vec::new();
        let mut here: HashMap<NotificationId, &Decided> =
            sent(new).map(|one| (one.intent.id, one)).collect();
        let mut left = Vec::new();
        for one in sent(old) {
            match here.remove(&one.intent.id) {
                Some(other) => differences.extend(self.in_both(one, other, wording)),
                None => left.push(one),
            }
        }
        let right: Vec<_> = sent(new).filter(|one| here.contains_key(&one.intent.id)).collect();
        let (left, right) = self.pair(left, right, wording, &mut differences);
        self.keep(Side::Old, left, new, &mut differences);
        self.keep(Side::New, right, old, &mut differences);
        self.settle(WAITING, &mut differences);
        differences
    }

    /// What is different in a message that both tell now.
    fn in_both(&self, old: &Decided, new: &Decided, wording: &dyn Wording) -> Option<Difference> {
        if old.at != new.at {
            return Some(self.between(Change::Moved, old, new));
        }
        let said = counted_as(&old.intent, new);
        if wording.is_same(old, &said) {
            return None;
        }
        let texts = self.texts(old, &said, wording)?;
        Some(Difference { texts: Some(texts), ..self.between(Change::Reworded, old, new) })
    }

    /// Both texts, where they are not one.
    fn texts(
        &self,
        old: &Decided,
        new: &Decided,
        wording: &dyn Wording,
    ) -> Option<(String, String)> {
        let was = wording.text(Side::Old, old, &self.old.entries(&old.intent));
        let is = wording.text(Side::New, new, &self.new.entries(&new.intent));
        (was != is).then_some((was, is))
    }

    fn reworded(&self, old: &Decided, new: &Decided, wording: &dyn Wording) -> Option<Difference> {
        let texts = self.texts(old, new, wording)?;
        Some(Difference { texts: Some(texts), ..self.between(Change::Reworded, old, new) })
    }

    fn between(&self, change: Change, old: &Decided, new: &Decided) -> Difference {
        Difference {
            change,
            old: Some(message(&self.old, old)),
            new: Some(message(&self.new, new)),
            held_by: None,
            texts: None,
        }
    }

    /// Finds the same news of one rule for one receiver, which another number of incidents gave another
    /// id; of one rule for another receiver; and for one receiver of another rule.
    fn pair<'d>(
        &self,
        old: Vec<&'d Decided>,
        new: Vec<&'d Decided>,
        wording: &dyn Wording,
        differences: &mut Vec<Difference>,
    ) -> (Vec<&'d Decided>, Vec<&'d Decided>) {
        if old.is_empty() || new.is_empty() {
            return (old, new);
        }
        let (old, new) = matched(old, new, told, |old, new| {
            differences.extend(self.in_both(old, new, wording));
        });
        let by_rule = |it: &Intent| (News::of(it), it.rule.clone());
        let (old, new) = matched(old, new, by_rule, |old, new| {
            differences.push(self.between(Change::Rerouted, old, new));
        });
        let by_receiver = |it: &Intent| (News::of(it), it.receiver.clone());
        matched(old, new, by_receiver, |old, new| {
            differences.extend(self.reworded(old, new, wording));
        })
    }

    /// Keeps what has no counterpart, unless that came before and waits for it.
    fn keep(
        &mut self,
        side: Side,
        messages: Vec<&Decided>,
        others: &[Decided],
        differences: &mut Vec<Difference>,
    ) {
        for one in messages {
            let id = one.intent.id;
            let rehearsal = if side == Side::Old { &self.old } else { &self.new };
            let message = message(rehearsal, one);
            if let Some(other) = self.take_counterpart(side, &one.intent) {
                let (old, new) = match side {
                    Side::Old => (message, other.message),
                    Side::New => (other.message, message),
                };
                differences.push(Difference {
                    change: Change::Moved,
                    old: Some(old),
                    new: Some(new),
                    held_by: None,
                    texts: None,
                });
                continue;
            }
            let held_by = others.iter().find(|it| it.intent.id == id);
            let held_by = held_by.and_then(|it| it.intent.held_by);
            self.order.push_back(id);
            self.by_news.insert((side, told(&one.intent)), id);
            self.alone.insert(id, Alone { side, message, held_by });
        }
    }

    /// What the other side told before and waits for this: of the same id, else the same news of the
    /// same rule for the same receiver.
    fn take_counterpart(&mut self, side: Side, intent: &Intent) -> Option<Alone> {
        let other = if side == Side::Old { Side::New } else { Side::Old };
        let of_the_id = self.alone.get(&intent.id).filter(|it| it.side == other);
        let id = match of_the_id {
            Some(_) => intent.id,
            None => *self.by_news.get(&(other, told(intent)))?,
        };
        self.take(id)
    }

    /// Takes out what waits under an id.
    fn take(&mut self, id: NotificationId) -> Option<Alone> {
        let alone = self.alone.remove(&id)?;
        let news = (alone.side, told(&alone.message.decided.intent));
        if self.by_news.get(&news) == Some(&id) {
            self.by_news.remove(&news);
        }
        Some(alone)
    }

    /// What has waited longest is a difference, down to so many.
    fn settle(&mut self, most: usize, differences: &mut Vec<Difference>) {
        while self.order.len() > most {
            let Some(id) = self.order.pop_front() else { return };
            let Some(Alone { side, message, held_by }) = self.take(id) else { continue };
            let (change, old, new) = match side {
                Side::Old => (Change::Gone, Some(message), None),
                Side::New => (Change::Added, None, Some(message)),
            };
            differences.push(Difference { change, old, new, held_by, texts: None });
        }
    }
}

/// What a message tells of, whoever it is for and whichever rule says so.
#[derive(Debug, PartialEq, Eq, Hash)]
struct News {
    reason: Reason,
    entries: Vec<EntryId>,
    count: u64,
}

impl News {
    fn of(intent: &Intent) -> Self {
        Self { reason: intent.reason, entries: intent.entries.clone(), count: intent.count }
    }
}

/// News, and of which rule and for whom.
type Told = (News, Arc<str>, Arc<str>);

fn told(intent: &Intent) -> Told {
    (News::of(intent), intent.rule.clone(), intent.receiver.clone())
}

fn sent(decided: &[Decided]) -> impl Iterator<Item = &Decided> {
    decided.iter().filter(|one| one.intent.held_by.is_none())
}

/// Takes out pairs that are the same by some measure, in order; gives what is left.
fn matched<'d, K: std::hash::Hash + Eq>(
    old: Vec<&'d Decided>,
    new: Vec<&'d Decided>,
    key: impl Fn(&Intent) -> K,
    mut pair: impl FnMut(&'d Decided, &'d Decided),
) -> (Vec<&'d Decided>, Vec<&'d Decided>) {
    let mut by_key: HashMap<K, VecDeque<usize>> = HashMap::new();
    for (index, one) in new.iter().enumerate() {
        by_key.entry(key(&one.intent)).or_default().push_back(index);
    }
    let mut taken = vec![false; new.len()];
    let mut left = Vec::new();
    for one in old {
        match by_key.get_mut(&key(&one.intent)).and_then(VecDeque::pop_front) {
            Some(index) => {
                taken[index] = true;
                pair(one, new[index]);
            }
            None => left.push(one),
        }
    }
    let right = new.into_iter().zip(taken).filter(|(_, taken)| !taken).map(|(one, _)| one);
    (left, right.collect())
}

/// A message under the ids that the other side gives it and what it follows, where both follow something:
/// that they differ is no news to anybody.
fn counted_as(old: &Intent, new: &Decided) -> Decided {
    let mut same = new.clone();
    same.intent.id = old.id;
    same.intent.follows = same.intent.follows.and(old.follows.or(same.intent.follows));
    if let (Some(was), Some(is)) = (&old.incident, &mut same.intent.incident) {
        is.first_id = is.first_id.and(was.first_id.or(is.first_id));
    }
    same
}

fn message(rehearsal: &Rehearsal<'_>, decided: &Decided) -> Message {
    let entry = rehearsal.entries(&decided.intent).pop();
    Message { decided: decided.clone(), entry }
}
