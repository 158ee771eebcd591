// What makes the pages pleasant; they work without it.
"use strict";

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
