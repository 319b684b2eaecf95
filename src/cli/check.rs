//! `check`: every problem of configuration, rules and rule tests, in one run.
//!
//! Without a path the configuration is checked, found as `run` finds it, with the rule files that it
//! names and the tests beside them. A path may be a configuration, a rule file, a test file, a template, a folder
//! of rules and tests, or `-` for standard input; which a file is, its name and its own keys say. Deliberately absent: deciding what is a problem.

use std::{
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};

use super::exit::Exit;
use crate::{
    config::{self, FILE_NAME, Loaded, Lookup, Request},
    document::{Code, File, MAX_BYTES, Problem, Problems, json, nearest, sarif, text},
};

/// What to check and how to say it.
#[derive(Debug, Clone, Default, Args)]
pub struct CheckArgs {
    /// Configurations, rule files, rule tests, folders of them, templates, or `-` for standard input
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// How to print the problems
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,

    /// Refuse warnings too
    #[arg(long)]
    pub deny_warnings: bool,

    /// Say more about a code, such as E012
    #[arg(long, value_name = "CODE")]
    pub explain: Option<String>,
}

/// How problems are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
    /// For code hosts: SARIF 2.1.0
    Sarif,
}

/// What `check` may depend on and where it writes.
pub struct World<'a> {
    /// The configuration that was named by `--config`.
    pub config: Option<&'a Path>,
    /// The data folder that was named by `--data-dir`.
    pub data_dir: Option<&'a Path>,
    /// The environment.
    pub env: Lookup<'a>,
    /// Whether `out` is a terminal that shows colours.
    pub coloured: bool,
    /// Standard input.
    pub input: &'a mut dyn Read,
    /// Where problems and explanations go.
    pub out: &'a mut dyn Write,
    /// Where it is said that the command line was wrong.
    pub err: &'a mut dyn Write,
}

/// Checks, prints, and says how it ended: 78 with an error, 1 with a warning where they are denied,
/// 2 where the code to explain is not known.
///
/// # Errors
/// The output can't be written.
pub fn run(args: &CheckArgs, world: &mut World<'_>) -> io::Result<Exit> {
    if let Some(code) = &args.explain {
        return explain(code, args.format, world);
    }
    let mut checked = Checked::default();
    if args.paths.is_empty() {
        checked.configuration(config::check(&world.request(None)));
    }
    let mut rule_files = Vec::new();
    for path in &args.paths {
        checked.path(path, world, &mut rule_files);
    }
    checked.rule_files = rule_files.len();
    checked.add(config::check_rules(rule_files, &world.request(None)));
    let problems: Problems = checked.problems.drain(..).collect();
    let problems = problems.leaving_out(checked.left_out.drain(..));
    match args.format {
        Format::Json => world.out.write_all(json(&problems).as_bytes())?,
        Format::Sarif => world.out.write_all(sarif(&problems).as_bytes())?,
        Format::Text => {
            world.out.write_all(text(&problems, world.coloured).as_bytes())?;
            writeln!(world.out, "{}", checked.summary(&problems))?;
            if !problems.left_out().is_empty() {
                let left_out = problems.left_out().join("; ");
                writeln!(world.out, "not looked at for warnings: {left_out}")?;
            }
        }
    }
    world.out.flush()?;
    Ok(if problems.errors() > 0 {
        Exit::Config
    } else if args.deny_warnings && problems.warnings() > 0 {
        Exit::No
    } else {
        Exit::Done
    })
}

fn explain(name: &str, format: Format, world: &mut World<'_>) -> io::Result<Exit> {
    if format == Format::Sarif {
        writeln!(world.err, "error: a code is explained as text or json")?;
        return Ok(Exit::Usage);
    }
    let Some(code) = Code::by_name(name.trim()) else {
        let mut known = Code::ALL.iter().map(|code| code.name());
        let near = nearest(name, known.clone()).unwrap_or("E012");
        let first = known.clone().next().unwrap_or_default();
        let last = known.next_back().unwrap_or_default();
        writeln!(
            world.err,
            "error: there is no code {name:?}; they go from {first} to {last}, as {near}"
        )?;
        return Ok(Exit::Usage);
    };
    if format == Format::Json {
        let said = serde_json::json!({
            "code": code.name(), "severity": code.severity().name(), "title": code.title(),
            "explanation": code.explanation(),
        });
        writeln!(world.out, "{said:#}")?;
        return Ok(Exit::Done);
    }
    writeln!(
        world.out,
        "{} ({}): {}\n\n{}",
        code,
        code.severity().name(),
        code.title(),
        code.explanation()
    )?;
    Ok(Exit::Done)
}

