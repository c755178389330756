//! What one run sent: requests, connections, and how many of the requests followed one another.

use std::time::{Duration, Instant};

/// One request and its answer, as the proxy saw them.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    /// A number that no other connection has.
    pub(crate) connection: u64,
    /// When the first byte of the request arrived.
    pub(crate) start: Instant,
    /// When the last byte of the answer was sent.
    pub(crate) end: Instant,
    /// Method, path and status.
    pub(crate) what: String,
}

/// The requests of one run, counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) requests: usize,
    pub(crate) connections: usize,
    /// The most requests of which each began after the one before had ended.
    pub(crate) round_trips: usize,
    /// The time in which no request was under way, from the start of the program to its end.
    pub(crate) idle: Duration,
    /// Requests that followed one another, each with its start and its duration.
    pub(crate) chain: Vec<(String, Duration, Duration)>,
}

impl Traffic {
    /// Counts `exchanges` of a run that began at `start` and took `wall`.
    pub(crate) fn of(mut exchanges: Vec<Exchange>, start: Instant, wall: Duration) -> Self {
        let mut connections: Vec<u64> = exchanges.iter().map(|one| one.connection).collect();
        connections.sort_unstable();
        connections.dedup();
        // The request that ends first leaves the most room for those that follow.
        exchanges.sort_by_key(|one| one.end);
        let mut chain: Vec<&Exchange> = Vec::new();
        for one in &exchanges {
            if chain.last().is_none_or(|last| last.end <= one.start) {
                chain.push(one);
            }
        }
        let chain: Vec<_> = chain
            .into_iter()
            .map(|one| {
                let begin = one.start.saturating_duration_since(start);
                (one.what.clone(), begin, one.end.saturating_duration_since(one.start))
            })
            .collect();
        Self {
            requests: exchanges.len(),
            connections: connections.len(),
            round_trips: chain.len(),
            idle: wall.saturating_sub(busy(&mut exchanges)),
            chain,
        }
    }
}

/// How long at least one request was under way.
fn busy(exchanges: &mut [Exchange]) -> Duration {
    exchanges.sort_by_key(|one| one.start);
    let mut total = Duration::ZERO;
    let mut until: Option<Instant> = None;
    for one in exchanges {
        let from = until.map_or(one.start, |until| until.max(one.start));
        total += one.end.saturating_duration_since(from);
        until = Some(until.map_or(one.end, |until| until.max(one.end)));
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traffic(spans: &[(u64, u64, u64)]) -> Traffic {
        let zero = Instant::now();
        let at = |milliseconds| zero + Duration::from_millis(milliseconds);
        let exchange = |(connection, start, end): &(u64, u64, u64)| Exchange {
            connection: *connection,
            start: at(*start),
            end: at(*end),
            what: format!("{start} to {end}"),
        };
        Traffic::of(spans.iter().map(exchange).collect(), zero, Duration::from_millis(100))
    }

    #[test]
    fn requests_at_the_same_time_are_one_round_trip() {
        let traffic = traffic(&[(1, 10, 30), (2, 12, 32), (3, 11, 31)]);
        assert_eq!((traffic.requests, traffic.connections, traffic.round_trips), (3, 3, 1));
        assert_eq!(traffic.idle, Duration::from_millis(78));
    }

    #[test]
    fn requests_after_one_another_are_as_many_round_trips() {
        let traffic = traffic(&[(1, 10, 30), (1, 30, 50), (2, 15, 70), (1, 60, 80)]);
        assert_eq!((traffic.requests, traffic.connections, traffic.round_trips), (4, 2, 3));
        assert_eq!(traffic.idle, Duration::from_millis(30));
    }

    #[test]
    fn a_run_without_requests_has_none() {
        let traffic = traffic(&[]);
        assert_eq!((traffic.requests, traffic.connections, traffic.round_trips), (0, 0, 0));
    }
}
