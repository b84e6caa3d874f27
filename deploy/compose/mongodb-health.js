// Healthy is a primary that takes writes. The first time it makes the replica set, which has one member.
const admin = db.getSiblingDB("admin");
if (!admin.auth(process.env.MONGO_INITDB_ROOT_USERNAME, process.env.MONGO_INITDB_ROOT_PASSWORD)) quit(1);
try {
  rs.status();
} catch (error) {
  if (error.codeName !== "NotYetInitialized") throw error;
  rs.initiate({ _id: "eloket", members: [{ _id: 0, host: "mongodb:27017" }] });
}
const hello = admin.hello();
quit(hello.setName === "eloket" && hello.isWritablePrimary ? 0 : 1);
