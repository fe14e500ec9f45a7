// A chat on Socket.IO with its rooms. `node socketio.mjs PORT`
import { createServer } from "node:http";
import { Server } from "socket.io";

const server = createServer();
const io = new Server(server, { transports: ["websocket"] });

io.on("connection", (socket) => {
  const { room, user } = socket.handshake.auth;
  socket.join(room);
  io.to(room).emit("message", { user, message: "进入聊天" });
  socket.on("message", (said) => io.to(room).emit("message", { user, message: said.message }));
  socket.on("disconnect", () => io.to(room).emit("message", { user, message: "离开" }));
});
server.listen(Number(process.argv[2]), "127.0.0.1");
