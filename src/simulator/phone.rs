//! The phones: one per secret key, each makes one call at a time in the order asked, then its report is posted.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{Notify, Semaphore};

use super::body::{self, Request};
use super::dialer::Options;
use super::mood::{Mood, Moods};
use super::script::{self, Play, Reply, Script, When};
use super::stats::Stats;
use crate::clock::Clock;
use crate::domain::time::Time;

/// How many calls the live list keeps.
const RECENT_KEPT: usize = 100;
/// How many reports are on their way at once, over all phones: bounds sockets when thousands of phones hang up together.
const POSTING_AT_ONCE: usize = 256;

/// What a call on a phone is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Doing {
    /// The phone is off; it dials when it comes back.
    Held,
    /// The phone is on another call.
    Waiting,
    Ringing,
    Talking,
    Ended,
}

impl Doing {
    fn from_number(number: u8) -> Doing {
        [Doing::Held, Doing::Waiting, Doing::Ringing, Doing::Talking].get(usize::from(number)).copied().unwrap_or(Doing::Ended)
    }
}

/// One call that reached a phone.
#[derive(Debug)]
pub(super) struct Call {
    pub request: Request,
    pub mood: Mood,
    pub play: Play,
    pub asked_at: Time,
    /// Which reset it belongs to; a call of an older one ends silently.
    epoch: u64,
    doing: AtomicU8,
    since_ms: AtomicI64,
    reported: Notify,
}

impl Call {
    pub fn doing(&self) -> Doing {
        Doing::from_number(self.doing.load(Ordering::Relaxed))
    }

    pub fn since(&self) -> Time {
        Time(self.since_ms.load(Ordering::Relaxed))
    }

