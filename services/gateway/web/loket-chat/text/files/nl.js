export default {
  cancel: "Annuleren",
  cancelled: "Geannuleerd",
  too_large: "Het bestand is te groot: hoogstens 10 MB per bestand, 20 bestanden en 50 MB per gesprek.",
  type_not_allowed: "Dit soort bestand kan niet. Wel: pdf, png, jpeg, gif, webp, tekst, csv, OpenDocument en Office zonder macro’s.",
  infected: "Het bestand is geweigerd omdat het schadelijk lijkt.",
  refused: "Dit kon niet worden aangenomen.",
  saved: "Gedownload.",
  saveFailed: "Downloaden is mislukt. Probeer het opnieuw.",
};
