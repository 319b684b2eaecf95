//! `completions` and `man`: what shells and packages want to know of the command line, made from the
//! command line itself.
//!
//! Deliberately absent: any text of its own.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{
    Cli,
    exit::{Exit, Failure},
    output,
};

/// Which shell.
#[derive(Debug, Clone, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// Which page.
#[derive(Debug, Clone, Args)]
pub struct ManArgs {
    /// A command, as `deliveries retry`; the program itself when nothing is said
    #[arg(value_name = "COMMAND")]
    pub words: Vec<String>,
}

/// Prints a shell's completions.
///
/// # Errors
/// They can't be written.
pub fn completions(args: &CompletionsArgs) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "triggerbell", &mut script);
    output::print(String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}

/// Prints a manual page, in roff.
///
/// # Errors
/// There is no such command, or the page can't be written.
pub fn man(args: &ManArgs) -> Result<Exit, Failure> {
    let mut command = Cli::command();
    command.build();
    for word in &args.words {
        let found = command.find_subcommand(word).cloned();
        command = found.ok_or_else(|| {
            let known: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
            let message = match &*known {
                [] => format!("`{}` has no commands of its own", command.get_name()),
                _ => format!("there is no command `{word}`; known: {}", known.join(", ")),
            };
            Failure::new(Exit::Usage, message)
        })?;
    }
    let name = command.get_display_name().unwrap_or("triggerbell").replace(' ', "-");
    let page = clap_mangen::Man::new(command.display_name(name.clone())).title(name.to_uppercase());
    let mut roff = Vec::new();
    page.render(&mut roff).map_err(output::failed)?;
    output::print(String::from_utf8_lossy(&roff))?;
    Ok(Exit::Done)
}
