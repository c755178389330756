//! Going through the places.

use std::sync::Arc;
use std::time::Duration;

use host::Clock;
use id_token::{Absence, Audience, Broken, Found, IdToken, Outcome, TokenSource};

use crate::cached::Cached;
use crate::check;
use crate::error::Error;
use crate::table::{Sources, Stage};

/// The identity that was found.
#[derive(Clone)]
pub struct Detected {
    /// The name of the source.
    pub provider: String,
    /// The token, for the right audience and not expired.
    pub token: IdToken,
    /// Why we believe that it is ours.
    pub evidence: String,
    /// Places that came before and may be ours, but did not work.
    pub passed_over: Vec<PassedOver>,
    source: Arc<dyn TokenSource>,
    clock: Arc<dyn Clock>,
}

/// A place that may be ours and did not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedOver {
    /// The name of the source.
    pub provider: String,
    /// What was wrong with it.
    pub broken: Broken,
}

impl Detected {
    /// The source with this token already in its cache, to ask again when the token has aged.
    pub fn into_source(self, audience: &Audience) -> Cached {
        let found = Found::new(self.token, self.evidence);
        Cached::new(self.source, self.clock).holding(audience, &found)
    }
}

impl std::fmt::Debug for Detected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Detected")
            .field("provider", &self.provider)
            .field("token", &self.token)
            .field("evidence", &self.evidence)
            .field("passed_over", &self.passed_over)
            .finish_non_exhaustive()
    }
}

/// Finds a token for `audience`: the first source of `sources` that has one.
///
/// A source that lets us choose is asked for a token that lives for `min_ttl`; one that does not
/// may give less.
///
/// # Errors
/// [`Error::Broken`] where the place is beyond doubt ours, or was asked for by name, and does not
/// work; [`Error::Nothing`] or [`Error::Absent`] where there is nothing.
pub async fn detect(
    sources: &Sources,
    audience: &Audience,
    min_ttl: Duration,
) -> Result<Detected, Error> {
    let mut search = Search::new(sources);
    for (stage, source) in sources.staged() {
        let outcome = ask(sources, stage, source, audience, min_ttl).await;
        if let Some(decision) = search.consider(source, outcome) {
            return decision;
        }
    }
    search.give_up()
}

/// What every source said, and what [`detect`] makes of it.
#[derive(Clone, Debug)]
pub struct Survey {
    /// One for each source, in order.
    pub reports: Vec<Report>,
    /// What [`detect`] answers in the same place.
    pub outcome: Result<Detected, Error>,
}

/// What one source said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The name of the source.
    pub provider: String,
    /// In short.
    pub state: State,
    /// What was looked at.
    pub evidence: String,
    /// What is wrong, if anything.
    pub reason: Option<String>,
    /// The mend, if there is one.
    pub hint: Option<String>,
}

/// Whether a source has a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// We are not in such a place.
    Absent,
    /// It has one.
    Available,
    /// We are, or may be, in such a place and it does not work.
    Broken,
}

impl State {
    /// `absent`, `available` or `broken`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Available => "available",
            Self::Broken => "broken",
        }
    }
}

/// Asks every source, also those that come after the first token.
pub async fn survey(sources: &Sources, audience: &Audience, min_ttl: Duration) -> Survey {
    let mut search = Search::new(sources);
    let mut decision = None;
    let mut reports = Vec::new();
    for (stage, source) in sources.staged() {
        let outcome = ask(sources, stage, source, audience, min_ttl).await;
        reports.push(Report::new(source.name(), &outcome));
        if decision.is_none() {
            decision = search.consider(source, outcome);
        }
    }
    Survey { reports, outcome: decision.unwrap_or_else(|| search.give_up()) }
}

impl Report {
    fn new(provider: &str, outcome: &Outcome) -> Self {
        let (state, evidence, reason, hint) = match outcome {
            Outcome::Found(found) => (State::Available, found.evidence.clone(), None, None),
            Outcome::Absent(absence) => (State::Absent, absence.evidence.clone(), None, None),
            Outcome::Broken(Broken { evidence, reason, hint, .. }) => {
                (State::Broken, evidence.clone(), Some(reason.clone()), hint.clone())
            }
            _ => (State::Absent, String::new(), None, None),
        };
        Self { provider: provider.to_owned(), state, evidence, reason, hint }
    }
}

async fn ask(
    sources: &Sources,
    stage: Stage,
    source: &Arc<dyn TokenSource>,
    audience: &Audience,
    min_ttl: Duration,
) -> Outcome {
    let (now, certain) = (sources.clock().now(), stage < Stage::Guessed);
    let outcome = check::find(source.as_ref(), audience, min_ttl, now, certain).await;
    let report = Report::new(source.name(), &outcome);
    tracing::debug!(
        provider = report.provider,
        state = report.state.as_str(),
        evidence = report.evidence,
        reason = report.reason,
        "identity source"
    );
    outcome
}

/// The rules by which one source is chosen.
struct Search<'a> {
    sources: &'a Sources,
    absent: Vec<(String, Absence)>,
    passed_over: Vec<PassedOver>,
}

impl<'a> Search<'a> {
    fn new(sources: &'a Sources) -> Self {
        Self { sources, absent: Vec::new(), passed_over: Vec::new() }
    }

    /// The decision, if `outcome` brings it about.
    fn consider(
        &mut self,
        source: &Arc<dyn TokenSource>,
        outcome: Outcome,
    ) -> Option<Result<Detected, Error>> {
        let provider = source.name().to_owned();
        match outcome {
            Outcome::Found(found) => Some(Ok(Detected {
                provider,
                token: found.token,
                evidence: found.evidence,
                passed_over: std::mem::take(&mut self.passed_over),
                source: Arc::clone(source),
                clock: Arc::clone(self.sources.clock()),
            })),
            Outcome::Broken(broken) if broken.certain || self.sources.is_named() => {
                Some(Err(Error::Broken { provider, broken }))
            }
            Outcome::Broken(broken) => {
                self.passed_over.push(PassedOver { provider, broken });
                None
            }
            Outcome::Absent(absence) => {
                self.absent.push((provider, absence));
                None
            }
            _ => None,
        }
    }

    fn give_up(self) -> Result<Detected, Error> {
        if self.sources.is_named() {
            // Several sources may share a name; the first says best what is missing.
            if let Some((provider, absence)) = self.absent.into_iter().next() {
                return Err(Error::Absent { provider, absence });
            }
            return Err(Error::Nothing { absent: Vec::new(), broken: Vec::new() });
        }
        let broken = self.passed_over.into_iter().map(|over| (over.provider, over.broken));
        Err(Error::Nothing { absent: self.absent, broken: broken.collect() })
    }
}