impl World<'_> {
    fn request<'b>(&'b self, named: Option<&'b Path>) -> Request<'b> {
        Request { config: named.or(self.config), data_dir: self.data_dir, env: self.env }
    }
}

/// What was checked so far.
#[derive(Default)]
struct Checked {
    problems: Vec<Problem>,
    left_out: Vec<String>,
    loaded: Vec<Loaded>,
    rule_files: usize,
}

impl Checked {
    /// Checks a configuration now; puts rule files aside, to be checked together.
    fn path(&mut self, path: &Path, world: &mut World<'_>, rule_files: &mut Vec<File>) {
        if path == Path::new("-") {
            let file = standard_input(world.input);
            return self.file(path, file, world, rule_files);
        }
        if !path.is_dir() {
            return self.file(path, config::read_text(path), world, rule_files);
        }
        let inside = path.join(FILE_NAME);
        if inside.is_file() {
            return self.configuration(config::check(&world.request(Some(&inside))));
        }
        let tests = || config::test_files(path);
        match config::rule_files(path).and_then(|files| Ok([files, tests()?].concat())) {
            Ok(files) if files.is_empty() => {
                let message = format!("the folder `{}` holds no rules", path.display());
                let help = "rule files end in .yaml or .yml, and tests of them in _test.yaml";
                self.problems.push(Problem::new(Code::NoRules, message).help(help));
            }
            Ok(files) => {
                for file in files {
                    self.file(&file, config::read_text(&file), world, rule_files);
                }
            }
            Err(error) => self.problems.push(config::unreadable(path, &error, None)),
        }
    }

    fn file(
        &mut self,
        path: &Path,
        file: io::Result<File>,
        world: &World<'_>,
        rule_files: &mut Vec<File>,
    ) {
        match file {
            Ok(_) if path.extension().is_some_and(|name| name == "hbs") => {
                self.add(config::check_template(path));
            }
            Ok(file) if config::is_configuration(&file) => {
                self.configuration(config::check_file(path, file, &world.request(Some(path))));
            }
            Ok(file) => rule_files.push(file),
            Err(error) => self.problems.push(config::unreadable(path, &error, None)),
        }
    }

    fn configuration(&mut self, loaded: Result<Loaded, Problems>) {
        match loaded {
            Ok(mut loaded) => {
                self.add(std::mem::take(&mut loaded.warnings));
                self.loaded.push(loaded);
            }
            Err(problems) => self.add(problems),
        }
    }

    fn add(&mut self, problems: Problems) {
        self.left_out.extend_from_slice(problems.left_out());
        self.problems.extend(problems);
    }

    fn summary(&self, problems: &Problems) -> String {
        let mut summary = problems.summary();
        if let [loaded] = &self.loaded[..]
            && problems.errors() == 0
        {
            let config = &loaded.config;
            let count = |count: usize, word: &str| {
                format!("{count} {word}{}", if count == 1 { "" } else { "s" })
            };
            summary = format!(
                "{summary}: {}, {}, {}, {}",
                count(config.sources.len(), "source"),
                count(config.receivers.len(), "receiver"),
                count(config.rules.rules().len(), "rule"),
                count(loaded.tests, "test"),
            );
        }
        summary
    }
}

fn standard_input(input: &mut dyn Read) -> io::Result<File> {
    let mut text = String::new();
    input.take(MAX_BYTES as u64 + 1).read_to_string(&mut text)?;
    Ok(File::new("<standard input>", text))
}
