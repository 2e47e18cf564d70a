// How far a retraining is, asked for every few seconds; without this script a reload shows it.
const EVERY = 3000; // milliseconds
const card = document.querySelector("[data-progress]");

async function look() {
  const answer = await fetch(card.dataset.progress, { headers: { accept: "application/json" } });
  if (!answer.ok) return location.reload(); // logged out, or gone
  const { state, done, total, stage } = await answer.json();
  if (state !== card.dataset.state) return location.reload();
  const bar = card.querySelector("progress");
  if (total) {
    bar.max = total;
    bar.value = done;
  }
  show("[data-counts]", total ? `${done} of ${total}: ` : "");
  if (stage) show("[data-stage]", stage);
}

function show(where, text) {
  const place = card.querySelector(where);
  if (place.textContent !== text) place.textContent = text; // what is the same is not read out again
}

if (card) {
  setInterval(() => {
    if (!document.hidden) look().catch(() => {}); // the desk may be away for a moment
  }, EVERY);
}