    fn now_is(&self, doing: Doing, now: Time) {
        self.since_ms.store(now.0, Ordering::Relaxed);
        self.doing.store(doing as u8, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
struct Phone {
    queue: VecDeque<Arc<Call>>,
    /// Asked for while the phone was off.
    held: VecDeque<Arc<Call>>,
    playing: bool,
    off: bool,
}

/// Everything that changes.
#[derive(Debug, Default)]
pub(super) struct State {
    pub moods: Moods,
    pub stats: Stats,
    pub recent: VecDeque<Arc<Call>>,
    pub all_off: bool,
    phones: HashMap<String, Phone>,
    epoch: u64,
}

/// One simulator: its options, its state, its client.
#[derive(Debug)]
pub(super) struct World {
    pub options: Options,
    pub clock: Clock,
    state: Mutex<State>,
    client: reqwest::Client,
    posting: Semaphore,
    /// Phones live on the runtime of whoever started the simulator, not on the web worker's.
    runtime: tokio::runtime::Handle,
}

impl World {
    pub fn new(options: Options, client: reqwest::Client, runtime: tokio::runtime::Handle) -> World {
        let state = State { moods: options.moods.clone(), ..State::default() };
        World { options, clock: Clock::System, state: Mutex::new(state), client, posting: Semaphore::new(POSTING_AT_ONCE), runtime }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a request: counts it, decides what it meets and, if it is dialled, gives it to its phone.
    pub fn ask(self: &Arc<Self>, request: Request) -> (Reply, When, Option<Arc<Call>>) {
        let now = self.clock.now();
        let mut state = self.state();
        let mood = state.moods.of(&request.phone, &request.key);
        // The n-th call of a key with a number is always the same, whatever other phones do meanwhile.
        let chance = script::chance(self.options.seed.wrapping_add(state.stats.asked_of(&request.key)), &request.phone);
        let Script { reply, when, play } = self.script(&request, mood, chance);
        state.stats.asked(&request.key, &request.call_id, reply, now);
        let call = play.map(|play| {
            let doing = AtomicU8::new(Doing::Waiting as u8);
            Arc::new(Call { mood, play, asked_at: now, epoch: state.epoch, doing, since_ms: AtomicI64::new(now.0), reported: Notify::new(), request })
        });
        if let Some(call) = &call {
            state.remember(call);
            if let Some(key) = state.hand_over(call, now) {
                self.runtime.spawn(Arc::clone(self).play_all(key, state.epoch));
            }
        }
        (reply, when, call)
    }

    fn script(&self, request: &Request, mood: Mood, chance: u64) -> Script {
        let refused = |code| Script { reply: Reply::Code(code), when: When::AtOnce, play: None };
        if request.key.trim().is_empty() || request.phone.trim().is_empty() {
            return refused(script::EMPTY);
        }
        if !self.options.keys.is_empty() && !self.options.keys.contains(&request.key) {
            return refused(script::WRONG_KEY);
        }
        script::script(mood, &self.options.pace, chance)
    }

    /// Switches one phone, or all, on or off. Coming back, a phone dials everything it was sent, one after the other.
    pub fn switch(self: &Arc<Self>, key: Option<&str>, on: bool) {
        let mut state = self.state();
        match key {
            Some(key) => state.phones.entry(key.to_owned()).or_default().off = !on,
            None => {
                state.all_off = !on;
                state.phones.values_mut().for_each(|phone| phone.off = false);
            }
        }
        if !on {
            return;
        }
        state.moods.switch_on();
        for key in state.wake(key) {
            self.runtime.spawn(Arc::clone(self).play_all(key, state.epoch));
        }
    }

    /// Forgets everything; calls on their way end without a report.
    pub fn reset(&self) {
        let mut state = self.state();
        *state = State { moods: self.options.moods.clone(), epoch: state.epoch + 1, ..State::default() };
    }

    /// Sleeps this many seconds of the played world.
    pub async fn sleep(&self, secs: f64) {
        if let Some(pause) = self.real(secs) {
            tokio::time::sleep(pause).await;
        }
    }

    /// `None`: nothing worth sleeping for.
    fn real(&self, secs: f64) -> Option<Duration> {
        let real = Duration::try_from_secs_f64(secs / self.options.speed).unwrap_or_default();
        (real >= Duration::from_micros(500)).then_some(real)
    }

    /// Waits until the call's first report was posted, at most this long.
    pub async fn first_report(&self, call: &Call, secs: f64) {
        let limit = self.real(secs).unwrap_or_default();
        // Running out of time is part of the play: the answer then comes without a report before it.
        let _ = tokio::time::timeout(limit, call.reported.notified()).await;
    }

    async fn play_all(self: Arc<Self>, key: String, epoch: u64) {
        while let Some(call) = self.next_call(&key, epoch) {
            self.play(&call).await;
            if !call.play.postings.is_empty() && !call.request.callback_url.is_empty() && self.is_current(&call) {
                tokio::spawn(Arc::clone(&self).post_reports(call));
            }
        }
    }

    fn next_call(&self, key: &str, epoch: u64) -> Option<Arc<Call>> {
        let mut guard = self.state();
        let state = &mut *guard;
        // After a reset the phone of this key is a new one, with its own player.
        if state.epoch != epoch {
            return None;
        }
        let all_off = state.all_off;
        let phone = state.phones.get_mut(key)?;
        if all_off || phone.off {
            let waiting = std::mem::take(&mut phone.queue);
            waiting.iter().for_each(|call| call.now_is(Doing::Held, call.since()));
            phone.held.extend(waiting);
        }
        let Some(call) = phone.queue.pop_front() else {
            phone.playing = false;
            return None;
        };
        call.now_is(Doing::Ringing, self.clock.now());
        state.stats.dialled(&call.request.key, &call.request.call_id);
        Some(call)
    }

    async fn play(&self, call: &Call) {
        self.sleep(call.play.ring_secs).await;
        if let Some(talk_secs) = call.play.talk_secs {
            call.now_is(Doing::Talking, self.clock.now());
            self.sleep(talk_secs).await;
        }
        call.now_is(Doing::Ended, self.clock.now());
    }

    fn is_current(&self, call: &Call) -> bool {
        self.state().epoch == call.epoch
    }

    async fn post_reports(self: Arc<Self>, call: Arc<Call>) {
        for posting in &call.play.postings {
            self.sleep(posting.after_secs).await;
            let text = body::report(&call.request, &call.play, posting, self.options.camel_case).to_string();
            let delivered = self.deliver(&call.request.callback_url, text).await;
            if !self.is_current(&call) {
                return;
            }
            self.state().stats.reported(&call.request.call_id, delivered);
            call.reported.notify_one();
        }
    }

    /// Posts one report. Whether the real sender tries again is not known, so by default this one does not.
    async fn deliver(&self, url: &str, text: String) -> bool {
        for attempt in 0..=self.options.report_retries {
            if attempt > 0 {
                self.sleep(1.0).await;
            }
            let Ok(_permit) = self.posting.acquire().await else { return false };
            let request = self.client.post(url).header("content-type", "application/json; charset=utf-8").body(text.clone());
            let answer = request.send().await;
            if answer.is_ok_and(|a| a.status().is_success()) {
                return true;
            }
        }
        false
    }
}

impl State {
    /// Gives a call to its phone; the key if the phone was idle and has to be started.
    fn hand_over(&mut self, call: &Arc<Call>, now: Time) -> Option<String> {
        let all_off = self.all_off;
        let key = &call.request.key;
        let phone = self.phones.entry(key.clone()).or_default();
        let held = all_off || phone.off || call.play.held;
        if held {
            call.now_is(Doing::Held, now);
            phone.held.push_back(Arc::clone(call));
        } else {
            phone.queue.push_back(Arc::clone(call));
        }
        let start = !held && !phone.playing;
        let busy = usize::from(phone.playing);
        phone.playing |= start;
        let at_once = phone.queue.len() + phone.held.len() + busy;
        self.stats.at_once(key, at_once);
        start.then(|| key.clone())
    }

    /// Puts held calls back in their queues; the keys of phones that have to be started.
    fn wake(&mut self, only: Option<&str>) -> Vec<String> {
        let mut started = Vec::new();
        let all_off = self.all_off;
        for (key, phone) in &mut self.phones {
            if only.is_some_and(|only| only != key) || phone.off || all_off {
                continue;
            }
            let held = std::mem::take(&mut phone.held);
            held.iter().for_each(|call| call.now_is(Doing::Waiting, call.since()));
            // They were asked for earlier than what waits in the queue.
            let later = std::mem::replace(&mut phone.queue, held);
            phone.queue.extend(later);
            if !phone.playing && !phone.queue.is_empty() {
                phone.playing = true;
                started.push(key.clone());
            }
        }
        started
    }

    fn remember(&mut self, call: &Arc<Call>) {
        self.recent.push_back(Arc::clone(call));
        if self.recent.len() > RECENT_KEPT {
            self.recent.pop_front();
        }
    }
}
