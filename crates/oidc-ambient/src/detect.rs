//! The search.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use host::{BoxFuture, Clock, escape_remote};
use id_token::{Absence, Audience, Broken, Found, IdToken, Outcome, TokenSource};

use crate::audiences::Audiences;
use crate::cached::Cached;
use crate::check::Question;
use crate::error::Error;
use crate::table::{Sources, Stage};

/// The identity that was found.
#[derive(Clone)]
pub struct Detected {
    /// The name of the source.
    pub provider: String,
    /// Where the source stands in the order.
    pub stage: Stage,
    /// The token, for the right audience and not expired.
    pub token: IdToken,
    /// The audience that it was asked for.
    pub audience: Audience,
    /// Why the source believes that it belongs to this process.
    pub evidence: String,
    /// Sources that came before and gave no token, or one that the certificate authority does not
    /// list.
    pub passed_over: Vec<PassedOver>,
    source: Arc<dyn TokenSource>,
    clock: Arc<dyn Clock>,
}

/// A source that may be here and was not used.
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
/// [`Error::Broken`] where a source is certainly here, or was asked for by name, and gives no token;
/// [`Error::Nothing`] or [`Error::Absent`] where there is nothing.
pub async fn detect(
    sources: &Sources,
    audience: &Audience,
    min_ttl: Duration,
) -> Result<Detected, Error> {
    detect_for(sources, &Audiences::one(audience.clone()), min_ttl).await
}

