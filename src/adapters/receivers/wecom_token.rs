//! Access tokens of WeCom apps: asked for once, shared by all that send for the app, asked for again
//! when they end or are refused.
//!
//! One asks at a time, and whoever waits takes what that one got, be it a token or a refusal. A
//! refusal is believed for a while that grows, since an address that keeps showing a wrong secret
//! is shut out for an hour. Deliberately absent: HTTP, and keeping tokens beyond the process.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use crate::domain::outcome::{Class, Outcome, Scope};

/// How long before its end a token is no longer used, at most.
const EARLY: Duration = Duration::from_secs(60);

/// What a token lives where the answer does not say.
const LIFE: Duration = Duration::from_secs(7200);

/// The shortest life that is believed, so that no answer makes a request out of every message.
const SHORTEST_LIFE: Duration = Duration::from_secs(60);

/// What a failure that passes by itself is believed: shorter than the first wait of the schedule.
const FAILURE_HOLDS: Duration = Duration::from_secs(4);

/// What the first refusal is believed; each further one doubles it.
const REFUSAL_HOLDS: Duration = Duration::from_secs(60);

/// The longest that a refusal is believed.
const REFUSAL_HOLDS_MAX: Duration = Duration::from_secs(30 * 60);

/// The most apps that are remembered; the one known longest is forgotten first.
const MOST_APPS: usize = 64;

/// The tokens of all apps. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Tokens(Arc<Mutex<Vec<App>>>);

/// What an app shows to get a token, and what it got.
type App = (SecretString, Arc<AppToken>);

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(…)")
    }
}

impl Tokens {
    /// The token of an app, known by all that is shown to get it.
    pub(super) fn of(&self, credentials: &str) -> Arc<AppToken> {
        let mut apps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = apps.iter().find(|(known, _)| known.expose_secret() == credentials);
        if let Some((_, app)) = known {
            return app.clone();
        }
        if apps.len() == MOST_APPS {
            apps.remove(0);
        }
        let app = Arc::<AppToken>::default();
        apps.push((SecretString::from(credentials), app.clone()));
        app
    }
}

/// An access token.
pub(super) struct Token(SecretString);

impl Token {
    /// The token, to be used and dropped at once.
    pub(super) fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// What an app was given.
pub(super) struct Granted {
    /// The token.
    pub(super) token: String,
    /// How long it lives, from before it was asked for.
    pub(super) lives: Option<Duration>,
}

/// The token of one app.
#[derive(Default)]
pub(super) struct AppToken(tokio::sync::Mutex<State>);

#[derive(Default)]
struct State {
    /// The token, and the instants between which it is used.
    held: Option<(Arc<Token>, Span)>,
    /// Why there is none, and until when nobody asks again.
    refused: Option<(Outcome, Span)>,
    /// Refusals in a row.
    refusals: u32,
}

/// A time with a beginning, so that a clock that is set back does not make it longer.
#[derive(Clone, Copy)]
struct Span {
    begins: Timestamp,
    lasts: Duration,
}

impl Span {
    /// Whether an instant is in it. Sends that began a little earlier and waited for this are.
    fn holds(self, now: Timestamp) -> bool {
        now.duration_since(self.begins).unsigned_abs() < self.lasts
    }
}

impl AppToken {
    /// A token that can be used, from here or by asking. `stale` is one that was refused.
    ///
    /// # Errors
    /// What asking came to, now or a short while ago.
    pub(super) async fn get(
        &self,
        stale: Option<&Arc<Token>>,
        now: Timestamp,
        ask: impl Future<Output = Result<Granted, Box<Outcome>>>,
    ) -> Result<Arc<Token>, Box<Outcome>> {
        let mut state = self.0.lock().await;
        if let Some((token, span)) = &state.held
            && span.holds(now)
            && !stale.is_some_and(|stale| Arc::ptr_eq(stale, token))
        {
            return Ok(token.clone());
        }
        state.held = None;
        if let Some((refusal, span)) = &state.refused
            && span.holds(now)
        {
            return Err(Box::new(refusal.clone()));
        }
        match ask.await {
            Ok(granted) => Ok(state.grant(granted, now)),
            Err(refusal) => {
                state.refuse(&refusal, now);
                Err(refusal)
            }
        }
    }
}

impl State {
    fn grant(&mut self, granted: Granted, now: Timestamp) -> Arc<Token> {
        let token = Arc::new(Token(SecretString::from(granted.token)));
        let lives = granted.lives.unwrap_or(LIFE).max(SHORTEST_LIFE);
        let lasts = lives - EARLY.min(lives / 10);
        self.held = Some((token.clone(), Span { begins: now, lasts }));
        self.refused = None;
        self.refusals = 0;
        token
    }

    fn refuse(&mut self, refusal: &Outcome, now: Timestamp) {
        let lasts = match &refusal.class {
            Class::Permanent(Scope::Endpoint) => {
                let doubled = REFUSAL_HOLDS.saturating_mul(1 << self.refusals.min(10));
                self.refusals = self.refusals.saturating_add(1);
                doubled.min(REFUSAL_HOLDS_MAX)
            }
            Class::Retry { after: Some(after) } => (*after).min(REFUSAL_HOLDS_MAX),
            _ => FAILURE_HOLDS,
        };
        self.refused = Some((refusal.clone(), Span { begins: now, lasts }));
    }
}
