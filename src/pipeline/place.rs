//! Places one claimed call: `placing` on disk, then the one request, then its outcome on disk.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::OwnedSemaphorePermit;

use super::app::App;
use super::token;
use crate::domain::call::Call;
use crate::domain::id::AttemptId;
use crate::domain::line::LineSettings;
use crate::domain::schedule::Pause;
use crate::domain::time::Time;
use crate::error::Code;
use crate::outbound::dialer::{self, CallOne, Meaning, Understood};
use crate::store::{AfterReport, Attempt, Begun, Change, Claim, Gate, Leg, Placing, Store, StoreError};

/// 2222 goes back to the queue this often at most, and not before this long.
const SYSTEM_ERRORS: u16 = 2;
const SYSTEM_ERROR_PAUSE: Duration = Duration::from_secs(30);
/// The dialer as a whole waits at most this long between two tries.
const DIALER_PAUSE_MAX: Duration = Duration::from_secs(60);

/// What another secret key may cure.
const KEY_TROUBLE: [Code; 6] = [Code::Dialer2112, Code::Dialer2113, Code::Dialer2114, Code::Dialer2115, Code::Dialer2116, Code::Dialer2117];

/// Which secret key a line has, without telling it.
fn key_digest(app: &App, line: &LineSettings) -> String {
    let digest = Sha256::new().chain_update(app.store.instance_key()).chain_update(line.secret_key.expose()).finalize();
    hex::encode(&digest[..8])
}

/// Lines that were paused because of their secret key and have another one now go on: their queue was kept.
pub async fn resume_new_keys(app: &App) -> Result<(), StoreError> {
    let live = app.live.load_full();
    for line in live.lines.values() {
        let pause = app.store.line(&line.workspace, &line.id)?.pause;
        if pause.is_some_and(|pause| !pause.key.is_empty() && pause.key != key_digest(app, line)) {
            tracing::info!(line.id = %line.id, "the line has a new secret key; it goes on");
            let change = Change::ResumeLine { workspace: line.workspace.clone(), line: line.id.clone() };
            app.store.change(app.clock.now(), "callbridge: new secret key".into(), change).await?;
        }
    }
    Ok(())
}

/// Tries one claim.
pub async fn run(app: &App, claim: Claim) -> Result<(), StoreError> {
    let live = app.live.load_full();
    let Some(line) = live.lines.get(&claim.line) else {
        app.store.unclaim(&claim, Some(app.clock.now().plus(Duration::from_secs(60))));
        return Ok(());
    };
    let gate = Gate {
        slot_timeout: app.tuning.slot_timeout,
        report_deadline: app.tuning.report_deadline,
        public_url: app.tuning.public_url.clone(),
        sweep: live.sweep.clone(),
    };
    // Not taken back to the queue while it waits here: few calls may be `placing` without their request having left.
    let Ok(unsent) = Arc::clone(&app.unsent).acquire_owned().await else { return Ok(()) };
    let call = match app.store.begin_placing(app.clock.now(), claim, gate).await? {
        Begun::Go(call) => call,
        Begun::Refused { code } => {
            tracing::info!(error.code = %code, "a rule refused a call before it was placed");
            return Ok(());
        }
        Begun::Hold { .. } | Begun::Gone => return Ok(()),
    };
    let started = app.clock.now();
    let understood = send(app, &call, line, unsent, last_word(app, &call)).await;
    let now = app.clock.now();
    let outcome = outcome(app, &call, line, &understood, now);
    let attempt = attempt(app, &call, &understood, started, now);
    log(&call, &outcome);
    let unreported = call.connection.as_ref().is_some_and(|c| live.sweep.write_back_unreported.contains(c));
    let after = AfterReport { write_back_after: unreported.then_some(Duration::ZERO), ..AfterReport::default() };
    settle(app, &call, outcome, attempt, after).await
}

