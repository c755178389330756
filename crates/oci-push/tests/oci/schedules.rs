//! The proof that no signature is lost: three writers of one image on a registry without the
//! referrers API, in thousands of orders of their requests.
//!
//! A scheduler holds every request of the real `attach` that reads or writes a tag, and decides by a
//! seed what happens next: a request is served; its answer is delayed while others go on; a read is
//! answered with an earlier state; a write is given up by its writer and arrives later or never; a
//! writer is killed with a write under way. Whatever it decides, a reader that takes the union of
//! the list and the own tags must find the signature of every writer that returned success.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use fastrand::Rng;
use host::{BoxFuture, CallPolicy, Clock, FakeEnv, Host, NoPrograms, Transport, TransportError};
use http::{Method, Request};
use oci_push::{Digest, Options, Registry};

use crate::attach::digests;
use crate::fake::{Answer, Fake};
use crate::helpers::{block_on, bundle, subject};

const SCHEDULES: u64 = 2000;
const SCHEDULES_OF_KNOWN: u64 = 1000;
/// More than an own tag is looked for among.
const TAGS_OF_OTHERS: usize = 301;
const THREADS: u64 = 2;
const WRITERS: usize = 3;

/// A request that the scheduler holds, or a pause of a writer.
enum Step {
    Request(Request<Bytes>),
    /// Served, and the answer is under way.
    Answered(Answer),
    Pause(SystemTime),
}

struct Simulation {
    fake: Fake,
    now: SystemTime,
    next: u64,
    /// By writer and number.
    waiting: BTreeMap<(usize, u64), Step>,
    /// What a writer may go on with.
    done: BTreeMap<u64, Option<Answer>>,
    wakers: BTreeMap<u64, Waker>,
    /// Writes whose writers do not wait for them any more.
    adrift: Vec<Request<Bytes>>,
    /// Earlier states of the tags.
    earlier: Vec<BTreeMap<String, String>>,
    /// Nothing is held yet.
    is_calm: bool,
}

#[derive(Clone)]
struct Wire {
    simulation: Arc<Mutex<Simulation>>,
    writer: usize,
}

impl Wire {
    fn hold(&self, step: Step) -> PendingAnswer {
        let mut simulation = self.simulation.lock().unwrap();
        simulation.next += 1;
        let number = simulation.next;
        simulation.waiting.insert((self.writer, number), step);
        PendingAnswer { simulation: Arc::clone(&self.simulation), number }
    }
}

struct PendingAnswer {
    simulation: Arc<Mutex<Simulation>>,
    number: u64,
}

impl Future for PendingAnswer {
    type Output = Option<Answer>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Answer>> {
        let mut simulation = self.simulation.lock().unwrap();
        if let Some(answer) = simulation.done.remove(&self.number) {
            return Poll::Ready(answer);
        }
        simulation.wakers.insert(self.number, context.waker().clone());
        Poll::Pending
    }
}

impl Transport for Wire {
    fn send(&self, request: Request<Bytes>, _: &CallPolicy) -> BoxFuture<'_, Answer> {
        let path = request.uri().path();
        // Only what reads or writes a tag depends on the order.
        let of_tags = path.contains("/manifests/sha256-") || path.ends_with("/tags/list");
        let simulation = self.simulation.lock().unwrap();
        if !of_tags || simulation.is_calm {
            return Box::pin(std::future::ready(simulation.fake.answer(&request)));
        }
        drop(simulation);
        let held = self.hold(Step::Request(request));
        Box::pin(async move { held.await.unwrap() })
    }
}

impl Clock for Wire {
    fn now(&self) -> SystemTime {
        self.simulation.lock().unwrap().now
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        if self.simulation.lock().unwrap().is_calm {
            return Box::pin(std::future::ready(()));
        }
        let until = self.now() + duration;
        let held = self.hold(Step::Pause(until));
        Box::pin(async move { _ = held.await })
    }
}

impl Simulation {
    fn serve(&mut self, request: &Request<Bytes>) -> Answer {
        let tags = self.tags();
        let answer = self.fake.answer(request);
        if self.tags() != tags {
            self.earlier.push(tags);
        }
        answer
    }

    fn tags(&self) -> BTreeMap<String, String> {
        self.fake.with(|state| state.repositories["app"].tags.clone())
    }

    /// As the registry would have answered before its last change but `ago`.
    fn serve_stale(&self, request: &Request<Bytes>, ago: usize) -> Answer {
        let Some(then) = self.earlier.iter().rev().nth(ago).cloned() else {
            return self.fake.answer(request);
        };
        let swap = |tags: BTreeMap<String, String>| {
            self.fake.with(|state| {
                std::mem::replace(&mut state.repositories.get_mut("app").unwrap().tags, tags)
            })
        };
        let now = swap(then);
        let answer = self.fake.answer(request);
        swap(now);
        answer
    }

