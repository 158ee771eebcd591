// What makes the pages pleasant; they work without it.
"use strict";

// Where the navigation is a row that scrolls, the page that one is on is in sight, and so is the link that has the
// focus: browsers are content when they see a part of it.
const show = (link) => link.scrollIntoView({ block: "nearest", inline: "nearest" });
for (const row of document.querySelectorAll("nav ul")) {
  row.querySelectorAll("[aria-current]").forEach(show);
  row.addEventListener("focusin", (event) => show(event.target));
}

// How strong a new password is, while it is typed.
const meter = document.querySelector("[data-strength]");
const password = document.getElementById("new") || document.querySelector("input[autocomplete=new-password]");
if (meter && password) {
  const words = meter.dataset.words.split("|");
  let timer = 0;
  password.addEventListener("input", () => {
    clearTimeout(timer);
    meter.hidden = !password.value;
    timer = setTimeout(async () => {
      const body = new URLSearchParams({ form: document.querySelector("input[name=form]").value, password: password.value });
      const answer = await fetch("/strength", { method: "POST", body });
      if (!answer.ok || !password.value) return;
      const { score } = await answer.json();
      meter.querySelector("meter").value = score;
      meter.querySelector("span").textContent = words[score];
    }, 250);
  });
}

// How far a long piece of work is; at its end the page is shown anew.
const work = document.querySelector("[data-progress]");
if (work) {
  const look = async () => {
    const answer = await fetch(work.dataset.progress);
    if (!answer.ok) return;
    const { state, done, total } = await answer.json();
    const bar = work.querySelector("progress");
    if (total) bar.max = total;
    if (done || total) bar.value = done;
    const number = work.querySelector("[data-done]");
    if (number) number.textContent = done;
    if (state === "running") setTimeout(look, 700);
    else location.reload();
  };
  setTimeout(look, 700);
}
