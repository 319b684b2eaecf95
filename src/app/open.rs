//! From checked settings to the adapters and loops that they ask for, one by one.
//!
//! Deliberately absent: what runs when; that is the composition root's.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use jiff::Timestamp;

use crate::{
    adapters::{
        admission::Shown,
        http,
        receivers::Wires,
        source::{CcrSource, EnterprisePush, FileSource, TcrEnterpriseSource, TcrPersonalSource},
        templates::{MessageRenderer, ReceiverType, Target},
    },
    api::ApiSettings,
    config::{self, Config, SourceSettings},
    engine::{
        cursor::FirstRun,
        intake::{DiscoverSettings, IntakeSettings},
    },
    ports::{Admission, Clock, Notifier, Source},
};

use super::{StartError, fleet::Opened};

/// The renderer of every receiver's messages.
///
/// # Errors
/// Everything that is wrong with the templates.
pub fn renderer(config: &Config) -> Result<MessageRenderer, StartError> {
    let targets = config.receivers.iter().filter_map(|receiver| {
        let kind = ReceiverType::by_name(receiver.kind())?;
        Some((receiver.name.clone(), Target { kind, template: receiver.template.clone() }))
    });
    let forms = config.receivers.iter().filter_map(|receiver| {
        let form = receiver.form.clone().filter(|form| !form.is_plain());
        form.map(|form| (receiver.name.clone(), form))
    });
    let wecom = config
        .receivers
        .iter()
        .filter_map(|receiver| receiver.wecom.clone().map(|form| (receiver.name.clone(), form)));
    MessageRenderer::new(config.templates.clone(), targets.collect())
        .map(|renderer| renderer.with_forms(forms.collect()).with_wecom(wecom.collect()))
        .map_err(StartError::Templates)
}

/// The receivers, in the configuration's order.
///
/// # Errors
/// A CA file or a secret file does not hold what it must.
pub fn notifiers(config: &Config) -> Result<Vec<Arc<dyn Notifier>>, StartError> {
    let mut wires = Wires::default();
    config.receivers.iter().map(|receiver| open_receiver(receiver, &mut wires)).collect()
}

pub(super) fn open_receiver(
    receiver: &config::Receiver,
    wires: &mut Wires,
) -> Result<Arc<dyn Notifier>, StartError> {
    let name = || receiver.name.clone();
    let wire = wires.wire(&receiver.http).map_err(|error| StartError::Client(name(), error))?;
    receiver.settings.open(&wire).map_err(|error| StartError::Receiver(name(), error))
}

/// The sources, in the configuration's order; of one that is pushed to there is none to read.
///
/// # Errors
/// A CA file does not hold what it must.
pub fn sources(
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<Option<Arc<dyn Source>>>, StartError> {
    let read = |source| match open_source(source, clock)? {
        Opened::Read(source) => Ok(Some(source)),
        Opened::Pushed(_) => Ok(None),
    };
    config.sources.iter().map(read).collect()
}

pub(super) fn open_source(
    source: &config::Source,
    clock: &Arc<dyn Clock>,
) -> Result<Opened, StartError> {
    let client = || {
        http::client(&source.http).map_err(|error| StartError::Client(source.name.clone(), error))
    };
    let (zone, clock) = (source.zone.clone(), clock.clone());
    let opened: Arc<dyn Source> = match &source.settings {
        SourceSettings::Ccr(settings) => {
            Arc::new(CcrSource::new(settings.clone(), zone, client()?, clock))
        }
        SourceSettings::TcrPersonal(settings) => {
            Arc::new(TcrPersonalSource::new(settings.clone(), zone, client()?, clock))
        }
        SourceSettings::TcrEnterprise(settings) => {
            Arc::new(TcrEnterpriseSource::new(settings.clone(), zone, client()?, clock))
        }
        SourceSettings::Push(settings) => {
            return Ok(Opened::Pushed(Arc::new(EnterprisePush::new(settings.clone(), zone))));
        }
        SourceSettings::File(settings) => Arc::new(FileSource::new(settings.clone(), zone)),
    };
    Ok(Opened::Read(opened))
}

/// What the API is told of its surroundings.
pub(super) fn api_settings(config: &Config, bound: SocketAddr) -> ApiSettings {
    let token = config.api.token.clone();
    ApiSettings {
        bound,
        token: token.map(|token| Arc::new(Shown::new(token)) as Arc<dyn Admission>),
        public_url: config.api.public_url.clone().map(String::from),
    }
}

/// The repositories that the configuration names; a file where none are named stands for all that
/// it holds.
pub fn repositories(source: &config::Source) -> Vec<Arc<str>> {
    let is_file = matches!(source.settings, SourceSettings::File(_));
    if is_file && source.repos.is_empty() { vec!["*".into()] } else { source.repos.clone() }
}

/// What of a source is discovered.
pub fn discover_settings(source: &config::Source) -> Option<DiscoverSettings> {
    source.discover.clone().map(|discover| DiscoverSettings {
        include: discover.include,
        exclude: discover.exclude,
        every: discover.every,
    })
}

pub(super) fn intake_settings(
    configured: &config::Source,
    source: &dyn Source,
    blind_after: Duration,
    now: Timestamp,
) -> IntakeSettings {
    let first_run = match configured.first_run {
        config::FirstRun::Skip => FirstRun::Skip,
        config::FirstRun::All => FirstRun::All,
        config::FirstRun::Since(age) => {
            FirstRun::Since(source.wall_time(now.checked_sub(age).unwrap_or(Timestamp::MIN)))
        }
    };
    IntakeSettings {
        name: configured.name.clone(),
        repos: repositories(configured),
        discover: discover_settings(configured),
        poll_every: configured.poll_every,
        requests_per_second: configured.requests_per_second,
        first_run,
        overlap: configured.overlap,
        blind_after,
    }
}
