// Real films are sent one by one: each has the whole limit of a request, and its own refusal.

const form = document.querySelector("form[data-one-by-one]");

function token() {
  return document.querySelector('meta[name="form-token"]').content;
}

async function send(file, label) {
  const body = new FormData();
  body.append("label", label);
  body.append("films", file);
  const answer = await fetch(form.action, {
    method: "POST",
    body,
    headers: { "X-Form-Token": token(), Accept: "application/json" },
    redirect: "manual",
  });
  if (answer.type === "opaqueredirect") return null;
  const told = await answer.json().catch(() => ({ error: `refused (${answer.status})` }));
  return told.error;
}

async function sendAll(event) {
  event.preventDefault();
  const files = [...form.elements.films.files];
  const area = form.querySelector(".sending");
  const [bar, line, refused] = ["progress", "p", "ul"].map((name) => area.querySelector(name));
  const button = form.querySelector("button");
  button.disabled = true;
  area.hidden = false;
  bar.max = files.length;
  refused.replaceChildren();
  for (const [number, file] of files.entries()) {
    line.textContent = `${number + 1} of ${files.length}`;
    let reason = null;
    try {
      reason = await send(file, form.elements.label.value);
    } catch {
      reason = `${file.name}: could not be sent; try again`;
    }
    if (reason) {
      const item = document.createElement("li");
      item.textContent = reason;
      refused.append(item);
    }
    bar.value = number + 1;
  }
  const bad = refused.children.length;
  line.textContent = `${files.length - bad} of ${files.length} added; load the page again to see them`;
  if (bad === 0) location.reload();
  else button.disabled = false;
}

if (form) form.addEventListener("submit", sendAll);
