// Sends what people decide without leaving the page, and asks for the token where the worker wants one.
// Without it the same forms work as plain forms.

const told = document.querySelector("[data-told]");
const dialog = document.querySelector("[data-token]");
const KEY = "marquee-token";

async function send(form, fields) {
  const headers = { "Accept": "application/json", "Content-Type": "application/json" };
  const token = sessionStorage.getItem(KEY);
  if (token) headers.Authorization = `Bearer ${token}`;
  return fetch(form.action, { method: "POST", headers, body: JSON.stringify(fields) });
}

function askForToken() {
  return new Promise((answer) => {
    const input = dialog.querySelector("input");
    input.value = "";
    dialog.returnValue = "";
    dialog.addEventListener("close", () => answer(input.value), { once: true });
    dialog.showModal();
  });
}

async function steer(form, fields) {
  let answer = await send(form, fields);
  while (answer.status === 401) {
    sessionStorage.removeItem(KEY);
    const token = await askForToken();
    if (!token) return "Nothing was sent: the worker wants its token.";
    sessionStorage.setItem(KEY, token);
    answer = await send(form, fields);
  }
  if (!answer.ok) return (await answer.json()).detail;
  for (const button of form.querySelectorAll("button")) button.disabled = true;
  return "Noted. Load the page again in a moment to see what came of it.";
}

for (const form of document.querySelectorAll("[data-steer]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    // What is left empty, and ticks that only guard a button, are not sent.
    const given = [...new FormData(form, event.submitter)].filter(([name, value]) => value !== "" && name !== "sure");
    const fields = Object.fromEntries(given);
    try {
      told.textContent = await steer(form, fields);
    } catch {
      told.textContent = "The worker does not answer: try again in a moment.";
    }
  });
}
