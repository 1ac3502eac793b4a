// The page of the demo CRM. It knows only what its own server tells it; the phone panel is a window onto the simulated
// phone and marked as such.
"use strict";

const TEXTS = {
  vi: {
    skip: "Tới nội dung", demo: "Bản demo", back: "Về danh sách", language: "Ngôn ngữ", customers: "Khách hàng", title: "Sổ Khách",
    search: "Tìm tên, số, công ty", stage: "Giai đoạn", all: "Tất cả", live_on: "Trực tiếp", live_off: "Mất kết nối, đang thử lại…",
    new: "Mới", contacted: "Đã liên hệ", quoted: "Đã báo giá", customer: "Khách hàng", paused: "Tạm dừng",
    count: (n) => `${n} khách hàng`, owner: "Phụ trách", company: "Công ty", city: "Thành phố", info: "Nhu cầu", phone: "Điện thoại", no_phone: "Chưa có số",
    call: "Gọi", call_again: "Gọi lại", sending: "Đang gửi…", waiting: "Đang chờ kết quả",
    step_asked: "Đã bấm gọi", step_sending: "Đang gửi sang cầu nối", step_taken: "Cầu nối đã nhận", step_refused: "Cầu nối từ chối", step_unreached: "Không tới được cầu nối",
    step_bridge: "Cầu nối nhận", step_result: "Kết quả", step_result_wait: "Chờ kết quả về", step_result_done: "Đã ghi vào hồ sơ", step_result_hint: "Cầu nối gọi ngay khi máy rảnh",
    history: "Lịch sử", wait_history: "Đang chờ kết quả cuộc gọi", wait_history_hint: "Kết quả sẽ tự hiện ở đây, không cần tải lại trang.", no_history: "Chưa có cuộc gọi nào", no_history_hint: "Bấm Gọi. Kết quả sẽ tự hiện ở đây, không cần tải lại trang.",
    no_match: "Không tìm thấy khách nào", no_match_hint: "Thử tên, số hoặc công ty khác.", no_customers: "Chưa có khách hàng", no_customers_hint: "Thêm qua POST /api/customers.",
    choose: "Chọn một khách hàng", choose_hint: "Danh sách ở bên trái.", gone: "Không có khách hàng này", gone_hint: "Có thể đã bị xóa.",
    answered: "Đã nghe máy", no_answer: "Không nghe máy", unreachable: "Không liên lạc được", refused: "Không gọi được", expired: "Hết hạn, chưa gọi", cancelled: "Đã hủy", lost: "Không rõ kết quả", note: "Ghi chú",
    interested: "Quan tâm", not_interested: "Không quan tâm", no_response: "Chưa phản hồi",
    talked: (t) => `Đàm thoại ${t}`, lasted: (t) => `Tổng ${t}`, changed: (n) => n > 1 ? `Đã cập nhật ${n} lần` : "Đã cập nhật", call_id: "Mã", answer: "Cầu nối trả lời",
    seconds: (s) => s < 60 ? `${s} giây` : `${Math.floor(s / 60)} phút${s % 60 ? ` ${s % 60} giây` : ""}`,
    now: "vừa xong", minutes_ago: (n) => `${n} phút trước`, today: "hôm nay",
    rejected_title: "Cầu nối không nhận yêu cầu gọi", rejected_text: (status, say) => `${say || "Không có lời giải thích"} (HTTP ${status})`,
    failed_title: "Không gọi được tới cầu nối", failed_text: (why) => `${why}. Kiểm tra cầu nối đang chạy và địa chỉ webhook.`,
    broken_title: "Trang không liên lạc được máy chủ", broken_text: "Kiểm tra chương trình demo còn chạy, rồi thử lại.",
    result_title: (name) => `Có kết quả: ${name}`, close: "Đóng",
    phone_title: "Điện thoại mô phỏng", phone_recent: "Các cuộc vừa qua", phone_hint: "Chỉ để xem thử: CRM thật không nhìn thấy màn hình này, chỉ nhận kết quả do cầu nối gửi về.",
    phone_idle: "Đang rảnh", phone_idle_hint: "Cuộc gọi tiếp theo sẽ hiện ở đây", phone_off: "Đang tắt máy", phone_gone: "Chưa kết nối điện thoại mô phỏng",
    ringing: "Đang đổ chuông", talking: "Đang nói chuyện", waiting_n: (n) => `${n} cuộc đang chờ`, held: "Chờ mở máy", waiting_short: "Đang chờ", ended_yes: "Đã nghe", ended_no: "Không nghe",
    on: "Bật", off: "Tắt", no_recent: "Chưa có cuộc gọi", switch_label: "Bật điện thoại mô phỏng",
  },
  en: {
    skip: "Skip to content", demo: "Demo", back: "Back to the list", language: "Language", customers: "Customers", title: "Sổ Khách",
    search: "Name, number or company", stage: "Stage", all: "All", live_on: "Live", live_off: "Connection lost, trying again…",
    new: "New", contacted: "Contacted", quoted: "Quoted", customer: "Customer", paused: "Paused",
    count: (n) => n === 1 ? "1 customer" : `${n} customers`, owner: "Owner", company: "Company", city: "City", info: "Needs", phone: "Phone", no_phone: "No number yet",
    call: "Call", call_again: "Call again", sending: "Sending…", waiting: "Waiting for result",
    step_asked: "Call pressed", step_sending: "Sending to the bridge", step_taken: "Taken by the bridge", step_refused: "Refused by the bridge", step_unreached: "Bridge not reached",
    step_bridge: "Bridge takes it", step_result: "Result", step_result_wait: "Waiting for the result", step_result_done: "Saved on this record", step_result_hint: "The bridge dials as soon as the phone is free",
    history: "History", wait_history: "Waiting for the call's result", wait_history_hint: "It appears here by itself, without reloading.", no_history: "No calls yet", no_history_hint: "Press Call. The result appears here by itself, without reloading.",
    no_match: "No customer found", no_match_hint: "Try another name, number or company.", no_customers: "No customers yet", no_customers_hint: "Add some with POST /api/customers.",
    choose: "Choose a customer", choose_hint: "The list is on the left.", gone: "There is no such customer", gone_hint: "It may have been deleted.",
    answered: "Answered", no_answer: "No answer", unreachable: "Could not be reached", refused: "Not called", expired: "Expired, not called", cancelled: "Cancelled", lost: "Result unknown", note: "Note",
    interested: "Interested", not_interested: "Not interested", no_response: "No response yet",
    talked: (t) => `Talked ${t}`, lasted: (t) => `${t} in all`, changed: (n) => n > 1 ? `Updated ${n} times` : "Updated", call_id: "ID", answer: "What the bridge answered",
    seconds: (s) => s < 60 ? `${s} s` : `${Math.floor(s / 60)} min${s % 60 ? ` ${s % 60} s` : ""}`,
    now: "just now", minutes_ago: (n) => `${n} min ago`, today: "today",
    rejected_title: "The bridge did not take the request", rejected_text: (status, say) => `${say || "It gave no explanation"} (HTTP ${status})`,
    failed_title: "The bridge could not be reached", failed_text: (why) => `${why}. Check that the bridge runs and that the webhook address is right.`,
    broken_title: "This page cannot reach its server", broken_text: "Check that the demo still runs, then try again.",
    result_title: (name) => `Result: ${name}`, close: "Close",
    phone_title: "Simulated phone", phone_recent: "Recent calls", phone_hint: "Only for this demo: a real CRM does not see this screen, it only gets the results the bridge sends back.",
    phone_idle: "Idle", phone_idle_hint: "The next call appears here", phone_off: "Switched off", phone_gone: "The simulated phone is not connected",
    ringing: "Ringing", talking: "Talking", waiting_n: (n) => n === 1 ? "1 call waiting" : `${n} calls waiting`, held: "Waits for power", waiting_short: "Waiting", ended_yes: "Answered", ended_no: "Not answered",
    on: "On", off: "Off", no_recent: "No calls yet", switch_label: "Switch the simulated phone on",
  },
};

