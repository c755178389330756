//! The calls.

use std::collections::BTreeMap;
use std::time::Duration;

use host::Env;
use id_token::{Audience, Claims, IdToken, SpiffeId, TrustDomain};
use prost_types::value::Kind;
use serde_json::{Map, Value};
use tonic::metadata::MetadataValue;
use tonic::{Request, Status, Streaming};

use crate::bundle::{JwtBundle, X509Bundle};
use crate::connect::{connect, failure};
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::grpc::GrpcOnly;
use crate::proto::spiffe_workload_api_client::SpiffeWorkloadApiClient;
use crate::proto::{
    JwtBundlesRequest, JwtBundlesResponse, JwtsvidRequest, ValidateJwtsvidRequest,
    X509BundlesRequest, X509BundlesResponse, X509svidRequest, X509svidResponse,
};
use crate::svid::{
    JwtSvid, Selection, X509State, X509Svid, choose, jwt_bundles, jwt_svids, x509_bundles,
    x509_state,
};

/// The time a connection may take. A local agent accepts at once.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// The time a call may take unless [`WorkloadApi::with_deadline`] says otherwise. The agent may
/// have to ask its server for a signature.
pub(crate) const CALL_DEADLINE: Duration = Duration::from_secs(10);

/// The largest answer accepted, in bytes.
const ANSWER_CAP: usize = 4 << 20;

/// Without it a server refuses: it shows that the caller meant to speak to a Workload API.
const SECURITY_HEADER: &str = "workload.spiffe.io";

/// A connection to a Workload API.
#[derive(Clone, Debug)]
pub struct WorkloadApi {
    channel: GrpcOnly,
    endpoint: Endpoint,
    deadline: Duration,
}

impl WorkloadApi {
    /// Connects to `endpoint`, within five seconds. Needs a tokio runtime with its timer and I/O
    /// drivers, here and for every call.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::NotGrpc`] or [`Error::TimedOut`].
    pub async fn connect(endpoint: &Endpoint) -> Result<Self, Error> {
        let channel = connect(endpoint, CONNECT_DEADLINE).await?;
        tracing::debug!(%endpoint, "connected to the Workload API");
        Ok(Self { channel: GrpcOnly(channel), endpoint: endpoint.clone(), deadline: CALL_DEADLINE })
    }

    /// Connects to the endpoint that the variable `SPIFFE_ENDPOINT_SOCKET` names, see
    /// [`Self::connect`]. No other place is tried.
    ///
    /// # Errors
    /// As [`Self::connect`], and [`Error::Malformed`] where the variable is unset or not an address.
    pub async fn connect_env(env: &dyn Env) -> Result<Self, Error> {
        Self::connect(&Endpoint::from_env(env)?).await
    }

    /// Gives each call this time instead of ten seconds.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// Fetches the JWT-SVID for all of `audiences`: the one of `spiffe_id`, or the only one there
    /// is.
    ///
    /// A token for several audiences can be used by each of them at the others. For Fulcio, ask for
    /// its audience alone.
    ///
    /// # Errors
    /// All but [`Error::Untrusted`]; [`Error::Several`] when `spiffe_id` is `None` and this process
    /// has several identities, [`Error::Malformed`] when `audiences` is empty.
    pub async fn fetch_jwt_svid(
        &self,
        audiences: &[Audience],
        spiffe_id: Option<&SpiffeId>,
    ) -> Result<JwtSvid, Error> {
        self.select_jwt_svid(audiences, &spiffe_id.into()).await
    }

    /// Fetches the JWT-SVID for all of `audiences` that `selection` means.
    ///
    /// # Errors
    /// As [`Self::fetch_jwt_svid`].
    pub async fn select_jwt_svid(
        &self,
        audiences: &[Audience],
        selection: &Selection,
    ) -> Result<JwtSvid, Error> {
        let answer = self.jwt_svids(audiences, selection.spiffe_id.as_ref()).await;
        let svids = match (answer, &selection.spiffe_id) {
            (Err(denied @ Error::NoIdentity { .. }), Some(asked)) => {
                self.others(audiences, asked, denied).await?
            }
            (answer, _) => answer?,
        };
        choose(&self.endpoint, &svids, selection).cloned()
    }

    /// Fetches a JWT-SVID for all of `audiences` per identity of this process, in an order that
    /// means nothing.
    ///
    /// # Errors
    /// As [`Self::fetch_jwt_svid`], without [`Error::Several`].
    pub async fn fetch_jwt_svids(&self, audiences: &[Audience]) -> Result<Vec<JwtSvid>, Error> {
        self.jwt_svids(audiences, None).await
    }

