// A button that asks the console to do something. What came of it is said in `answer`: the sentence `done`, or why not.
import { wish } from "/assets/live.js";
import { h, say } from "/assets/dom.js";
import { refusal, t } from "/assets/words.js";

export function act({ text, label, path, body, done, answer, then }) {
  const button = h("button", { type: "button", class: "act", text, "aria-label": label });
  button.addEventListener("click", async () => {
    button.disabled = true;
    say(answer, t("console.asked"));
    answer.dataset.done = "";
    const told = await wish(path, body);
    button.disabled = false;
    answer.dataset.done = told.done ? "yes" : "no";
    say(answer, told.done ? done : t("console.not_done", { why: refusal(told) }));
    then?.(told);
  });
  return button;
}

// Where its answers are said, one after another.
export function answerPlace() {
  return h("span", { class: "answer", role: "status" });
}
