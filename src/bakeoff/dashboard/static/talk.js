"use strict";
// A question to two models, their answers as they come. Whatever a model says is set as text.
(() => {
  const form = document.getElementById("talk");
  const part = (id) => document.getElementById(id);
  const [question, expected, state] = [part("question"), part("expected"), part("state")];
  const words = JSON.parse(form.dataset.words);
  const secret = JSON.parse(document.body.getAttribute("hx-headers"));
  let example = { question: null, expected: null, next: 0 };
  let asking = false;
  let number = null; // of the question that is being answered
  let stopping = false;
  let seed = 0;

  /* ---- turns: what was asked and said, kept while the window is open ---- */
  const turns = [];
  function keep() {
    part("clear").hidden = turns.length === 0;
    try {
      sessionStorage.setItem(form.dataset.kept, JSON.stringify(turns.slice(-30)));
    } catch {
      // The store is full or switched off: the page then forgets when it is left.
    }
  }

  function show(turn) {
    const item = part("turn").content.firstElementChild.cloneNode(true);
    item.querySelector(".asked").textContent = turn.question;
    if (turn.expected) {
      item.querySelector(".target").hidden = false;
      item.querySelector(".target pre").textContent = turn.expected;
    }
    part("turns").prepend(item);
    turn.item = () => item;
    for (const side of ["base", "tuned"]) {
      place(turn, side, "pre").textContent = turn[side];
      ended(turn, side);
    }
    tell(turn);
  }
  const place = (turn, side, what) => turn.item().querySelector(`[data-side=${side}] ${what}`);

  function ended(turn, side) {
    const end = turn.ends[side];
    if (!end) return;
    const parts = [words[end.reason], words.tokens.replace("{n}", end.num_tokens)];
    const rate = end.tokens_per_second;
    if (rate) parts.push(words.rate.replace("{n}", Number(rate.toPrecision(3))));
    const line = place(turn, side, ".ended");
    line.textContent = parts.join(" · ");
    line.classList.toggle("cut", ["limit", "stopped"].includes(end.reason));
  }

  function tell(turn) {
    const mistake = turn.item().querySelector(".mistake");
    mistake.hidden = !turn.error;
    mistake.querySelector("pre").textContent = turn.error ?? "";
    const read = turn.item().querySelector(".read");
    const texts = new Set(Object.values(turn.asked)); // in a conversation two
    read.hidden = texts.size === 0;
    read.querySelector("pre").textContent = [...texts].join("\n\n* * *\n\n");
  }

  /* ---- asking ---- */
  function earlier() {
    if (!part("goes-on")?.checked) return [];
    const whole = turns.filter((turn) => turn.ends.base && turn.ends.tuned);
    return whole.map(({ question, base, tuned }) => ({ question, base, tuned }));
  }

  async function ask() {
    const text = question.value;
    if (asking || !text.trim() || !form.reportValidity()) return;
    const body = new URLSearchParams({
      question: text,
      max_new_tokens: part("max_new_tokens").value,
      temperature: part("temperature").value,
      seed: String(seed++),
      earlier: JSON.stringify(earlier()),
    });
    const turn = { question: text, base: "", tuned: "", ends: {}, asked: {} };
    if (text === example.question) turn.expected = example.expected;
    turns.push(turn);
    show(turn);
    begin();
    turn.item().scrollIntoView({ block: "nearest" });
    try {
      const answer = await post(form.dataset.ask, body);
      if (!answer.ok) turn.error = (await answer.text()).slice(0, 300);
      else await listen(answer.body, turn);
    } catch {
      turn.error = form.dataset.lost;
    }
    end(turn);
  }

  const post = (address, body) =>
    fetch(address, { method: "POST", credentials: "same-origin", headers: secret, body });

  async function listen(stream, turn) {
    const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) hear(JSON.parse(line), turn);
    }
  }

  function hear(told, turn) {
    if (told.number !== undefined) number = told.number;
    if (told.number !== undefined && stopping) stop();
    if (told.state !== undefined) state.textContent = told.state;
    if (told.error !== undefined) turn.error = [told.error, told.log].filter(Boolean).join("\n\n");
    if (told.asked !== undefined) turn.asked[told.side] = told.asked;
    if (told.more !== undefined) {
      // What separates an answer from its question is no part of what is read.
      const more = turn[told.side] ? told.more : told.more.trimStart();
      turn[told.side] += more;
      const shown = place(turn, told.side, "pre");
      const follows = shown.scrollTop + shown.clientHeight > shown.scrollHeight - 30;
      shown.append(more);
      if (follows) shown.scrollTop = shown.scrollHeight;
      if (more) state.textContent = "";
    }
    if (told.reason !== undefined) {
      turn.ends[told.side] = told;
      ended(turn, told.side);
    }
    tell(turn);
  }

  function begin() {
    asking = true;
    stopping = false;
    number = null;
    part("ask").disabled = true;
    part("stop").hidden = false;
    expected.hidden = true;
    question.value = "";
  }

  function end(turn) {
    asking = false;
    part("ask").disabled = false;
    part("stop").hidden = true;
    state.textContent = turn.error ? "" : form.dataset.done;
    if (turn.error && !turn.base && !turn.tuned && !question.value) question.value = turn.question;
    tell(turn);
    keep();
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask();
  });
  question.addEventListener("keydown", (event) => {
    // Enter also ends the typing of a Chinese word: it is not meant for us then.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    ask();
  });
  function stop() {
    stopping = true; // the number may still be on its way
    if (number === null) return;
    post(form.dataset.stop, new URLSearchParams({ number: String(number) })).catch(() => {});
  }
  part("stop").addEventListener("click", stop);

  /* ---- examples ---- */
  part("example")?.addEventListener("click", async () => {
    const answer = await fetch(`${form.dataset.example}?number=${example.next}`, {
      credentials: "same-origin",
    });
    if (!answer.ok) return;
    example = await answer.json();
    question.value = example.question;
    expected.hidden = false;
    expected.querySelector("pre").textContent = example.expected;
    question.focus();
  });
  question.addEventListener("input", () => {
    expected.hidden = question.value !== example.question;
  });

  part("clear").addEventListener("click", () => {
    if (asking) return;
    turns.length = 0;
    part("turns").replaceChildren();
    state.textContent = "";
    keep();
    question.focus();
  });

  let kept = [];
  try {
    kept = JSON.parse(sessionStorage.getItem(form.dataset.kept) ?? "[]");
  } catch {
    // Nothing is kept then.
  }
  for (const turn of kept) {
    turns.push(turn);
    show(turn);
  }
  keep();
})();
