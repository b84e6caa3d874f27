/** Keeps the state line of the info sheet current: hears of a change of the button, then asks the server for the words. */
const SPREAD = 2000; // ms over which the open pages ask, so that one change is not one burst
const DEAF = 40_000; // ms; the server says something every 15 s

const state = document.getElementById("state");
const notLive = document.getElementById("not-live");
let asked = null;
let deaf = null;

async function refresh() {
  asked = null;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, credentials: "omit", cache: "no-store" });
    if (!answer.ok) throw answer.status;
    show(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch {
    notLive.hidden = false;
  }
}

function show(page) {
  const fresh = page.getElementById("state");
  for (const key of ["colour", "reason", "revision"]) state.dataset[key] = fresh.dataset[key];
  state.replaceChildren(...fresh.children);
  document.getElementById("as-of").textContent = page.getElementById("as-of").textContent;
  notLive.hidden = true;
}

function hear(event) {
  const button = JSON.parse(event.data);
  const same = String(button.revision) === state.dataset.revision && notLive.hidden;
  if (!same) asked ??= setTimeout(refresh, Math.random() * SPREAD);
}

const events = new EventSource(`/api/button/events?department=${encodeURIComponent(state.dataset.department)}`);
events.addEventListener("button", hear);
events.addEventListener("open", () => clearTimeout(deaf));
events.addEventListener("error", () => {
  clearTimeout(deaf);
  deaf = setTimeout(() => (notLive.hidden = false), events.readyState === EventSource.CLOSED ? 0 : DEAF);
});
