// A chat on Node's `ws`: each message is encoded once and sent to every socket of the room. `node ws.mjs PORT`
import { createServer } from "node:http";
import { WebSocketServer } from "ws";

const rooms = new Map();
const server = createServer();
const sockets = new WebSocketServer({ server, perMessageDeflate: false });

function tell(room, frame) {
  const data = Buffer.from(JSON.stringify(frame));
  for (const socket of rooms.get(room)) socket.send(data, { binary: false });
}

sockets.on("connection", (socket, request) => {
  const [, , room, user] = request.url.split("/"); // /ws/ROOM/USER
  if (!rooms.has(room)) rooms.set(room, new Set());
  rooms.get(room).add(socket);
  tell(room, { user, message: "进入聊天" });
  socket.on("message", (data) => tell(room, { user, message: JSON.parse(data).message }));
  socket.on("close", () => {
    rooms.get(room).delete(socket);
    tell(room, { user, message: "离开" });
  });
});
server.listen(Number(process.argv[2]), "127.0.0.1");
