//! The calls.

use std::time::Duration;

use id_token::Audience;
use tonic::metadata::MetadataValue;
use tonic::{Request, Status};

use crate::connect::{connect, failure};
use crate::grpc::GrpcOnly;
use crate::proto::spiffe_workload_api_client::SpiffeWorkloadApiClient;
use crate::proto::{JwtsvidRequest, X509svidRequest};
use crate::svid::{JwtSvid, X509Svid, choose, jwt_svids, x509_svids};
use crate::{Endpoint, Error, SpiffeId};

/// The time a connection may take. A local agent accepts at once.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// The time a call may take unless [`WorkloadApi::with_deadline`] says otherwise. The agent may
/// have to ask its server for a signature.
const CALL_DEADLINE: Duration = Duration::from_secs(10);

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

    /// Gives each call this time instead of ten seconds.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// Fetches the JWT-SVID for `audience`: the one of `spiffe_id`, or the only one there is.
    ///
    /// # Errors
    /// All but [`Error::InvalidEndpoint`], [`Error::InvalidId`] and [`Error::Unreachable`];
    /// [`Error::Several`] when `spiffe_id` is `None` and this process has several identities.
    pub async fn fetch_jwt_svid(
        &self,
        audience: &Audience,
        spiffe_id: Option<&SpiffeId>,
    ) -> Result<JwtSvid, Error> {
        let svids = self.jwt_svids(audience, spiffe_id).await?;
        choose(&self.endpoint, svids, spiffe_id)
    }

    /// Fetches a JWT-SVID for `audience` per identity of this process, in an order that means
    /// nothing.
    ///
    /// # Errors
    /// As [`Self::fetch_jwt_svid`], without [`Error::Several`].
    pub async fn fetch_jwt_svids(&self, audience: &Audience) -> Result<Vec<JwtSvid>, Error> {
        self.jwt_svids(audience, None).await
    }

    /// Fetches the X.509-SVID of `spiffe_id`, or the only one there is, as it is at this moment.
    ///
    /// # Errors
    /// As [`Self::fetch_jwt_svid`].
    pub async fn fetch_x509_svid(&self, spiffe_id: Option<&SpiffeId>) -> Result<X509Svid, Error> {
        let svids = self.fetch_x509_svids().await.map_err(|error| match error {
            Error::NoIdentity { endpoint, message, .. } => {
                Error::NoIdentity { endpoint, asked: spiffe_id.cloned(), message }
            }
            other => other,
        })?;
        choose(&self.endpoint, svids, spiffe_id)
    }

    /// Fetches the X.509-SVID of every identity of this process as they are at this moment, in an
    /// order that means nothing.
    ///
    /// # Errors
    /// As [`Self::fetch_x509_svid`], without [`Error::Several`].
    pub async fn fetch_x509_svids(&self) -> Result<Vec<X509Svid>, Error> {
        let call = async {
            let mut client = self.client();
            let mut stream = client.fetch_x509svid(secured(X509svidRequest {})).await?.into_inner();
            // The first message is a complete state; the stream ends when it is dropped here.
            stream.message().await?.ok_or_else(|| Status::data_loss("the stream ended empty"))
        };
        let response = self.bounded(None, call).await?;
        x509_svids(&self.endpoint, response)
    }

    async fn jwt_svids(
        &self,
        audience: &Audience,
        spiffe_id: Option<&SpiffeId>,
    ) -> Result<Vec<JwtSvid>, Error> {
        let request = JwtsvidRequest {
            audience: vec![audience.as_str().to_owned()],
            spiffe_id: spiffe_id.map_or_else(String::new, ToString::to_string),
        };
        let mut client = self.client();
        let call = client.fetch_jwtsvid(secured(request));
        let response = self.bounded(spiffe_id, call).await?.into_inner();
        tracing::debug!(endpoint = %self.endpoint, svids = response.svids.len(), "JWT-SVIDs");
        jwt_svids(&self.endpoint, audience, response)
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
