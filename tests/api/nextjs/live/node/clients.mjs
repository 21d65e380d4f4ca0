// Real clients, told what to do by the lines of standard input; what they hear goes to standard output, a line of JSON
// each. tests/api/nextjs/live/node_clients.py starts it.
import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const sockets = new Map();
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");

const orders = {
  open({ id, url, options }) {
    const socket = io(url, { forceNew: true, ...options });
    sockets.set(id, socket);
    socket.on("connect", () => say({ id, event: "connect", data: [socket.io.engine.transport.name] }));
    socket.on("disconnect", (reason) => say({ id, event: "disconnect", data: [reason, socket.active] }));
    socket.on("connect_error", (error) => say({ id, event: "connect_error", data: [error.message, socket.active] }));
    socket.onAny((event, ...data) => say({ id, event: `< ${event}`, data }));
    socket.io.on("open", () => socket.io.engine.on("upgrade", (to) => say({ id, event: "upgrade", data: [to.name] })));
  },
  emit({ id, event, data }) {
    sockets.get(id).emit(event, ...data);
  },
  ask({ id, event, data }) {
    sockets.get(id).emit(event, ...data, (...answer) => say({ id, event: `ack ${event}`, data: answer }));
  },
  close({ id }) {
    sockets.get(id).disconnect();
    sockets.delete(id);
  },
};

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const order = JSON.parse(line);
    orders[order.do](order);
  })
  .on("close", () => process.exit(0));
say({ id: "", event: "ready", data: [] });
