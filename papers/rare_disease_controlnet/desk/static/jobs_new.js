// The configurator: sliders beside number fields, a prompt that follows the chips, the edges that
// the engine will see, and how long it will take. The form works without any of it.

const form = document.getElementById("wish");
const at = (name) => document.getElementById(name);
const field = (name) => form.elements[name];
const PAUSE = 250; // ms without a change, after which the server is asked
let timer = 0;
let asked = 0;

for (const range of form.querySelectorAll("input[type=range]")) {
  const number = at(range.dataset.for);
  range.hidden = false;
  range.addEventListener("input", () => {
    number.value = range.value;
  });
  number.addEventListener("input", () => {
    range.value = number.value;
  });
}

const prompt = at("prompt");
let own = prompt.value.trim() !== "";
if (!own) {
  prompt.value = prompt.dataset.suggestion;
}
at("suggest").hidden = false;
at("suggest").addEventListener("click", () => {
  own = false;
  prompt.value = prompt.dataset.suggestion;
  changed();
});
prompt.addEventListener("input", () => {
  own = prompt.value.trim() !== "" && prompt.value !== prompt.dataset.suggestion;
});

for (const preset of form.querySelectorAll(".preset")) {
  preset.setAttribute("role", "button");
  const use = (event) => {
    event.preventDefault();
    for (const [name, value] of Object.entries(JSON.parse(preset.dataset.values))) {
      set(name, value);
    }
    for (const other of form.querySelectorAll(".preset")) {
      other.removeAttribute("aria-current");
    }
    preset.setAttribute("aria-current", "true");
    changed();
  };
  preset.addEventListener("click", use);
  preset.addEventListener("keydown", (event) => event.key === " " && use(event));
}

function set(name, value) {
  field(name).value = value;
  const range = form.querySelector(`input[type=range][data-for=${name}]`);
  if (range) {
    range.value = value;
  }
}

function arrange() {
  const normal = field("label").value === "normal";
  for (const choice of at("where").querySelectorAll("input")) {
    choice.disabled = normal;
  }
  const control = field("control").value;
  at("structure").hidden = control === "none";
  for (const name of ["canny_low", "canny_high"]) {
    at(name).closest(".field").hidden = control !== "canny";
  }
  at("seed").disabled = field("seeding").value !== "fixed";
  const key = form.querySelector("input[name=structure]:checked")?.value ?? "";
  const follows = control !== "none" && key !== "";
  at("maps").hidden = !follows;
  at("nothing").hidden = follows;
  if (follows) {
    const thresholds = new URLSearchParams({ low: at("canny_low").value, high: at("canny_high").value });
    const source =
      control === "canny" ? `/structures/${key}/edges?${thresholds}` : `/structures/${key}/film`;
    if (at("edges").getAttribute("src") !== source) {
      at("edges").src = source;
    }
  }
}

async function look() {
  arrange();
  const number = ++asked;
  const wish = new FormData(form);
  for (const name of ["film", "form_token"]) {
    wish.delete(name);
  }
  if (!own) {
    wish.delete("prompt");
  }
  const answer = await fetch(`/jobs/outlook?${new URLSearchParams(wish)}`);
  if (!answer.ok || number !== asked) {
    return;
  }
  const told = await answer.json();
  prompt.dataset.suggestion = told.prompt;
  if (!own) {
    prompt.value = told.prompt;
  }
  at("shown-prompt").textContent = prompt.value || told.prompt;
  at("time").textContent = told.time || "not measured yet";
  complain(told.problem);
}

function complain(problem) {
  at("problem").textContent = problem;
  at("problem").hidden = !problem;
  at("queue-button").disabled = Boolean(problem);
}

function changed() {
  clearTimeout(timer);
  timer = setTimeout(look, PAUSE);
}

async function bring() {
  const file = at("film").files[0];
  if (!file) {
    return;
  }
  const body = new FormData();
  body.append("film", file);
  const token = document.querySelector("meta[name=form-token]").content;
  const answer = await fetch("/structures", {
    method: "POST",
    body,
    headers: { "X-Form-Token": token },
  });
  at("film").value = ""; // it is kept by now, or was refused
  if (!answer.ok) {
    const told = await answer.json().catch(() => ({ error: `too large, or no film (${answer.status})` }));
    complain(told.error);
    return;
  }
  const { key, name } = await answer.json();
  const known = form.querySelector(`input[name=structure][value="${key}"]`);
  (known ?? choice(key, name)).checked = true;
  changed();
}

function choice(key, name) {
  at("no-structures")?.remove();
  const label = document.createElement("label");
  label.className = "choice";
  const input = label.appendChild(document.createElement("input"));
  Object.assign(input, { type: "radio", name: "structure", value: key });
  const picture = label.appendChild(document.createElement("img"));
  Object.assign(picture, { src: `/structures/${key}/small`, alt: name, title: name, width: 72, height: 72 });
  at("choices").prepend(label);
  return input;
}

at("check").hidden = true; // what it shows is shown all the time
at("film").addEventListener("change", bring);
form.addEventListener("input", changed);
arrange();
look();
