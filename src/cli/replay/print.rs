//! A replay as text, as Markdown and as JSON.
//!
//! JSON names every message or difference, written while they are decided, so that none of them is
//! kept; text and Markdown count them and show a few. Deliberately absent: the counting (`report`).

use std::{
    fmt::Write as _,
    io::{self, BufWriter, Stdout, Write as _},
};

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::{
    cli::{
        exit::Failure,
        local::shown,
        output,
        table::{Table, printable},
    },
    domain::{
        comparison::{Change, Difference, Message},
        field::Field,
        notification::Reason,
        rehearsal::{Decided, Rehearsal},
    },
};

use super::{
    Format,
    report::{self, About, Differences, ReceiverTally, Tally},
};

/// The longest line of a text that is shown.
const LINE_CHARS: usize = 200;

/// Prints a replay, the list of which is written as it comes.
pub(super) struct Printer {
    format: Format,
    /// Of the times that people read; programs read UTC.
    zone: TimeZone,
    /// Where JSON goes; the list is open until the end.
    out: BufWriter<Stdout>,
    any: bool,
    list: &'static str,
}

impl Printer {
    /// Begins with a list of that name.
    pub(super) fn begin(format: Format, list: &'static str, zone: TimeZone) -> Self {
        Self { format, zone, out: BufWriter::new(io::stdout()), any: false, list }
    }

    /// Messages that are sent.
    pub(super) fn messages(
        &mut self,
        decided: &[Decided],
        rehearsal: &Rehearsal<'_>,
    ) -> Result<(), Failure> {
        if self.format != Format::Json {
            return Ok(());
        }
        for one in decided.iter().filter(|one| one.intent.held_by.is_none()) {
            self.item(&report::message(one, rehearsal.entries(&one.intent).last()))?;
        }
        Ok(())
    }

    /// A difference.
    pub(super) fn difference(&mut self, difference: &Difference) -> Result<(), Failure> {
        if self.format != Format::Json {
            return Ok(());
        }
        self.item(&report::difference(difference))
    }

    fn item(&mut self, item: &Value) -> Result<(), Failure> {
        let before =
            if self.any { ",\n  ".to_owned() } else { format!("{{\"{}\": [\n  ", self.list) };
        self.any = true;
        write!(self.out, "{before}{item}").map_err(output::failed)
    }

    /// Ends the list and adds what else there is to say.
    fn end(&mut self, rest: &Value) -> Result<(), Failure> {
        let list = if self.any { "\n],".to_owned() } else { format!("{{\"{}\": [],", self.list) };
        let rest = format!("{rest:#}");
        // An object's text without its first brace.
        let rest = rest.strip_prefix('{').unwrap_or(&rest);
        writeln!(self.out, "{list}{rest}").and_then(|()| self.out.flush()).map_err(output::failed)
    }

    /// What one rule set did.
    pub(super) fn alone(&mut self, about: &About, tally: &Tally) -> Result<(), Failure> {
        match self.format {
            Format::Json => self.end(&json!({ "history": about.json(), "rules": tally.json() })),
            Format::Text => output::print(alone(about, tally, &self.zone, &Plain)),
            Format::Markdown => output::print(alone(about, tally, &self.zone, &Markdown)),
        }
    }

    /// What the new rule set changes.
    pub(super) fn compared(
        &mut self,
        about: &About,
        [old, new]: &[Tally; 2],
        differences: &Differences,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Json => {
                let (changes, receivers) = differences.json();
                self.end(&json!({
                    "different": !differences.is_empty(), "changes": changes,
                    "receivers": receivers, "history": about.json(), "old": old.json(),
                    "new": new.json(),
                }))
            }
            Format::Text => {
                output::print(compared(about, (old, new), differences, &self.zone, &Plain))
            }
            Format::Markdown => {
                output::print(compared(about, (old, new), differences, &self.zone, &Markdown))
            }
        }
    }
}

/// How titles, tables and lists look.
trait Style {
    fn title(&self, text: &str) -> String;
    fn heading(&self, text: &str) -> String;
    fn table(&self, head: &[&str], rows: Vec<Vec<String>>) -> String;
    fn item(&self, mark: char, text: &str) -> String;
    fn word(&self, text: &str) -> String;
}

struct Plain;

impl Style for Plain {
    fn title(&self, text: &str) -> String {
        format!("{text}\n")
    }

    fn heading(&self, text: &str) -> String {
        format!("\n{text}\n")
    }