    /// Fetches the X.509-SVID of `spiffe_id`, or the only one there is, as it is at this moment.
    ///
    /// # Errors
    /// As [`Self::fetch_jwt_svid`].
    pub async fn fetch_x509_svid(&self, spiffe_id: Option<&SpiffeId>) -> Result<X509Svid, Error> {
        self.select_x509_svid(&spiffe_id.into()).await
    }

    /// Fetches the X.509-SVID that `selection` means, as it is at this moment.
    ///
    /// # Errors
    /// As [`Self::fetch_jwt_svid`].
    pub async fn select_x509_svid(&self, selection: &Selection) -> Result<X509Svid, Error> {
        let svids = self.fetch_x509_svids().await?;
        choose(&self.endpoint, &svids, selection).cloned()
    }

    /// Fetches the X.509-SVID of every identity of this process as they are at this moment, in an
    /// order that means nothing.
    ///
    /// # Errors
    /// As [`Self::fetch_x509_svid`], without [`Error::Several`].
    pub async fn fetch_x509_svids(&self) -> Result<Vec<X509Svid>, Error> {
        self.fetch_x509_state().await.map(|state| state.svids)
    }

    /// Fetches all X.509-SVIDs, with the bundles of other trust domains, as they are at this
    /// moment. [`watch_x509`](crate::watch_x509) keeps them fresh.
    ///
    /// # Errors
    /// As [`Self::fetch_x509_svids`].
    pub async fn fetch_x509_state(&self) -> Result<X509State, Error> {
        let response = self.first(self.open_x509()).await?;
        x509_state(&self.endpoint, response)
    }

    /// Fetches the X.509 bundles of this trust domain and of those it knows, as they are at this
    /// moment. [`watch_x509_bundles`](crate::watch_x509_bundles) keeps them fresh.
    ///
    /// # Errors
    /// As [`Self::fetch_x509_svids`].
    pub async fn fetch_x509_bundles(&self) -> Result<BTreeMap<TrustDomain, X509Bundle>, Error> {
        let response = self.first(self.open_x509_bundles()).await?;
        x509_bundles(&self.endpoint, response)
    }

    /// Fetches the JWT bundles of this trust domain and of those it knows, as they are at this
    /// moment. [`watch_jwt_bundles`](crate::watch_jwt_bundles) keeps them fresh.
    ///
    /// # Errors
    /// As [`Self::fetch_x509_svids`].
    pub async fn fetch_jwt_bundles(&self) -> Result<BTreeMap<TrustDomain, JwtBundle>, Error> {
        let response = self.first(self.open_jwt_bundles()).await?;
        jwt_bundles(&self.endpoint, response)
    }

    /// Lets the Workload API verify `token` as a JWT-SVID for `audience`. Returns its SPIFFE ID, and
    /// its claims as the API read them. [`verify_jwt_svid`](crate::verify_jwt_svid) does the same
    /// here.
    ///
    /// # Errors
    /// [`Error::Untrusted`] when the API says that the token is not good, else as
    /// [`Self::fetch_x509_svids`].
    pub async fn validate_jwt_svid(
        &self,
        audience: &Audience,
        token: &IdToken,
    ) -> Result<(SpiffeId, Claims), Error> {
        let request = ValidateJwtsvidRequest {
            audience: audience.as_str().to_owned(),
            svid: token.reveal().to_owned(),
        };
        let mut client = self.client();
        let call = client.validate_jwtsvid(secured(request));
        let response = self.bounded(None, call).await.map_err(|error| match error {
            Error::Refused { code: "INVALID_ARGUMENT", message, .. } => {
                Error::Untrusted { kind: "JWT-SVID", reason: message }
            }
            other => other,
        })?;
        let response = response.into_inner();
        let spiffe_id = SpiffeId::parse(&response.spiffe_id).map_err(|error| {
            let (endpoint, reason) = (self.endpoint.clone(), error.to_string());
            Error::InvalidAnswer { endpoint, reason }
        })?;
        let claims = response.claims.map(|claims| object(claims, 0)).unwrap_or_default();
        Ok((spiffe_id, Claims::new(claims)))
    }

    pub(crate) async fn open_x509(&self) -> Result<Streaming<X509svidResponse>, Status> {
        Ok(self.client().fetch_x509svid(secured(X509svidRequest {})).await?.into_inner())
    }

