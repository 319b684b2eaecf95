//! Problems for people: the line as written, a caret under the place, what is known, what to do.
//!
//! Deliberately absent: what may not be shown. The file masks it (`File::shown`).

use std::{ops::Range, sync::Arc};

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};

use super::super::{File, Place, Problem, Problems, Severity};

/// The most known names that are listed.
const MAX_KNOWN: usize = 30;

/// The longest part of a line that is shown, in bytes.
const MAX_LINE: usize = 400;

/// The problems, each as a paragraph. `coloured` writes the escapes of a terminal.
pub fn text(problems: &Problems, coloured: bool) -> String {
    let renderer = if coloured { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.term_width(120);
    let mut out = String::new();
    for problem in problems.iter() {
        out.push_str(&renderer.render(&[group(problem)]));
        out.push_str("\n\n");
    }
    out
}

fn group(problem: &Problem) -> Group<'_> {
    let level = match problem.severity() {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(one_line(&problem.message)).id(problem.code.name());
    let mut group = Group::with_title(title);
    for snippet in snippets(problem) {
        group = group.element(snippet);
    }
    if let Some(known) = &problem.known {
        let names = known.names.iter().take(MAX_KNOWN).map(String::as_str).collect::<Vec<_>>();
        let more = match known.names.len().saturating_sub(MAX_KNOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let line = format!("known {}: {names}{more}", known.what);
        group = group.element(Level::NOTE.no_name().message(one_line(&line)));
    }
    for note in &problem.notes {
        group = group.element(Level::NOTE.message(one_line(note)));
    }
    if let Some(help) = &problem.help {
        group = group.element(Level::HELP.message(one_line(help)));
    }
    group
}

/// One excerpt for each file and stretch of lines that the problem speaks of, the main one first.
fn snippets(problem: &Problem) -> Vec<Snippet<'static, Annotation<'static>>> {
    let Some(place) = &problem.place else { return Vec::new() };
    let label =
        problem.label.clone().or_else(|| problem.path.as_ref().map(|path| format!("in {path}")));
    let mut excerpts = vec![Excerpt::new(place, AnnotationKind::Primary, label)];
    for related in &problem.related {
        let other =
            Excerpt::new(&related.place, AnnotationKind::Context, Some(related.text.clone()));
        match excerpts.iter_mut().find(|excerpt| excerpt.is_near(&other)) {
            Some(near) => near.join(other),
            None => excerpts.push(other),
        }
    }
    excerpts.into_iter().map(Excerpt::snippet).collect()
}

/// Some lines of a file with marks on them.
struct Excerpt {
    file: Arc<File>,
    /// The first and the last line, from 1.
    lines: (usize, usize),
    marks: Vec<(AnnotationKind, Range<usize>, Option<String>)>,
}

impl Excerpt {
    fn new(place: &Place, kind: AnnotationKind, label: Option<String>) -> Self {
        let file = Arc::clone(&place.file);
        let line = place.position().line;
        let range = file.line_range(line);
        // A place that goes on over lines is shown by its first.
        let start = (place.span.start as usize).min(range.end);
        let end = (place.span.end as usize).clamp(start, range.end);
        Self { file, lines: (line, line), marks: vec![(kind, start..end, label)] }
    }

    fn is_near(&self, other: &Self) -> bool {
        const NEAR: usize = 8;
        Arc::ptr_eq(&self.file, &other.file)
            && other.lines.0 + NEAR >= self.lines.0
            && other.lines.1 <= self.lines.1 + NEAR
    }

    fn join(&mut self, other: Self) {
        self.lines = (self.lines.0.min(other.lines.0), self.lines.1.max(other.lines.1));
        self.marks.extend(other.marks);
    }

    fn snippet(self) -> Snippet<'static, Annotation<'static>> {
        let first = self.file.line_range(self.lines.0);
        let last = self.file.line_range(self.lines.1);
        let window = self.window(first.start..last.end);
        let source = self.file.shown(window.clone()).into_owned();
        let name = self.file.name().to_owned();
        let mut snippet = Snippet::source(source.clone()).line_start(self.lines.0).path(name);
        for (kind, range, label) in self.marks {
            let shift = |index: usize| {
                let mut index = index.clamp(window.start, window.end) - window.start;
                while !source.is_char_boundary(index) {
                    index -= 1;
                }
                index
            };
            let span = shift(range.start)..shift(range.end);
            snippet =
                snippet.annotation(kind.span(span).label(label.map(|label| one_line(&label))));
        }
        snippet
    }

    /// The bytes to show: the lines, or where they are too long what is around the marks.
    fn window(&self, lines: Range<usize>) -> Range<usize> {
        if lines.len() <= MAX_LINE * (self.lines.1 - self.lines.0 + 1) {
            return lines;
        }
        let from = self.marks.iter().map(|(_, range, _)| range.start).min().unwrap_or(lines.start);
        let line = self.file.line_range(self.lines.0);
        let text = self.file.text();
        let mut end = (from.max(line.start) + MAX_LINE).min(lines.end);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        line.start..end.max(line.start)
    }
}

/// The text without line breaks and control characters, which a file's text may hold.
fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}
