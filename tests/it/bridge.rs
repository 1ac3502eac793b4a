//! The fixture: a real bridge in this process, the simulated dialer and the fake CRM, that meet only over HTTP.
//!
//! [`Setup::start`] runs the workers as `serve` does. [`Setup::start_by_hand`] has a clock that stands still and runs due work only
//! when the test says so: pauses of minutes and days are tested to the millisecond, and nothing sleeps.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use callbridge::cli::bridge::{Bridge, Role, assemble};
use callbridge::clock::Clock;
use callbridge::config::Settings;
use callbridge::domain::call::{Call, State};
use callbridge::domain::connection::{Connection, Kind};
use callbridge::domain::event::Event;
use callbridge::domain::id::{CallId, ConnectionId, LineId, WorkspaceId};
use callbridge::domain::item::{Item, Outcome};
use callbridge::domain::line::LineSettings;
use callbridge::domain::rate::{Limit, Rate};
use callbridge::domain::schedule::LineState;
use callbridge::domain::secret::SecretText;
use callbridge::domain::source::Source;
use callbridge::domain::time::Time;
use callbridge::domain::write_back::Status;
use callbridge::pipeline::{App, standing, token};
use callbridge::simulator::crm::{self, Note};
use callbridge::simulator::dialer;
use callbridge::simulator::mood::{Mood, Moods, Whom};
use callbridge::simulator::script::Pace;
use callbridge::simulator::stats::CallCount;
use callbridge::store::{Attempt, CallQuery, Change, Changed, Rejected, Store, TaskKind};
use callbridge::web::{State as WebState, server};
use callbridge::worker;
use serde_json::{Value, json};

use super::wire;

pub const HOOK_KEY: &str = "hook-key-of-the-tests-0001";
pub const LINE_KEY: &str = "line-key-of-the-tests-0001";
pub const CONNECTION: &str = "crm";
pub const LINE: &str = "line-1";
/// A customer of the fake CRM's sample.
pub const CUSTOMER: &str = "1001";
const RESULT_TOKEN: &str = "result-token-of-the-tests-0001";
/// Nothing that is waited for takes this long.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a bridge is started with.
pub struct Setup {
    dialer: dialer::Options,
    crm: crm::Options,
    settings: Settings,
}

impl Setup {
    /// Everything quick, one line, one generic connection that writes to the fake CRM; every phone in this mood.
    pub fn new(mood: Mood) -> Setup {
        let mut settings = Settings::built_in().unwrap();
        settings.store.snapshot.every = Duration::ZERO;
        settings.store.cache_mib = 8;
        settings.server.workers = 1;
        settings.dialer.settle = Duration::ZERO;
        settings.dialer.report_settle = Duration::ZERO;
        settings.dialer.timeout = Duration::from_secs(5);
        settings.outbound.allow_networks = vec!["127.0.0.0/8".parse().unwrap()];
        settings.lines = vec![LineSettings::new(LineId::new(LINE), SecretText::new(LINE_KEY))];
        settings.connections = vec![connection(CONNECTION, "generic", HOOK_KEY, &[])];
        let pace = Pace { ring_secs: 0.02, talk_secs: 0.02, slow_secs: 0.2, late_secs: 0.1 };
        let moods = Moods { everyone: mood, ..Moods::default() };
        let dialer = dialer::Options { pace, moods, keys: [LINE_KEY.to_owned()].into(), ..dialer::Options::default() };
        let crm = crm::Options { token: Some(RESULT_TOKEN.to_owned()), ..crm::Options::default() };
        Setup { dialer, crm, settings }
    }

    pub fn with(mut self, change: impl FnOnce(&mut Settings)) -> Setup {
        change(&mut self.settings);
        self
    }

    /// Changes the generic connection.
    pub fn connection(self, change: impl FnOnce(&mut Connection)) -> Setup {
        self.with(|settings| change(&mut settings.connections[0]))
    }

    /// One more secret key that the simulated dialer takes.
    pub fn dialer_key(mut self, key: &str) -> Setup {
        self.dialer.keys.insert(key.to_owned());
        self
    }

    /// One more phone, which the simulated dialer knows.
    pub fn line(mut self, id: &str, key: &str) -> Setup {
        self.dialer.keys.insert(key.to_owned());
        self.settings.lines.push(LineSettings::new(LineId::new(id), SecretText::new(key)));
        self
    }

    pub fn parameter(self, id: &str, value: &str) -> Setup {
        self.connection(|c| {
            c.parameters.insert(id.to_owned(), value.into());
        })
    }

    pub fn pace(mut self, change: impl FnOnce(&mut Pace)) -> Setup {
        change(&mut self.dialer.pace);
        self
    }

