export default {
  green: "Chat met een medewerker",
  greenHint: "Nu beschikbaar",
  blue: "Chat niet beschikbaar",
  blueHint: "Bekijk de infofiche",
  newTab: "(opent in een nieuw tabblad)",
  live: "Uw chatgesprek",
  liveHint: "Terug naar het gesprek",
  unread: "ongelezen",
  failed: "Laden is mislukt. Probeer opnieuw.",
};