const ICONS = {
  phone: "M6.500 4h3l1.500 4-2 1.500a11 11 0 0 0 5.500 5.500l1.500-2 4 1.500v3a2 2 0 0 1-2.200 2A16.500 16.500 0 0 1 4.500 6.200 2 2 0 0 1 6.500 4z",
  missed: "M6.500 4h3l1.500 4-2 1.500a11 11 0 0 0 5.500 5.500l1.500-2 4 1.500v3a2 2 0 0 1-2.200 2A16.500 16.500 0 0 1 4.500 6.200 2 2 0 0 1 6.500 4zM15 4l5 5M20 4l-5 5",
  check: "M5 12.500l4.500 4.500L19 7.500", cross: "M7 7l10 10M17 7L7 17", note: "M6 4h9l4 4v12H6zM9 12h7M9 16h5", warn: "M12 4l9 16H3zM12 10v4M12 17v.500",
  people: "M9 11a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7zM3 20c.500-4 3-6 6-6s5.500 2 6 6M16 5a3 3 0 0 1 0 6M18 14c2 .800 3 3 3.200 6",
  search: "M11 17.500a6.500 6.500 0 1 0 0-13 6.500 6.500 0 0 0 0 13zM16 16l4.500 4.500", off: "M12 4v8M7.500 7a7 7 0 1 0 9 0", info: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 11v5M12 8v.200",
};
const STAGES = ["new", "contacted", "quoted", "customer", "paused"];
const STAGE_LOOK = { new: "info", contacted: "", quoted: "warn", customer: "good", paused: "" };
const OWNERS = { lan: "Trần Thị Lan", minh: "Nguyễn Nhật Minh", khoa: "Lê Đăng Khoa" };
const RESULT_LOOK = { answered: ["phone", "good"], no_answer: ["missed", "warn"], unreachable: ["missed", "bad"], refused: ["warn", "bad"], expired: ["warn", "warn"], cancelled: ["cross", ""], lost: ["warn", "warn"], note: ["note", ""] };
/** After this long without a result, Call may be pressed again. */
const PATIENCE_MS = 20000;

