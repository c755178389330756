//! The Workload API over gRPC on a Unix socket.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde_json::{Map, Value};
use tokio::net::UnixListener;
use tonic::codegen::tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::agent::{Registration, SpiffeAgent};
use super::authority::Lenient;
use super::proto::spiffe_workload_api_server::{SpiffeWorkloadApi, SpiffeWorkloadApiServer};
use super::proto::{
    JwtBundlesRequest, JwtBundlesResponse, Jwtsvid, JwtsvidRequest, JwtsvidResponse,
    ValidateJwtsvidRequest, ValidateJwtsvidResponse, X509BundlesRequest, X509BundlesResponse,
    X509svid, X509svidRequest, X509svidResponse,
};

/// How long the agent tries what cannot succeed for a caller that names no deadline.
const PATIENCE: Duration = Duration::from_secs(60);

/// Nearly the deadline of the caller, as `grpc-timeout` states it: `300m` are milliseconds.
fn patience<T>(request: &Request<T>) -> Duration {
    let header = request.metadata().get("grpc-timeout").and_then(|value| value.to_str().ok());
    let stated = header.and_then(|text| {
        let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let number: u32 = number.parse().ok()?;
        let unit = match unit {
            "S" => Duration::from_secs(1),
            "m" => Duration::from_millis(1),
            "u" => Duration::from_micros(1),
            _ => return None,
        };
        unit.checked_mul(number)
    });
    stated.map_or(PATIENCE, |stated| stated.min(PATIENCE).mul_f32(0.8))
}

/// Serves `agent` on `listener` until the task is aborted.
pub(crate) async fn serve(listener: UnixListener, agent: Arc<SpiffeAgent>) {
    let service = SpiffeWorkloadApiServer::with_interceptor(WorkloadApi(agent), secured);
    let service = TowerToHyperService::new(service);
    // Aborting this task aborts those of its connections.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(crate::server::ACCEPT_PAUSE).await;
            continue;
        };
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(Lenient::new(stream)), service.clone());
        // What breaks off a connection is between client and socket.
        connections.spawn(async { drop(connection.await) });
    }
}

/// A request without the header may come from a program that was tricked into fetching a URL.
fn secured(request: Request<()>) -> Result<Request<()>, Status> {
    let mut values = request.metadata().get_all("workload.spiffe.io").iter();
    match (values.next(), values.next()) {
        (Some(value), None) if value == "true" => Ok(request),
        _ => Err(Status::invalid_argument("security header missing from request")),
    }
}

#[derive(Clone)]
struct WorkloadApi(Arc<SpiffeAgent>);

#[tonic::async_trait]
impl SpiffeWorkloadApi for WorkloadApi {
    async fn fetch_jwtsvid(
        &self,
        request: Request<JwtsvidRequest>,
    ) -> Result<Response<JwtsvidResponse>, Status> {
        let patience = patience(&request);
        let JwtsvidRequest { audience, spiffe_id } = request.into_inner();
        if self.0.hangs() || audience.iter().any(String::is_empty) {
            tokio::time::sleep(patience).await;
        }
        let svids = self.0.jwt_svids(&audience, &spiffe_id)?.into_iter().map(|svid| Jwtsvid {
            spiffe_id: svid.registration.spiffe_id.to_string(),
            svid: svid.token,
            hint: svid.registration.hint,
        });
        Ok(Response::new(JwtsvidResponse { svids: svids.collect() }))
    }

    type FetchJWTBundlesStream = State<JwtBundlesResponse>;

    async fn fetch_jwt_bundles(
        &self,
        _: Request<JwtBundlesRequest>,
    ) -> Result<Response<Self::FetchJWTBundlesStream>, Status> {
        self.0.registered()?;
        let keys = self.0.issuer.key_set().to_string().into_bytes();
        let bundles = [(self.0.trust_domain.id().to_string(), keys)].into();
        Ok(Response::new(State(Some(JwtBundlesResponse { bundles }))))
    }

    async fn validate_jwtsvid(
        &self,
        request: Request<ValidateJwtsvidRequest>,
    ) -> Result<Response<ValidateJwtsvidResponse>, Status> {
        let ValidateJwtsvidRequest { audience, svid } = request.into_inner();
        let (spiffe_id, claims) = self.0.validate(&audience, &svid)?;
        let claims = Some(to_struct(claims));
        Ok(Response::new(ValidateJwtsvidResponse { spiffe_id, claims }))
    }

    type FetchX509SVIDStream = State<X509svidResponse>;

    async fn fetch_x509svid(
        &self,
        _: Request<X509svidRequest>,
    ) -> Result<Response<Self::FetchX509SVIDStream>, Status> {
        let now = self.0.clock.now();
        let issue = |registration: &Registration| {
            let svid = self
                .0
                .authority
                .issue(&registration.spiffe_id, now)
                .map_err(|error| Status::unavailable(error.to_string()))?;
            Ok(X509svid {
                spiffe_id: registration.spiffe_id.to_string(),
                x509_svid: svid.certificate,
                x509_svid_key: svid.private_key,
                bundle: self.0.authority.bundle().to_vec(),
                hint: registration.hint.clone(),
            })
        };
        let svids: Result<Vec<X509svid>, Status> = self.0.registered()?.iter().map(issue).collect();
        let response = X509svidResponse { svids: svids?, ..X509svidResponse::default() };
        Ok(Response::new(State(Some(response))))
    }

    type FetchX509BundlesStream = State<X509BundlesResponse>;

    async fn fetch_x509_bundles(
        &self,
        _: Request<X509BundlesRequest>,
    ) -> Result<Response<Self::FetchX509BundlesStream>, Status> {
        self.0.registered()?;
        let bundle = self.0.authority.bundle().to_vec();
        let bundles = [(self.0.trust_domain.id().to_string(), bundle)].into();
        let response = X509BundlesResponse { bundles, ..X509BundlesResponse::default() };
        Ok(Response::new(State(Some(response))))
    }
}

/// A stream that tells the state once and stays open, because nothing changes.
struct State<T>(Option<T>);

impl<T: Unpin> Stream for State<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.0.take() {
            Some(message) => Poll::Ready(Some(Ok(message))),
            None => Poll::Pending,
        }
    }
}

fn to_struct(object: Map<String, Value>) -> prost_types::Struct {
    let fields = object.into_iter().map(|(name, value)| (name, to_value(value))).collect();
    prost_types::Struct { fields }
}

fn to_value(value: Value) -> prost_types::Value {
    use prost_types::value::Kind;

    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(value) => Kind::BoolValue(value),
        Value::Number(value) => Kind::NumberValue(value.as_f64().unwrap_or_default()),
        Value::String(value) => Kind::StringValue(value),
        Value::Array(values) => {
            let values = values.into_iter().map(to_value).collect();
            Kind::ListValue(prost_types::ListValue { values })
        }
        Value::Object(object) => Kind::StructValue(to_struct(object)),
    };
    prost_types::Value { kind: Some(kind) }
}
