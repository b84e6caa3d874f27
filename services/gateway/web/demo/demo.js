// The sample form: its language (?lang=nl|fr|de|en), its department (?department=…), and the one element that is the chat.
const TEXTS = {
  fr: {
    skip: "Aller au contenu",
    brand: "e-guichet",
    languages: "Langue",
    sample: "Ceci est un exemple de formulaire en ligne. Rien n’est envoyé.",
    title: "Demande de prime",
    lead: "Demandez une prime pour la rénovation de votre habitation. Besoin d’aide ? Chattez avec un collaborateur via le bouton en bas à droite.",
    steps: "Étapes",
    step1: "Vos données",
    step2: "Votre habitation",
    step3: "Aperçu",
    you: "Vos données",
    first: "Prénom",
    last: "Nom de famille",
    mail: "Adresse e-mail",
    works: "Les travaux",
    kind: "Type de travaux",
    roof: "Isolation du toit",
    windows: "Fenêtres et portes",
    heating: "Chauffage",
    about: "Décrivez brièvement les travaux",
    next: "Étape suivante",
    footer: "Page d’exemple de l’e-guichet · pas de cookies, pas de tiers",
  },
  de: {
    skip: "Zum Inhalt",
    brand: "E-Schalter",
    languages: "Sprache",
    sample: "Dies ist ein Beispiel für ein Online-Formular. Es wird nichts gesendet.",
    title: "Antrag auf Prämie",
    lead: "Beantragen Sie eine Prämie für die Renovierung Ihrer Wohnung. Brauchen Sie Hilfe? Chatten Sie über den Knopf unten rechts.",
    steps: "Schritte",
    step1: "Ihre Angaben",
    step2: "Ihre Wohnung",
    step3: "Übersicht",
    you: "Ihre Angaben",
    first: "Vorname",
    last: "Familienname",
    mail: "E-Mail-Adresse",
    works: "Die Arbeiten",
    kind: "Art der Arbeiten",
    roof: "Dachdämmung",
    windows: "Fenster und Türen",
    heating: "Heizung",
    about: "Beschreiben Sie kurz die Arbeiten",
    next: "Nächster Schritt",
    footer: "Beispielseite des E-Schalters · keine Cookies, keine Dritten",
  },
  en: {
    skip: "To the content",
    brand: "e-counter",
    languages: "Language",
    sample: "This is a sample of an online form. Nothing is sent.",
    title: "Application for a grant",
    lead: "Apply for a grant to renovate your home. Need help? Chat with a staff member with the button at the bottom right.",
    steps: "Steps",
    step1: "Your details",
    step2: "Your home",
    step3: "Overview",
    you: "Your details",
    first: "First name",
    last: "Last name",
    mail: "E-mail address",
    works: "The works",
    kind: "Kind of works",
    roof: "Roof insulation",
    windows: "Windows and doors",
    heating: "Heating",
    about: "Describe the works briefly",
    next: "Next step",
    footer: "Sample page of the e-counter · no cookies, no third parties",
  },
};
const NOTHING_SENT = {
  nl: "Dit is een voorbeeld: er is niets verstuurd.",
  fr: "Ceci est un exemple : rien n’a été envoyé.",
  de: "Dies ist ein Beispiel: Es wurde nichts gesendet.",
  en: "This is a sample: nothing was sent.",
};

const asked = new URLSearchParams(location.search);
const wish = asked.get("lang") ?? "";
const lang = Object.hasOwn(NOTHING_SENT, wish) ? wish : "nl";
const texts = TEXTS[lang];

document.documentElement.lang = lang;
if (texts) {
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = texts[element.getAttribute("data-text") ?? ""];
  for (const element of document.querySelectorAll("[data-label]"))
    element.setAttribute("aria-label", texts[element.getAttribute("data-label") ?? ""]);
  document.title = `${texts.title} – ${texts.brand}`;
}
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
  if (answer) answer.textContent = NOTHING_SENT[lang];
});

const chat = document.createElement("eloket-chat");
chat.setAttribute("department", asked.get("department") ?? "algemeen");
chat.setAttribute("locale", lang);
chat.setAttribute("form-id", "aanvraag-42");
chat.setAttribute("form-title", document.querySelector("h1")?.textContent ?? "");
document.body.append(chat);