const state = { language: "vi", customers: null, open: null, notes: [], asks: [], query: "", stage: "all", phone: { reachable: false, calls: [] }, clock_offset: 0, fresh: new Set() };
const at = (id) => document.getElementById(id);
const t = (name, ...args) => { const text = TEXTS[state.language][name]; return typeof text === "function" ? text(...args) : text ?? name; };
const now = () => Date.now() + state.clock_offset;
const isWide = () => matchMedia("(min-width: 720px)").matches;

/** Makes an element: `el("p.soft", {title: "x"}, "text", child)`. Text is always set as text. */
function el(what, ...rest) {
  const [tag, ...classes] = what.split(".");
  const node = document.createElement(tag || "div");
  if (classes.length) node.className = classes.filter(Boolean).join(" ");
  for (const part of rest.flat()) {
    if (part === null || part === undefined || part === false) continue;
    if (part instanceof Node || typeof part !== "object") { node.append(part); continue; }
    for (const [name, value] of Object.entries(part)) {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value === true ? "" : value);
    }
  }
  return node;
}

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

const empty = (picture, title, hint) => el("div.empty", icon(picture), el("b", t(title)), el("span", t(hint)));
const sentence = (text) => text && text[0].toUpperCase() + text.slice(1);
const plain = (text) => text.normalize("NFD").replace(/[\u0300-\u036f]/g, "").replace(/[đĐ]/g, "d").toLowerCase();

function initials(name) {
  const words = name.replace(/^Công ty( TNHH| Cổ phần)?/i, "").trim().split(/\s+/).filter(Boolean);
  const last = words[words.length - 1] ?? "?";
  return ((words.length > 1 ? words[0][0] : "") + last[0]).toUpperCase();
}

function avatar(customer, big) {
  const look = [...customer.id].reduce((sum, c) => sum + c.charCodeAt(0), 0) % 4;
  return el(`span.avatar.c${look}${big ? ".big" : ""}`, { "aria-hidden": "true" }, initials(customer.name));
}

