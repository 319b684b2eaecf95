//! What the whole pipeline takes: the release binary between a stand-in registry and a receiver
//! that counts, beside a bare loop and a script that keep nothing. `make bench` runs it;
//! `docs/performance.md` says what each row means.
//!
//! `cargo bench --bench pipeline -- [--json PATH] [--quick] [--only WORD]`. The registry, the service,
//! the bare loop and the receiver are processes of their own: this binary starts itself again as the
//! latter two. Deliberately absent: statistics beyond medians, and any knowledge of the service but
//! its command line, its answers and `/proc`.

#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]

mod bare;
mod many;
mod processes;
mod report;
mod scenarios;
mod sink;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["sink", upstream] => sink::run(upstream),
        ["bare", config, entries] => bare::run(config.as_ref(), entries.parse().unwrap()),
        words => scenarios::run(&scenarios::Options::of(words)),
    }
}