    fn table(&self, head: &[&str], rows: Vec<Vec<String>>) -> String {
        let head: Vec<String> = head.iter().map(|it| it.to_uppercase()).collect();
        let mut table = Table::new(&head.iter().map(String::as_str).collect::<Vec<_>>());
        rows.into_iter().for_each(|row| table.row(row));
        format!("\n{}", table.render())
    }

    fn item(&self, mark: char, text: &str) -> String {
        format!("  {mark} {text}\n")
    }

    fn word(&self, text: &str) -> String {
        printable(text)
    }
}

struct Markdown;

impl Style for Markdown {
    fn title(&self, text: &str) -> String {
        format!("### {text}\n\n")
    }

    fn heading(&self, text: &str) -> String {
        format!("\n**{text}**\n\n")
    }

    fn table(&self, head: &[&str], rows: Vec<Vec<String>>) -> String {
        let line = |cells: &mut dyn Iterator<Item = String>| {
            format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
        };
        let mut text = "\n".to_owned();
        text += &line(&mut head.iter().map(|it| (*it).to_owned()));
        text += &line(&mut head.iter().map(|_| "---".to_owned()));
        for row in rows {
            text += &line(&mut row.iter().map(|cell| escaped(cell)));
        }
        text
    }

    fn item(&self, mark: char, text: &str) -> String {
        format!("- `{mark}` {text}\n")
    }

    fn word(&self, text: &str) -> String {
        escaped(text)
    }
}

/// Foreign text in Markdown, so that it is no markup and mentions nobody.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in printable(text).chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '!' => safe.extend(['\\', c]),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            // An empty comment parts what would be a mention.
            '@' => safe.push_str("@<!-- -->"),
            c => safe.push(c),
        }
    }
    safe
}

fn alone(about: &About, tally: &Tally, zone: &TimeZone, style: &dyn Style) -> String {
    let mut text = style.title(&format!("Replay of {}", about.text(zone)));
    let _ = writeln!(
        text,
        "rules of {}: {} entries matched, {} messages, {} held",
        style.word(&tally.name),
        tally.matched,
        tally.messages(),
        tally.held()
    );
    let receivers = tally.receivers.iter().map(|(name, it)| {
        let pace = it.load.pace().map_or("-".to_owned(), |pace| pace.to_string());
        let peak = it.peak().to_string();
        vec![name.to_string(), it.load.messages().to_string(), reasons(it), peak, pace, it.delay()]
    });
    let head = ["Receiver", "Messages", "Reasons", "Peak/min", "Pace", "Longest delay"];
    text += &style.table(&head, receivers.collect());
    let rules = tally.rules.iter().map(|rule| {
        let held = rule.held.iter().map(|(by, count)| format!("{by} {count}"));
        let held = none_or(held.collect::<Vec<_>>().join(", "));
        vec![rule.name.to_string(), rule.matched.to_string(), rule.messages.to_string(), held]
    });
    text += &style.table(&["Rule", "Matched", "Messages", "Held by"], rules.collect());
    text
}

fn none_or(text: String) -> String {
    if text.is_empty() { "-".to_owned() } else { text }
}

fn reasons(tally: &ReceiverTally) -> String {
    let all = tally.reasons.iter().map(|(reason, count)| format!("{reason} {count}"));
    none_or(all.collect::<Vec<_>>().join(", "))
}

fn compared(
    about: &About,
    (old, new): (&Tally, &Tally),
    differences: &Differences,
    zone: &TimeZone,
    style: &dyn Style,
) -> String {
    let mut text = style.title(&format!("Replay of {}", about.text(zone)));
    let (was, is) = (style.word(&old.name), style.word(&new.name));
    let _ =
        writeln!(text, "from the old rules, {was}, to the new ones, {is}: {}", sum(differences));
    let names = old.receivers.keys().chain(new.receivers.keys());
    let names: std::collections::BTreeSet<_> = names.collect();
    let rows = names.into_iter().map(|name| {
        let (old, new) = (old.receivers.get(name), new.receivers.get(name));
        let both = |of: &dyn Fn(&ReceiverTally) -> String| {
            let [old, new] = [old, new].map(|it| it.map_or("-".to_owned(), of));
            if old == new { old } else { format!("{old} → {new}") }
        };
        let mut row = vec![name.to_string(), both(&|it| it.load.messages().to_string())];
        row.extend(Change::ALL.iter().map(|&it| differences.of(name, it).to_string()));
        row.push(both(&|it| it.peak().to_string()));
        row.push(both(&|it| it.load.pace().map_or("-".to_owned(), |pace| pace.to_string())));
        row.push(both(&ReceiverTally::delay));
        row
    });
    let head = [
        "Receiver",
        "Messages",
        "Added",
        "Gone",
        "Re-routed",
        "Re-worded",
        "Moved",
        "Peak/min",
        "Pace",
        "Longest delay",
    ];
    text += &style.table(&head, rows.collect());
    for (&change, examples) in &differences.examples {
        let count = differences.count(change);
        let shown = examples.len();
        let more = if count > shown as u64 { format!(", {shown} of them") } else { String::new() };
        text += &style.heading(&format!("{change} {count}{more}"));
        for example in examples {
            let (mark, line) = one(example, zone, style);
            text += &style.item(mark, &line);
            if let Some((was, is)) = &example.texts {
                text += &reworded(was, is, style);
            }
        }
    }
    text
}