    /// How often the phone posts a report again that nobody took, a second apart.
    pub fn report_retries(mut self, times: u32) -> Setup {
        self.dialer.report_retries = times;
        self
    }

    /// Runs everything as `serve` does.
    pub async fn start(self) -> Fixture {
        self.begin(false).await
    }

    /// Only the web side runs; time and due work move when the test says so.
    pub async fn start_by_hand(self) -> Fixture {
        self.begin(true).await
    }

    async fn begin(mut self, by_hand: bool) -> Fixture {
        static TLS: Once = Once::new();
        // Fails only when one is there already, which is as good.
        TLS.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
        let dir = tempfile::tempdir().unwrap();
        let sim = dialer::start(self.dialer, free_port()).unwrap();
        let crm = crm::start(self.crm, free_port()).unwrap();
        self.settings.store.path = dir.path().join("data");
        if self.settings.dialer.url.contains("goitudong") {
            self.settings.dialer.url.clone_from(&sim.url);
        }
        for connection in self.settings.connections.iter_mut().filter(|c| c.plugin == "generic") {
            connection.parameters.entry("result_url".into()).or_insert_with(|| crm.results_url.as_str().into());
            connection.parameters.entry("result_token".into()).or_insert_with(|| RESULT_TOKEN.into());
        }
        let listener = free_port();
        let address = listener.local_addr().unwrap().to_string();
        let running = one_run(&self.settings, listener, &address, by_hand.then(|| Clock::System.now())).unwrap();
        if let Running::ByHand { app, .. } = &running {
            standing::want(app).await.unwrap();
        }
        Fixture { _dir: dir, settings: self.settings, running: Some(running), address, sim, crm, by_hand, wishes: AtomicU32::new(0), finished: false }
    }
}

/// A connection with nothing that would get in the way of a test.
pub fn connection(id: &str, plugin: &str, key: &str, parameters: &[(&str, &str)]) -> Connection {
    let mut connection = Connection::new(ConnectionId::new(id), plugin);
    connection.hook_key = Some(SecretText::new(key));
    connection.lines = vec![LineId::new(LINE)];
    connection.max_new_calls = Limit::Off;
    connection.max_per_number = Some(Limit::Off);
    connection.inbound_rate = Rate { count: 100_000, period: Duration::from_secs(1) };
    connection.write_back = vec![Kind::Call, Kind::Note];
    connection.parameters = parameters.iter().map(|(id, value)| ((*id).to_owned(), (*value).into())).collect();
    connection
}

fn free_port() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

enum Running {
    Live(Bridge),
    ByHand { app: Arc<App>, server: server::Running },
}

impl Running {
    fn app(&self) -> &Arc<App> {
        match self {
            Running::Live(bridge) => &bridge.app,
            Running::ByHand { app, .. } => app,
        }
    }
}