/// [`detect`] with the audience that the certificate authority expects of each issuer. Among the
/// machine's identities, one whose issuer is listed comes before one whose issuer is not.
///
/// # Errors
/// As of [`detect`].
pub async fn detect_for(
    sources: &Sources,
    audiences: &Audiences,
    min_ttl: Duration,
) -> Result<Detected, Error> {
    let mut search = Search::new(sources, audiences);
    for (stage, source) in sources.staged() {
        sources.tell(source.name());
        let (outcome, audience) = ask(sources, stage, source, audiences, min_ttl).await;
        if let Some(decision) = search.consider(stage, source, outcome, audience) {
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
    /// What is wrong, if anything. A source that is available and has a reason is passed over.
    pub reason: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Whether a source has a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// This is not such a place.
    Absent,
    /// It has one.
    Available,
    /// It is, or may be, here and gives no token.
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

/// Asks every source, also those that come after the first token, side by side.
pub async fn survey(sources: &Sources, audience: &Audience, min_ttl: Duration) -> Survey {
    survey_for(sources, &Audiences::one(audience.clone()), min_ttl).await
}

/// [`survey`] with the audience that the certificate authority expects of each issuer.
pub async fn survey_for(sources: &Sources, audiences: &Audiences, min_ttl: Duration) -> Survey {
    let answers = ask_all(sources, audiences, min_ttl).await;
    let mut search = Search::new(sources, audiences);
    let mut decision = None;
    let mut reports = Vec::new();
    for ((stage, source), (outcome, audience)) in sources.staged().zip(answers) {
        let objection = match &outcome {
            Outcome::Found(found) => search.objection(stage, source.name(), found),
            _ => None,
        };
        reports.push(Report::new(source.name(), &outcome, objection));
        if decision.is_none() {
            decision = search.consider(stage, source, outcome, audience);
        }
    }
    Survey { reports, outcome: decision.unwrap_or_else(|| search.give_up()) }
}

/// What the sources answer, in their order. They are asked side by side, and the watcher is told of
/// the first one that is waited for.
async fn ask_all(
    sources: &Sources,
    audiences: &Audiences,
    min_ttl: Duration,
) -> Vec<(Outcome, Audience)> {
    let ask_one = |(number, (stage, source))| -> BoxFuture<'_, _> {
        Box::pin(async move { (number, ask(sources, stage, source, audiences, min_ttl).await) })
    };
    let mut asked: FuturesUnordered<_> = sources.staged().enumerate().map(ask_one).collect();
    let mut answers: BTreeMap<usize, (Outcome, Audience)> = BTreeMap::new();
    let mut waited_for = None;
    loop {
        let first = (0..).find(|number| !answers.contains_key(number));
        if let (Some(number), true) = (first, first != waited_for)
            && let Some((_, source)) = sources.staged().nth(number)
        {
            sources.tell(source.name());
            waited_for = first;
        }
        let Some((number, answer)) = asked.next().await else { break };
        answers.insert(number, answer);
    }
    answers.into_values().collect()
}

impl Report {
    /// `objection` says why a token that was found does not sign.
    fn new(provider: &str, outcome: &Outcome, objection: Option<Broken>) -> Self {
        let (state, evidence, reason, hint) = match outcome {
            Outcome::Found(found) => {
                let (reason, hint) = objection.map(|it| (it.reason, it.hint)).unzip();
                (State::Available, found.evidence.clone(), reason, hint.flatten())
            }
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
    audiences: &Audiences,
    min_ttl: Duration,
) -> (Outcome, Audience) {
    let (source, clock) = (source.as_ref(), sources.clock().as_ref());
    let question = Question {
        source,
        clock,
        min_ttl,
        certain: stage < Stage::Guessed,
        sigstores: stage == Stage::Given,
    };
    let (outcome, audience) = question.ask_any(audiences).await;
    let report = Report::new(source.name(), &outcome, None);
    tracing::debug!(
        provider = report.provider,
        state = report.state.as_str(),
        evidence = report.evidence,
        reason = report.reason,
        "identity source"
    );
    (outcome, audience)
}

/// The rules by which one source is chosen.
struct Search<'a> {
    sources: &'a Sources,
    audiences: &'a Audiences,
    absent: Vec<(String, Absence)>,
    passed_over: Vec<PassedOver>,
    /// The first identity of the machine whose issuer the authority does not list, and where it is
    /// in `passed_over`.
    unlisted: Option<(usize, Detected)>,
}

impl<'a> Search<'a> {
    fn new(sources: &'a Sources, audiences: &'a Audiences) -> Self {
        let (absent, passed_over) = (Vec::new(), Vec::new());
        Self { sources, audiences, absent, passed_over, unlisted: None }
    }

    /// The decision, if `outcome` brings it about.
    fn consider(
        &mut self,
        stage: Stage,
        source: &Arc<dyn TokenSource>,
        outcome: Outcome,
        audience: Audience,
    ) -> Option<Result<Detected, Error>> {
        let provider = source.name().to_owned();
        match outcome {
            Outcome::Found(found) => {
                let objection = self.objection(stage, &provider, &found);
                let is_doubted = found.doubt.is_some();
                let detected = Detected {
                    provider,
                    stage,
                    token: found.token,
                    audience,
                    evidence: found.evidence,
                    passed_over: self.passed_over.clone(),
                    source: Arc::clone(source),
                    clock: Arc::clone(self.sources.clock()),
                };
                let Some(broken) = objection else { return Some(Ok(detected)) };
                let provider = detected.provider.clone();
                if !is_doubted && self.unlisted.is_none() {
                    self.unlisted = Some((self.passed_over.len(), detected));
                }
                self.passed_over.push(PassedOver { provider, broken });
                None
            }
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

    /// Why a token that was found does not sign.
    fn objection(&self, stage: Stage, provider: &str, found: &Found) -> Option<Broken> {
        if self.sources.is_named() {
            return None;
        }
        let passed_over = |reason: String, hint: String| {
            Some(Broken::new(&found.evidence, reason).with_hint(hint).with_certain(false))
        };
        if let Some(doubt) = &found.doubt {
            return passed_over(doubt.reason.clone(), doubt.hint.clone());
        }
        let claims = found.token.claims();
        if stage < Stage::Aws || self.audiences.lists(claims) {
            return None;
        }
        let issuer = escape_remote(claims.issuer().unwrap_or_default());
        passed_over(
            format!("the certificate authority does not list the issuer `{issuer}`"),
            format!(
                "use a Fulcio that accepts this issuer, or name the source: `--oidc-provider \
                 {provider}`"
            ),
        )
    }

    fn give_up(self) -> Result<Detected, Error> {
        if let Some((own, mut detected)) = self.unlisted {
            detected.passed_over = self.passed_over;
            detected.passed_over.remove(own);
            return Ok(detected);
        }
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