/// All changes in a line.
fn sum(differences: &Differences) -> String {
    if differences.is_empty() {
        return "no difference".to_owned();
    }
    let some = Change::ALL.iter().filter(|it| differences.count(**it) > 0);
    let some = some.map(|&it| format!("{} {it}", differences.count(it)));
    some.collect::<Vec<_>>().join(", ")
}

/// A difference in a line.
fn one(of: &Difference, zone: &TimeZone, style: &dyn Style) -> (char, String) {
    let about = |message: &Message| {
        let Decided { at, intent } = &message.decided;
        let rule = style.word(&intent.rule);
        let at = shown(*at, zone);
        format!("{at} {rule} {}{}", intent.reason, headline(message, style))
    };
    let receiver = |message: &Message| message.decided.intent.receiver.clone();
    let held = |word: &str| of.held_by.map_or(String::new(), |by| format!(" ({word} by {by})"));
    match (&of.old, &of.new) {
        (None, Some(new)) => {
            ('+', format!("{} · {}{}", receiver(new), about(new), held("was held")))
        }
        (Some(old), None) => {
            ('-', format!("{} · {}{}", receiver(old), about(old), held("is held")))
        }
        (Some(old), Some(new)) => {
            let line = about(new);
            match of.change {
                Change::Rerouted => {
                    ('>', format!("{} → {} · {line}", receiver(old), receiver(new)))
                }
                Change::Moved => {
                    let was = shown(old.decided.at, zone);
                    ('~', format!("{} · {line} (was at {was})", receiver(new)))
                }
                _ if old.decided.intent.rule != new.decided.intent.rule => {
                    let was = style.word(&old.decided.intent.rule);
                    ('*', format!("{} · {line} (was of {was})", receiver(new)))
                }
                _ => ('*', format!("{} · {line}", receiver(new))),
            }
        }
        (None, None) => (' ', String::new()),
    }
}

fn headline(message: &Message, style: &dyn Style) -> String {
    let intent = &message.decided.intent;
    if matches!(intent.reason, Reason::Summary) || intent.count > 1 {
        return format!(" · {} entries", intent.count);
    }
    let Some(entry) = &message.entry else { return String::new() };
    let fields = [Field::Repo, Field::Tag, Field::Service, Field::ReturnCode];
    let some = fields.iter().filter_map(|&field| {
        let text = entry.text(field)?;
        Some(format!("{} {}", field.name(), style.word(&cut(&text))))
    });
    format!(" · {}", some.collect::<Vec<_>>().join(" · "))
}

fn cut(text: &str) -> String {
    text.chars().take(LINE_CHARS).collect()
}

/// The first line in which two texts differ, of both.
fn reworded(was: &str, is: &str, style: &dyn Style) -> String {
    let (was, is) = (lines(was), lines(is));
    let first = was.iter().zip(&is).take_while(|(one, other)| one == other).count();
    let line = |of: &[String]| of.get(first).map_or(String::new(), |line| cut(line.trim()));
    let (was, is) = (line(&was), line(&is));
    let (was, is) = (style.word(&was), style.word(&is));
    format!("      was {was}\n      is  {is}\n")
}

/// A text's lines; JSON laid out.
fn lines(text: &str) -> Vec<String> {
    let laid_out = serde_json::from_str::<Value>(text).ok().map(|json| format!("{json:#}"));
    laid_out.as_deref().unwrap_or(text).lines().map(ToOwned::to_owned).collect()
}