/// The outcome must reach the disk: without it a placed call would look unconfirmed. It is tried again until the lease takes over.
async fn settle(app: &App, call: &Call, outcome: Placing, attempt: Attempt, after: AfterReport) -> Result<(), StoreError> {
    let mut last = Ok(());
    for _ in 0..160 {
        match app.store.end_placing(app.clock.now(), call.id, outcome.clone(), attempt.clone(), after.clone()).await {
            Ok(_) => return Ok(()),
            Err(error) => last = Err(error),
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    last
}

/// What keeps a request here when its connection stands at last: who pressed stop-all, and the end of the hours, wait for no handshake.
fn last_word(app: &App, call: &Call) -> impl Fn() -> Option<Code> + Send + Sync + Unpin + 'static + use<> {
    let (store, clock) = (app.store.clone(), app.clock.clone());
    let policy = app.live.load().policy(call.connection.as_ref(), &call.workspace);
    move || match store.brakes().stopped {
        Some(_) => Some(Code::HoldStopped),
        None => policy.as_ref().and_then(|policy| policy.opening.shut(clock.now())),
    }
}

async fn send(
    app: &App,
    call: &Call,
    line: &LineSettings,
    unsent: OwnedSemaphorePermit,
    last_word: impl Fn() -> Option<Code> + Send + Sync + Unpin + 'static,
) -> Understood {
    let phone = match (&call.test_phone, call.is_test()) {
        (Some(phone), _) => phone.national(),
        (None, false) => call.phone.national(),
        (None, true) => {
            return Understood { meaning: Meaning::Refused(Code::TestMode), status: None, detail: String::new() };
        }
    };
    let body = CallOne {
        secret_key: line.secret_key.expose().to_owned(),
        customer_phone: phone,
        customer_name: call.customer.name.clone(),
        customer_gender: call.customer.gender.map(|g| g.dialer_word().to_owned()).unwrap_or_default(),
        customer_info: call.customer.info.clone(),
        call_id: call.id.to_string(),
        api_callback_url: format!("{}/callbacks/{}", call.public_url.trim_end_matches('/'), token::make(&app.store.instance_key(), call.id)),
    };
    let mut understood = dialer::place(&app.dialer, &app.tuning.dialer_url, &body, app.tuning.retry_503, unsent, last_word).await;
    understood.detail = app.redact(&understood.detail);
    understood
}

/// From what the answer means to what is written.
fn outcome(app: &App, call: &Call, line: &LineSettings, understood: &Understood, now: Time) -> Placing {
    let detail = understood.detail.clone();
    let key = |code| if KEY_TROUBLE.contains(&code) { key_digest(app, line) } else { String::new() };
    let pause = |code, until| Pause { code, since: now, until, by: String::new(), detail: detail.clone(), key: key(code) };
    match &understood.meaning {
        Meaning::Taken => Placing::Taken,
        Meaning::Refused(code) => Placing::Refused { code: *code, detail },
        Meaning::Line { code, probe } => Placing::LineTrouble { pause: pause(*code, probe.map(|p| now.plus(p))) },
        Meaning::SystemError if app.tuning.retry_2222 && call.system_errors < SYSTEM_ERRORS => {
            Placing::SystemError { not_before: now.plus(SYSTEM_ERROR_PAUSE) }
        }
        Meaning::SystemError => Placing::MaybeSent { code: Code::Dialer2222, detail },
        Meaning::NotSent { code, wait } => {
            let times = app.store.brakes().dialer.map_or(0, |h| h.times);
            let growing = Duration::from_secs(1).saturating_mul(2u32.saturating_pow(times.min(10))).min(DIALER_PAUSE_MAX);
            Placing::NotSent { code: *code, dialer_until: Some(now.plus(wait.unwrap_or(growing))) }
        }
        // Nothing is wrong with the dialer: what keeps it here keeps it in the queue.
        Meaning::Withheld(code) => Placing::NotSent { code: *code, dialer_until: None },
        Meaning::Unclear => Placing::MaybeSent { code: Code::DialerUnclear, detail },
    }
}

fn attempt(app: &App, call: &Call, understood: &Understood, started: Time, now: Time) -> Attempt {
    let class = match understood.meaning {
        Meaning::Taken => "ok",
        Meaning::Refused(_) => "refused",
        Meaning::Line { .. } => "line",
        Meaning::SystemError => "system_error",
        Meaning::NotSent { .. } | Meaning::Withheld(_) => "not_sent",
        Meaning::Unclear => "unclear",
    };
    Attempt {
        id: AttemptId::from_uuid(app.clock.uuid()),
        leg: Leg::Place,
        number: u32::from(call.placings),
        at: started,
        duration_ms: u64::try_from(now.since(started).as_millis()).unwrap_or(u64::MAX),
        status: understood.status,
        class: class.into(),
        detail: if class == "ok" { String::new() } else { understood.detail.clone() },
        next_at: None,
    }
}

fn log(call: &Call, outcome: &Placing) {
    let line = call.line.as_ref().map(ToString::to_string).unwrap_or_default();
    match outcome {
        Placing::Taken => tracing::debug!(call.id = %call.id, line.id = %line, "the dialer took a call"),
        Placing::Refused { code, .. } => tracing::warn!(call.id = %call.id, error.code = %code, "the dialer refused a call"),
        Placing::LineTrouble { pause } => {
            tracing::error!(line.id = %line, error.code = %pause.code, advice = pause.code.advice("en"), "a line is paused; its calls wait");
        }
        Placing::SystemError { .. } => tracing::warn!(call.id = %call.id, "the dialer reports a system error; the call is tried again later"),
        Placing::NotSent { code, dialer_until: None } => tracing::info!(call.id = %call.id, error.code = %code, "a call was kept back before its request left"),
        Placing::NotSent { code, .. } => tracing::warn!(error.code = %code, "the dialer cannot be used now; every line waits"),
        Placing::MaybeSent { detail, .. } => tracing::warn!(call.id = %call.id, detail, "nobody knows whether the dialer took a call; it waits for its report"),
    }
}