function when(ms) {
  const minutes = Math.floor((now() - ms) / 60000);
  if (minutes < 1) return t("now");
  if (minutes < 60) return t("minutes_ago", minutes);
  const sameDay = new Date(ms).toDateString() === new Date(now()).toDateString();
  const locale = state.language === "vi" ? "vi-VN" : "en-GB";
  return new Intl.DateTimeFormat(locale, sameDay ? { hour: "2-digit", minute: "2-digit" } : { day: "2-digit", month: "2-digit", hour: "2-digit", minute: "2-digit" }).format(ms);
}

const timeTag = (ms) => el("time", { datetime: new Date(ms).toISOString(), title: new Date(ms).toLocaleString(state.language === "vi" ? "vi-VN" : "en-GB") }, when(ms));
const clockText = (ms) => { const s = Math.max(0, Math.floor(ms / 1000)); return `${String(Math.floor(s / 60)).padStart(2, "0")}:${String(s % 60).padStart(2, "0")}`; };

/** How an outcome is called and coloured: by the call's state if it never rang, else by how it went. */
function kindOf(outcome) {
  if (!outcome) return "note";
  if (RESULT_LOOK[outcome.disposition]) return outcome.disposition;
  return RESULT_LOOK[outcome.state] ? outcome.state : "note";
}

// ---- list

function renderList() {
  const list = at("list");
  const wanted = plain(state.query.trim());
  const digits = state.query.replace(/\D/g, "");
  if (!state.customers) {
    list.replaceChildren(...[1, 2, 3, 4].map(() => el("li.ghost")));
    return;
  }
  const fits = (c) => (state.stage === "all" || c.stage === state.stage)
    && (!wanted || plain(`${c.name} ${c.company} ${c.city}`).includes(wanted) || (digits.length > 2 && c.phone.replace(/\D/g, "").includes(digits)));
  const shown = state.customers.filter(fits);
  at("count").textContent = shown.length ? t("count", shown.length) : "";
  const focused = document.activeElement?.closest?.("a.row")?.getAttribute("href");
  list.replaceChildren(...shown.map(row));
  if (focused) [...list.querySelectorAll("a.row")].find((a) => a.getAttribute("href") === focused)?.focus({ preventScroll: true });
  if (!shown.length) list.replaceChildren(el("li", state.customers.length ? empty("search", "no_match", "no_match_hint") : empty("people", "no_customers", "no_customers_hint")));
}

function row(customer) {
  const kind = customer.last && kindOf(customer.last.outcome);
  const end = customer.last
    ? el("span.end", el(`span.pill.${RESULT_LOOK[kind][1]}`, icon(RESULT_LOOK[kind][0] === "missed" ? "missed" : RESULT_LOOK[kind][0]), { title: t(kind), "aria-label": t(kind), role: "img" }), el("span.when", when(customer.last.at_ms)))
    : el("span.end", customer.stage === "new" ? el("span.pill.info", t("new")) : null);
  return el("li", el("a.row", { href: `#/${encodeURIComponent(customer.id)}`, "aria-current": String(customer.id === state.open?.id) },
    avatar(customer), el("span", { class: "who" }, el("div.name", customer.name), el("div.sub.number", customer.phone || t("no_phone"))), end));
}

function renderFilters() {
  at("filters").replaceChildren(...["all", ...STAGES].map((stage) => el("button", { type: "button", "aria-pressed": String(state.stage === stage),
    onclick: () => { state.stage = stage; renderFilters(); renderList(); at("filters").querySelector("[aria-pressed=true]").focus(); } }, t(stage))));
}

// ---- detail

/** Nodes of the open customer that outlive a repaint, so that focus stays where it is. */
let parts = null;

