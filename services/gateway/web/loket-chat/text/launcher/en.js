export default {
  green: "Chat with a staff member",
  greenHint: "Available now",
  blue: "Chat not available",
  blueHint: "See the info sheet",
  newTab: "(opens in a new tab)",
  live: "Your conversation",
  liveHint: "Back to the conversation",
  unread: "unread",
  failed: "Loading failed. Please try again.",
};
