// Shows the recorder's state as it changes, and sends what a hand does. No state of its own: the host knows everything.

const $ = (id) => document.getElementById(id);

const WORDS = {
  off: ["Off", "关机"],
  ready: ["Ready", "待机"],
  recording: ["Recording", "正在录像"],
  alarm: ["Alarm", "警报"],
  unenrolled: ["Not enrolled", "未注册"],
};
const DARK = ["No light", "无灯光"]; // running, and the lamp is off: starting, or discreet
const PRESSES = { short: ["press", "短按"], long: ["hold", "长按"], double: ["press twice", "双击"] };
const ACTIONS = { start: ["start", "开始"], stop: ["stop", "停止"], mark: ["mark", "标记"], still: ["still", "拍照"] };

let state = null;

const post = (path) => fetch(path, { method: "POST" }).catch(() => {});

function show(now) {
  state = now;
  const on = now.power === "on";
  const lamp = on ? now.lamp : "off"; // between the power's end and the host's word of it, too
  document.body.dataset.lamp = lamp;
  document.body.dataset.power = now.power;
  document.title = `${lamp === "recording" ? "● " : ""}${now.device}`;
  $("device").textContent = now.device;
  $("console").hidden = !now.console;
  $("console").href = now.console || "#";
  const [word, chinese] = on && lamp === "off" ? DARK : WORDS[lamp] ?? [lamp, ""];
  $("word").textContent = word;
  $("word-zh").textContent = chinese;
  $("screen").textContent = now.screen.join("\n");
  $("power-on").hidden = on;
  $("power-off").hidden = !on;
  $("power-note").textContent = on ? `agent is process ${now.pid}` : "the agent is not running";
  $("network").setAttribute("aria-checked", now.network === "on");
  $("network-note").textContent = now.network === "on" ? `${size(now.sent_bytes)} went through` : "nothing goes through";
  for (const each of document.querySelectorAll("[data-fault]")) each.setAttribute("aria-checked", !now.faults[each.dataset.fault]);
  if (document.activeElement !== $("battery")) $("battery").value = now.battery.percent;
  $("percent").value = `${now.battery.percent} %`;
  for (const key of document.querySelectorAll(".key")) {
    const [button] = now.gestures[key.dataset.action].split(":");
    key.classList.toggle("pressed", now.down.includes(button));
    key.disabled = !on || !button;
  }
  for (const button of document.querySelectorAll("[data-gesture]")) button.disabled = !on;
  $("hint").textContent = hint(now.gestures);
}

function hint(gestures) {
  const parts = { en: [], zh: [] };
  for (const [action, gesture] of Object.entries(gestures)) {
    const [button, press] = gesture.split(":");
    if (button !== gestures.start.split(":")[0]) continue;
    parts.en.push(`${PRESSES[press][0]} to ${ACTIONS[action][0]}`);
    parts.zh.push(`${PRESSES[press][1]}${ACTIONS[action][1]}`);
  }
  return `Record: ${parts.en.join(", ")}\n录像键：${parts.zh.join("，")}`;
}

function size(bytes) {
  return bytes < 1e6 ? `${Math.round(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

function tell(events) {
  const list = $("events");
  for (const event of events) {
    const line = document.createElement("li");
    line.dataset.text = event.text;
    const time = document.createElement("time");
    time.textContent = new Date(event.at).toLocaleTimeString("en-GB") + "." + String(event.at % 1000).padStart(3, "0");
    const what = document.createElement("span");
    what.textContent = event.what;
    const text = document.createElement("b");
    text.textContent = event.text;
    line.append(time, what, text);
    list.prepend(line);
  }
  while (list.children.length > 200) list.lastChild.remove();
}

// A key goes down with the finger and comes up with it, wherever the finger is by then.
for (const key of document.querySelectorAll(".key")) {
  const name = () => state.gestures[key.dataset.action].split(":")[0];
  let held = null;
  const release = () => {
    if (held) post(`/button/${held}/up`);
    held = null;
  };
  const press = () => {
    if (held || key.disabled) return;
    held = name();
    post(`/button/${held}/down`);
  };
  key.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    key.setPointerCapture(event.pointerId);
    press();
  });
  key.addEventListener("pointerup", release);
  key.addEventListener("pointercancel", release);
  key.addEventListener("contextmenu", (event) => event.preventDefault());
  key.addEventListener("keydown", (event) => (event.key === " " || event.key === "Enter") && !event.repeat && (event.preventDefault(), press()));
  key.addEventListener("keyup", (event) => (event.key === " " || event.key === "Enter") && release());
  key.addEventListener("blur", release);
}

for (const button of document.querySelectorAll("[data-gesture]")) button.addEventListener("click", () => post(`/gesture/${button.dataset.gesture}`));
$("power-off").addEventListener("click", () => post("/power/off"));
$("power-on").addEventListener("click", () => post("/power/on"));
$("network").addEventListener("click", () => post(`/network/${state.network === "on" ? "off" : "on"}`));
for (const each of document.querySelectorAll("[data-fault]")) each.addEventListener("click", () => post(`/fault/${each.dataset.fault}/${state.faults[each.dataset.fault] ? "off" : "on"}`));
$("battery").addEventListener("input", (event) => {
  $("percent").value = `${event.target.value} %`;
});
$("battery").addEventListener("change", (event) => {
  post(`/battery/${event.target.value}`);
  event.target.blur();
});

const source = new EventSource("/events");
source.onmessage = (message) => {
  const { state: now, events } = JSON.parse(message.data);
  $("link").hidden = true;
  tell(events);
  show(now);
};
source.onerror = () => {
  $("link").hidden = false;
};