    /// One step of one writer, chosen by `rng`; the writer that can go on, if one can.
    fn step(&mut self, rng: &mut Rng) -> Option<usize> {
        self.now += Duration::from_millis(rng.u64(1..40));
        if !self.adrift.is_empty() && rng.u8(..) < 40 {
            let late = self.adrift.swap_remove(rng.usize(..self.adrift.len()));
            _ = self.serve(&late);
            return None;
        }
        let keys: Vec<(usize, u64)> = self.waiting.keys().copied().collect();
        let key = rng.choice(keys)?;
        let step = self.waiting.remove(&key)?;
        let request = match step {
            Step::Pause(until) => {
                self.now = self.now.max(until);
                return self.finish(key, None);
            }
            Step::Answered(answer) => return self.finish(key, Some(answer)),
            Step::Request(request) => request,
        };
        let reads = *request.method() == Method::GET;
        let answer = match rng.u8(..) {
            // Slow: by now others have gone on for seconds.
            0..20 => {
                self.now += Duration::from_millis(rng.u64(500..4000));
                self.waiting.insert(key, Step::Request(request));
                return None;
            }
            20..40 if reads => self.serve_stale(&request, rng.usize(..2)),
            20..30 => {
                // Its writer gives up; the registry may still get it.
                if rng.bool() {
                    self.adrift.push(request);
                }
                let url = "http://localhost:5000/".to_owned();
                Err(TransportError::Timeout { url, after: Duration::from_secs(30) })
            }
            _ => self.serve(&request),
        };
        if rng.u8(..) < 60 {
            self.waiting.insert(key, Step::Answered(answer));
            return None;
        }
        self.finish(key, Some(answer))
    }

    fn finish(&mut self, key: (usize, u64), answer: Option<Answer>) -> Option<usize> {
        self.done.insert(key.1, answer);
        if let Some(waker) = self.wakers.remove(&key.1) {
            waker.wake();
        }
        Some(key.0)
    }

    /// Writer `writer` is killed: what it waits for may still happen.
    fn kill(&mut self, writer: usize, rng: &mut Rng) {
        let keys: Vec<(usize, u64)> =
            self.waiting.keys().filter(|key| key.0 == writer).copied().collect();
        for key in keys {
            if let Some(Step::Request(request)) = self.waiting.remove(&key)
                && *request.method() == Method::PUT
                && rng.bool()
            {
                self.adrift.push(request);
            }
        }
    }
}

#[derive(Default)]
struct Counts {
    succeeded: u32,
    failed: u32,
    killed: u32,
    /// Schedules in which the list alone lacks a signature of a writer that succeeded.
    list_lacks: u32,
    /// Of those, after one more writer.
    healed: u32,
}

fn registry(wire: &Wire, own_tags: bool) -> Registry {
    let host = Host::new(
        Arc::new(wire.clone()),
        Arc::new(FakeEnv::new()),
        Arc::new(wire.clone()),
        Arc::new(NoPrograms),
    );
    Registry::new(host, Options::new().with_signature_tags(own_tags)).unwrap()
}

/// Which writers there are.
#[derive(Clone, Copy, PartialEq)]
enum Writers {
    /// They write the list and nothing else.
    ListOnly,
    /// They know nothing of the registry.
    New,
    /// They have signed another image, and ask for less.
    Known,
    /// The same in a repository with so many tags that they are not asked for without need.
    Crowded,
}

