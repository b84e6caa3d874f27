export default {
  cancel: "Cancel",
  cancelled: "Cancelled",
  too_large: "The file is too large: at most 10 MB a file, 20 files and 50 MB a conversation.",
  type_not_allowed: "This kind of file is not accepted. Accepted: pdf, png, jpeg, gif, webp, text, csv, OpenDocument and Office without macros.",
  infected: "The file was refused because it seems harmful.",
  refused: "This could not be accepted.",
  saved: "Downloaded.",
  saveFailed: "Downloading failed. Try again.",
};