    pub(crate) async fn open_x509_bundles(&self) -> Result<Streaming<X509BundlesResponse>, Status> {
        Ok(self.client().fetch_x509_bundles(secured(X509BundlesRequest {})).await?.into_inner())
    }

    pub(crate) async fn open_jwt_bundles(&self) -> Result<Streaming<JwtBundlesResponse>, Status> {
        Ok(self.client().fetch_jwt_bundles(secured(JwtBundlesRequest {})).await?.into_inner())
    }

    /// The first message of a stream, which is a complete state. The stream ends when it is
    /// dropped here.
    async fn first<M>(
        &self,
        opening: impl Future<Output = Result<Streaming<M>, Status>>,
    ) -> Result<M, Error> {
        let call = async {
            let mut stream = opening.await?;
            stream.message().await?.ok_or_else(|| Status::data_loss("the stream ended empty"))
        };
        self.bounded(None, call).await
    }

    async fn jwt_svids(
        &self,
        audiences: &[Audience],
        spiffe_id: Option<&SpiffeId>,
    ) -> Result<Vec<JwtSvid>, Error> {
        if audiences.is_empty() {
            // SPIRE's agent says so as well, others may hang.
            let reason = "it names no audience".to_owned();
            let (expected, found) = ("a list of audiences", String::new());
            return Err(Error::Malformed { expected, found, reason });
        }
        let request = JwtsvidRequest {
            audience: audiences.iter().map(|audience| audience.as_str().to_owned()).collect(),
            spiffe_id: spiffe_id.map_or_else(String::new, ToString::to_string),
        };
        let mut client = self.client();
        let call = client.fetch_jwtsvid(secured(request));
        let response = self.bounded(spiffe_id, call).await?.into_inner();
        tracing::debug!(endpoint = %self.endpoint, svids = response.svids.len(), "JWT-SVIDs");
        match spiffe_id {
            Some(asked) if response.svids.is_empty() => Err(Error::NoIdentity {
                endpoint: self.endpoint.clone(),
                asked: Some(asked.clone()),
                offered: Vec::new(),
                message: "its answer contains no SVID".to_owned(),
            }),
            _ => jwt_svids(&self.endpoint, audiences, response),
        }
    }

    /// The SVIDs that this process has where the one asked for was denied: servers answer a
    /// process that is not registered and one that is registered for something else alike.
    async fn others(
        &self,
        audiences: &[Audience],
        asked: &SpiffeId,
        denied: Error,
    ) -> Result<Vec<JwtSvid>, Error> {
        match self.jwt_svids(audiences, None).await {
            Ok(svids) => Ok(svids),
            Err(none @ Error::NoIdentity { .. }) => Err(none),
            Err(error) => {
                tracing::debug!(%error, %asked, "cannot list the other identities");
                Err(denied)
            }
        }
    }

    async fn bounded<T>(
        &self,
        asked: Option<&SpiffeId>,
        call: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Error> {
        let Ok(answer) = tokio::time::timeout(self.deadline, call).await else {
            return Err(Error::TimedOut { endpoint: self.endpoint.clone(), after: self.deadline });
        };
        answer.map_err(|status| failure(&self.endpoint, asked, self.deadline, &status))
    }

    fn client(&self) -> SpiffeWorkloadApiClient<GrpcOnly> {
        SpiffeWorkloadApiClient::new(self.channel.clone()).max_decoding_message_size(ANSWER_CAP)
    }
}

fn secured<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert(SECURITY_HEADER, MetadataValue::from_static("true"));
    request
}

/// The deepest claims that are read.
const DEEPEST: u32 = 32;

fn object(object: prost_types::Struct, depth: u32) -> Map<String, Value> {
    object.fields.into_iter().map(|(name, value)| (name, json(value, depth + 1))).collect()
}

fn json(value: prost_types::Value, depth: u32) -> Value {
    match value.kind {
        _ if depth > DEEPEST => Value::Null,
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(value)) => value.into(),
        Some(Kind::NumberValue(number)) => {
            // All numbers come as floating point; times are meant to be whole.
            const EXACT: f64 = 9_007_199_254_740_992.0;
            let whole = number.fract() == 0.0 && number.abs() < EXACT;
            if whole { Value::from(number as i64) } else { Value::from(number) }
        }
        Some(Kind::StringValue(text)) => text.into(),
        Some(Kind::ListValue(list)) => {
            list.values.into_iter().map(|value| json(value, depth + 1)).collect()
        }
        Some(Kind::StructValue(value)) => object(value, depth).into(),
    }
}