function renderDetail() {
  const main = at("main");
  const customer = state.open;
  if (!customer) {
    parts = null;
    if (state.customers) main.replaceChildren(state.missing ? empty("people", "gone", "gone_hint") : empty("people", "choose", "choose_hint"));
    return;
  }
  if (parts?.id !== customer.id) {
    parts = { id: customer.id, person: el("div.person"), line: el("div"), button: el("button.call-button", { type: "button", onclick: pressCall }), steps: el("div", { role: "status" }), about: el("dl.about"), timeline: el("ol.timeline"), title: el("h2.section-title") };
    main.replaceChildren(parts.person, el("section.card.call-card", el("div.call-line", parts.line, parts.button), parts.steps, parts.about), parts.title, parts.timeline);
  }
  const stageLook = STAGE_LOOK[customer.stage] ?? "";
  parts.person.replaceChildren(avatar(customer, true), el("div", el("h1", customer.name), el("p.sub", [customer.company, customer.city].filter(Boolean).join(" · ")),
    el("div.pills", el(`span.pill.${stageLook}`, t(customer.stage)), el("span.pill", `${t("owner")}: ${OWNERS[customer.owner] ?? customer.owner}`))));
  parts.line.replaceChildren(el("p.label", t("phone")), el(`p.big-number${customer.phone ? "" : ".none"}`, customer.phone || t("no_phone")));
  const extra = Object.entries(customer).filter(([name, value]) => !KNOWN.has(name) && value !== null && typeof value !== "object");
  parts.about.replaceChildren(...[[t("info"), customer.info], ...extra].filter(([, value]) => value !== "").flatMap(([name, value]) => [el("dt", name), el("dd", String(value))]));
  parts.title.textContent = t("history");
  renderCall();
  renderTimeline();
}
const KNOWN = new Set(["id", "name", "phone", "gender", "company", "city", "stage", "owner", "info", "last"]);

const lastAsk = () => state.asks[state.asks.length - 1];

function renderCall() {
  if (!parts) return;
  const ask = lastAsk();
  const waits = ask?.state === "accepted" && now() - ask.changed_ms < PATIENCE_MS;
  const busy = ask?.state === "asking" || waits;
  const label = ask?.state === "asking" ? "sending" : waits ? "waiting" : ask ? "call_again" : "call";
  // Not `disabled`: the button keeps the keyboard's focus and says why it does nothing.
  parts.button.setAttribute("aria-disabled", String(busy));
  if (parts.button.dataset.label !== state.language + label) {
    parts.button.dataset.label = state.language + label;
    parts.button.replaceChildren(icon("phone"), el("span", t(label)));
  }
  // Only what changed is painted: a screen reader reads every new status aloud.
  const seen = ask ? `${state.language} ${ask.id} ${ask.state} ${when(ask.asked_ms)}` : "";
  if (parts.steps.dataset.seen === seen) return;
  parts.steps.dataset.seen = seen;
  parts.steps.replaceChildren(...(ask ? [steps(ask)] : []));
}

function steps(ask) {
  const wrong = ask.state === "rejected" || ask.state === "failed";
  const bridge = { asking: ["now", "step_sending"], accepted: ["done", "step_taken"], done: ["done", "step_taken"], rejected: ["wrong", "step_refused"], failed: ["wrong", "step_unreached"] }[ask.state];
  const result = ask.state === "done" ? ["done", "step_result_done"] : ask.state === "accepted" ? ["now", "step_result_wait"] : ["next", "step_result"];
  const knob = (look) => el("span.knob", { "aria-hidden": "true" }, look === "done" ? icon("check") : look === "wrong" ? icon("cross") : null);
  const step = ([look, text], small) => el(`li.step.${look}`, { "aria-current": look === "now" ? "step" : false }, knob(look), el("b", t(text)), small ? el("span", small) : null);
  return el("ol.steps", step(["done", "step_asked"], when(ask.asked_ms)), step(bridge, ask.status ? `HTTP ${ask.status}` : ""),
    wrong ? null : step(result, ask.state === "done" ? when(ask.changed_ms) : ask.state === "accepted" ? t("step_result_hint") : ""));
}

