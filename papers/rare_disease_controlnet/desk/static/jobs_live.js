// Shows a job as it is drawn. The server tells the whole state first, then whenever it changes.

const live = document.getElementById("live");
const at = (name) => document.getElementById(name);
const job = live.dataset.job;
let source = null;

function show(told) {
  if (told.state !== live.dataset.state) {
    location.reload(); // other actions are possible now, which the server knows
    return;
  }
  if (told.preview) {
    at("preview").src = `/jobs/${job}/preview/${told.preview}`;
  }
  at("preview").hidden = !told.preview;
  at("waiting").hidden = Boolean(told.preview);
  at("bar").value = told.done;
  at("drawn").textContent = `${told.films.length} of ${told.all / told.steps} drawn`;
  at("step").textContent = `${told.step} of ${told.steps}`;
  at("left").textContent = told.left || "not known yet";
  at("place").textContent = told.place ?? "–";
  if (at("stage").textContent !== told.stage) {
    at("stage").textContent = told.stage; // said aloud: once a film, not at every step
  }
  told.films.slice(at("films").children.length).forEach(add);
  at("none").hidden = told.films.length > 0;
}

function add(film) {
  const item = document.createElement("li");
  const link = item.appendChild(document.createElement("a"));
  link.href = `/corpus/films/${film}`;
  const picture = link.appendChild(document.createElement("img"));
  picture.alt = `Film ${at("films").children.length + 1} of job ${job}`;
  picture.src = `/films/${film}`;
  at("films").append(item);
}

function listen() {
  if (source || document.hidden) {
    return;
  }
  source = new EventSource(`/jobs/${job}/events`);
  source.addEventListener("progress", (event) => show(JSON.parse(event.data)));
  source.addEventListener("end", () => {
    rest();
    location.reload();
  });
}

function rest() {
  source?.close();
  source = null;
}

// A browser has few connections to one server: tabs that nobody sees leave them to others.
document.addEventListener("visibilitychange", () => (document.hidden ? rest() : listen()));
listen();
