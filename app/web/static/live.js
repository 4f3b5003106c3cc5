// Keeps the numbers of a page that was drawn on the server up to date, and lists what happens.

const MOST_LINES = 20;
const feed = document.querySelector("[data-feed]");
const state = document.querySelector("[data-connection]");
const pause = document.querySelector("[data-pause]");
let paused = false;
let source = null;
// Where this page was drawn, so that nothing is missed between then and the first event.
let last = feed?.dataset.feed ?? "";

function known(value) {
  return value === null || value === undefined ? "?" : String(value);
}

function showPulse({ stages, gate_open: open }) {
  for (const [stage, numbers] of Object.entries(stages)) {
    const card = document.querySelector(`[data-stage="${CSS.escape(stage)}"]`);
    if (!card) continue;
    set(card, "rate", `${numbers.rate.toFixed(1)}/s`);
    set(card, "lag", known(numbers.lag));
    set(card, "errors", known(numbers.errors + numbers.dead_letters));
  }
  for (const element of document.querySelectorAll("[data-gate]")) element.textContent = open ? "open" : "shut";
}

function set(card, field, value) {
  const element = card.querySelector(`[data-field="${field}"]`);
  if (element && element.textContent !== value) element.textContent = value;
}

const sentences = {
  prediction: (said) => {
    const mean = said.current_mean === null ? "no mean yet" : `mean ${said.current_mean.toFixed(2)}`;
    return [said, ` next ten expected at ${said.predicted.toFixed(2)} (${mean} of ${said.n_ratings})`];
  },
  film: (film) => [film, film.title ? `${film.year ? ` (${film.year})` : ""} is new` : " registered by its id"],
  "dead-letter": (letter) => [null, `Dead letter from ${letter.stage}: ${letter.error}`],
};

function showLine(kind, data) {
  if (!feed) return;
  const [film, sentence] = sentences[kind](data);
  const line = document.createElement("li");
  line.className = kind === "dead-letter" ? "fresh bad" : "fresh";
  if (film) {
    const link = document.createElement("a");
    link.href = `/films/${encodeURIComponent(film.film_id)}`;
    link.textContent = film.title || film.film_id;
    line.append(link);
  }
  // Titles and errors come from anywhere: text, never markup.
  line.append(document.createTextNode(sentence));
  feed.prepend(line);
  while (feed.children.length > MOST_LINES) feed.lastElementChild.remove();
}

function connect() {
  source = new EventSource(`/events?after=${encodeURIComponent(last)}`);
  source.addEventListener("open", () => tell("live"));
  source.addEventListener("error", () => tell("connection lost, trying again"));
  source.addEventListener("pulse", (event) => showPulse(JSON.parse(event.data)));
  for (const kind of Object.keys(sentences)) {
    source.addEventListener(kind, (event) => {
      last = event.lastEventId;
      showLine(kind, JSON.parse(event.data));
    });
  }
}

function tell(words) {
  if (state) state.textContent = words;
}

pause?.addEventListener("click", () => {
  paused = !paused;
  pause.textContent = paused ? "Resume" : "Pause";
  pause.setAttribute("aria-pressed", String(paused));
  if (paused) {
    source.close();
    tell("paused");
  } else {
    connect();
  }
});

if (pause) pause.hidden = false;
connect();
addEventListener("pagehide", () => source.close());