function renderTimeline() {
  if (!parts) return;
  const failures = state.asks.filter((a) => a.state === "rejected" || a.state === "failed").map((a) => ({ at: a.changed_ms, key: a.id, node: () => failedAsk(a) }));
  const notes = state.notes.map((n) => ({ at: n.updated_ms, key: `${n.id}.${n.changes}`, node: () => noteEntry(n) }));
  const all = [...failures, ...notes].sort((a, b) => b.at - a.at);
  const opened = new Set([...parts.timeline.querySelectorAll("details[open]")].map((d) => d.dataset.key));
  parts.timeline.replaceChildren(...all.map((entry) => {
    const node = entry.node();
    if (state.fresh.delete(entry.key)) node.classList.add("fresh");
    node.querySelectorAll("details").forEach((d) => { d.dataset.key = entry.key; d.open = opened.has(entry.key); });
    return node;
  }));
  const waits = ["asking", "accepted"].includes(lastAsk()?.state);
  if (!all.length) parts.timeline.replaceChildren(el("li", waits ? empty("phone", "wait_history", "wait_history_hint") : empty("phone", "no_history", "no_history_hint")));
}

function noteEntry(note) {
  const outcome = note.outcome;
  const kind = kindOf(outcome);
  const [picture, look] = RESULT_LOOK[kind];
  const interest = { interested: "good", not_interested: "bad", no_response: "" }[outcome?.interest];
  const agent = outcome?.notes && !note.text.includes(outcome.notes) ? el("p.quote", outcome.notes) : null;
  const foot = [outcome?.answer_seconds > 0 && el("span", t("talked", t("seconds", outcome.answer_seconds))), outcome?.call_seconds > 0 && el("span", t("lasted", t("seconds", outcome.call_seconds))),
    note.changes > 0 && el("span", t("changed", note.changes)), note.call_id && el("span", `${t("call_id")} `, el("code", note.call_id))];
  return el("li.card.entry", el(`span.mark.${look}`, icon(picture)), el("header", el("h3", t(kind)), interest !== undefined && kind !== "no_answer" ? el(`span.pill.${interest}`, t(outcome.interest)) : null, timeTag(note.updated_ms)),
    note.text ? el("p.text", note.text) : null, agent, el("div.foot", foot));
}

function failedAsk(ask) {
  const [title, text] = ask.state === "rejected" ? [t("rejected_title"), t("rejected_text", ask.status, sentence(ask.say))] : [t("failed_title"), t("failed_text", sentence(ask.say))];
  const raw = ask.answer ? el("details", el("summary", t("answer")), el("pre", ask.answer)) : null;
  return el("li.card.entry", el("span.mark.bad", icon("warn")), el("header", el("h3", title), timeTag(ask.changed_ms)), el("p.text", text), raw);
}

// ---- phone

function renderPhone() {
  const { reachable, phone_on: on, calls } = state.phone;
  const active = calls.find((c) => c.state === "ringing" || c.state === "talking");
  const waiting = calls.filter((c) => c.state === "waiting" || c.state === "held").length;
  const look = !reachable ? "gone" : active ? active.state : on === false ? "off" : "idle";
  at("phone").dataset.state = look;
  const box = at("phone-on");
  box.checked = on !== false;
  box.disabled = !reachable;
  box.setAttribute("aria-label", t("switch_label"));
  at("phone-on-text").textContent = t(on === false ? "off" : "on");
  const title = { gone: "phone_gone", off: "phone_off", idle: "phone_idle" }[look];
  at("peek-state").textContent = active ? `${t(active.state)}: ${active.name || active.phone}` : waiting ? `${t(title)} · ${t("waiting_n", waiting)}` : t(title);
  const screen = at("screen");
  screen.className = `screen ${look}`;
  if (active) {
    screen.replaceChildren(el("span.ring", icon("phone")), el("b", active.name || active.phone), el("span.number", active.phone), el("span.state", t(active.state)), el("span.timer", { id: "timer", "data-since": active.since_ms }));
    tick();
  } else {
    const hint = waiting ? t("waiting_n", waiting) : look === "idle" ? t("phone_idle_hint") : "";
    screen.replaceChildren(el("span.ring", icon(look === "idle" ? "phone" : "off")), el("b", t(title)), hint ? el("span.state", hint) : "");
  }
  const recent = calls.filter((c) => c !== active);
  at("recent").replaceChildren(...(recent.length ? recent.slice(0, 5).map(recentRow) : [el("li.none", t("no_recent"))]));
}

