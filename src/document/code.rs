//! The one list of what can be wrong, with a stable code and a longer text for each.
//!
//! `check --explain CODE`, the JSON and SARIF outputs, docs/check.md and the tests walk this list.
//! A code is never given to something else once it has shipped. Deliberately absent: the sentence of
//! a single problem, which is said where it is found.

use std::fmt;

/// Whether a problem stops a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It does.
    Error,
    /// It does not; `check --deny-warnings` refuses it.
    Warning,
}

impl Severity {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

macro_rules! codes {
    ($($variant:ident $code:literal $title:literal $text:literal)+) => {
        /// A kind of problem.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $(#[doc = $title] $variant,)+ }

        impl Code {
            /// Every one, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Its code: `E` or `W` and three digits.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// What it is about, in a few words.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)+ }
            }

            /// What is behind it and what to do, in paragraphs of plain text.
            pub const fn explanation(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

impl Code {
    /// The one of that code, whatever the case of its letter.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.name().eq_ignore_ascii_case(name))
    }

    /// Whether it stops a start.
    pub const fn severity(self) -> Severity {
        match self.name().as_bytes()[0] {
            b'W' => Severity::Warning,
            _ => Severity::Error,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

codes! {
    Syntax "E001" "not YAML"
"The text can't be read as YAML. The place is where the reader could not go on; what is wrong often
stands just before it: a quote or bracket that is not closed, a line that is indented differently
from its neighbours, a value that holds `: ` or begins with a special character and is not quoted.

Regular expressions are best written in single quotes, in which a backslash is itself:

    tag: 'v\\d+\\.\\d+'

Where the mistake can be stepped over, the rest of the file is checked too."

    Tab "E002" "a tab as indentation"
"YAML is indented with spaces only; a tab before the first word of a line is refused. Most editors
can be told to write spaces in YAML files. Tabs elsewhere, within a value or before a comment, are
fine."

    DuplicateKey "E003" "a key given twice"
"A map holds each key once. With two, one would silently win, and people disagree about which.
Keep one; where both values are meant, most keys take a list."

    Tag "E004" "a YAML tag"
"A value that begins with `!` is read as a YAML tag, which would change its type. Nothing here takes
tags. If the value itself begins with `!`, quote it; to negate a clause write `not`:

    returnCode: {not: 0}"

    UnknownAlias "E005" "an alias that names nothing"
"A bare value that begins with `*` is a YAML alias: it stands for the value that was marked with
`&name` before. In rules it is almost always meant as a glob, which has to be quoted:

    service: '*-api'"

    TooLarge "E006" "too much for one file"
"A file may hold 4 MiB and half a million values, nested 48 deep, counted after aliases are unfolded.
Clauses nest 16 deep, a list in a clause holds 10,000 values, and a `cel` expression 4,096 bytes,
nested 16 deep, in at most 10,000 steps. The bounds keep a hostile or generated file from filling the
memory or the time of the service; split what needs more."

    SecondDocument "E007" "a second document in one file"
"`---` begins another YAML document in the same file. Each file is one document; what follows the
second `---` would not be read. Move it into its own file: a rules folder takes any number."

    Unreadable "E008" "a file that can't be read"
"The file or folder that is named does not exist, can't be opened by this user, or is not UTF-8 text.
Relative paths are relative to the file that holds them, not to the working directory."

    KeyNotText "E009" "a key that is no text"
"A map's keys are texts. A list, a map or nothing stands where a key is expected; often a `:` or `?`
is out of place."

    BadMerge "E010" "a merge of something that is no map"
"`<<: *name` takes the entries of another map into this one, those written here winning. What `name`
marks has to be a map, or a list of maps."

    UnknownKey "E011" "a key that is not known"
"The key has no meaning at this place. Unknown keys are refused rather than ignored, since a
misspelt key would otherwise silently not do what it says. The keys that are known there are listed."

    MissingKey "E012" "a key that is missing"
"Something that can't be left out is not there. A value that expands to nothing (`${VAR:-}`) counts
as not written."

    WrongShape "E013" "the wrong kind of value"
"A map, a list or a single value was expected and something else is there. A map is written with
`key: value` lines or `{key: value}`, a list with `- item` lines or `[item, item]`."

    UnknownWord "E014" "a word that is not known"
"The value has to be one of a few words, which are listed."

    OneTypeOnly "E015" "not exactly one type"
"A source and a receiver name their type by exactly one key, and the settings of the type lie under
it:

    receivers:
      ops:
        wecom:
          key_file: /run/secrets/wecom
        pace: 20/1m"

    Exclusive "E016" "two keys of which one may be given"
"The two keys say the same thing in two ways, for instance a secret in place and a secret in a file.
Keep one."

    Empty "E017" "nothing where something is needed"
"The list, map or text is empty where at least one is needed. An empty list of values in a clause
would match nothing."

    BadDuration "E021" "not a duration"
"A duration is one whole number and one unit: `30s`, `10m`, `6h`, `30d`, `2w`. A day is 24 hours.
Bare numbers are refused, since seconds and milliseconds look alike, and months are not of one length.
Some durations are bounded; the bound is then named."

    BadPace "E022" "not a pace"
"A pace is a number of messages per duration: `20/1m`, or `20/m` for the same. It is the most that is
sent in any window of that length."

    BadNumber "E023" "not a number"
"A number is expected, in digits, within the bounds that are named. In rules, `returnCode` and
`clusterRegion` are whole numbers; to compare use `not`, `min`, `max`, `in`:

    returnCode: {min: 400, max: 499}"

    BadUrl "E024" "not a URL"
"A URL begins with `http://` or `https://` and names a host. A proxy may also be `socks5://`."

    BadZone "E025" "not a time zone"
"A time zone is a name of the IANA database, such as `Asia/Shanghai` or `UTC`. Abbreviations such as
`CST` are ambiguous and are not known."

    BadAddress "E026" "not an address to listen on"
"An address is an IP and a port: `127.0.0.1:8080`, `0.0.0.0:8080` for all interfaces, `[::1]:8080`."

    BadRegex "E027" "not a regular expression"
"The text can't be compiled as a regular expression. `tag` reads a bare value as one, anchored at
both ends: `v1` does not match `v1.2`. A glob is written with its operator:

    tag: {glob: 'v1.*'}

Look-around and back-references do not exist, which keeps matching fast whatever the text."

    BadGlob "E028" "not a glob"
"The text can't be compiled as a glob. `*` and `?` stand for anything but `/`, `**` for anything,
`[a-z]` for one character, `{a,b}` for either. A special character is made plain by a backslash."

    BadTime "E029" "not an instant"
"`min` and `max` of `time` take an instant: RFC 3339 as `2026-03-02T09:00:00+08:00`, or without an
offset, as `2026-03-02T09:00:00`, in the configuration's `time_zone`. `since` takes a duration."

    BadName "E030" "not a name"
"Names of sources, receivers, rules and templates stand in logs, metrics, addresses and chat. They
are at most 100 characters, with no control characters and no white space at the ends."

    BadRepo "E031" "not a repository"
"`repos` lists repositories by their whole name, `namespace/name`. Globs are for rules, and for
`discover`."

    BadBoolean "E032" "not true or false"
"The value has to be `true` or `false`. `yes`, `no`, `on` and `off` are texts in YAML 1.2."

    BadPointer "E033" "not a JSON pointer"
"A JSON pointer (RFC 6901) names a value within an answer's JSON body: `/errcode`, `/data/0/id`. It
begins with `/`; within a key `~` is written `~0` and `/` is written `~1`:

    success_when: {status: 2xx, /errcode: 0}"

    BadRange "E034" "not a part of the calendar"
"`time_intervals` take times of the clock as `22:00-08:00`, `weekdays` as `mon-fri`, `days_of_month` as
`1-7` or from the end as `-1`, and `months` as `jan-mar`; each one value or a list. A span over midnight
belongs to the day on which it begins."

    UnknownReceiver "E041" "a receiver that does not exist"
"`send_to` and `fallback` name receivers of the configuration, by the key under `receivers`. Names are
case-sensitive."

    UnknownTemplate "E042" "a template that does not exist"
"For template N and a receiver of type T the first that exists of `N.T.json.hbs`, `N.T.hbs`,
`N.json.hbs` (webhook only) and `N.hbs` is used, in the templates folder, then among the shipped ones
(`default`, `default-zh`). None of them exists for a receiver that the rule sends to."

    DuplicateRule "E043" "two rules of one name"
"A rule's name is its identity in the record, in the API and at reload, so it is unique across all
rule files. Rename one of the two."

    UnknownField "E044" "a field that entries do not have"
"A clause names a field of an entry. The fields are listed; the same names are used in templates, in
the API and on the command line. Names are case-sensitive: `returnCode`."

    UnknownOperator "E045" "an operator that is not known"
"A map under a field holds operators: `is not in glob regex contains min max exists`; `time` takes
`min max since`. All of them must hold."

    UnfitOperator "E046" "an operator that does not fit the field"
"`min` and `max` compare numbers, `glob`, `regex` and `contains` read texts, and `time` takes only
`min`, `max` and `since`."

    NoReceiver "E047" "a rule that sends nowhere"
"The rule has no `send_to`, and the file has no `defaults: {send_to: …}`. A rule that is only to be
recorded still names where it would send, with `mode: shadow`."

    BadCel "E048" "not a CEL expression that can work"
"`cel` takes an expression of the Common Expression Language that is true or false of an entry:

    cel: 'entry.returnCode >= 400 && entry.service.startsWith(\"pay\")'

Every part has a kind: fields are texts, `returnCode` and `clusterRegion` whole numbers, `time` an
instant. What compares a number with a text, or divides by a zero that is written out, could never
hold and is refused. Lists are written out; maps, bytes, `null` and unsigned numbers are not part of
what rules may use. An error while it is evaluated, such as an absent field or a division by zero,
makes the clause unknown."

    UnknownName "E049" "a name or function that an expression does not know"
"An expression knows `entry`, whose fields are those of rules, the names that its own macros give
(`['a', 'b'].exists(x, entry.tag.contains(x))`), and the functions that are listed. A text stands in
quotes."

    UnknownRule "E050" "a rule that does not exist"
"`inhibited_by`, and `rule` in a rule test, name a rule of any rule file by its `name`. Names are
case-sensitive."

    UnknownInterval "E051" "a time interval that does not exist"
"`mute: {during: […]}` names intervals of the configuration, by the key under `time_intervals`."

    UnfitSetting "E052" "settings of a rule that do not fit together"
"The rule that `inhibited_by` names has to have incidents, that is `notify: change`, `{count: …}` or
`{absent_for: …}`: without them it explains nothing. The fields of `equal` have to be among the `by`
of both rules, since an incident is known by those alone."

    UnknownSource "E053" "a source that does not exist"
"`source` in a rule's `match` and in a rule test names a source of the configuration, by the key under
`sources`. Names are case-sensitive."

    UnknownSilence "E054" "a silence that no event begins"
"`end_silence` in a rule test names a silence that an event before it begins:

    events:
      - {at: 1m, silence: {name: night-work, matchers: {service: pay}, for: 2h}}
      - {at: 5m, end_silence: night-work}"

    AfterEnd "E055" "something after the end of a scenario"
"`until` says how long a scenario of a rule test lasts. What is written for a later time would never
happen, or never be met."

    UnsetVariable "E061" "an environment variable that is not set"
"`${VAR}` needs a value; an empty one is an unset one. `${VAR:-default}` gives a default, which may be
empty, and then the key counts as not written; `${VAR:?message}` says what to do about it."

    ExpansionPlace "E062" "`${…}` where it is not expanded"
"Environment variables are expanded only in a bare value in block style, so that a quoted text is
exactly itself and no value can be broken by what the environment holds:

    secret_id: ${TENCENTCLOUD_SECRET_ID}

A list takes one `- ${VAR}` a line."

    BadExpansion "E063" "a malformed `${…}`"
"The forms are `${VAR}`, `${VAR:-default}` and `${VAR:?message}`. A variable's name is letters, digits
and `_`, and does not begin with a digit."

    SecretFile "E064" "a secret file that can't be used"
"A `_file` key names a file that holds the secret and nothing else; white space around it is not part
of it. It has to be readable, not empty, UTF-8 and at most 64 KiB. It is read again when the secret
is refused, so it may be replaced while the service runs."

    NoConfiguration "E065" "no configuration found"
"The configuration is the file of `--config`, else of `TRIGGERBELL_CONFIG`, else `./triggerbell.yaml`,
else `/etc/triggerbell/triggerbell.yaml`."

    NotYet "E070" "something that this version does not do yet"
"The key is part of the design and is not built in this version. It is refused rather than ignored,
so that nobody believes in a rule that does not work. Leave it out, or wait for a later version."

    BadSetting "E071" "a setting that is refused"
"The source, receiver or template that the setting belongs to can't work with this value; the message
says why."

    BadCertificate "E072" "certificates that can't be used"
"`ca_file` names a file of PEM certificates to trust beside the system's own."

    BadTemplate "E073" "a template that is broken"
"The template can't be compiled, or names something that messages do not have. Line and column are
those of the template's own file."

    FallbackCircle "E074" "a fallback that leads back"
"`fallback` names the receiver that takes over while this one refuses everything. It can't be the receiver
itself, nor one whose own fallback leads back to it."

    GlobAsRegex "W001" "a glob where a regular expression is read"
"`tag` reads a bare value as a regular expression, in which `*` repeats the letter before it: `test*`
matches `tes` and `testtt`, but not `test-1`. Write `test.*`, or say that a glob is meant:

    tag: {glob: 'test*'}

If the regular expression is right as it is, write `{regex: …}`; an operator is never doubted."

    RegexAsGlob "W002" "a regular expression where a glob is read"
"This field reads a bare value as a glob, in which `.` is a plain dot and `^`, `$`, `\\`, `+` and `|`
have no meaning. Write `*` for anything, or say that a regular expression is meant:

    service: {regex: 'pay-.*'}

If the glob is right as it is, write `{glob: …}`; an operator is never doubted."

    PlainHttp "W003" "plain http"
"The address is not encrypted and not on this machine, so secrets and messages can be read on the
way. Use `https://`; for an authority of your own there is `ca_file`."

    NotExpanded "W004" "`${…}` in a rule file"
"Environment variables are expanded in triggerbell.yaml only. In a rule file the text means exactly
these characters, which is rarely what was meant."

    NoRules "W005" "no rules"
"There are no rules, so entries are recorded and nothing is ever sent. `rules` names rule files and
folders; folders are read for `*.yaml` and `*.yml`, except `*_test.yaml`."

    NamedTwice "W006" "a name listed twice"
"The list names the same thing twice. Once is meant, and once is what happens. Of two
rule tests of one name in a file both run, and reports can't tell them apart."

    Contradiction "W007" "a rule that no entry can match"
"All clauses of a match have to hold, and no entry can make them: two of them ask for what excludes each
other, such as `returnCode: {min: 500, max: 400}`, or a field is wanted and forbidden. Where one of several
is meant, write `any: [{…}, {…}]`."

    NeverReached "W008" "a rule that is never reached"
"Rules are looked at in order, and `stop` ends the looking. Earlier rules with `stop` match everything that
this one matches, so that it never sees an entry. An entry that it would match is shown."

    Twice "W009" "two rules that do the same"
"Both rules match exactly the same entries and lead to the same messages for the same receivers, so that
everybody is told twice. An entry that both match is shown."

    NoSuchTag "W010" "a regular expression that no tag can match"
"The registry takes as a tag at most 128 letters, digits, `_`, `.` and `-`, of which the last two can't come
first. No such text matches this expression: often a repository or a space is part of it."

    HalfAnchored "W011" "a regular expression that is anchored at one end"
"Expressions match the whole tag, so `^` and `$` say nothing, and `^v1` matches only `v1` itself. Whoever
writes one of them usually means that the other end is open:

    tag: 'v1.*'

A tag that is missed is shown."

    Unused "W012" "something that nothing uses"
"The receiver, template or time interval is defined and no rule leads to it: often its name is misspelt
where it is used, or what used it is gone. A label is not used when every receiver of its rule is a chat whose
template is your own and asks neither for it nor for all labels; what a webhook takes is its own affair."

    OpenSecret "W013" "a secret in the open"
"A secret stands in the configuration itself, where everybody reads it who may read the file or its
history. Take it from the environment or from a file of its own:

    secret_key: ${TENCENTCLOUD_SECRET_KEY}

or `secret_key_file: /run/secrets/tencent`. A header such as `Authorization: Bearer …` is one, too, and an
address with a user's password or with a parameter like `token`: what proves who is asking."

    Undecided "W014" "a question that was not decided"
"Whether a rule is ever reached is decided by going through what it and the rules before it match. Here
that grew too large, so nothing is said of it; the rule itself is sound."

    NoEffect "W015" "a setting without effect"
"`remind` is for rules that have incidents (`notify: change`, `{count: …}`, `{absent_for: …}`), and
`flapping` for those with `notify: change`. On another rule nothing happens.

`digest` folds what a receiver's `pace` can't clear: without a `pace`, which a webhook has none of by
default, nothing waits and nothing folds. `digest_after` is for receivers whose messages fold."

    NeverThere "W016" "a template that writes what its rule never has"
"The template writes a field that no entry of the rule can have, or something of an incident while the rule
tells of every match and has none. The place stays empty in every message. What stands within `if`, `with` or
`each`, or is given to `default`, is not looked at:

    {{#if entry.service}}{{entry.service}}{{/if}}"

    AlwaysMuted "W017" "a mute without an end"
"The intervals of the rule's `mute` leave no minute of any day, so that nothing of it is ever sent. To have a
rule decided and not sent write `mode: shadow`."

    ShortAbsence "W018" "an absence shorter than a reading"
"The rule tells when nothing was seen for so long, and a source that it may match is read less often than that.
What is pushed meanwhile is seen too late. Make `absent_for` several times as long as the interval;
`triggerbell plan` shows the intervals."

    NoFile "W019" "a file that is not there"
"The file of a `file` source does not exist, is a folder, or can't be read. A service waits for it; `fetch`
ends with 78. A relative path is relative to the folder of the configuration."

    TooSmall "W020" "a limit that a message can't keep to"
"A message of this template is a JSON text, which can't be cut anywhere. Even about a single entry, with every
text shortened, it has more bytes than the webhook's `max_bytes`, so that a plain message goes instead, with an
alarm. Raise `max_bytes` where the receiver takes more, or write a template of your own that says less."
}

#[cfg(test)]
mod tests {
    use super::Code;

    #[test]
    fn codes_are_unique_ordered_and_explained() {
        let names: Vec<_> = Code::ALL.iter().map(|code| code.name()).collect();
        assert!(names.is_sorted_by(|one, other| one < other), "out of order: {names:?}");
        for code in Code::ALL {
            let digits = &code.name()[1..];
            assert!(digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit()));
            assert!(
                !code.title().ends_with('.') && code.explanation().ends_with(['.', '"', ':'])
                    || code
                        .explanation()
                        .lines()
                        .last()
                        .is_some_and(|line| line.starts_with("    ")),
                "{code}"
            );
            assert_eq!(Code::by_name(&code.name().to_lowercase()), Some(*code));
        }
    }
}
