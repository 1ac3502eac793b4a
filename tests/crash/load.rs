//! Senders that never stop: webhooks to three CRMs, drop-in calls, forged deliveries, a person at the API. They write down
//! exactly what was answered, and never send anything twice.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use callbridge::simulator::dialer;
use callbridge::simulator::mood::{Mood, Whom};
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::task::JoinHandle;

use super::dice::Dice;
use super::server::{API_KEY, CONNECTIONS, GATEWAY_KEY, LINES, SECRET, Site, hook_key, line_key};
use super::world::{NEVER_REPORTED, REPORTED_AGAIN, World};

const SENDERS: u64 = 6;
/// So many calls may wait for a line: a longer queue would only be worked off after the series, and automation, which goes
/// behind clicks, would not be met in it.
const BACKLOG: usize = 100;
/// They come in waves, so that queues grow and are empty again: a while of sending, a while of rest.
const WAVE: (Duration, Duration) = (Duration::from_millis(1500), Duration::from_millis(1000));

/// What the program promised.
#[derive(Default, Clone)]
pub struct Ledger {
    pub sent: u64,
    /// Deliveries with a good signature, answered or not: the most events there can be.
    pub webhooks: u64,
    /// Event ids that were answered with 2xx.
    pub acknowledged: Vec<String>,
    /// Call ids of drop-in calls that were answered with errorCode 0.
    pub drop_ins: Vec<String>,
    /// Calls that the API answered with 201.
    pub asked: Vec<String>,
    /// Other answers, by status.
    pub others: BTreeMap<String, u64>,
}

struct Shared {
    url: String,
    forward_url: String,
    client: reqwest::Client,
    phone: dialer::Running,
    customers: Vec<String>,
    next: AtomicU64,
    stop: AtomicBool,
    /// What is answered from now on does not count: the disk is being cut off.
    frozen: AtomicBool,
    ledger: Mutex<Ledger>,
}

/// The senders.
pub struct Load {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

impl Load {
    pub fn start(world: &World, site: &Site, dice: &mut Dice) -> Load {
        let shared = Arc::new(Shared {
            url: site.url.clone(),
            forward_url: world.forward_url.clone(),
            client: world.client.clone(),
            phone: world.phone.clone(),
            customers: world.customers.clone(),
            next: AtomicU64::new(dice.below(1 << 30) << 20),
            stop: AtomicBool::new(false),
            frozen: AtomicBool::new(false),
            ledger: Mutex::default(),
        });
        let mut tasks: Vec<_> = (0..SENDERS).map(|_| world.runtime.spawn(send_on(Arc::clone(&shared), Dice::of(dice.below(1 << 30))))).collect();
        tasks.push(world.runtime.spawn(person(Arc::clone(&shared))));
        tasks.push(world.runtime.spawn(put_off(Arc::clone(&shared))));
        Load { shared, tasks }
    }

    /// Answers that come after this do not count until [`Load::thaw`].
    pub fn freeze(&self) {
        let _ledger = self.shared.ledger.lock().unwrap();
        self.shared.frozen.store(true, Ordering::SeqCst);
    }

    pub fn thaw(&self) {
        self.shared.frozen.store(false, Ordering::SeqCst);
    }

    pub fn acknowledged(&self) -> usize {
        self.shared.ledger.lock().unwrap().acknowledged.len()
    }

    /// Stops all senders; what was promised.
    pub fn stop(self, world: &World) -> Ledger {
        self.shared.stop.store(true, Ordering::SeqCst);
        for task in self.tasks {
            world.runtime.block_on(task).unwrap();
        }
        self.shared.ledger.lock().unwrap().clone()
    }
}

async fn send_on(shared: Arc<Shared>, mut dice: Dice) {
    let began = Instant::now();
    while !shared.stop.load(Ordering::SeqCst) {
        let rests = began.elapsed().as_millis() % (WAVE.0 + WAVE.1).as_millis() > WAVE.0.as_millis();
        if rests || shared.behind() > BACKLOG {
            tokio::time::sleep(dice.millis(3, 25)).await;
            continue;
        }
        let number = shared.next.fetch_add(1, Ordering::SeqCst);
        match dice.below(20) {
            0 => forged(&shared, number).await,
            1 | 2 => drop_in(&shared, number).await,
            3 => asked(&shared, number).await,
            _ => webhook(&shared, number, &mut dice).await,
        }
        tokio::time::sleep(dice.millis(3, 25)).await;
    }
}

impl Shared {
    /// About how many of the promised calls have not reached the phones; one in fifty may be a duplicate.
    fn behind(&self) -> usize {
        let ledger = self.ledger.lock().unwrap();
        let promised = ledger.acknowledged.len() + ledger.drop_ins.len() + ledger.asked.len();
        drop(ledger);
        (promised - promised / 50).saturating_sub(self.phone.totals().call_ids)
    }