function recentRow(call) {
  const [text, look] = { held: ["held", "warn"], waiting: ["waiting_short", "info"], ringing: ["ringing", "warn"], talking: ["talking", "good"] }[call.state] ?? (call.answered ? ["ended_yes", "good"] : ["ended_no", ""]);
  return el("li", el("span.who", call.name || call.phone), el(`span.pill.${look}`, t(text)));
}

function tick() {
  const timer = at("timer");
  if (timer) timer.textContent = clockText(now() - Number(timer.dataset.since));
}

// ---- toasts

function toast(look, title, text) {
  const close = () => node.remove();
  const node = el(`div.toast.${look}`, { role: look === "bad" ? "alert" : "status" }, icon(look === "bad" ? "warn" : "info"), el("div", el("b", title), text ? el("p", text) : null),
    el("button", { type: "button", "aria-label": t("close"), onclick: close }, icon("cross")));
  at("toasts").append(node);
  while (at("toasts").children.length > 3) at("toasts").firstChild.remove();
  setTimeout(close, look === "bad" ? 12000 : 6000);
}

// ---- talking to the server

async function get(path) {
  const answer = await fetch(path, { headers: { accept: "application/json" } });
  if (answer.status === 404) return null;
  if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
  return answer.json();
}

const broken = () => toast("bad", t("broken_title"), t("broken_text"));

async function loadList() {
  state.customers = (await get("/page/customers")) ?? [];
  renderList();
}

async function loadOpen(id) {
  const found = await get(`/page/customers/${encodeURIComponent(id)}`);
  if (routeId() !== id) return;
  state.missing = !found;
  state.open = found?.customer ?? null;
  state.notes = found?.notes ?? [];
  state.asks = found?.asks ?? [];
  if (found) state.clock_offset = found.now_ms - Date.now();
  document.title = state.open ? `${state.open.name} · ${t("title")}` : t("title");
  renderDetail();
  renderList();
}

async function pressCall() {
  if (parts.button.getAttribute("aria-disabled") === "true") return;
  const customer = state.open;
  parts.button.setAttribute("aria-disabled", "true");
  try {
    const answer = await fetch(`/page/customers/${encodeURIComponent(customer.id)}/call`, { method: "POST" });
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    const ask = await answer.json();
    if (ask.state === "rejected") toast("bad", t("rejected_title"), t("rejected_text", ask.status, sentence(ask.say)));
    if (ask.state === "failed") toast("bad", t("failed_title"), t("failed_text", sentence(ask.say)));
  } catch {
    broken();
  }
  renderCall();
}

/** Puts a changed entry in the place of its older version. Events may arrive twice or after a reload. */
function upsert(list, entry, isNewer) {
  const index = list.findIndex((old) => old.id === entry.id);
  if (index < 0) { list.push(entry); return true; }
  if (!isNewer(list[index])) return false;
  list[index] = entry;
  return true;
}

function onEvent(event) {
  if (event.kind === "phone") {
    state.phone = event;
    if (event.now_ms) state.clock_offset = event.now_ms - Date.now();
    renderPhone();
  } else if (event.kind === "note") {
    onNote(event.note);
  } else if (event.kind === "ask" && event.ask?.customer_id === state.open?.id) {
    if (upsert(state.asks, event.ask, (old) => old.changed_ms <= event.ask.changed_ms)) { renderCall(); renderTimeline(); }
  } else if (event.kind === "customer") {
    loadList().catch(broken);
    if (event.customer.id === state.open?.id) { state.open = event.customer; renderDetail(); }
  } else if (event.kind === "missed") {
    reload();
  }
}

function onNote(note) {
  const customer = state.customers?.find((c) => c.id === note.customer_id);
  if (customer) { customer.last = { at_ms: note.updated_ms, outcome: note.outcome }; renderList(); }
  if (note.customer_id === state.open?.id) {
    if (!upsert(state.notes, note, (old) => old.changes < note.changes)) return;
    state.fresh.add(`${note.id}.${note.changes}`);
    renderTimeline();
  } else if (customer) {
    toast("ok", t("result_title", customer.name), t(kindOf(note.outcome)));
  }
}

