// The sample form: its language (?lang=nl|fr|de|en), its department (?department=…), and the one element that is the chat.
import { translator } from "../shared/translator.js";

const asked = new URLSearchParams(location.search);
const wish = asked.get("lang") ?? "";
const lang = ["nl", "fr", "de", "en"].includes(wish) ? wish : "nl";
const texts = await import(`./texts/${lang}.js`);
const t = translator(texts.default, lang);

document.documentElement.lang = lang;
for (const element of document.querySelectorAll("[data-text]")) element.textContent = t(element.getAttribute("data-text") ?? "");
for (const element of document.querySelectorAll("[data-label]"))
  element.setAttribute("aria-label", t(element.getAttribute("data-label") ?? ""));
document.title = `${t("title")} – ${t("brand")}`;
/** @type {NodeListOf<HTMLAnchorElement>} */
const links = document.querySelectorAll("nav a");
for (const link of links) {
  const there = new URLSearchParams(asked);
  there.set("lang", link.lang);
  link.href = `?${there}`;
  if (link.lang === lang) link.setAttribute("aria-current", "true");
}
document.querySelector("#application")?.addEventListener("submit", (event) => {
  event.preventDefault();
  const answer = document.querySelector("#answer");
  if (answer) answer.textContent = t("nothing_sent");
});

const chat = document.createElement("eloket-chat");
chat.setAttribute("department", asked.get("department") ?? "algemeen");
chat.setAttribute("locale", lang);
chat.setAttribute("form-id", "aanvraag-42");
chat.setAttribute("form-title", document.querySelector("h1")?.textContent ?? "");
document.body.append(chat);
