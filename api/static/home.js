// Brings the landing page to life: health, copying and sending the first request, filtering the API map.
const element = (id) => document.getElementById(id);

async function showHealth() {
  const chip = element("health");
  try {
    const answer = await fetch(chip.href, { headers: { Accept: "application/json" }, cache: "no-store" });
    chip.textContent = answer.ok ? "ready" : (await answer.json()).message;
    chip.dataset.state = answer.ok ? "good" : "bad";
  } catch {
    chip.textContent = "not reachable";
    chip.dataset.state = "bad";
  }
}

function offerCopy() {
  const button = element("copy");
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(element("command").textContent);
    button.textContent = "Copied";
  });
}

function showAnswer(caption, text) {
  const figure = element("answer");
  figure.querySelector("figcaption").textContent = caption;
  figure.querySelector("pre").textContent = text;
  figure.hidden = false;
}

async function send(url) {
  const started = performance.now();
  try {
    const answer = await fetch(url, { headers: { Accept: "application/json" } });
    const text = JSON.stringify(await answer.json(), null, 2);
    showAnswer(`HTTP ${answer.status} · ${Math.round(performance.now() - started)} ms`, text);
  } catch (error) {
    showAnswer("No answer", error.message);
  }
}

function offerSend() {
  const button = element("send");
  button.hidden = false;
  button.addEventListener("click", () => send(button.dataset.url));
}

function offerFilter() {
  const input = element("filter");
  input.hidden = false;
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/);
    for (const group of document.querySelectorAll(".group")) {
      const name = group.querySelector("h3").textContent;
      for (const line of group.querySelectorAll("li")) {
        const text = `${name} ${line.textContent}`.toLowerCase();
        line.hidden = !words.every((word) => text.includes(word));
      }
      group.hidden = !group.querySelector("li:not([hidden])");
    }
    element("nothing").hidden = Boolean(document.querySelector(".group:not([hidden])"));
  });
}

offerCopy();
offerSend();
offerFilter();
showHealth();