function listen() {
  const events = new EventSource("/page/events");
  events.onopen = () => { setLive(true); reload(); };
  events.onerror = () => setLive(false);
  events.onmessage = (message) => onEvent(JSON.parse(message.data));
}

function setLive(on) {
  state.live = on;
  at("live").classList.toggle("on", on);
  at("live-text").textContent = t(on ? "live_on" : "live_off");
}

/** Everything anew: after a lost connection, events were missed. */
function reload() {
  loadList().catch(broken);
  const id = routeId();
  if (id) loadOpen(id).catch(broken);
}

// ---- routes, language, keys

const routeId = () => decodeURIComponent(location.hash.replace(/^#\/?/, ""));

async function onRoute() {
  const id = routeId();
  document.body.dataset.view = id ? "detail" : "list";
  if (!id) {
    state.open = null;
    state.missing = false;
    // On a wide screen there is room for the first customer; an empty half is of no use to anybody.
    if (isWide() && state.customers?.length) { history.replaceState(null, "", `#/${state.customers[0].id}`); return onRoute(); }
    renderDetail();
    renderList();
    return;
  }
  await loadOpen(id).catch(broken);
  if (!isWide()) { scrollTo(0, 0); at("main").focus({ preventScroll: true }); }
}

function setLanguage(language) {
  state.language = language;
  try { localStorage.setItem("language", language); } catch { /* a private window keeps nothing */ }
  document.documentElement.lang = language;
  document.querySelectorAll("[data-t]").forEach((node) => { node.textContent = t(node.dataset.t); });
  document.querySelectorAll("[data-t-label]").forEach((node) => node.setAttribute("aria-label", t(node.dataset.tLabel)));
  document.querySelectorAll("[data-t-placeholder]").forEach((node) => node.setAttribute("placeholder", t(node.dataset.tPlaceholder)));
  document.querySelectorAll("[data-language]").forEach((node) => node.setAttribute("aria-pressed", String(node.dataset.language === language)));
  setLive(state.live ?? false);
  renderFilters();
  renderList();
  renderDetail();
  renderPhone();
}

function firstLanguage() {
  try {
    const kept = localStorage.getItem("language");
    if (TEXTS[kept]) return kept;
  } catch { /* as above */ }
  return navigator.language?.startsWith("en") ? "en" : "vi";
}

function onKey(event) {
  const typing = event.target.matches?.("input");
  if (event.key === "/" && !typing) { event.preventDefault(); at("search").focus(); }
  if (event.key === "Escape" && event.target === at("search")) { at("search").value = state.query = ""; renderList(); }
  const inList = event.target === at("search") || event.target.matches?.("a.row");
  if (inList && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
    const rows = [...document.querySelectorAll("a.row")];
    const next = rows[rows.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1)];
    if (next) { event.preventDefault(); next.focus(); }
  }
}

async function switchPhone() {
  const answer = await fetch("/page/phone", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ on: at("phone-on").checked }) }).catch(() => null);
  if (!answer?.ok) { broken(); renderPhone(); }
}

async function main() {
  document.querySelectorAll("[data-language]").forEach((node) => node.addEventListener("click", () => setLanguage(node.dataset.language)));
  at("search").addEventListener("input", (event) => { state.query = event.target.value; renderList(); });
  at("phone-on").addEventListener("change", switchPhone);
  at("phone-peek").addEventListener("click", () => { const open = at("phone").classList.toggle("open"); at("phone-peek").setAttribute("aria-expanded", String(open)); });
  document.addEventListener("keydown", onKey);
  addEventListener("hashchange", onRoute);
  setInterval(tick, 250);
  setInterval(renderCall, 2000);
  setInterval(() => { renderList(); renderTimeline(); }, 30000);
  setLanguage(firstLanguage());
  await loadList().catch(broken);
  await onRoute();
  listen();
}
main();