fn schedule(seed: u64, kind: Writers, counts: &mut Counts) {
    let own_tags = kind != Writers::ListOnly;
    fastrand::seed(seed);
    let mut rng = Rng::with_seed(seed);
    let fake = Fake::without_referrers();
    let image = fake.image("app", "v1");
    if kind == Writers::Crowded {
        (0..TAGS_OF_OTHERS).for_each(|number| fake.tag("app", &format!("v1.{number}"), &image));
    }
    let simulation = Arc::new(Mutex::new(Simulation {
        fake: fake.clone(),
        now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_345_879),
        next: 0,
        waiting: BTreeMap::new(),
        done: BTreeMap::new(),
        wakers: BTreeMap::new(),
        adrift: Vec::new(),
        earlier: Vec::new(),
        is_calm: true,
    }));
    let mut writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let registry =
                registry(&Wire { simulation: Arc::clone(&simulation), writer }, own_tags);
            if matches!(kind, Writers::Known | Writers::Crowded) {
                let other = subject(&fake.image("app", &format!("before {writer}")));
                let note = bundle("another image's");
                block_on(registry.attach(&other, note.as_bytes(), &BTreeMap::new())).unwrap();
            }
            let image = subject(&image);
            let note = bundle(&format!("{seed} {writer}"));
            let attach =
                async move { registry.attach(&image, note.as_bytes(), &BTreeMap::new()).await };
            Some(Box::pin(attach))
        })
        .collect();
    simulation.lock().unwrap().is_calm = false;
    let mut succeeded: BTreeSet<Digest> = BTreeSet::new();
    let mut context = Context::from_waker(Waker::noop());
    let mut ready: Vec<usize> = (0..WRITERS).collect();
    for step in 0.. {
        assert!(step < 20_000, "schedule {seed} does not end");
        for number in ready.drain(..) {
            let Some(attach) = &mut writers[number] else { continue };
            match attach.as_mut().poll(&mut context) {
                Poll::Pending => {}
                Poll::Ready(Ok(attached)) => {
                    succeeded.insert(attached.digest);
                    counts.succeeded += 1;
                    writers[number] = None;
                }
                Poll::Ready(Err(_)) => {
                    counts.failed += 1;
                    writers[number] = None;
                }
            }
        }
        if rng.u16(..1000) < 2 {
            let number = rng.usize(..WRITERS);
            if writers[number].take().is_some() {
                counts.killed += 1;
                simulation.lock().unwrap().kill(number, &mut rng);
            }
        }
        if writers.iter().all(Option::is_none) {
            break;
        }
        ready.extend(simulation.lock().unwrap().step(&mut rng));
    }
    // What was under way arrives.
    {
        let mut simulation = simulation.lock().unwrap();
        for late in std::mem::take(&mut simulation.adrift) {
            _ = simulation.serve(&late);
        }
    }
    let reader = fake.registry();
    let mut found = block_on(reader.find(&subject(&image))).unwrap();
    let more = block_on(reader.find_more(&subject(&image), &found));
    found.bundles.extend(more.bundles);
    let union: BTreeSet<Digest> = found.bundles.into_iter().map(|one| one.manifest).collect();
    let lost: Vec<&Digest> = succeeded.difference(&union).collect();
    if !own_tags {
        counts.list_lacks += u32::from(!lost.is_empty());
        return;
    }
    assert!(lost.is_empty(), "schedule {seed} loses {lost:?}");

    let lacks = |succeeded: &BTreeSet<Digest>| {
        let listed = fake.listed("app", &image).map(|list| digests(&list)).unwrap_or_default();
        succeeded.iter().any(|digest| !listed.contains(&digest.to_string()))
    };
    if lacks(&succeeded) {
        counts.list_lacks += 1;
        let next = bundle("the next writer");
        block_on(reader.attach(&subject(&image), next.as_bytes(), &BTreeMap::new())).unwrap();
        counts.healed += u32::from(!lacks(&succeeded));
    }
}

#[test]
fn no_schedule_of_three_writers_loses_a_signature_of_one_that_succeeded() {
    println!("{}", all_schedules(Writers::New, SCHEDULES));
}

/// Of an image without a list such a writer reads only the tags back.
#[test]
fn no_schedule_of_three_writers_that_know_the_registry_loses_a_signature_either() {
    println!("{}", all_schedules(Writers::Known, SCHEDULES_OF_KNOWN));
}

/// Of an image without a list such a writer reads only the list back.
#[test]
fn no_schedule_of_three_writers_in_a_repository_of_many_tags_loses_a_signature_either() {
    println!("{}", all_schedules(Writers::Crowded, SCHEDULES_OF_KNOWN));
}

/// What happened in all of them, as a sentence.
fn all_schedules(kind: Writers, schedules: u64) -> String {
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            std::thread::spawn(move || {
                let mut counts = Counts::default();
                (thread..schedules)
                    .step_by(THREADS as usize)
                    .for_each(|seed| schedule(seed, kind, &mut counts));
                counts
            })
        })
        .collect();
    let mut all = Counts::default();
    for thread in threads {
        let counts = thread.join().unwrap();
        all.succeeded += counts.succeeded;
        all.failed += counts.failed;
        all.killed += counts.killed;
        all.list_lacks += counts.list_lacks;
        all.healed += counts.healed;
    }
    let Counts { succeeded, failed, killed, list_lacks, healed } = all;
    let summary = format!(
        "{schedules} schedules of {WRITERS} writers: {succeeded} succeeded, {failed} failed, \
         {killed} were killed; the union lacks none; the list alone lacks one in {list_lacks}, \
         of which the next writer repairs {healed}"
    );
    assert_eq!(healed, list_lacks, "the next writer repairs the list");
    assert!(u64::from(succeeded) > schedules && killed > 50 && failed > 0 && list_lacks > 0);
    summary
}

/// The scheduler finds losses where there are some.
#[test]
fn the_list_alone_loses_signatures_in_some_schedules() {
    let mut counts = Counts::default();
    (0..300).for_each(|seed| schedule(seed, Writers::ListOnly, &mut counts));
    println!("the list alone: {} of 300 schedules lose a signature", counts.list_lacks);
    assert!(counts.list_lacks > 0);
}