    /// Keeps what was answered. Nobody there, or no answer: nothing was promised.
    fn keep(&self, answer: &Result<(u16, Value), reqwest::Error>, promise: impl FnOnce(&mut Ledger, &(u16, Value)) -> bool) {
        let mut ledger = self.ledger.lock().unwrap();
        ledger.sent += 1;
        let Ok(answer) = answer else { return };
        if !self.frozen.load(Ordering::SeqCst) && !promise(&mut ledger, answer) {
            *ledger.others.entry(answer.0.to_string()).or_default() += 1;
        }
    }
}

async fn ask(request: reqwest::RequestBuilder) -> Result<(u16, Value), reqwest::Error> {
    let answer = request.send().await?;
    let status = answer.status().as_u16();
    Ok((status, serde_json::from_str(&answer.text().await?).unwrap_or_default()))
}

async fn webhook(shared: &Shared, number: u64, dice: &mut Dice) {
    let connection = CONNECTIONS[(number % 3) as usize];
    let event = format!("{connection}-{number}");
    let phone = match dice.below(40) {
        0 => NEVER_REPORTED.to_owned(),
        1..=3 => REPORTED_AGAIN.to_owned(),
        _ => format!("0912{:06}", number % 1_000_000),
    };
    let customer = &shared.customers[dice.below(shared.customers.len() as u64) as usize];
    let mut body = json!({ "event_id": event, "record_id": customer, "phone": phone });
    // The first CRM leaves the number out at times: it has to be looked up.
    if connection == "searchable" && dice.below(4) == 0 {
        body["phone"] = json!("");
    }
    shared.ledger.lock().unwrap().webhooks += 1;
    let answer = ask(signed(shared, connection, body.to_string(), SECRET)).await;
    shared.keep(&answer, |ledger, (status, _)| {
        let taken = (200..300).contains(status);
        if taken {
            ledger.acknowledged.push(event);
        }
        taken
    });
}

fn signed(shared: &Shared, connection: &str, body: String, secret: &str) -> reqwest::RequestBuilder {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let request = shared.client.post(format!("{}/hooks/{connection}/{}", shared.url, hook_key(connection)));
    request.header("content-type", "application/json").header("x-signature", hex::encode(mac.finalize().into_bytes())).body(body)
}

/// A delivery that somebody else signed: it must be refused, and the refusal kept.
async fn forged(shared: &Shared, number: u64) {
    let body = json!({ "event_id": format!("forged-{number}"), "record_id": "1", "phone": "0912345678" }).to_string();
    let answer = ask(signed(shared, "by-client-id", body, "another-secret")).await;
    shared.keep(&answer, |_, (status, _)| {
        assert!(!(200..300).contains(status), "a forged delivery was answered with {status}");
        false
    });
}

async fn drop_in(shared: &Shared, number: u64) {
    let call_id = format!("theirs-{number}");
    let body = json!({
        "secretKey": GATEWAY_KEY, "customerPhone": format!("0912{:06}", number % 1_000_000), "customerName": "Khách", "customerGender": "",
        "customerInfo": "", "callId": call_id, "apiCallbackUrl": format!("{}/{call_id}", shared.forward_url),
    });
    let answer = ask(shared.client.post(format!("{}/campaign/callone/", shared.url)).json(&body)).await;
    shared.keep(&answer, |ledger, (_, answer)| {
        let taken = answer["errorCode"] == 0;
        if taken {
            ledger.drop_ins.push(call_id);
        }
        taken
    });
}

/// A program asks for a call at the API.
async fn asked(shared: &Shared, number: u64) {
    let body = json!({ "phone": format!("0912{:06}", number % 1_000_000), "name": "Khách" });
    let answer = ask(shared.client.post(format!("{}/api/v1/calls", shared.url)).bearer_auth(API_KEY).json(&body)).await;
    shared.keep(&answer, |ledger, (status, answer)| {
        let made = *status == 201;
        if made {
            ledger.asked.push(answer["id"].as_str().unwrap_or_default().to_owned());
        }
        made
    });
}

/// The dialer puts calls off at times: one phone with 2222, everybody with 429. Those calls go back to the queue, and kills meet them there.
async fn put_off(shared: Arc<Shared>) {
    for turn in 1.. {
        if shared.stop.load(Ordering::SeqCst) {
            return;
        }
        let (whom, mood): (Vec<Whom>, _) = match turn % 4 {
            0 => (vec![Whom::Everyone], Mood::RateLimited),
            _ => ((2..=7).map(|line| Whom::Key(line_key(line))).collect(), Mood::SystemError),
        };
        let set = |mood| whom.iter().for_each(|whom| shared.phone.set_mood(whom.clone(), mood));
        set(Some(mood));
        // Long enough for a call to meet it, short enough that the series goes on.
        let begun = shared.phone.totals().asked;
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            if shared.phone.totals().asked > begun + 8 || shared.stop.load(Ordering::SeqCst) {
                break;
            }
        }
        set(None);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Somebody pauses the first line and lets it go on, again and again, and looks after phones that went silent.
async fn person(shared: Arc<Shared>) {
    for turn in 0.. {
        if shared.stop.load(Ordering::SeqCst) {
            return;
        }
        press(&shared.client, &shared.url, 1, "pause").await;
        tokio::time::sleep(Duration::from_millis(40)).await;
        press(&shared.client, &shared.url, 1, "resume").await;
        press(&shared.client, &shared.url, turn % LINES + 1, "resume").await;
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
}

/// A button of a line.
async fn press(client: &reqwest::Client, url: &str, line: usize, what: &str) {
    let request = client.post(format!("{url}/api/v1/lines/line-{line}/{what}")).bearer_auth(API_KEY).json(&json!({}));
    let _ = ask(request).await;
}

/// What a call that is never reported leaves behind is a silent line: somebody looks at the phone, and lets every line go on.
pub async fn resume_all(client: &reqwest::Client, url: &str) {
    for line in 1..=LINES {
        press(client, url, line, "resume").await;
    }
}
