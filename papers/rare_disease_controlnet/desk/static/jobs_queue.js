// Keeps the queue's page up to date while somebody looks at it and has nothing under their hands.

const PAUSE = 3000;

async function refresh() {
  const queue = document.getElementById("queue");
  if (document.hidden || queue.contains(document.activeElement)) {
    return;
  }
  const answer = await fetch("/jobs", { headers: { Accept: "text/html" } });
  if (answer.redirected || !answer.ok) {
    location.reload(); // to the login, most likely
    return;
  }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const next = page.getElementById("queue");
  if (next && next.innerHTML !== queue.innerHTML && !queue.contains(document.activeElement)) {
    queue.replaceWith(document.adoptNode(next));
  }
}

async function keep() {
  try {
    await refresh();
  } catch {
    // the server is away for a moment: the page stays as it is
  }
  setTimeout(keep, PAUSE);
}

setTimeout(keep, PAUSE);
