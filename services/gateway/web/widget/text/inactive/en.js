export default {
  asked: "Are you still there?",
  closesMinutes: "Are you still there? This conversation will be closed in {n} minutes, at {time}, unless you do something.",
  closesMinute: "Are you still there? This conversation will be closed within a minute, at {time}, unless you do something.",
  stay: "I am still here",
  stayed: "Thank you. The conversation stays open.",
};
