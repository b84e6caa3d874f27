export default {
  green: "Mit einer Fachkraft chatten",
  greenHint: "Jetzt verfügbar",
  blue: "Chat nicht verfügbar",
  blueHint: "Infoblatt ansehen",
  newTab: "(öffnet in einem neuen Tab)",
  live: "Ihr Chatgespräch",
  liveHint: "Zurück zum Gespräch",
  unread: "ungelesen",
  failed: "Laden fehlgeschlagen. Versuchen Sie es erneut.",
};