/// Starts again on `address`, as soon as the bridge before has let go of port and store.
async fn run(settings: &Settings, address: &str, clock: Option<Time>) -> Running {
    let from = Instant::now();
    loop {
        let started = TcpListener::bind(address).map_err(Into::into).and_then(|listener| one_run(settings, listener, address, clock));
        match started {
            Ok(running) => return running,
            Err(error) if from.elapsed() > PATIENCE => panic!("the bridge does not start: {error:#}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// `clock`: by hand, from then on.
fn one_run(settings: &Settings, listener: TcpListener, address: &str, clock: Option<Time>) -> anyhow::Result<Running> {
    let Some(now) = clock else { return Ok(Running::Live(Bridge::start(settings.clone(), Some(listener), Role::All, false)?)) };
    let mut app = assemble(settings, settings.server.public_url.clone().unwrap_or_else(|| format!("http://{address}")))?;
    Arc::get_mut(&mut app).expect("nobody else has it yet").clock = Clock::fixed(now);
    let state = WebState { app: Arc::clone(&app), settings: Arc::new(settings.clone()), local_admin: false };
    Ok(Running::ByHand { app, server: server::serve(state, listener, 1, Duration::from_secs(2))? })
}

/// A bridge with its two far ends.
pub struct Fixture {
    /// Holds the data as long as the fixture lives.
    _dir: tempfile::TempDir,
    pub settings: Settings,
    running: Option<Running>,
    /// Of the bridge.
    pub address: String,
    pub sim: dialer::Running,
    pub crm: crm::Running,
    by_hand: bool,
    wishes: AtomicU32,
    finished: bool,
}

impl Fixture {
    pub fn app(&self) -> &Arc<App> {
        self.running.as_ref().expect("the bridge is stopped").app()
    }

    pub fn store(&self) -> &callbridge::store::SledStore {
        &self.app().store
    }

    pub fn loops(&self) -> &callbridge::pipeline::loops::Loops {
        &self.app().loops
    }

    pub fn now(&self) -> Time {
        self.app().clock.now()
    }

    // --- what the outside does

    /// Delivers `body` to the hook of the generic connection.
    pub async fn deliver(&self, body: &Value) -> wire::Raw {
        self.deliver_bytes(&["Content-Type: application/json"], body.to_string().as_bytes()).await
    }

    pub async fn deliver_bytes(&self, headers: &[&str], body: &[u8]) -> wire::Raw {
        wire::post(&self.address, &hook_path(), headers, body).await
    }

    /// Asks for a call of this customer and waits until it is a call.
    pub async fn wish(&self, phone: &str) -> CallId {
        self.wish_with(phone, json!({})).await
    }

    /// The same with more fields.
    pub async fn wish_with(&self, phone: &str, more: Value) -> CallId {
        let n = self.wishes.fetch_add(1, Ordering::Relaxed);
        let mut body = json!({"event_id": format!("wish-{n}"), "phone": phone, "name": "Nguyễn Thị Lan", "gender": "Nữ", "record_id": CUSTOMER});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let known: Vec<CallId> = self.calls().into_iter().map(|c| c.id).collect();
        let answer = self.deliver(&body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        self.until("the wish is a call", |f| f.calls().into_iter().find(|c| !known.contains(&c.id)).map(|c| c.id)).await
    }

    /// Posts a report for a call, as its phone would.
    pub async fn report(&self, call: CallId, body: &Value) -> wire::Raw {
        let path = format!("/callbacks/{}", token::make(&self.store().instance_key(), call));
        wire::post(&self.address, &path, &["Content-Type: application/json; charset=utf-8"], body.to_string().as_bytes()).await
    }

    pub fn mood(&self, mood: Mood) {
        self.sim.set_mood(Whom::Everyone, Some(mood));
    }

    /// Does what a person does in console, API or CLI.
    pub async fn change(&self, change: Change) -> Changed {
        self.store().change(self.now(), "test".into(), change).await.unwrap()
    }

    pub async fn resume_line(&self) {
        let change = Change::ResumeLine { workspace: WorkspaceId::default(), line: LineId::new(LINE) };
        assert_eq!(self.change(change).await, Changed::Ok);
    }

    // --- time

    /// Waits until `look` finds something. By hand, due work is run meanwhile, but time stands still.
    pub async fn until<T>(&self, what: &str, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        let from = Instant::now();
        loop {
            if self.by_hand {
                worker::run_due(self.app()).await;
            }
            if let Some(found) = look(self) {
                return found;
            }
            assert!(from.elapsed() < PATIENCE, "it did not happen: {what}\n{:#?}", self.calls());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Moves the clock and runs everything that is due then.
    pub async fn advance(&self, by: Duration) {
        assert!(self.by_hand, "only a clock that stands still can be moved");
        self.app().clock.set(self.now().plus(by));
        self.run_due().await;
    }

    /// Sets the clock, and runs nothing yet.
    pub fn set_clock(&self, now: Time) {
        assert!(self.by_hand, "only a clock that stands still can be set");
        self.app().clock.set(now);
    }

    /// Runs what is due until nothing is.
    pub async fn run_due(&self) {
        while worker::run_due(self.app()).await {}
    }

    // --- what can be seen

    pub fn calls(&self) -> Vec<Call> {
        self.store().calls(&CallQuery { limit: 1000, ..CallQuery::default() }).unwrap()
    }

    pub fn call(&self, id: CallId) -> Call {
        self.store().call(id).unwrap().expect("the call is there")
    }

    pub async fn reaches(&self, id: CallId, state: State) -> Call {
        let call = self.until(&format!("the call is {}", state.as_str()), |f| Some(f.call(id)).filter(|c| c.state == state)).await;
        self.settled().await;
        call
    }

    /// A record can be read a moment before its step is answered and scheduled: a further step waits for that.
    async fn settled(&self) {
        let nobody = Change::Cancel { call: CallId([0; 16]), write_back: true };
        assert_eq!(self.store().change(self.now(), "fixture".into(), nobody).await.unwrap(), Changed::NotFound);
    }

    /// Waits until the call's result is in the CRM.
    pub async fn logged(&self, id: CallId) -> Call {
        let call = self.until("the result is in the CRM", |f| Some(f.call(id)).filter(|c| c.write_back.status == Status::Logged)).await;
        self.settled().await;
        call
    }

    pub fn attempts(&self, id: CallId) -> Vec<Attempt> {
        self.store().attempts(id).unwrap()
    }

    pub fn line(&self) -> LineState {
        self.store().line(&WorkspaceId::default(), &LineId::new(LINE)).unwrap()
    }

    pub fn brakes(&self) -> callbridge::domain::schedule::Brakes {
        self.store().brakes()
    }

    pub fn events(&self) -> Vec<Event> {
        self.store().events(None, 100).unwrap()
    }

    pub fn sources(&self) -> Vec<Source> {
        self.store().sources().unwrap()
    }

    pub fn alerts(&self) -> Vec<callbridge::domain::alert::Alert> {
        self.store().alerts().unwrap()
    }

    pub fn rejected(&self) -> Vec<Rejected> {
        self.store().rejected(100).unwrap()
    }

    /// Waits until the newest event has items that are not waiting.
    pub async fn outcomes(&self) -> Vec<Outcome> {
        let settled = |items: Vec<(u16, Item)>| {
            let outcomes: Vec<Outcome> = items.into_iter().map(|(_, item)| item.outcome).collect();
            (!outcomes.is_empty() && !outcomes.contains(&Outcome::Waiting)).then_some(outcomes)
        };
        self.until("the event is mapped", |f| settled(f.store().items(f.events().first()?.id).unwrap())).await
    }

    pub fn items(&self, event: callbridge::domain::id::EventId) -> Vec<Outcome> {
        self.store().items(event).unwrap().into_iter().map(|(_, item)| item.outcome).collect()
    }

    pub fn next_task_at(&self, kind: TaskKind) -> Option<Time> {
        self.store().next_task_at(kind)
    }

    pub fn backlog(&self, kind: TaskKind) -> usize {
        self.store().backlog(kind)
    }

    /// What the simulated dialer saw of a call.
    pub fn dialled(&self, id: CallId) -> CallCount {
        self.sim.call(&id.to_string())
    }

    /// The entries that the call left in the CRM.
    pub fn notes(&self, id: CallId) -> Vec<Note> {
        self.crm.notes_of(CUSTOMER).into_iter().filter(|n| n.call_id == id.to_string()).collect()
    }

    /// The one entry of a call.
    pub fn note(&self, id: CallId) -> Note {
        let notes = self.notes(id);
        assert_eq!(notes.len(), 1, "{notes:#?}");
        notes.into_iter().next().unwrap()
    }

    // --- the end

    /// Stops everything while calls are still under way; the sums hold all the same.
    pub async fn abandon(mut self) {
        self.settled().await;
        self.adds_up();
        assert_eq!(self.sim.totals().dialled_twice, 0);
        self.stop().await;
        self.sim.stop().await;
        self.crm.stop().await;
        self.finished = true;
    }

    /// Stops the bridge and starts it again on the same data and address; by hand, the clock stands where it stood.
    pub async fn restart(&mut self) {
        let clock = self.by_hand.then(|| self.now());
        self.stop().await;
        self.running = Some(run(&self.settings, &self.address, clock).await);
        if self.by_hand {
            standing::want(self.app()).await.unwrap();
        }
    }

    async fn stop(&mut self) {
        match self.running.take() {
            Some(Running::Live(bridge)) => bridge.stop().await,
            Some(Running::ByHand { app, server }) => {
                server.stop().await;
                drop(app);
            }
            None => {}
        }
    }

    /// Fails if work is left over, the sums do not add up, somebody was dialled twice or an entry is doubled; then stops everything.
    pub async fn finish(mut self) {
        self.until("no work is left over", |f| TaskKind::ENDING.iter().all(|kind| f.backlog(*kind) == 0).then_some(())).await;
        self.adds_up();
        let totals = self.sim.totals();
        assert_eq!(totals.dialled_twice, 0, "{totals:?}");
        assert_eq!(self.crm.totals().doubled, 0, "{:?}", self.crm.totals());
        self.stop().await;
        self.sim.stop().await;
        self.crm.stop().await;
        self.finished = true;
    }

    /// Promise 5.
    pub fn adds_up(&self) {
        let stats = self.store().stats(&WorkspaceId::default()).unwrap().counters;
        let sum = |prefix: &str| stats.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(_, n)| *n).sum::<i64>();
        let of = |name: &str| stats.get(name).copied().unwrap_or(0);
        assert_eq!(of("items"), sum("items."), "items: {stats:#?}");
        assert_eq!(sum("calls.origin."), sum("calls.state."), "calls: {stats:#?}");
        assert_eq!(of("items.called"), of("calls.origin.item"), "called items are calls: {stats:#?}");
        assert_eq!(of("events"), i64::try_from(self.store().events(None, 100_000).unwrap().len()).unwrap(), "events: {stats:#?}");
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        if !self.finished && !std::thread::panicking() {
            panic!("the test ends without `finish()`: nobody looked whether work is left over");
        }
    }
}

pub fn hook_path() -> String {
    format!("/hooks/{CONNECTION}/{HOOK_KEY}")
}
